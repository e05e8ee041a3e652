"""The "⋯" of a chart or of pictures: files of it, and "To my figures". It stands on the chart, takes no room,
and is seen where a pointer or the focus is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import plotly.graph_objects as go
import streamlit as st

from core.charts.figure_files import find_browser, render
from core.charts.figure_sheet import figures_sheet
from core.charts.kept_figures import KeptFigure, kept_figure
from core.charts.shown_counts import shown_count
from core.charts.table_file import TableFile
from core.errors import PeregrineError, SettingsError
from core.study.write_access import guest_is_asking
from dashboard.components.browser_half import browser_half
from dashboard.components.collecting import Collector
from dashboard.components.page_behaviour import KEEP_FIGURES
from dashboard.state import my_figures, session

FONTS = ("serif", "sans")
COLUMNS = {"single": "PDF, one column wide (3.5 in)", "double": "PDF, two columns wide (7.25 in)"}


@dataclass(frozen=True)
class Drawing:
    """What a menu saves: everything that the page shows, made when it is asked for.

    Attributes:
        alt: one sentence on it, for screen readers and captions.
        print_as: draws it for print in a `column` and a `font`.
        table: its numbers; its files are called as this table.
        column: its own width in print.
        answer: name of the answer that says what is correct, if it is not the study's default.
        source: the figure of a paper that it is drawn as, or "".
        screen: draws it as on the page, where the browser holds no plot that it could save itself.
        study: name of the study whose page it stands on.
        print_above_caption: draws it for print where its caption stands below it; None: as alone.
    """

    alt: str
    print_as: Callable[..., go.Figure]
    table: TableFile
    column: str = "single"
    answer: str = ""
    source: str = ""
    screen: Callable[[], go.Figure] | None = None
    study: str = ""
    print_above_caption: Callable[..., go.Figure] | None = None

    @property
    def caption(self) -> str:
        """What it shows, of how many and which images, and of which study."""
        count = shown_count(self.table.rows())
        n = f"; {count}" if count and count not in self.alt else ""
        about = f"; {self.table.among.describe()}" if self.table.among else ""
        answer = f"; answers of {self.answer}" if self.answer else ""
        source = f" (as {self.source})" if self.source else ""
        study = f"; study {self.study}" if self.study else ""
        return f"{self.alt.rstrip('.')}{source}{n}{about}{answer}{study}."

    def kept(self, font: str) -> KeptFigure:
        """Draw it at its own size, with its numbers."""
        draw = self.print_above_caption or self.print_as
        figure = draw(column=self.column, font=font)
        return kept_figure(figure, self.table.stem, self.caption, self.table.content())


def _html() -> str:
    def item(attribute: str, words: str) -> str:
        attributes = f'type="button" role="menuitem" tabindex="-1" {attribute}'
        return f"<button {attributes}>{words}</button>"

    files = [item(f'data-format="{one}"', one.upper()) for one in ("svg", "png")]
    files += [item(f'data-column="{column}"', words) for column, words in COLUMNS.items()]
    radios = "".join(
        f'<button type="button" role="menuitemradio" tabindex="-1" aria-checked="false" data-type="{font}">'
        f"{font.capitalize()}</button>"
        for font in FONTS
    )
    files += [
        f'<div class="fonts" role="group" aria-label="Type in print">'
        f'<span class="label" aria-hidden="true">Type in print</span>{radios}</div>',
        item('data-csv="1"', "Data as CSV"),
    ]
    parts = "".join([*files, "<hr>", item('data-mark="1"', "To my figures")])
    return (
        '<div class="peregrine-menu"><button type="button" class="more" aria-haspopup="menu" '
        'aria-expanded="false" title="Save, to my figures">⋯</button>'
        f'<div role="menu" hidden>{parts}</div></div>'
    )


# What the menus of a block save: a file of the whole page holds it.
ON_PAGE: Collector[Drawing] = Collector("on_page")


def page_sheet(of_page: Sequence[Drawing], title: str, text: str) -> bytes:
    """Return one PDF with everything that `ON_PAGE` has collected."""
    return figures_sheet([drawing.kept(FONTS[0]) for drawing in of_page], title=title, text=text)


# Its place on the chart is a matter of the page.
_MENU = browser_half(
    "chart_menu", _html(), KEEP_FIGURES, "vector_text.js", "chart_menu.js", isolate_styles=False
)


def chart_menu(name: str, drawing: Drawing) -> None:
    """Draw the menu. Meant for the end of a container whose key is `{name}_framed`; `name`: of the chart."""
    drawing = replace(drawing, study=session.current_study().name)
    ON_PAGE.add(drawing)

    @st.fragment
    def draw() -> None:
        _menu(name, drawing)

    draw()


def _menu(name: str, drawing: Drawing) -> None:
    key, opened, answer = f"{name}_chartmenu", f"_{name}_opened", f"_{name}_said"

    def mark() -> None:
        font = session.value(key).mark
        if font in FONTS:
            number = session.recall(answer, {"number": 0})["number"] + 1
            text = _marked(drawing, font)
            session.set_widget(answer, {"number": number, "text": text, "figures": my_figures.name()})

    def go() -> None:
        if session.value(key).go is not None:
            session.go("figures")

    is_open = bool(session.recall(opened))
    _MENU(
        key=key,
        data={
            "chart": name,
            "file": drawing.table.stem,
            "alt": drawing.alt,
            "plotted": drawing.screen is None,
            "guest": guest_is_asking(),
            "problem": print_problem() if is_open else None,
            "said": session.recall(answer),
        },
        width="content",
        on_opened_change=lambda: session.set_widget(opened, True),
        on_mark_change=mark,
        on_go_change=go,
    )
    if is_open:
        _files(name, drawing)
    if session.is_leaving():
        st.rerun()


def _marked(drawing: Drawing, font: str) -> str:
    """Keep a drawing among my figures; returns what to say."""
    try:
        figure = drawing.kept(font)
    except PeregrineError as error:
        return f"The figure could not be drawn: {error}"
    return my_figures.mark(figure)


def print_problem() -> str | None:
    """Return why no PDF can be drawn; None if one can."""
    try:
        find_browser()
    except SettingsError as error:
        return str(error)
    return None


def _files(name: str, drawing: Drawing) -> None:
    """Hidden buttons of the files that the server makes, each when it is asked for."""
    with st.container(key=f"{name}_chartfiles"):
        st.download_button(
            "CSV",
            data=drawing.table.content,
            file_name=f"{drawing.table.stem}.csv",
            mime="text/csv",
            key=f"{name}_csv",
            on_click="ignore",
        )
        for column in COLUMNS:
            for font in FONTS:
                _file(
                    drawing,
                    lambda look=(column, font): drawing.print_as(column=look[0], font=look[1]),
                    "pdf",
                    key=f"{name}_pdf_{column}_{font}",
                )
        if drawing.screen is not None:
            for kind in ("svg", "png"):
                _file(drawing, drawing.screen, kind, key=f"{name}_{kind}")


def _file(drawing: Drawing, draw: Callable[[], go.Figure], kind: str, *, key: str) -> None:
    mime = {"pdf": "application/pdf", "svg": "image/svg+xml", "png": "image/png"}[kind]
    st.download_button(
        key,
        data=lambda: render(draw(), kind),
        file_name=f"{drawing.table.stem}.{kind}",
        mime=mime,
        key=key,
        on_click="ignore",
    )
