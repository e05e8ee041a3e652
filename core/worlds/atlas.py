"""The sprite atlas of Glyphworld: colour emoji cut from Noto Color Emoji, kept as one sheet with an index.

`assets/glyphworld/catalogue.csv` lists the glyphs and their meaning; `atlas.webp` and `index.json` are built
from it by `python -m core.worlds.atlas --font NotoColorEmoji.ttf`. Only that command needs the
font.
"""

import argparse
import csv
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core.common.assets import asset
from core.errors import ImageSourceError

FOLDER = asset("glyphworld")
SHEET = "atlas.webp"
INDEX = "index.json"
CATALOGUE = "catalogue.csv"
CELL = 88  # pixels; the largest object of the default world spans 72 pixels of a 96-pixel scene
COLUMNS = 13
FONT_SIZE = 109  # the only size of the font's bitmaps
INDEX_VERSION = 1


@dataclass(frozen=True)
class Glyph:
    """One sprite: its meaning and its position in the sheet.

    `role` is "class", "companion" (`label` is the class that it hints at) or "distractor" (`label` empty).
    `box` is (left, top, right, bottom) in pixels of the sheet, tight around the visible pixels.
    """

    name: str
    codepoint: str
    role: str
    label: str
    noun: str
    colour: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Atlas:
    """All glyphs by role, and their sprites: cropped, premultiplied so that resampling leaves no dark rim."""

    glyphs: dict[str, Glyph]
    sprites: dict[str, Image.Image]
    by_class: dict[str, tuple[str, ...]]
    companion_of: dict[str, str]
    distractors: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.by_class)


@cache
def load_atlas(folder: Path = FOLDER) -> Atlas:
    """Read the sheet of Glyphworld's glyphs and its index once per process.

    Raises:
        ImageSourceError: a file is missing or has another version.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        with Image.open(folder / SHEET) as file:
            sheet = file.convert("RGBA").convert("RGBa")
    except (OSError, ValueError) as error:
        raise ImageSourceError(
            f"cannot read the Glyphworld atlas in '{folder}' ({error}). Restore it from the repository"
        ) from error
    if index.get("version") != INDEX_VERSION:
        raise ImageSourceError(
            f"'{folder / INDEX}' has version {index.get('version')}, expected {INDEX_VERSION}. Rebuild it."
        )
    glyphs = {entry["name"]: Glyph(**{**entry, "box": tuple(entry["box"])}) for entry in index["glyphs"]}
    sprites, companion_of, distractors = {}, {}, []
    for name, glyph in glyphs.items():
        sprites[name] = sheet.crop(glyph.box)
        if glyph.role == "companion":
            companion_of[glyph.label] = name
        elif glyph.role == "distractor":
            distractors.append(name)
    by_class = _names_by_class(glyphs)
    return Atlas(
        glyphs=glyphs,
        sprites=sprites,
        by_class=by_class,
        companion_of=companion_of,
        distractors=tuple(distractors),
    )


def _names_by_class(glyphs: dict[str, Glyph]) -> dict[str, tuple[str, ...]]:
    main = [glyph for glyph in glyphs.values() if glyph.role == "class"]
    labels = sorted({glyph.label for glyph in main})
    return {label: tuple(glyph.name for glyph in main if glyph.label == label) for label in labels}


def draw_glyph(codepoint: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Draw one glyph of Glyphworld as cropped RGBA, its longer side CELL pixels."""
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((8, 8), chr(int(codepoint, 16)), font=font, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise ImageSourceError(
            f"the font has no colour glyph for U+{codepoint}. Use NotoColorEmoji.ttf (bitmap build)."
        )
    glyph = canvas.crop(box)
    scale = CELL / max(glyph.size)
    size = (max(1, round(glyph.width * scale)), max(1, round(glyph.height * scale)))
    return glyph.resize(size, Image.Resampling.LANCZOS)


def build_atlas(font_path: Path, folder: Path = FOLDER) -> tuple[int, int]:
    """Write Glyphworld's sheet of glyphs and its index; return (number of glyphs, bytes of the sheet)."""
    try:
        font = ImageFont.truetype(str(font_path), FONT_SIZE)
    except OSError as error:
        raise ImageSourceError(
            f"the font '{font_path}' cannot be read ({error}). Install fonts-noto-color-emoji."
        ) from error
    with (folder / CATALOGUE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sheet = Image.new("RGBA", (COLUMNS * CELL, -(-len(rows) // COLUMNS) * CELL))
    glyphs = []
    for number, row in enumerate(rows):
        sprite = draw_glyph(row["codepoint"], font)
        left, top = number % COLUMNS * CELL, number // COLUMNS * CELL
        sheet.paste(sprite, (left, top))
        box = (left, top, left + sprite.width, top + sprite.height)
        meaning = {name: row[name] for name in ("name", "codepoint", "role", "noun", "colour")}
        glyphs.append(Glyph(**meaning, label=row["class"], box=box))
    sheet.save(folder / SHEET, lossless=True, quality=100, method=6)
    entries = ",\n".join(json.dumps(asdict(glyph)) for glyph in glyphs)
    text = f'{{"version": {INDEX_VERSION}, "cell": {CELL}, "glyphs": [\n{entries}\n]}}\n'
    (folder / INDEX).write_text(text, encoding="utf-8")
    return len(glyphs), (folder / SHEET).stat().st_size


def main() -> int:
    """Rebuild the sheet of Glyphworld's glyphs from an emoji font, as a command."""
    parser = argparse.ArgumentParser(
        prog="python -m core.worlds.atlas", description="Rebuild the sprite atlas."
    )
    parser.add_argument(
        "--font", type=Path, required=True, help="NotoColorEmoji.ttf of Debian's fonts-noto-color-emoji"
    )
    arguments = parser.parse_args()
    try:
        count, size = build_atlas(arguments.font)
    except ImageSourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{count} glyphs, {size / 1e6:.2f} MB: {FOLDER / SHEET}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
