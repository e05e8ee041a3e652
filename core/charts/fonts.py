"""The fonts of printed figures: their files, how wide a text is, and letters that they lack."""

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import ImageFont

from core.common.assets import asset
from core.common.records import Record, Templates

# The fonts of printed figures, which ship with Peregrine: their files, as CSS, and how wide a text is.


SHIPPED = {"serif": "Tinos", "sans": "Arimo"}
WEIGHTS = {"Regular": 400, "Bold": 700}
MEASURED_AT = 1000  # font size of a measurement; widths grow with the size
NO_LETTER = "\U0010ffff"  # which is drawn as fonts draw what they lack
MARKUP = re.compile(r"<(?!br)[^>]*>")


def _font_file(font: str, *, bold: bool = False) -> Path:
    """Return the file of a shipped font of charts: serif or sans."""
    return asset(f"fonts/{SHIPPED[font]}-{'Bold' if bold else 'Regular'}.ttf")


@lru_cache(maxsize=4)
def font_faces(*fonts: str) -> str:
    """Return CSS that holds the files of these fonts of charts, all if none is named."""
    rules = []
    for font in fonts or SHIPPED:
        for name, weight in WEIGHTS.items():
            content = base64.b64encode(_font_file(font, bold=name == "Bold").read_bytes()).decode()
            rules.append(
                f'@font-face{{font-family:"{SHIPPED[font]}";font-weight:{weight};'
                f'src:url(data:font/ttf;base64,{content}) format("truetype")}}'
            )
    return "".join(rules)


def text_width(text: str, size: float, *, font: str = "serif") -> float:
    """Return how wide a line of a chart's text is in CSS px; markup takes no room.

    >>> round(text_width("Peregrine", 10)), round(text_width("<b>Peregrine</b>", 10, font="sans"))
    (38, 43)
    """
    plain = MARKUP.sub("", text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return _measure(font).getlength(plain) * size / MEASURED_AT


@lru_cache(maxsize=4)
def _measure(font: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_font_file(font)), MEASURED_AT, layout_engine=ImageFont.Layout.BASIC)


def wrapped_lines(text: str, width: float, size: float, *, font: str = "serif") -> list[str]:
    """Break a chart's text at spaces so that each line is at most so wide; a longer word stands alone.

    >>> wrapped_lines("correct above misclassified", 60, 10)
    ['correct above', 'misclassified']
    """
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def letters_without_glyph(text: str, *, font: str = "serif") -> str:
    """Return the letters that a shipped font of charts does not have, each once, in order.

    >>> letters_without_glyph("chien, žirafa, собака, 狗")
    '狗'
    """
    return "".join(
        letter for letter in dict.fromkeys(text) if letter.isprintable() and not _has(font, letter)
    )


@lru_cache(maxsize=65_536)
def _has(font: str, letter: str) -> bool:
    return letter.isspace() or _drawn(font, letter) != _drawn(font, NO_LETTER)


def _drawn(font: str, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = _measure(font).getmask(letter)
    return mask.size, bytes(mask)  # pyright: ignore[reportArgumentType]  # a sequence, as its stub leaves out


# Letters of a figure that the shipped fonts lack, as in names of classes in other scripts.


UNSEEN = ("hover", "custom", "source", "meta", "uid", "ids", "template", "font", "color")  # how keys begin
SOME = 8  # letters that a sentence shows
PATIENCE = 10  # seconds for fontconfig
say_of_letters = Templates.beside(__file__)


def letters_in_words(figure: go.Figure) -> Record | None:
    """Return what becomes of a chart's letters that no shipped font has; None where there are none."""
    text = "".join(_texts(figure.to_dict()))
    lacking = "".join(letter for letter in dict.fromkeys(text) if not letter.isascii())
    for font in SHIPPED:
        lacking = letters_without_glyph(lacking, font=font)
    if not lacking:
        return None
    without = "".join(letter for letter in lacking if not _machine_has(letter))
    letters, kind = (without, "boxes") if without else (lacking, "other_font")
    return say_of_letters(kind, n=len(letters), what=letters[:SOME] + "…" * (len(letters) > SOME))


def _machine_has(letter: str) -> bool:
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
