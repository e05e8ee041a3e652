"""One palette and one style for every figure: on light pages, on dark pages, and on paper.

Colours follow the Okabe-Ito set (distinguishable with every common colour vision), lighter on dark pages.
A meaning keeps its colour everywhere: correct is blue, misclassified is vermillion.
"""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go

SANS = "Source Sans, Source Sans Pro, Helvetica Neue, Arial, Liberation Sans, sans-serif"
PRINTED = {  # the first of each ships with Peregrine, the others are as wide
    "serif": "Tinos, Times New Roman, Liberation Serif, Times, serif",
    "sans": "Arimo, Arial, Helvetica, Liberation Sans, sans-serif",
}
TRANSPARENT = "rgba(0,0,0,0)"
PERCENT_AXIS = {"range": [0, 101], "ticksuffix": " %"}
SEQUENTIAL = ["#FFFFFF", "#9CCBE8", "#0072B2", "#03304D"]
USUAL_HEIGHT = 380  # pixels of a figure that does not grow with its rows
COLUMN_WIDTH = {"single": 336, "double": 696}  # CSS px of the usual 3.5 in and 7.25 in columns


@dataclass(frozen=True)
class Theme:
    """Colours, fonts and size of a figure; `width` and `height` None leave the size to the page."""

    name: str
    ink: str
    muted: str
    grid: str
    background: str
    surface: str
    correct: str
    misclassified: str
    lower: str
    discriminative: str
    upper: str
    accent: str
    neutral: str
    font: str = SANS
    font_size: int = 14
    width: int | None = None
    height: int | None = None

    def stroke(self, width: float) -> float:
        """Scale a line width or marker size with the font size; `width` is meant for the screen."""
        return width * self.font_size / LIGHT.font_size

    @property
    def is_dark(self) -> bool:
        return self.name == "dark"

    @property
    def sequential(self) -> list[list]:
        """Colour scale of amounts, starting at the page's background for zero."""
        colours = ["#17202B", "#1D5F8A", "#56B4E9", "#E3F4FF"] if self.is_dark else SEQUENTIAL
        return [[at / (len(colours) - 1), colour] for at, colour in enumerate(colours)]

    @property
    def diverging(self) -> list[list]:
        """Colour scale of differences: misclassified stronger, none, correct stronger."""
        middle = "#17202B" if self.is_dark else "#F7F7F7"
        return [[0, self.misclassified], [0.5, middle], [1, self.correct]]

    def tail(self, name: str) -> str:
        """Colour of the band `lower`, `middle` or `upper` of the activation rates."""
        return {"lower": self.lower, "upper": self.upper}.get(name, self.discriminative)


LIGHT = Theme(
    name="light",
    ink="#1F2A37",
    muted="#5B6776",
    grid="#E3E8EE",
    background="#FFFFFF",
    surface="#FFFFFF",
    correct="#0072B2",
    misclassified="#D55E00",
    lower="#8A94A3",
    discriminative="#00805C",
    upper="#B0578D",
    accent="#B26A00",
    neutral="#6B7684",
)
DARK = Theme(
    name="dark",
    ink="#E6EBF1",
    muted="#A3AEBB",
    grid="#2E3947",
    background="#10171F",  # same as the page, so that a saved chart is legible on its own
    surface="#17202B",
    correct="#56B4E9",
    misclassified="#F28E4B",
    lower="#8F9BAA",
    discriminative="#3CC79B",
    upper="#E293BE",
    accent="#F5B73D",
    neutral="#97A3B1",
)


def paper(*, column: str = "single", font: str = "serif") -> Theme:
    """Return the theme of charts for print: white background, 9 px type, one or two columns wide.

    Args:
        column: `single` (3.5 in) or `double` (7.25 in).
        font: `serif` or `sans`.
    Raises:
        ValueError: unknown column or font.
    """
    if column not in COLUMN_WIDTH or font not in PRINTED:
        raise ValueError(f"column is single or double and font is serif or sans, got {column!r} and {font!r}")
    width = COLUMN_WIDTH[column]
    height = round(width * (0.72 if column == "single" else 0.46))
    return replace(
        LIGHT,
        name="paper",
        ink="#000000",
        muted="#333333",
        background="#FFFFFF",
        font=PRINTED[font],
        font_size=10,
        width=width,
        height=height,
    )


def theme_named(name: str | None) -> Theme:
    """Return the theme of charts: `dark`, `paper` (for print), or the light one for any other name."""
    return {"dark": DARK, "paper": paper()}.get(name or "light", LIGHT)


def printed_font(theme: Theme) -> str:
    """Return the kind of the font of a theme of charts for print: serif or sans."""
    return next((kind for kind, font in PRINTED.items() if font == theme.font), "sans")


