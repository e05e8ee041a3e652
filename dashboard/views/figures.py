"""Figure sheet: named figures, images and heatmaps set on one page of vectors, for a paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.figures.catalogue import FIGURES, why_not_drawn
from core.jobs.commands import MakeSheet
from core.jobs.jobs import Job, read_job
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.job_follower import begin, follow
from dashboard.components.tooltips import plain
from dashboard.jobs import launcher
from dashboard.jobs.launcher import SHEET, SHEET_LOOK
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.jobs import study_progress
from dashboard.panels.jobs.controls import controls
from dashboard.state import image_filter, session
from dashboard.state.image_filter import SHOWN_IMAGES

FONTS = {"Serif": "serif", "Sans": "sans"}
PANELS = {"image": "Image", "heatmap": "Heatmap", "masks": "Heatmap with masks"}
MOST_IMAGES = 24


def page(study: Study) -> None:
    widgets.page_header(
        "Figures",
        "Figures, images and heatmaps on one page of vectors, for a paper; fonts are embedded.",
    )
    filter_bar(
        study, says=f"The filter narrows the images that are offered: {SHOWN_IMAGES}. Figures are of all."
    )
    left, right = st.columns([2, 3], gap="large")
    with left:
        command = _choices(study)
    with right:
        if command is not None:
            _sheet(command)
        else:
            st.caption("Choose what stands on the sheet; it is set in the order of choosing.")


def _choices(study: Study) -> MakeSheet | None:
    """The command, or None while nothing is chosen."""
    options, absent = _figures(study)
    options |= _pictures(study)
    session.drop_unknown("sheet_cells", options.values())
    names = {title: name for name, title in options.items()}
    chosen = st.multiselect(
        "On the sheet, in this order",
        list(names),
        key="sheet_cells",
        bind="query-params",
        placeholder="Figures, images, heatmaps",
        select_all=False,
        filter_mode="contains",
        help="Mark images in a gallery (ctrl, cmd or shift click) to have them listed here.",
    )
    if len(chosen) > 1:
        st.markdown("\n".join(f"{n}. {plain(title)}" for n, title in enumerate(chosen, 1)))
    with st.container(horizontal=True):
        columns = st.segmented_control(
            "Columns",
            [1, 2, 3, 4],
            default=2,
            required=True,
            key="sheet_columns",
            help="Each is 3.5 in wide.",
        )
        font = st.segmented_control("Type", list(FONTS), default="Serif", required=True, key="sheet_font")
    letters = st.toggle("Letters (a), (b) …", value=True, key="sheet_letters")
    if image_filter.current(study) and not image_filter.shown(study).size:
        st.caption("No image fits the filter, so none is offered.")
    if absent:
        with st.expander(f"Not in this study ({len(absent)})"):
            st.markdown("\n".join(f"- **{plain(name)}**: {plain(why)}" for name, why in absent.items()))
    if not chosen:
        return None
    cells = tuple(names[title] for title in chosen)
    return MakeSheet(study.path, cells, columns=columns or 2, font=FONTS[font or "Serif"], letters=letters)


def _figures(study: Study) -> tuple[dict[str, str], dict[str, str]]:
    """Figures that can be drawn, name to title, and those that cannot, with the reason."""
    there, absent = {}, {}
    for name, entry in FIGURES.items():
        title = _title(name)
        if entry.studies[0] > 1:
            absent[title] = "compares two studies; see the command figure"
            continue
        if (reason := why_not_drawn(study, entry)) is None:
            there[name] = title
        else:
            absent[title] = reason
    return there, absent


def _title(name: str) -> str:
    said = FIGURES[name].title.partition(";")[0].replace(" (--score)", "").replace(" (--mask)", "")
    return said if said[1:2].isupper() else said[0].upper() + said[1:]


def _pictures(study: Study) -> dict[str, str]:
    """Panels of the marked images, or of a few where none is marked; what is on the sheet stays on offer."""
    ids = reads.images(study)["image_id"]
    usual = image_filter.shown(study)[:4].tolist()
    offered = (session.picked_rows(study) or usual)[:MOST_IMAGES]
    rows = dict.fromkeys([*offered, *_on_the_sheet(study)])
    kinds = [
        kind
        for kind, needed in (("image", "images"), ("heatmap", "heatmap_maps"), ("masks", "overlap"))
        if study.has(needed) and (kind != "masks" or study.has("heatmap_maps"))
    ]
    return {f"{kind}:{ids.iat[row]}": f"{PANELS[kind]} {ids.iat[row]}" for row in rows for kind in kinds}


def _on_the_sheet(study: Study) -> list[int]:
    """Rows of the images that are chosen now, or that the link asks for."""
    titles = session.recall("sheet_cells") or st.query_params.get_all("sheet_cells")
    said = [(title, f"{panel} ") for title in titles for panel in PANELS.values() if title.startswith(panel)]
    return session.rows_held(study, [title.removeprefix(panel) for title, panel in said])


def _sheet(command: MakeSheet) -> None:
    folder = launcher.folder_of(command)
    job, made = read_job(folder), folder / SHEET
    if job is not None and job.running:
        follow(folder, _progress)
        return
    if job is not None and job.state == "done" and made.is_file():
        _result(folder)
    else:
        if job is not None and job.error:
            st.error(plain(job.error), icon=":material/error:")
        reason = launcher.refusal(command)
        if reason is not None:
            st.warning(plain(reason), icon=":material/shield:")
        st.button(
            "Make the sheet",
            key="sheet_make",
            type="primary",
            icon=":material/play_arrow:",
            disabled=reason is not None,
            on_click=begin,
            args=(command,),
        )
    with st.expander("The same in a terminal"):
        st.code(replace(command, outputs=(Path(SHEET),)).shell, language="bash", wrap_lines=True)


def _result(folder: Path) -> None:
    st.download_button(
        "Download the PDF",
        data=(folder / SHEET).read_bytes,
        file_name="figure_sheet.pdf",
        mime="application/pdf",
        key="sheet_file",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )
    if (folder / SHEET_LOOK).is_file():
        with st.container(border=True):
            st.image((folder / SHEET_LOOK).read_bytes(), alt="The sheet as it will be printed")


def _progress(job: Job) -> None:
    study_progress.staged(job)
    controls(job)


page(session.current_study())
