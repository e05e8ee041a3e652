"""What is on the figure sheet: cards in their order, what can be added, and how an empty sheet is begun."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import streamlit as st

from core.charts.options import FigureOptions
from core.charts.registry import CHARTS
from core.figures.catalogue import what_it_lacks
from core.figures.cells import CellRequest, title_of
from core.figures.sheet_layout import SheetGrid, letter_of
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.inspection.populations import with_split
from core.slices.slice import Slice
from core.steps import STEPS
from core.storage.missing import Missing
from core.store import Study
from dashboard.cache import reads
from dashboard.components.chart_menu import with_caption
from dashboard.components.sheet_cards import SheetCard, sheet_cards
from dashboard.components.tooltips import plain
from dashboard.components.widgets import stable_container
from dashboard.panels.sheet import preview
from dashboard.state import marked_images, session, sheet
from dashboard.state.sheet import LONGEST_CAPTION

SUGGESTED = (  # in this order, the first nine that the study has
    "heatmaps",
    "baselines",
    "miou_scale",
    "worst_slices",
    "q_distribution",
    "confusions",
    "sorted_activation",
    "purity",
    "class_representations",
    "miou",
    "sparsity",
    "map",
)
N_SUGGESTED = 9
A_ROW = 3
ADD = "sheet_add"
COMPARES = "Compare studies, and are added on the page Compare"
USUAL_PICTURES = 4  # offered where no image is marked
MOST_PICTURES = 24


def cards(cells: list[CellRequest], problems: Mapping[int, str], grid: SheetGrid) -> None:
    """The cells of the sheet; what is changed is kept at once."""

    def ordered(keys: list[str]) -> None:
        now = _by_key(sheet.cells())
        if sorted(keys) == sorted(now):  # else it has changed elsewhere
            sheet.put([now[key] for key in keys])

    def changed(key: str, **parts: Any) -> None:
        now = _by_key(sheet.cells())
        sheet.put([replace(cell, **parts) if one == key else cell for one, cell in now.items()])

    def removed(key: str) -> None:
        sheet.put([cell for one, cell in _by_key(sheet.cells()).items() if one != key])

    figure_cards = [
        SheetCard(
            key,
            f"({letter_of(number)})" if grid.letters else "",
            title_of(cell),
            cell.slice.describe() if cell.slice else "",
            cell.caption,
            problems.get(number, ""),
            min(cell.span, grid.columns),
        )
        for number, (key, cell) in enumerate(_by_key(cells).items())
    ]
    sheet_cards(
        figure_cards,
        key="sheet_cards",
        columns=grid.columns,
        longest=LONGEST_CAPTION,
        on_order=ordered,
        on_caption=lambda key, text: changed(key, caption=" ".join(text.split())),
        on_remove=removed,
        on_span=lambda key, span: changed(key, span=span),
    )


def _by_key(cells: list[CellRequest]) -> dict[str, CellRequest]:
    """The cells under names that stay when they move or get another caption."""
    by_key: dict[str, CellRequest] = {}
    for cell in cells:
        bare = str(replace(cell, caption="", span=1))
        number = sum(key.rpartition(" ")[0] == bare for key in by_key) + 1
        by_key[f"{bare} {number}"] = cell
    return by_key


def add(study: Study) -> None:
    """One box that adds a figure or a picture."""
    offered = {title_of(cell): cell for cell in [*_figures(study)[0], *_pictures(study)]}

    def chosen() -> None:
        cell = offered.get(session.value(ADD) or "")
        if cell is not None:
            _add(cell)
        session.set_widget(ADD, None)

    st.selectbox(
        "Add a figure or a picture",
        list(offered),
        index=None,
        key=ADD,
        on_change=chosen,
        placeholder="Add a figure or a picture",
        filter_mode="contains",
        label_visibility="collapsed",
        help="Mark images in a gallery (ctrl, cmd or shift click) to have them listed here.",
    )


def absent(study: Study) -> None:
    """What the study lacks, folded: the figures of each reason."""
    missing = _figures(study)[1]
    if missing:
        with st.expander(f"Not in this study ({sum(map(len, missing.values()))})"):
            lines = (f"- **{plain(why)}**: {plain('; '.join(names))}" for why, names in missing.items())
            st.markdown("\n".join(lines))


def begin(study: Study) -> None:
    """An empty sheet: how it is filled, and figures of this study to begin with."""
    st.markdown(
        "**The sheet is empty.** Begin with a figure of this study. "
        "Or open **⋯** at the corner of most charts and of heatmaps, on any page, and choose *Add to sheet*."
    )
    gallery(study)


@stable_container
def gallery(study: Study) -> None:
    """Pictures of figures of this study that are not on the sheet, each with a button that adds it."""
    by_name = {cell.name: cell for cell in _figures(study)[0]}
    used = {cell.name for cell in sheet.cells()}
    offered = (by_name[name] for name in SUGGESTED if name in by_name and name not in used)
    drawn = ((cell, draw) for cell in offered if (draw := preview.thumbnail(study, cell)) is not None)
    heading, columns = st.container(), []
    with st.container(key="sheet_empty"):
        for number, (cell, draw) in enumerate(islice(drawn, N_SUGGESTED)):  # each is seen once it is drawn
            if used and number == 0:
                heading.header("Add another figure", anchor=False)
            if number % A_ROW == 0:
                columns = st.columns(A_ROW)
            with columns[number % A_ROW], st.container(gap="xsmall"):
                draw(f"sheet_thumbnail_{cell.name}")
                st.button(
                    title_of(cell),
                    key=f"sheet_suggested_{cell.name}",
                    icon=":material/add:",
                    width="stretch",
                    on_click=_add,
                    args=(cell,),
                )


def _add(cell: CellRequest) -> None:
    n = len(sheet.cells())
    message = sheet.add(cell if cell.caption else with_caption(cell))
    if len(sheet.cells()) == n:  # one that was added is seen
        session.notify(message)


def _figures(study: Study) -> tuple[list[CellRequest], dict[str, list[str]]]:
    """Figures that can be drawn, and the titles of the others by the reason."""
    where = str(with_split(study, Slice()))
    there: list[CellRequest] = []
    missing: dict[str, list[str]] = {}
    for name, entry in CHARTS.items():
        options = FigureOptions(colours=OverlayStyle.colour_map if name in OF_HEAT else FigureOptions.colours)
        cell = CellRequest(name, options, where if name not in OF_WHOLE else "")
        lacks = what_it_lacks(study, entry)
        if entry.studies[0] == 1 and lacks is None:
            there.append(cell)
            continue
        why = COMPARES if lacks is None or entry.studies[0] > 1 else _in_words(lacks)
        missing.setdefault(why, []).append(title_of(cell))
    return there, missing


def _in_words(lacks: Missing) -> str:
    """A reason without what one types in a terminal.

    >>> _in_words(Missing("overlap", "overlap", "skipped", "no masks: give --masks DIR"))
    'No masks'
    >>> _in_words(Missing("overlap", "overlap", "missing", "not run yet", "python -m core overlap mine"))
    'Overlap with masks: not run yet'
    """
    step = STEPS.get(lacks.step) if lacks.state in ("missing", "stale", "damaged") else None
    reason = lacks.reason.partition(": give --")[0]
    return f"{step.title}: {reason}" if step else f"{reason[:1].upper()}{reason[1:]}"


OF_HEAT = ("heatmaps", "mask_overlap", "feature_heatmaps", "directions")  # in the colours of the pages
OF_WHOLE = ("kept_features", "threshold_sweep", "ddm_features", "ddm_map")  # numbers that no slice has


def _pictures(study: Study) -> list[CellRequest]:
    """Panels of the marked images, or of the first evaluation images where none is marked."""
    images = reads.images(study)
    first = np.flatnonzero(study.is_val)[:USUAL_PICTURES].tolist() or list(range(USUAL_PICTURES))
    rows = (marked_images.picked_rows(study) or first)[:MOST_PICTURES]
    kinds = [
        kind
        for kind, needed in (("image", "images"), ("heatmap", "heatmap_maps"), ("masks", "overlap"))
        if study.has(needed) and (kind != "masks" or study.has("heatmap_maps"))
    ]
    options = FigureOptions(colours=OverlayStyle.colour_map)
    return [
        CellRequest(f"{kind}:{images['image_id'].iat[row]}", options if kind != "image" else FigureOptions())
        for row in rows
        if row < len(images)
        for kind in kinds
    ]