def tint(colour: str, alpha: float) -> str:
    """Convert a chart's colour `#RRGGBB` to rgba() with opacity `alpha` in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


@lru_cache(maxsize=16)
def template(theme: Theme) -> go.layout.Template:
    """Build the plotly template of a theme of charts: quiet grid, no frame, room for long labels."""
    size = theme.font_size
    title = {"font": {"color": theme.ink, "size": size}, "standoff": 8}
    tick_font = {"color": theme.muted, "size": size - 1}
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.muted,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": theme.muted,
        "tickfont": tick_font,
        "title": title,
        "automargin": True,
    }
    colours = [
        theme.correct,
        theme.misclassified,
        theme.discriminative,
        theme.upper,
        theme.accent,
        theme.neutral,
    ]
    legend = {
        "orientation": "h",
        "yanchor": "bottom",
        "y": 1.02,
        "xanchor": "left",
        "x": 0,
        "font": {"color": theme.ink, "size": size - 1},
        "bgcolor": TRANSPARENT,
    }
    hover = {
        "bgcolor": theme.surface,
        "bordercolor": theme.muted,
        "font": {"family": theme.font, "size": size - 1, "color": theme.ink},
        "align": "left",
    }
    x_axis = axis | {"showgrid": False, "showline": True}
    mode_bar = {"bgcolor": TRANSPARENT, "color": theme.muted, "activecolor": theme.accent}
    margin = {"l": 8, "r": 20, "t": 36, "b": 8}
    font = {"family": theme.font, "size": size, "color": theme.ink}
    background = theme.background
    interaction = {"hoverlabel": hover, "modebar": mode_bar, "hovermode": "closest"}
    layout = go.Layout(
        font=font,
        paper_bgcolor=background,
        plot_bgcolor=background,
        colorway=colours,
        xaxis=x_axis,
        yaxis=axis,
        legend=legend,
        margin=margin,
        bargap=0,
        **interaction,
    )
    return go.layout.Template(layout=layout)


def finish(fig: go.Figure, theme: Theme, *, height: int = USUAL_HEIGHT) -> go.Figure:
    """Apply the theme's template to a chart, and the height unless the theme has a fixed size."""
    size: dict = {"height": theme.height or height}
    if theme.width:
        size["width"] = theme.width
    fig.update_layout(template=template(theme), **size)
    return fig


def layout_of(fig: go.Figure) -> Any:
    """Return the layout of a chart, whose parts plotly's types do not name."""
    return fig.layout


def traces_of(fig: go.Figure) -> tuple[Any, ...]:
    """Return the traces of a chart, each of which plotly's types take for the figure or a name."""
    return tuple(fig.data)


def note_figure(text: str, theme: Theme = LIGHT, *, height: int = 220) -> go.Figure:
    """Make a chart that explains in plain words why there is nothing to draw."""
    fig = go.Figure()
    Marks(theme).note(text, small=False, x=0.5, y=0.5, xref="paper", yref="paper").put_on(fig)
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    return finish(fig, theme, height=height)


@dataclass
class Marks:
    """Lines, bands and notes of a figure, collected and set together (one by one costs milliseconds each)."""

    theme: Theme
    shapes: list[dict] = field(default_factory=list)
    notes: list[dict] = field(default_factory=list)

    def horizontal(self, y: float, text: str = "", *, log: bool = False, below: bool = False) -> "Marks":
        """Add a dotted line at `y` with its meaning above or `below` it, at the left end.

        Args:
            log: the y axis is logarithmic (notes are then positioned by exponent, lines are not).
        """
        self.shapes.append(self._line(self.theme.neutral, y0=y, y1=y, x0=0, x1=1, xref="x domain"))
        position = {"x": 0, "xref": "paper", "xanchor": "left", "xshift": 4, "y": math.log10(y) if log else y}
        ground = tint(self.theme.surface, 0.75)  # a curve may run behind it
        return self.note(text, **position, yanchor="top" if below else "bottom", bgcolor=ground, borderpad=1)

    def vertical(self, x: float, text: str = "", *, top: bool = False, solid: bool = False) -> "Marks":
        """Add a line at `x`: dotted for a reference, solid for a selection; meaning at the bottom or top."""
        colour = self.theme.accent if solid else self.theme.neutral
        line = self._line(colour, x0=x, x1=x, y0=0, y1=1, yref="y domain")
        if solid:
            line["line"] = {"color": colour, "width": 2}
        self.shapes.append(line)
        position = {"x": x, "xanchor": "left", "xshift": 4, "y": int(top), "yref": "paper"}
        return self.note(
            text, color=colour if solid else None, **position, yanchor="top" if top else "bottom"
        )

    def band(self, x0: float, x1: float, colour: str, *, alpha: float = 0.1, edge: float = 0.0) -> "Marks":
        """Add a vertical band behind the data; with an edge, in pixels, it is seen however narrow it is."""
        line = {"width": edge, "color": colour}
        fill = {"fillcolor": tint(colour, alpha), "line": line, "layer": "below"}
        self.shapes.append({"type": "rect", "x0": x0, "x1": x1, "y0": 0, "y1": 1, "yref": "y domain"} | fill)
        return self

    def row(self, at: int, colour: str, *, alpha: float = 0.12) -> "Marks":
        """Add a ground behind one row of a chart with a category per row, counted from the bottom."""
        fill = {"fillcolor": tint(colour, alpha), "line": {"width": 0}, "layer": "below"}
        ends = {"x0": 0, "x1": 1, "xref": "x domain", "y0": at - 0.5, "y1": at + 0.5, "yref": "y"}
        self.shapes.append({"type": "rect"} | ends | fill)
        return self

    def note(self, text: str, *, color: str | None = None, small: bool = True, **position: object) -> "Marks":
        """Add a text at a position in plotly's terms; an empty text is ignored."""
        if text:
            font = {"color": color or self.theme.muted, "size": self.theme.font_size - (2 if small else 0)}
            self.notes.append({"text": text, "showarrow": False, "font": font} | position)
        return self

    def put_on(self, fig: go.Figure) -> None:
        fig.update_layout(shapes=self.shapes, annotations=self.notes)

    @staticmethod
    def _line(colour: str, **ends: object) -> dict:
        return {"type": "line", "line": {"color": colour, "dash": "dot", "width": 1.5}} | ends


def log_percent_ticks(low: float, high: float) -> dict:
    """Return settings of a chart's logarithmic percent axis: plain numbers at the decades."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    words = [f"{10.0**p:g} %" for p in powers]
    return {"type": "log", "tickvals": [10.0**p for p in powers], "ticktext": words}
