"""The pages, the study selector, and what stands above every page: notes, progress, clear errors."""

from collections.abc import Collection
from functools import partial
from html import escape
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.answers.answer import Answer, default_answer
from core.bases.basis import UNITS
from core.errors import FORESEEN, RemoteError, user_message
from core.store import Study
from core.study.kept_file import read_from_copy
from core.study.layers import layer
from dashboard.cache import image_filter
from dashboard.components import page_behaviour, widgets
from dashboard.components.chart import page_theme
from dashboard.components.tooltips import plain
from dashboard.jobs import opened_ahead, trust
from dashboard.panels import detail as image_detail
from dashboard.panels import palette, sidebar, study_progress, tour
from dashboard.server import warm_up
from dashboard.state import address_parts, served_studies, session
from dashboard.state.pages import ALSO_WITHOUT_STUDY, HOME, IMAGE_PAGE, PAGES, WITHOUT_STUDY, Page

STUDY_FIELD, ANSWER_FIELD, BASIS_FIELD = "study_field", "answer_field", "basis_field"
WHAT_A_BASIS_IS = (
    "The encoder's own units, or the latents of a dictionary that was fitted to them. A unit is one number "
    "that the encoder computes. A latent is a direction of such numbers that few images have: each image is "
    "described by a few latents. Trust a latent as far as its stability: how nearly another fit found it."
)
HERE = Path(__file__).resolve().parent
STYLE = HERE.joinpath("page.css").read_text(encoding="utf-8").replace("NARROW", str(page_behaviour.NARROW))


def main() -> None:
    st.set_page_config(page_icon=str(HERE / "icon.svg"), layout="wide")
    st.logo(str(HERE / "logo.svg"), size="large", icon_image=str(HERE / "icon.svg"))
    pages = {one.name: _page(one) for one in PAGES.values()}
    page = st.navigation(list(pages.values()), position="hidden")
    name = page.url_path or HOME
    theme, style = page_theme(), STYLE.replace("HERE", PAGES[name].within or name)
    style = style.replace("INK", theme.ink).replace("COLOUR", theme.correct).replace("SURFACE", theme.surface)
    st.html(f"<style>{style}</style>")
    if (target := session.take_target()) is not None:
        st.switch_page(f"views/{target.page}.py", query_params=session.told_to_widgets(target.query))
    session.enter_page(name)
    try:
        entry = _selected_study()
    except RemoteError as error:
        st.error(plain(error), icon=":material/cloud_off:")
        return
    session.enter_search()
    facts_slot = sidebar.links(entry, name, pages)
    st.set_page_config(page_title=" · ".join([page.title, *([entry.name] if entry else []), "Peregrine"]))
    if name in WITHOUT_STUDY:
        _run_with_notes(page, _if_ready(entry, facts_slot))
        return
    if entry is None:
        session.set_current_study(None)
        if name in ALSO_WITHOUT_STUDY:
            _run_with_notes(page)
            return
        study_progress.no_studies(served_studies.studies_folder())
        return
    _show(page, entry, facts_slot)


def _page(page: Page) -> st.Page:
    home = page.name == HOME
    return st.Page(
        f"views/{page.name}.py", title=page.title, icon=page.icon, url_path=page.name, default=home
    )


def _selected_study() -> served_studies.Entry | None:
    """The sidebar's selector; a study named in the link that is not there gives a note and the default."""
    by_name = {entry.name: entry for entry in served_studies.entries(served_studies.studies_folder())}
    if not by_name:
        return None
    name = session.enter_study(tuple(by_name))
    names = list(by_name)
    with st.sidebar:
        field = session.show_in_widget(STUDY_FIELD, name, session.choose_study)
        st.selectbox("Study", names, names.index(name), **field)
    return by_name[name]


def _show(page: st.Page, entry: served_studies.Entry, facts_slot: DeltaGenerator) -> None:
    try:
        study = _opened(entry, facts_slot)
    except FORESEEN as error:
        study_progress.not_ready(entry, error)
        return
    if not study.has("images"):
        study_progress.not_ready(entry, None)
        return
    session.set_current_study(study)
    study_progress.not_opened_ahead(entry.path)
    stamp = study_progress.stamp_of(study.path)
    _above(page, study)
    _run_with_notes(page, study)
    study_progress.strip(served_studies.Entry(entry.name, study.path), stamp)  # last for keys, too
    opened_ahead.shown(entry.path)


def _opened(entry: served_studies.Entry, facts_slot: DeltaGenerator) -> Study:
    """The study, whose facts stand in the sidebar from then on. Raises PeregrineError where it is broken."""
    study = served_studies.open_current(entry.path)
    if not study.has("images"):  # raises where its manifest cannot be read
        return study
    study = _in_basis(study, facts_slot)
    return _answering(study, facts_slot)


