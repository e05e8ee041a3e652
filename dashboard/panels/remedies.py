"""What would help: what each remedy of the head gains, the images that change side, and the next study."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis.remedies import (
    BROKEN,
    GAINS,
    IMAGES,
    MENDED,
    NOT_TRIED,
    REFIT,
    TABLE,
    TEMPERATURE,
    base_sentence,
    best_remedy,
    decided_since,
    error_groups,
    fitted_sentence,
    moves_log_loss,
    next_step,
    refit_errors,
    remedies_finding,
    remedies_takes,
    remedy_name,
    remedy_sentence,
    worst_sentence,
)
from core.answers.answer import PROBE
from core.charts.remedies import REMEDIES
from core.charts.table_file import file_stem
from core.common.captions import with_class_names
from core.common.formatting import counted, full_sentence
from core.common.records import Templates
from core.common.step_facts import RemediesFacts
from core.measures.label_issues import TABLE as ISSUES
from core.measures.slice import Slice
from core.publish.remedy_head import remedy_head_bytes
from core.store import Study
from core.study.jobs import seconds_of_step
from core.study.write_access import guest_is_asking
from dashboard.cache import reads, slice_reads
from dashboard.components import widgets
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import select_or_none
from dashboard.components.job_follower import run_button, step_command
from dashboard.components.page_link import link
from dashboard.jobs import further_studies
from dashboard.panels import marks
from dashboard.panels.label_desk import run_again_menu
from dashboard.panels.new_study_request import usual_name
from dashboard.panels.next_study import open_made
from dashboard.panels.other_encoders import other_encoders_menu
from dashboard.state import served_studies, session
from dashboard.state.pages import of_labels

TITLE = "What would help"
CROSSFIT = "crossfit"  # the step whose time tells that of the remedies
PAGE = 12  # images of each kind
CHOICE = "remedy"  # part of the URL
NEXT = "remedy_next"  # key of the menu
NAME = "remedy_next_name"
STARTED = "_remedy_next_started"  # of this session: the study, and the next one
NOTHING_GAINS = "None surely gains accuracy, so none is chosen."
AGAIN_WITH_LABELS = "Run again with the corrected labels"
_say = Templates.beside(__file__)
SIDES = {MENDED: "Made right", BROKEN: "Made wrong"}


def remedies_part(study: Study, where: Slice, head: DeltaGenerator, answer_slot: DeltaGenerator) -> None:
    """Draw the part; `head`, the row of the page's headline, takes the finding and the buttons, and
    `answer_slot`, the line below the title, what gains are compared with.

    Args:
        where: images that are listed; gains are of all labelled images.
    """
    if not widgets.needs(study, TABLE, TITLE, lambda: remedies_takes(seconds_of_step(study.path, CROSSFIT))):
        return
    table, facts = reads.table(study, TABLE), study.facts(RemediesFacts)
    answer_slot.caption(widgets.plain(base_sentence(facts)), help=widgets.help_text("remedies"))
    _again(study)
    with head:
        st.header(widgets.plain(remedies_finding(table)), anchor=False, width="content")
        download(study, table, None, name=TABLE)
    show_chart(study, REMEDIES, title=None)
    beside = [row for row in table.to_dict("records") if _is_beside_the_chart(row)]
    lines = [full_sentence(remedy_sentence(row)) for row in beside]
    st.caption(widgets.plain(" ".join([_worst(study, facts), *lines])))
    if not best_remedy(table):
        _next_step(study, table, facts)
    elif facts.n_corrected:
        run_again_menu(study, AGAIN_WITH_LABELS)
    elif study.has(ISSUES):
        _labels_link(study)
    if facts.heads:
        _one_remedy(study, table, facts, where)


def _is_beside_the_chart(row: Mapping[str, Any]) -> bool:
    """Whether the chart of accuracy leaves out what there is to say of a remedy."""
    return row["outcome"] == NOT_TRIED or row["remedy"] == TEMPERATURE or moves_log_loss(row)


def _worst(study: Study, facts: RemediesFacts) -> str:
    """Say which slice and which class the marks of the chart are of; "" of neither."""
    name = slice_reads.slice_name(study, Slice.parse(facts.worst_slice)) if facts.worst_slice else ""
    return str(worst_sentence(facts, name))


def _next_step(study: Study, table: pd.DataFrame, facts: RemediesFacts) -> None:
    """What to do where no remedy gains: one line, with where it is done."""
    has_issues, changed = study.has(ISSUES), reads.table(study, IMAGES)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        line = next_step(facts, table, changed, has_issues=has_issues)
        st.markdown(widgets.plain(line), width="content")
        if has_issues and not facts.n_corrected:
            _labels_link(study)
            return
        if facts.n_corrected:
            run_again_menu(study, AGAIN_WITH_LABELS)
        if facts.worst_class and refit_errors(changed).empty:  # an older study does not list them
            where = Slice(labels=(facts.worst_class,), correct=False)
            label = f"Errors of {widgets.plain(study.answer_name)} by the study's own labels"
            link("images", label, study, icon="photo_library", where=where)
        other_encoders_menu(study, kind="tertiary")


def _labels_link(study: Study) -> None:
    label = "Labels that may be wrong" if guest_is_asking() else "Decide on labels that may be wrong"
    link("errors", label, study, icon="flag", **of_labels())


@widgets.stable_container
def _again(study: Study) -> None:
    """That people decided on labels since, and the button that tries all remedies again."""
    since, command = decided_since(study), step_command(study, TABLE)
    if since and command is not None:
        st.caption(f":material/update: {since}")
        run_button(command, "Try again with them", key=f"{TABLE}_again")


def _one_remedy(study: Study, table: pd.DataFrame, facts: RemediesFacts, where: Slice) -> None:
    """The images whose answer a remedy changes, and what can be done with its head."""
    names = {remedy_name(remedy): remedy for remedy in facts.heads}
    best = best_remedy(table)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = select_or_none(
            "Remedy",
            names,
            key=CHOICE,
            default=remedy_name(best) if best else None,
            placeholder="Choose a remedy to see its images",
            width=340,
        )
        remedy = REFIT if name is None else names[name]
        if name is None and not guest_is_asking():
            st.button("Use this head", icon=":material/play_arrow:", key=f"{NEXT}_none", disabled=True)
            st.caption(NOTHING_GAINS, width="content")
        elif name is not None and not guest_is_asking():
            _next_menu(study, table.loc[table["remedy"].to_numpy(object) == remedy].iloc[0].to_dict())
    changed = reads.table(study, IMAGES)
    ids = study.column("images", "image_id").to_numpy(object)[where.mask(study)]
    is_listed = (changed["remedy"] == remedy).to_numpy(bool) & changed.loc[:, "image_id"].isin(ids)
    if remedy == REFIT and refit_errors(changed).empty:  # an older study does not list them
        return
    marks.action_bar(study, session.rows_held(study, changed.loc[is_listed, "image_id"]), key="remedies_bar")
    if remedy == REFIT:
        for number, (title, errors) in enumerate(error_groups(facts, changed)):
            listed = errors.loc[is_listed[errors.index]]
            narrowed = _say("within_filter", parts=(title,), n=len(listed))
            _side(study, listed, f"errors_{number}", title if len(listed) == len(errors) else narrowed)
        return
    changed = changed.loc[is_listed]
    for change, title in SIDES.items():
        of_change = changed.loc[(changed["change"] == change).to_numpy(bool)]
        _side(study, of_change, change, f"{title}: {counted(len(of_change), 'image')}")


def _side(study: Study, changed: pd.DataFrame, change: str, title: str) -> None:
    st.subheader(widgets.plain(title), anchor=False)
    if changed.empty:
        return
    rows = session.rows_held(study, changed["image_id"])
    records = dict(zip(rows, changed.to_dict("records"), strict=True))
    widgets.image_gallery(
        study,
        np.asarray(rows),
        key=f"remedies_{change}",
        captions={row: _caption(record) for row, record in records.items()},
        page_size=PAGE,
        select=True,
        marked=False,  # the group says it; whether the answer in use is right is another question
        label=title,
    )


def _caption(row: dict[str, Any]) -> tuple[str, ...]:
    truth, before, after = (with_class_names(str(row[name])) for name in ("label", "before", "after"))
    if row["remedy"] == REFIT:
        return (_say("answered", what=truth, why=before),)
    return (f"{truth}: before {before}, after {after}",)


def _next_menu(study: Study, row: dict[str, Any]) -> None:
    """A menu that makes the next study with the head, or hands the head out as a file.

    Args:
        row: of table `remedies`; the menu invites only where the remedy gains.
    """
    kind = "primary" if row["outcome"] == GAINS and not _started(study) else "secondary"
    menu = st.popover("Use this head", icon=":material/play_arrow:", key=NEXT, type=kind, on_change="rerun")
    if menu.open:
        with menu:
            _next(served_studies.in_units(study), row)


def _next(study: Study, row: dict[str, Any]) -> None:
    remedy = str(row["remedy"])
    st.markdown(widgets.plain(full_sentence(remedy_sentence(row))))
    facts = study.facts(RemediesFacts)
    names = further_studies.next_studies(study, further_studies.HEAD_OF)
    is_made = open_made(names, _started(study), partial(head_comparison, study), key=NEXT)
    st.caption(widgets.plain(fitted_sentence(facts, unseen=bool(study.is_val.any()))))
    widgets.problem_of(NEXT)
    usual = usual_name(f"{study.name}-{remedy.replace('+', '-')}", served_studies.studies_folder())
    st.text_input("Name", key=NAME, placeholder=usual, max_chars=60)
    refused = further_studies.why_not_again(study)
    st.button(
        "Analyse as the next study",
        key="remedy_next_start",
        type="secondary" if is_made else "primary",
        icon=":material/play_arrow:",
        disabled=refused is not None,
        on_click=partial(_start, study, usual, remedy),
    )
    if refused is not None:
        st.caption(widgets.plain(full_sentence(refused)))
    st.download_button(
        "The head as .safetensors",
        data=partial(remedy_head_bytes, study, remedy),
        file_name=f"{file_stem([study.name], remedy)}.safetensors",
        mime="application/octet-stream",
        key="remedy_head_file",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def _started(study: Study) -> str:
    """The name of the study that this session started with a head; "" where it started none."""
    path, name = session.recall(STARTED) or (None, "")
    return name if path == served_studies.in_units(study).path else ""


def head_comparison(study: Study, name: str) -> tuple[Study, dict[str, str]]:
    """The study, and parts of the address of *Compare*, where the head of a next study is compared.

    Studies are compared by the same answer. The probes of both are the same, so a head that takes the place
    of one is compared with the probe of the next study.
    """
    if study.answer_kind != PROBE:
        return study, {"compare_what": "Studies", "compare_with": name}
    return served_studies.asked_for(name, {}), {"compare_what": "Answers", "compare_answer": PROBE}


def _start(study: Study, usual: str, remedy: str) -> None:
    name = (session.value(NAME) or "").strip() or usual

    def started() -> None:
        session.set_widget(STARTED, (study.path, name))
        session.toast(f"Started {name}")

    session.attempt(NEXT, lambda: further_studies.start_again(study, name, remedy), started)
