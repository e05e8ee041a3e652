"""What becomes of corrected labels: files in the forms that other tools read, or the next study."""

from functools import partial

import streamlit as st

from core.common.command_line import command_line
from core.common.formatting import full_sentence
from core.common.write_access import guest_is_asking
from core.export.label_forms import LABEL_FORMS, form_content
from core.export.table_file import file_stem
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.components import widgets
from dashboard.components.page_link import link
from dashboard.jobs import run_again
from dashboard.panels.jobs.controls import open_by_name
from dashboard.panels.new_study.request import usual_name
from dashboard.state import problems, session

EXPORT, AGAIN = "desk_export", "desk_again"  # keys of the menus
NAME = "desk_again_name"
STARTED = "_desk_again_started"  # of this session: the study, and the next one
NAMES = {"metadata": "metadata"}  # of files that are read by their name
LINKS = "imagefolder"  # the form that no browser can save
MIME = {".csv": "text/csv", ".json": "application/json"}


def export_menu(study: Study) -> None:
    """A menu of every form; a file is made when its button is pressed, of all images of the study."""
    menu = st.popover(
        "Export corrected labels", icon=":material/download:", key=EXPORT, type="tertiary", on_change="rerun"
    )
    if not menu.open:
        return
    with menu:
        for name, form in LABEL_FORMS.items():
            if form.content is not None:
                _download(study, name)
        st.caption(f"{LABEL_FORMS[LINKS].title}: {LABEL_FORMS[LINKS].about} In a terminal:")
        st.code(_command(study, LINKS), language="bash", wrap_lines=True)


def _download(study: Study, name: str) -> None:
    form = LABEL_FORMS[name]
    ending = ".csv" if ".csv" in form.endings else ".json"
    st.download_button(
        form.title,
        data=partial(form_content, study, name),
        file_name=f"{NAMES.get(name) or file_stem([study.name], f'labels_{name}')}{ending}",
        mime=MIME[ending],
        key=f"{EXPORT}_{name}",
        icon=":material/download:",
        type="tertiary",
        help=form.about,
        on_click="ignore",
    )


def _command(study: Study, form: str) -> str:
    options: dict[str, object] = {"corrected": True, "as": form, "output": "FOLDER"}
    return command_line("export", study.below or study.path, "labels", **options)


def run_again_menu(study: Study) -> None:
    """A menu that makes the next study with the corrected labels, and leads to the comparison of both."""
    if guest_is_asking():
        return
    menu = st.popover(
        "Run again with them", icon=":material/replay:", key=AGAIN, type="tertiary", on_change="rerun"
    )
    if menu.open:
        with menu:
            _run_again(served_studies.in_units(study))


def _run_again(study: Study) -> None:
    st.caption(
        "A study of the same images with the corrected labels, by the same encoder and settings. Every step "
        "runs again; it can be compared with this one once its images are read."
    )
    widgets.problem_of(AGAIN)
    usual = usual_name(f"{study.name}-corrected", served_studies.studies_folder())
    st.text_input("Name", key=NAME, placeholder=usual, max_chars=60)
    refused = run_again.why_not(study)
    st.button(
        "Run again",
        key="desk_again_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=refused is not None,
        on_click=partial(_start, study, usual),
    )
    if refused is not None:
        st.caption(widgets.plain(full_sentence(refused)))
    path, started = session.recall(STARTED) or (None, "")
    if path == study.path:
        st.button(
            f"Open {widgets.plain(started)}", key="desk_again_open", on_click=partial(open_by_name, started)
        )
    for name in run_again.next_studies(study):
        label, query = (
            f"Compare with {widgets.plain(name)}",
            {"compare_what": "Studies", "compare_with": name},
        )
        link("compare", label, study, icon="difference", **query)


def _start(study: Study, usual: str) -> None:
    name = (session.value(NAME) or "").strip() or usual

    def started() -> None:
        session.set_widget(STARTED, (study.path, name))
        session.toast(f"Started {name}")

    problems.attempt(AGAIN, lambda: run_again.start_again(study, name), started)
