"""Other encoders on the same images, several at once: a menu of the pages where one would ask for it."""

from functools import partial

import streamlit as st

from core.common.durations import expected_duration
from core.common.formatting import counted, format_duration, full_sentence
from core.common.records import Record, Templates
from core.common.step_facts import EmbedFacts
from core.errors import SettingsError
from core.store import Study
from core.study.jobs import Job, seconds_of_analysis
from core.study.speed import read_speed
from core.study.write_access import guest_is_asking
from dashboard.components import widgets
from dashboard.components.page_link import link
from dashboard.jobs import further_studies
from dashboard.state import served_studies, session

_say = Templates.beside(__file__)
TITLE = "Other encoders on these images"
KEY = "other_encoders"
SHIPPED, TYPED = f"{KEY}_shipped", f"{KEY}_typed"
FIELDS: dict[str, object] = {SHIPPED: [], TYPED: ""}  # the choice, and what it is without one
SAMPLE = "torchvision:resnet50\ntimm:vit_small_patch16_224\ncheckpoints/mine.ckpt"
STARTED = "_other_encoders_started"  # of this session: the study, and the names of the next ones


def other_encoders_menu(study: Study, *, kind: str = "secondary") -> None:
    """A button that opens the choice of encoders, which guests do not have. kind: of the button."""
    if guest_is_asking():
        return
    menu = st.popover(TITLE, icon=":material/library_add:", key=KEY, type=kind, on_change="rerun")  # pyright: ignore[reportArgumentType]
    if menu.open:
        with menu:
            other_encoders_form(served_studies.in_units(study))


def other_encoders_form(study: Study) -> None:
    """The choice of encoders, and the button that starts a study by each."""
    st.caption(
        "A study of the same images with the same options by each encoder, one after the other. A "
        "leaderboard then shows which is best, and which cannot be told apart."
    )
    widgets.problem_of(KEY)
    shipped = further_studies.shipped(study)
    picked = st.multiselect(
        "Shipped with Peregrine", list(shipped), format_func=lambda spec: shipped[spec], key=SHIPPED
    )
    typed = st.text_area(
        "Of torchvision or timm, or checkpoint files: one a line",
        key=TYPED,
        placeholder=SAMPLE,
        height=110,
        help="Weights of torchvision and timm are fetched once, from the network. "
        "`timm:NAME?pretrained=false` has random weights, as a baseline.",
    )
    try:
        encoders = [*picked, *further_studies.read_encoders(typed or "")]
        wrong = ""
    except SettingsError as error:
        encoders, wrong = [], str(error)
    refused = further_studies.why_no_other_encoder(study)
    names = further_studies.study_names(study, encoders) if encoders else []
    st.button(
        f"Start {counted(len(encoders), 'study', 'studies')}" if encoders else "Start",
        key=f"{KEY}_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=bool(refused or wrong or not encoders),
        on_click=partial(_start, study, encoders),
    )
    if reason := wrong or refused:
        st.caption(widgets.plain(full_sentence(reason)))
    elif names:
        st.caption(widgets.plain(f"Their names: {', '.join(names)}."))
    if not refused:
        st.caption(widgets.plain(takes(study, max(len(encoders), 1))))
    _follow(study)


def takes(study: Study, n_studies: int) -> Record:
    """Say about how long studies by other encoders take, by what this one took on this machine."""
    if (took := seconds_of_analysis(study.path)) is not None:
        both = (expected_duration(took * n_studies),)
        return _say("like_this", n=n_studies, why=format_duration(took), value=took, parts=both)
    speed = read_speed(study.path, study.facts(EmbedFacts).encoder.fingerprint)
    if speed is None:
        return _say("unknown")
    n_images = n_studies * study.n_images
    reading = (expected_duration(n_images * speed.milliseconds / 1000),)
    return _say("reading", n=n_images, value=speed.milliseconds, parts=reading)


def _follow(study: Study) -> None:
    """Links to what this session has started."""
    path, names = session.recall(STARTED) or (None, [])
    if path != study.path:
        return
    link("new_study", f"Follow {counted(len(names), 'study', 'studies')}", study, icon="pending")
    link("compare", "The leaderboard", study, icon="leaderboard", compare_what="Leaderboard")


def _start(study: Study, encoders: list[str]) -> None:
    """Start them and empty the choice; a second click, made before the page has answered, finds it empty."""
    if not any(map(session.value, FIELDS)):
        return
    jobs: list[Job] = []

    def started() -> None:
        session.set_widget(STARTED, (study.path, [job.folder.name for job in jobs]))
        for field, empty in FIELDS.items():
            session.set_widget(field, empty)
        session.toast(f"Started {counted(len(jobs), 'study', 'studies')}")

    session.attempt(KEY, lambda: jobs.extend(further_studies.start_all(study, encoders)), started)
