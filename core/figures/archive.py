"""One .zip of several figures: vector files, numbers, captions, and the documents that place them."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence

from core.errors import SettingsError
from core.figures.documents import Placed, latex, typst
from core.figures.files import render_all
from core.figures.kept import KeptFigure

KINDS = ("pdf", "svg")  # LaTeX places .pdf alone, Typst both
LONGEST = 80  # characters of a file's name


def figures_zip(figures: Sequence[KeptFigure], kind: str) -> bytes:
    """Return the archive: for each figure a vector file and a .csv, and `figures.tex` and `figures.typ`.

    Args:
        kind: of the vector files, pdf or svg; LaTeX places pdf only, so an archive of svg has no .tex.
    Raises:
        SettingsError: no figure, another kind, or no browser that draws them.
    """
    if kind not in KINDS:
        raise SettingsError(f"figures are written as {' or '.join(KINDS)}, not '{kind}'")
    if not figures:
        raise SettingsError("there is no figure to write")
    drawings = render_all([one.figure for one in figures], kind)
    return _zipped(archive_files(figures, drawings, kind))


def archive_files(figures: Sequence[KeptFigure], drawings: Sequence[bytes], kind: str) -> dict[str, bytes]:
    """Return the files of the archive by name; see `figures_zip`."""
    files: dict[str, bytes] = {}
    placed = []
    for number, (figure, drawing) in enumerate(zip(figures, drawings, strict=True), start=1):
        name = file_name(number, figure)
        files[f"{name}.{kind}"] = drawing
        files[f"{name}.csv"] = figure.numbers.encode()
        placed.append(Placed(f"{name}.{kind}", figure.inches, figure.caption))
    if kind == "pdf":
        files["figures.tex"] = latex(placed).encode()
    files["figures.typ"] = typst(placed).encode()
    captions = (f"{one.file}: {one.caption}\n" for one in placed)
    files["captions.txt"] = "\n".join(captions).encode(errors="replace")
    return files


def file_name(number: int, figure: KeptFigure) -> str:
    """Return the name of a figure's files: its number, and what every program can read of its own name.

    >>> file_name(2, KeptFigure("demo_errors_class-a.b", "", "", "", 1, 1))
    '2_demo_errors_class-a-b'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", figure.stem)[:LONGEST].strip("-")
    return f"{number}_{plain or 'figure'}"


def _zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()
