"""Command lines for messages: ready to paste into a shell, whatever names they contain. No torch."""

from __future__ import annotations

import shlex

PREFIX = ("python", "-m", "core")


def command_line(*words: object, **options: object) -> str:
    """Return a `python -m core …` command that a shell splits into exactly these words.

    Args:
        words: the command and its positional arguments. After the command, a word that begins with a dash is
            treated as a path and written so that it is not read as an option.
        options: `mask_size=3` is `--mask-size 3`; True is a flag; None and False are left out.

    >>> command_line("features", "studies/my study", epsilon=3.5, redo=True)
    "python -m core features 'studies/my study' --epsilon 3.5 --redo"
    >>> command_line("info", "-x"), command_line("heatmaps", "a", image="-1.png", seed=None)
    ('python -m core info ./-x', 'python -m core heatmaps a --image=-1.png')
    """
    typed = [*PREFIX, *(f"./{word}" if str(word).startswith("-") else str(word) for word in words)]
    for name, value in options.items():
        typed += _option(f"--{name.replace('_', '-')}", value)
    return shlex.join(typed)


def _option(flag: str, value: object) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    text = str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]
