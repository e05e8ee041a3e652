"""Figures that were kept as a page showed them: files of a folder, in the order that the reader gave them."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import plotly.graph_objects as go
import plotly.io

from core.charts.table_file import complete_file
from core.charts.theme import USUAL_HEIGHT, layout_of
from core.study.write_access import check_write_access

MOST_FIGURES = 60  # of a folder
LONGEST_CAPTION = 600  # characters
ORDER = "order.txt"  # names of the figures, a line each; those it lacks follow, the first one kept first
EARLIER, LATER = -1, 1  # steps of `move_figure`


@dataclass(frozen=True)
class KeptFigure:
    """A figure as it was shown: nothing of it is read or computed again.

    Attributes:
        stem: name of its files, without ending.
        caption: what it shows, of which images.
        drawing: the figure for print as plotly's JSON text. width, height: its size in CSS px, 96 an inch.
        numbers: its data as CSV text.
    """

    stem: str
    caption: str
    drawing: str
    numbers: str
    width: int
    height: int

    @property
    def figure(self) -> go.Figure:
        """The figure that plotly draws."""
        return plotly.io.from_json(self.drawing, skip_invalid=True)

    @property
    def inches(self) -> float:
        """Its width in print."""
        return self.width / 96


def kept_figure(figure: go.Figure, stem: str, caption: str, numbers: bytes) -> KeptFigure:
    """Keep a chart that is drawn for print; `numbers` are its data as CSV."""
    layout = layout_of(figure)
    drawing = str(plotly.io.to_json(figure, validate=False))
    height = round(layout.height or USUAL_HEIGHT)
    return KeptFigure(
        stem=stem,
        caption=shortened_caption(caption),
        drawing=drawing,
        numbers=numbers.decode(),
        width=round(layout.width),
        height=height,
    )


def shortened_caption(text: str) -> str:
    """Return a kept chart's caption in one line, of at most LONGEST_CAPTION characters."""
    return " ".join(text.split())[:LONGEST_CAPTION]


def read_figures(folder: Path) -> dict[str, KeptFigure]:
    """Return the kept charts of a folder by their names in it; one that cannot be read is left out."""
    figures = ((path.stem, _read(path)) for path in _files(folder))
    return {name: figure for name, figure in figures if figure is not None}


def count_figures(folder: Path) -> int:
    """Return how many kept charts a folder holds, without reading them."""
    return sum(1 for _ in _files(folder))


def add_figure(folder: Path, figure: KeptFigure) -> None:
    """Keep a chart behind those of the folder.

    Raises:
        SettingsError: it cannot be written.
    """
    numbers = [int(name) for name in (*_order(folder), *(path.stem for path in _files(folder)))]
    _write(folder / f"{max(numbers, default=0) + 1:06d}.json", figure)


def set_caption(folder: Path, name: str, caption: str) -> None:
    """Give a kept chart another caption; nothing is done where the folder has no such one."""
    figure = _read(path := folder / f"{name}.json")
    if figure is not None:
        _write(path, replace(figure, caption=shortened_caption(caption)))


def remove_figure(folder: Path, name: str) -> None:
    """Take a kept chart out of its folder."""
    check_write_access()
    if name.isdecimal():
        (folder / f"{name}.json").unlink(missing_ok=True)


def move_figure(folder: Path, name: str, step: int) -> None:
    """Give a kept chart the position of the one beside it, which takes its own.

    step: EARLIER or LATER. Nothing is done where the folder has no such one, or none beside it.
    """
    check_write_access()
    names = list(read_figures(folder))
    if name not in names or not 0 <= names.index(name) + step < len(names):
        return
    position = names.index(name)
    names.insert(position + step, names.pop(position))
    with complete_file(folder / ORDER) as temporary:
        temporary.write_text("\n".join(names), encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of the figures in their order."""
    if folder.is_dir():
        paths = sorted(path for path in folder.glob("*.json") if path.stem.isdecimal())
        position = {name: at for at, name in enumerate(_order(folder))}
        yield from sorted(paths, key=lambda path: position.get(path.stem, len(position)))


def _order(folder: Path) -> list[str]:
    """Return the names of figures in the order that the reader gave them; empty before they were moved."""
    try:
        lines = (folder / ORDER).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []
    return [line for line in lines if line.isdecimal()]


def _read(path: Path) -> KeptFigure | None:
    try:
        return KeptFigure(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, figure: KeptFigure) -> None:
    check_write_access()
    with complete_file(path) as temporary:
        temporary.write_text(json.dumps(asdict(figure)), encoding="utf-8")
