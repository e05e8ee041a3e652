"""Rows of images as a plotly figure, which embeds the images so that every export contains them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from PIL import Image

from core.charts.fonts import wrapped_lines
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure, printed_font
from core.common.picture_bytes import image_address, image_file

SCREEN_WIDTH = 960  # pixels; layout width of a figure without a fixed width
LARGEST_CELL, GAP, BREAK = 150, 3, 14  # pixels
ON_AXES = {"xref": "x", "yref": "y"}
LETTER = 0.52  # mean width of a letter, in font sizes
AS_PNG = 200_000  # maximum pixels of an image with few colours to be stored losslessly


@dataclass(frozen=True)
class Picture:
    """One picture of a grid.

    Attributes:
        image: RGB. caption: shown below, lines separated by <br>; the caller has escaped names (`as_text`).
        verdict: correct or misclassified (colours the frame), or "". hover: text on screen.
        row: the image's row in the study, reported with a click.
    """

    image: Image.Image
    caption: str = ""
    verdict: str = ""
    hover: str = ""
    row: int = -1


@dataclass(frozen=True)
class Strip:
    """One row of pictures (None leaves a cell empty). `apart`: a gap above, at the start of a new group."""

    title: str
    pictures: Sequence[Picture | None]
    apart: bool = False


@dataclass(frozen=True)
class Header:
    """A title over the columns [start, stop)."""

    text: str
    start: int
    stop: int
    verdict: str = ""


@dataclass(frozen=True)
class ColourBar:
    """A bar of colours below the pictures. text: what they mean, from the left end to the right one."""

    image: Image.Image
    text: str


def picture_grid(
    strips: Sequence[Strip],
    *,
    headers: Sequence[Header] = (),
    breaks: Sequence[int] = (),
    note: str = "",
    bar: ColourBar | None = None,
    empty: str = "There are no images to show.",
    theme: Theme = LIGHT,
) -> go.Figure:
    """Arrange pictures of a chart in rows and columns, with titles, headers and a note below.

    Args:
        breaks: columns preceded by a gap.
        note: a sentence below the pictures on their selection and the meaning of the colours. bar: above it.
    Returns:
        a figure whose (invisible) points carry customdata [row].
    """
    n_columns = max((len(strip.pictures) for strip in strips), default=0)
    if not n_columns or not any(any(strip.pictures) for strip in strips):
        return note_figure(empty, theme)
    layout = _Layout(strips, n_columns, tuple(breaks), bool(headers), note, theme, barred=bar is not None)
    fig, marks, images = go.Figure(), Marks(theme), []
    for number, strip in enumerate(strips):
        _title(marks, strip, layout, number)
        for column, picture in enumerate(strip.pictures):
            if picture is not None:
                images.append(_image(picture, layout, number, column))
                _frame(marks, picture, layout, number, column)
    for header in headers:
        _header(marks, header, layout)
    if bar is not None:
        images.append(_bar(marks, bar, layout))
    if note:
        corner = {"x": 0, "y": layout.height, **ON_AXES, "xanchor": "left", "yanchor": "bottom"}
        marks.note("<br>".join(layout.note_lines), **corner, align="left")
    fig.add_trace(_points(strips, layout))
    marks.put_on(fig)
    laid_out = {} if theme.width else {"laid_out_for": SCREEN_WIDTH}  # a wider screen has larger pictures
    fig.update_layout(images=images, showlegend=False, meta={"note": note, **laid_out})
    # where room is left, it is on the right; stretched, frames would be wider than their pictures
    fig.update_xaxes(range=[-1, layout.width + 1], constraintoward="left")
    fig.update_yaxes(range=[layout.height, 0], scaleanchor="x", constraintoward="top")
    for update in (fig.update_xaxes, fig.update_yaxes):
        update(visible=False, fixedrange=True, constrain="domain")
    finish(fig, theme)
    return fig.update_layout(height=round(layout.height), margin={"l": 0, "r": 0, "t": 0, "b": 0})


class _Layout:
    """Positions of all elements, in pixels from the top left corner."""

    def __init__(
        self,
        strips: Sequence[Strip],
        n_columns: int,
        breaks: tuple[int, ...],
        headed: bool,
        note: str,
        theme: Theme,
        *,
        barred: bool = False,
    ):
        self.theme, self.width = theme, theme.width or SCREEN_WIDTH
        self.font = theme.font_size
        widest = max((_letters(strip.title) for strip in strips), default=0)
        self.left = min(widest * LETTER * self.font + 8, 0.25 * self.width) if widest else 0
        inner = self.width - self.left - GAP * (n_columns - 1) - BREAK * len(breaks)
        self.cell = min(inner / n_columns, LARGEST_CELL)
        self.x = []
        for column in range(n_columns):
            gaps = BREAK * sum(at <= column for at in breaks)
            self.x.append(self.left + column * (self.cell + GAP) + gaps)
        self.y, self.tall = [], []  # of each row: its top, and the height of its pictures
        top = 1.5 * self.font if headed else 1
        for number, strip in enumerate(strips):
            lines = max(
                (_lines(self.caption_of(picture)) for picture in strip.pictures if picture), default=0
            )
            top += BREAK * 0.7 if strip.apart and number else 0
            self.y.append(top)
            self.tall.append(
                max((self.size_of(picture)[1] for picture in strip.pictures if picture), default=self.cell)
            )
            top += self.tall[-1] + (lines * 1.15 * (self.font - 2) + 3 if lines else 0) + GAP
        self.bar_top = top + 4
        top += 1.4 * self.font + 4 if barred else 0
        letters = int(self.width / (LETTER * (self.font - 2)) * 1.08)
        self.note_lines = textwrap.wrap(note, letters, break_long_words=False, break_on_hyphens=False)
        self.height = top + (len(self.note_lines) * 1.3 * (self.font - 2) + 6 if note else 0)

    def size_of(self, picture: Picture) -> tuple[float, float]:
        """Width and height of a picture whose longer side fills its cell."""
        scale = self.cell / max(picture.image.size)
        return picture.image.width * scale, picture.image.height * scale

    def box_of(self, picture: Picture, column: int) -> tuple[float, float, float]:
        """Left end, width and height of a picture in the middle of its cell, above its caption."""
        width, height = self.size_of(picture)
        return self.x[column] + (self.cell - width) / 2, width, height

    def caption_of(self, picture: Picture) -> str:
        """The caption in lines that are not wider than the picture, in print."""
        if self.theme.width is None or not picture.caption:
            return picture.caption
        font, size = printed_font(self.theme), self.font - 2
        lines = [
            part
            for line in picture.caption.split("<br>")
            for part in wrapped_lines(line, self.cell + GAP, size, font=font)
        ]
        return "<br>".join(lines)


def _letters(text: str) -> int:
    return max((len(line.replace("<b>", "").replace("</b>", "")) for line in text.split("<br>")), default=0)


def _lines(text: str) -> int:
    return text.count("<br>") + 1 if text else 0


def _title(marks: Marks, strip: Strip, layout: _Layout, number: int) -> None:
    at = {"x": layout.left - 6, "y": layout.y[number] + layout.tall[number] / 2, **ON_AXES}
    marks.note(strip.title, color=marks.theme.ink, **at, xanchor="right", yanchor="middle", align="right")


def _header(marks: Marks, header: Header, layout: _Layout) -> None:
    left, right = layout.x[header.start], layout.x[header.stop - 1] + layout.cell
    colours = {"correct": marks.theme.correct, "misclassified": marks.theme.misclassified}
    at = {"x": (left + right) / 2, "y": 0, **ON_AXES, "xanchor": "center", "yanchor": "top"}
    marks.note(f"<b>{header.text}</b>", color=colours.get(header.verdict, marks.theme.ink), small=False, **at)


def _frame(marks: Marks, picture: Picture, layout: _Layout, number: int, column: int) -> None:
    x, y = layout.x[column], layout.y[number]
    if picture.verdict:
        colour = marks.theme.correct if picture.verdict == "correct" else marks.theme.misclassified
        left, width, height = layout.box_of(picture, column)
        box = {"type": "rect", "x0": left, "x1": left + width, "y0": y, "y1": y + height}
        marks.shapes.append(box | {"line": {"color": colour, "width": 1.5}})
    at = {"x": x + layout.cell / 2, "y": y + layout.tall[number], **ON_AXES, "xanchor": "center"}
    marks.note(layout.caption_of(picture), **at, yanchor="top", color=marks.theme.ink)


def _bar(marks: Marks, bar: ColourBar, layout: _Layout) -> dict:
    width, height = 9 * layout.font, 0.7 * layout.font
    at = {"x": width + 6, "y": layout.bar_top + height / 2, **ON_AXES}
    marks.note(bar.text, color=marks.theme.ink, **at, xanchor="left", yanchor="middle")
    corner = {"x": 0, "y": layout.bar_top, **ON_AXES, "xanchor": "left", "yanchor": "top"}
    stretched = {"sizex": width, "sizey": height, "sizing": "stretch", "layer": "below"}
    return {"source": data_uri(bar.image), **corner, **stretched}


def _image(picture: Picture, layout: _Layout, number: int, column: int) -> dict:
    left, width, height = layout.box_of(picture, column)
    at = {"x": left, "y": layout.y[number], **ON_AXES, "xanchor": "left", "yanchor": "top"}
    size = {"sizex": width, "sizey": height, "sizing": "contain", "layer": "below"}
    return {"source": data_uri(picture.image), **at, **size}


def data_uri(image: Image.Image) -> str:
    """Return a chart's picture as a data URI: a high-quality JPEG, or a PNG if that is small."""
    if image.width * image.height <= AS_PNG and image.getcolors(64):
        return image_address(image_file(image, "PNG"), "png")
    return image_address(image_file(image.convert("RGB"), quality=92))


def _points(strips: Sequence[Strip], layout: _Layout) -> go.Scatter:
    x, y, pictures = [], [], []
    for number, strip in enumerate(strips):
        for column, picture in enumerate(strip.pictures):
            if picture is not None:
                x.append(layout.x[column] + layout.cell / 2)
                y.append(layout.y[number] + layout.tall[number] / 2)
                pictures.append(picture)
    marker = {"size": layout.cell * 0.9, "opacity": 0, "symbol": "square"}
    hovers = [picture.hover or picture.caption for picture in pictures]
    rows = [[picture.row] for picture in pictures]
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker=marker,
        unselected={"marker": {"opacity": 0}},
        customdata=rows,
        text=hovers,
        hovertemplate="%{text}<extra></extra>",
    )
