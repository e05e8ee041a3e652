"""Letters of a figure that the shipped fonts lack, as in names of classes in other scripts."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.charts.fonts import SHIPPED, letters_without_glyph
from core.common.records import Record, Templates

UNSEEN = ("hover", "custom", "source", "meta", "uid", "ids", "template", "font", "color")  # how keys begin
SOME = 8  # letters that a sentence shows
PATIENCE = 10  # seconds for fontconfig
say_of_letters = Templates.beside(__file__)


def letters_in_words(figure: go.Figure) -> Record | None:
    """Return what becomes of the letters that no shipped font has; None where there are none."""
    text = "".join(_texts(figure.to_dict()))
    lacking = "".join(letter for letter in dict.fromkeys(text) if not letter.isascii())
    for font in SHIPPED:
        lacking = letters_without_glyph(lacking, font=font)
    if not lacking:
        return None
    without = "".join(letter for letter in lacking if not machine_has(letter))
    letters, kind = (without, "boxes") if without else (lacking, "other_font")
    return say_of_letters(kind, n=len(letters), what=letters[:SOME] + "…" * (len(letters) > SOME))


def machine_has(letter: str) -> bool:
    """Whether a font of this machine has a letter, as fontconfig says; True where there is no fontconfig."""
    program = shutil.which("fc-list")
    if program is None:
        return True
    try:
        process = subprocess.run(
            [program, f":charset={ord(letter):x}", "family"],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return process.returncode != 0 or bool(process.stdout.strip())


def _texts(value: Any, key: str = "") -> Iterator[str]:
    """The texts of a figure that are drawn."""
    if key.startswith(UNSEEN):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, str(name))
    elif isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype.kind in "OUT"):
        for one in value:
            yield from _texts(one)
