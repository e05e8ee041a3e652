"""Command lines for messages, ready to paste into a shell, and options behind paths in them. No torch."""

import os
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl

from core.config.settings import flag

CODE = Path(__file__).resolve().parents[2]  # the folder that `core` was imported from
PREFIX = ("python", "-m", "core")  # of the commands in the records of jobs
# What a user types: an installed package may lie in an environment whose `python` nobody calls.
TYPED = PREFIX if (CODE / "pyproject.toml").is_file() else ("peregrine",)
PROGRAM = " ".join(TYPED)


def command_line(*words: object, **options: object) -> str:
    """Return a command (`python -m core …`, or `peregrine …`) that a shell splits into exactly these words.

    Args:
        words: the command and its positional arguments. After the command, a word that begins with a dash is
            treated as a path and written so that it is not read as an option.
        options: `mask_size=3` is `--mask-size 3`; True is a flag; None and False are left out.

    >>> command_line("features", "studies/my study", epsilon=3.5, redo=True)
    "python -m core features 'studies/my study' --epsilon 3.5 --redo"
    >>> command_line("info", "-x"), command_line("heatmaps", "a", image="-1.png", seed=None)
    ('python -m core info ./-x', 'python -m core heatmaps a --image=-1.png')
    """
    named = [basis_of(word) if isinstance(word, Path) else (word, "") for word in words]
    options = {"basis": next((basis for _, basis in named if basis), None), **options}
    typed = [*TYPED, *(_quoted(word, prefix="./") for word, _ in named)]
    for name, value in options.items():
        typed += _option(flag(name), value)
    return " ".join(typed)


def basis_of(folder: str | Path) -> tuple[Path, str]:
    """Split what a command names: STUDY/bases/NAME into study and basis; another folder into itself and "".

    >>> basis_of(Path("studies/demo"))
    (PosixPath('studies/demo'), '')
    """
    folder = Path(folder)  # notebooks name studies by strings
    at = folder.parent
    is_basis = at.name == "bases" and (at.parent / "manifest.json").is_file()
    return (at.parent, folder.name) if is_basis else (folder, "")


def python_module(name: str, *words: str) -> list[str]:
    """Return the command line that runs a Python module with this installation, from any folder.

    `-P` keeps the working directory off the module search path: a folder called `core` there would be taken
    for ours. In our own checkout it stays on, for a checkout that was never installed.
    """
    safe = () if Path.cwd() == CODE else ("-P",)
    return [sys.executable, *safe, "-m", name, *words]


def shell_text(words: Iterable[str]) -> str:
    """Return the words of a command that runs in the background as a user would type them in a shell."""
    typed: list[str] = []
    for word in words:
        flag, _, value = word.partition("=")
        if word.startswith("--") and os.path.isabs(value):
            text = _quoted(Path(value))
            typed += [flag, text] if text.startswith("~") else [f"{flag}={text}"]  # no shell expands =~
        else:
            typed.append(_quoted(Path(word) if os.path.isabs(word) else word))
    return " ".join(typed)


def short_path(path: Path) -> str:
    """Write a path from the working directory or from ~: the folders above may hold the name of a user."""
    with suppress(ValueError, OSError):  # it lies elsewhere, or the working directory is gone
        return str(path.relative_to(Path.cwd()))
    with suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def _quoted(word: object, *, prefix: str = "") -> str:
    """Quote a word; one that begins with a dash gets the prefix, and ~ stays free for the shell to expand."""
    text = short_path(word) if isinstance(word, Path) and word.is_absolute() else str(word)
    if isinstance(word, Path) and text.startswith("~/"):
        return f"~/{shlex.quote(text[2:])}"
    return shlex.quote(prefix + text if text.startswith("-") else text)


def _option(flag: str, value: object) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    text = _quoted(value, prefix=f"{flag}=")
    return [text] if str(value).startswith("-") else [flag, text]


def with_options(spec: str) -> tuple[str, dict[str, str]]:
    """Split a command's word `FILE?key=value&…` into path and options; a file of that name has none.

    >>> with_options("photos.parquet?label=fine_label"), with_options("shard-0?.tar")
    (('photos.parquet', {'label': 'fine_label'}), ('shard-0?.tar', {}))
    """
    path, mark, query = spec.partition("?")
    if not mark or "=" not in query or os.path.exists(os.path.expanduser(spec)):
        return spec, {}
    return path, dict(parse_qsl(query, keep_blank_values=True))
