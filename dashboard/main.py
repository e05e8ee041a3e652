"""The pages, the study selector, and what stands above every page: notes, progress, clear errors."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import PeregrineError
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components import widgets
from dashboard.components.chart import page_theme
from dashboard.components.copy_link import copy_link_button
from dashboard.components.stable_container import own_place
from dashboard.panels import image_detail, tour
from dashboard.panels.jobs import study_progress
from dashboard.server import gc_schedule
from dashboard.state import session

HERE = Path(__file__).resolve().parent
HOME = "overview"

PAGES = {
    "overview": ("Overview", ":material/visibility:", "What this study holds, and its headline numbers."),
    "features": ("Features", ":material/bar_chart:", "Which features fire how often, and on what."),
    "quality": ("Quality", ":material/speed:", "Does the Q-Score tell good representations from bad ones?"),
    "heatmaps": ("Heatmaps", ":material/local_fire_department:", "Where the features look."),
    "compare_groups": (
        "Correct vs misclassified",
        ":material/compare:",
        "How the representations of correct and misclassified images differ.",
    ),
    "interpretability": (
        "Interpretability",
        ":material/center_focus_strong:",
        "Do heatmaps lie on the object, or on what comes with it?",
    ),
    "concepts": ("Concepts", ":material/lightbulb:", "Which features mean a word, and what a feature means."),
    "groups": ("Groups", ":material/hub:", "Features that fire together, and what they mean together."),
    "decompose": ("Decompose an image", ":material/join_inner:", "One image as crops with words."),
    "failures": (
        "Failures",
        ":material/error:",
        "Which classes the probe confuses, and the features behind it.",
    ),
    "map": ("Map", ":material/scatter_plot:", "Every image as a point: near ones are represented alike."),
    "compare": (
        "Compare",
        ":material/difference:",
        "What differs between two or more encoders on the same images.",
    ),
    "slices": (
        "Slices",
        ":material/pie_chart:",
        "Kinds of images that are misclassified too often; two slices side by side.",
    ),
    "images": ("Images", ":material/photo_library:", "Every image: filter, sort, open."),
    "figure_sheet": (
        "Figure sheet",
        ":material/picture_as_pdf:",
        "Figures and images on one page, for a paper.",
    ),
    "new_study": (
        "New study",
        ":material/add_circle:",
        "Choose images and an encoder; start and follow jobs.",
    ),
}
# How the sidebar lists them: study, representations, where features look, what they mean, other studies.
ORDER = (
    *("overview", "images", "map", "features", "quality", "compare_groups", "slices"),
    *("heatmaps", "interpretability", "concepts", "groups", "decompose", "failures"),
    *("compare", "figure_sheet", "new_study"),
)
WITHOUT_STUDY = ("new_study",)  # pages that need none
# What Streamlit's theme has no setting for: numbers in columns line up; captions and commands can be read;
# long names wrap on a narrow page; the fields of the filter are of one height; Streamlit's own download of a
# table is not offered, since its cells may be formulas to a spreadsheet (`core.common.csv_text` writes ours).
STYLE = """<style>
[data-testid=stMetricValue], .stMarkdown table { font-variant-numeric: tabular-nums }
[data-testid=stCaptionContainer][data-testid] { color: inherit; opacity: 0.8 }
[data-testid=stCode] .token.token, [data-testid=stSliderThumbValue] { color: inherit }
[data-variant=segmented_control][data-selected=true] p,
[data-variant=pills][data-selected=true] p { color: INK }
[data-testid=stElementToolbarButton]:has([aria-label^="Download as CSV"]) { display: none }
.st-key-filter_bar [data-variant=segmented_control] { min-height: 2.5rem }
[data-testid=stMain] [data-testid=stPageLink] * { white-space: normal; overflow: visible }
</style>"""


def main() -> None:
    st.set_page_config(page_icon=str(HERE / "icon.svg"), layout="wide")
    st.logo(str(HERE / "logo.svg"), size="large", icon_image=str(HERE / "icon.svg"))
    st.html(STYLE.replace("INK", page_theme().ink))
    page = st.navigation(_pages(), expanded=True)
    entry = _selected_study()
    st.set_page_config(page_title=" · ".join([page.title, *([entry.name] if entry else []), "Peregrine"]))
    if page.url_path in WITHOUT_STUDY:
        _run_with_notes(page)
        return
    if entry is None:
        study_progress.no_studies(served_studies.studies_folder())
        return
    _show(page, entry)


def _pages() -> list[st.Page]:
    """Flat: headings between the pages would not be a proper list for a screen reader."""
    return [
        _page(name)
        for name in sorted(PAGES, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    ]


def _page(name: str) -> st.Page:
    title, icon, about = PAGES[name]
    home = name == HOME
    return st.Page(f"views/{name}.py", title=title, icon=icon, help=about, url_path=name, default=home)


def _selected_study() -> served_studies.Entry | None:
    """The sidebar's selector; a study named in the link that is not there gives a note and the default."""
    found = {entry.name: entry for entry in served_studies.entries(served_studies.studies_folder())}
    if not found:
        return None
    session.drop_unknown(session.STUDY, found)
    with st.sidebar:
        name = st.selectbox("Study", list(found), key=session.STUDY, bind="query-params")
    return found.get(name or "") or next(iter(found.values()))


def _show(page: st.Page, entry: served_studies.Entry) -> None:
    try:
        study = served_studies.open_current(entry.path)
        ready = study.has("images")
    except PeregrineError as error:
        study_progress.not_ready(entry, error)
        return
    _facts(study)
    if not ready:
        study_progress.not_ready(entry, None)
        return
    session.set_current_study(study)
    _above(page, entry, study)
    _run_with_notes(page, study)


@own_place
def _above(page: st.Page, entry: served_studies.Entry, study: Study) -> None:
    """What comes and goes above a page."""
    study_progress.banner(entry)
    tour.card(study, page.url_path or HOME)


def _run_with_notes(page: st.Page, study: Study | None = None) -> None:
    """The page, and above it what it queued to be said once."""
    notes, key = st.container(), study and study.key
    session.enter_page(page.url_path)
    try:
        page.run()
        if study is not None:
            image_detail.show_opened(study)
        session.leave_page()
    except PeregrineError as error:
        if study is not None and study.key != key:  # a table turned out to be damaged, and was set aside
            st.rerun()
        _failed(error)
    with notes:
        for line in session.take_notes():
            st.info(widgets.plain(line), icon=":material/link_off:")
    gc_schedule.after_run(page.url_path)


def _facts(study: Study) -> None:
    lines = [f"{study.n_images:,} images"]
    if study.has("representations"):
        lines.append(f"{study.array('representations').shape[1]:,} features")
    if study.encoder_name:
        lines.append(widgets.plain(study.encoder_name))
    with st.sidebar:
        st.caption("  \n".join(lines))
        copy_link_button(served_studies.name_of(study))


def _failed(error: PeregrineError) -> None:
    """A study rewritten or deleted while it was being read ends here: the next run opens it again."""
    st.error(widgets.plain(error), icon=":material/error:")
    st.button("Open the study again", on_click=_open_again, icon=":material/refresh:")


def _open_again() -> None:
    served_studies.forget()
    st.cache_resource.clear()


main()