def _in_basis(study: Study, slot: DeltaGenerator) -> Study:
    """The study as it reads in the chosen basis, with its facts; with a selector where it has bases."""
    names = [UNITS, *study.bases]
    name = session.url_text(session.BASIS)
    if name is not None and name not in names:
        if not session.is_switched():
            session.notify(
                f"There is no basis {name[:60]!r} in this study; these are the encoder's own units."
            )
        session.set_url(session.BASIS, None)
    name = name if name in names else UNITS
    read = study if name == UNITS else served_studies.open_current(layer(study.path, name))
    with slot:
        sidebar.facts(st.container(), read)
        if len(names) > 1:
            st.selectbox(
                "Features are",
                names,
                names.index(name),
                format_func=lambda one: (
                    study.bases[one].title if one in study.bases else "units of the encoder"
                ),
                help=WHAT_A_BASIS_IS,
                **session.show_in_widget(BASIS_FIELD, name, partial(_choose_basis, names)),
            )
    return read


def _choose_basis(names: Collection[str], basis: str) -> None:
    if basis not in names:  # the browser's field, which was of another study, says so as it goes
        return
    session.set_url(session.BASIS, None if basis == UNITS else basis)
    session.drop_parts(address_parts.FEATURES)
    session.drop_conditions(session.OF_ANOTHER_BASIS, keeps_saved=True)


def _answering(study: Study, slot: DeltaGenerator) -> Study:
    """The study as it reads with the chosen answer; with a selector below its facts where it has several."""
    names = list(study.answers)
    head = session.url_text(session.ANSWER)
    if head is not None and head not in names:
        if not session.is_switched():
            session.notify(f"There is no answer {head[:60]!r} in this study; it is read by its default.")
        session.set_url(session.ANSWER, None)
    head = head if head in names else default_answer(study.answers)
    if len(names) > 1:
        with slot:
            st.selectbox(
                "Whose mistakes",
                names,
                names.index(head),
                format_func=lambda name: _title(study.answers[name]),
                help=widgets.help_text("answer"),
                **session.show_in_widget(ANSWER_FIELD, head, partial(_choose_answer, names)),
            )
    return study.answering(head if head in names else None)


def _choose_answer(names: Collection[str], answer: str) -> None:
    if answer in names:  # else it is the browser's field of another study
        session.set_url(session.ANSWER, answer)


def _title(answer: Answer) -> str:
    top1 = answer.facts.get("top1")
    return answer.title if top1 is None else f"{answer.title}, {100 * top1:.1f} %"


def _if_ready(entry: served_studies.Entry | None, facts_slot: DeltaGenerator) -> Study | None:
    """The study of the sidebar on a page that needs none; None where there is none to be shown."""
    try:
        study = _opened(entry, facts_slot) if entry else None
    except FORESEEN:
        return None
    return study if study is not None and study.has("images") else None


@widgets.stable_container
def _above(page: st.Page, study: Study) -> None:
    """The card of the tour, while it is open."""
    tour.card(study, page.url_path or HOME)


def _run_with_notes(page: st.Page, study: Study | None = None) -> None:
    """The page, and above it what it queued to be said once."""
    notes, key = st.container(), study and study.key
    try:
        if study is not None and page.url_path not in WITHOUT_STUDY:
            image_filter.enter(study)  # here, since what it reads may turn out to be damaged
        page.run()
        if study is not None and palette.palette_is_open():
            palette.search_palette(study)
        elif study is not None and page.url_path not in (IMAGE_PAGE, *WITHOUT_STUDY):
            image_detail.show_opened(study)
        session.leave_page()
    except FORESEEN as error:
        if study is not None and study.key != key:  # a table turned out to be damaged, and was set aside
            st.rerun()
        _failed(error)
    if (toast := session.pop_toast()) is not None:  # last: above the page, its container would move the page
        st.html(f'<div role="status" class="peregrine-said">{escape(toast)}</div>')
    words = read_from_copy(study.path, study.below) if study is not None else []
    with notes:
        for line in [*session.pop_notices(), *words]:
            st.info(widgets.plain(line), icon=":material/info:")
    warm_up.after_run()


def _failed(error: Exception) -> None:
    """A study rewritten or deleted while it was being read ends here: the next run opens it again."""
    st.error(widgets.plain(user_message(error, again="open the study again")), icon=":material/error:")
    st.button("Open the study again", on_click=_open_again, icon=":material/refresh:")


def _open_again() -> None:
    served_studies.forget()
    st.cache_resource.clear()


with trust.judged_once():
    main()
