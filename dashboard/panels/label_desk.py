"""The label desk: images whose label may be wrong, one at a time, and what becomes of corrected labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts.table_file import file_stem
from core.common.captions import SPLITS, with_class_names
from core.common.command_line import command_line
from core.common.formatting import counted, full_sentence
from core.measures.label_issues import NEAREST, doubt_sentence, listed_issues
from core.publish.label_forms import LABEL_FORMS, USUAL_FORM, form_content
from core.store import Study
from core.study import label_decisions, shared_decisions, trace_changes
from core.study.shared_decisions import SharedDecisions
from core.study.trace_changes import ChangedTraces
from core.study.traces import UNSURE
from core.study.write_access import guest_is_asking
from dashboard.cache import label_reads, reads
from dashboard.components import widgets
from dashboard.components.gallery import Tile, gallery
from dashboard.components.page_behaviour import desk_keys
from dashboard.components.page_link import link
from dashboard.jobs import further_studies
from dashboard.panels import traces
from dashboard.panels.new_study_request import usual_name
from dashboard.panels.next_study import open_made
from dashboard.state import served_studies, session
from dashboard.state.pages import of_labels, of_what_would_help

# Whether the label of an opened image may be wrong, as models that had not seen it judge: of both splits.


@widgets.stable_container
def label_doubt(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The sentence, and the way to the desk; nothing where the label is not doubted, or was decided on."""
    issue = label_reads.issue_of(study, row)
    sentence = None if issue is None else doubt_sentence(issue)
    if sentence is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="image_label_doubt"):
        st.markdown(f":orange[:material/flag:] {widgets.plain(sentence)}", width="content")
        parts = of_labels() | {AT: str(facts["image_id"])}
        way = "Among the doubtful labels" if guest_is_asking() else "Decide on it"
        link("errors", way, study, icon="arrow_forward", where="", **parts)


# What becomes of corrected labels: files in the forms that other tools read, or the next study.


EXPORT, AGAIN = "desk_export", "desk_again"  # keys of the menus
EXPORT_WIDTH = 340  # pixels
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
    with menu, st.container(width=EXPORT_WIDTH):  # else a command of one line makes it wider than the page
        for name, form in LABEL_FORMS.items():
            if form.content is not None:
                _download(study, name)
        st.caption(f"{LABEL_FORMS[LINKS].title}: {LABEL_FORMS[LINKS].about} In a terminal:")
        st.code(_command(study, LINKS), language="bash", wrap_lines=True)


def _download(study: Study, name: str) -> None:
    form = LABEL_FORMS[name]
    st.download_button(
        form.title,
        data=partial(form_content, study, name),
        file_name=_file_name(study, name),
        mime=MIME[_ending(name)],
        key=f"{EXPORT}_{name}",
        icon=":material/download:",
        type="tertiary",
        help=form.about,
        on_click="ignore",
    )


def _ending(form: str) -> str:
    return ".csv" if ".csv" in LABEL_FORMS[form].endings else ".json"


def _file_name(study: Study, form: str) -> str:
    """
    >>> from types import SimpleNamespace
    >>> [_file_name(SimpleNamespace(name="mine"), form) for form in ("csv", "changes", "metadata")]
    ['mine_corrected_labels.csv', 'mine_corrected_labels_changes.csv', 'metadata.csv']
    """
    parts = ["corrected_labels", *([] if form == USUAL_FORM else [form])]
    return f"{NAMES.get(form) or file_stem([study.name], '_'.join(parts))}{_ending(form)}"


def _command(study: Study, form: str) -> str:
    options: dict[str, object] = {"corrected": True, "as": form, "output": "FOLDER"}
    return command_line("export", study.below or study.path, "labels", **options)


def run_again_menu(study: Study, label: str = "Run again with them") -> None:
    """A menu that makes the next study with the corrected labels, and leads to the comparison of both."""
    if guest_is_asking():
        return
    menu = st.popover(label, icon=":material/replay:", key=AGAIN, type="tertiary", on_change="rerun")
    if menu.open:
        with menu:
            _run_again(served_studies.in_units(study))


def _run_again(study: Study) -> None:
    st.caption(
        "A study of the same images with the corrected labels, by the same encoder and settings. Every step "
        "runs again; it can be compared with this one once its images are read."
    )
    path, started = session.recall(STARTED) or (None, "")
    is_made = open_made(
        dict.fromkeys([*further_studies.next_studies(study), *further_studies.corrected_studies(study)]),
        started if path == study.path else "",
        lambda name: (study, {"compare_what": "Studies", "compare_with": name}),
        key=AGAIN,
    )
    widgets.problem_of(AGAIN)
    usual = usual_name(f"{study.name}-corrected", served_studies.studies_folder())
    st.text_input("Name", key=NAME, placeholder=usual, max_chars=60)
    refused = further_studies.why_not_again(study)
    st.button(
        "Run again",
        key="desk_again_start",
        type="secondary" if is_made else "primary",
        icon=":material/play_arrow:",
        disabled=refused is not None,
        on_click=partial(_start, study, usual),
    )
    if refused is not None:
        st.caption(widgets.plain(full_sentence(refused)))


def _start(study: Study, usual: str) -> None:
    name = (session.value(NAME) or "").strip() or usual

    def started() -> None:
        session.set_widget(STARTED, (study.path, name))
        session.toast(f"Started {name}")

    session.attempt(AGAIN, lambda: further_studies.start_again(study, name), started)


# The label desk: one image at a time whose label may be wrong, beside what speaks for another class.
#
# A decision is one key or one click: the suggestion, another class, or that the label is right. It is kept
# in the study at once (`core.study.label_decisions`); what others decide meanwhile is passed over.


ALL = "desk_all"  # part of the URL: every label that was checked, not only those that may be wrong
AT = "desk_image"  # part of the URL: the image that was chosen, whatever comes next
AFTER, TURN, DONE = "_desk_after", "_desk_turn", "_desk_done"  # of this session
PROBLEM, DESK, FIELD = "desk", "desk", "desk_class"
MOST_CLASSES = 9  # a digit each
MOST_BACK = 500  # decisions of this session that can be taken back
PICTURE, NEAR = 340, 130  # least width in pixels
UNKNOWN = "Wrong, unsure what it is"
KEYS = {"Enter": "desk_take", "n": "desk_right", " ": "desk_later", "u": "desk_back"}
ONCE_MORE = "Click an image below to decide again."
KEYS_HELP = (
    "Enter takes the suggestion, 1 to 9 another class, / begins typing one, N leaves the label, "
    "Space goes on, U takes back."
)


@dataclass(frozen=True)
class Queue:
    """The labels to be decided on, in their order.

    Attributes:
        table: rows of `label_issues`. decided: the class decided on, by image id.
        is_open: (n,) bool.
    """

    table: pd.DataFrame
    decided: dict[str, str]
    is_open: np.ndarray

    @classmethod
    def of(cls, study: Study, table: pd.DataFrame) -> "Queue":
        decided = label_reads.decided(study)
        return cls(table, decided, ~table["image_id"].isin(list(decided)).to_numpy(bool))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def n_decided(self) -> int:
        return len(self) - int(np.count_nonzero(self.is_open))

    def place_of(self, image_id: str | None) -> int | None:
        """Where an image stands; None where it does not."""
        places = np.flatnonzero((self.table["image_id"] == image_id).to_numpy(bool))
        return int(places[0]) if len(places) else None

    def next_open(self, rank: int) -> int | None:
        """The place of the first open label after a rank, or else of the first; None where none is open."""
        still_open = np.flatnonzero(self.is_open)
        later = still_open[self.table["rank"].to_numpy()[still_open] > rank]
        return int((later if len(later) else still_open)[0]) if len(still_open) else None


def label_desk(study: Study, every: pd.DataFrame) -> pd.DataFrame:
    """Draw the desk; return the rows of `label_issues` that it goes through, in their order.

    Args:
        every: `label_issues` of the images of the page.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="desk_controls"):
        slot = st.container(horizontal=True, vertical_alignment="center", gap="small", width="content")
        with_all = st.toggle(
            "All by rank", key=ALL, bind="query-params", help="Also the labels that are not listed as wrong"
        )
        export_menu(study)
        run_again_menu(study)
    queue = Queue.of(study, every if with_all else listed_issues(every))
    with slot:
        _progress(queue)
    widgets.problem_of(PROBLEM)
    _decided_elsewhere(study, queue)
    with st.container(key=DESK):  # always there, so that what follows keeps its place
        if traces.known(study) is not None and len(queue):
            _draw(study, queue)
    return queue.table


@widgets.stable_container
def _decided_elsewhere(study: Study, queue: Queue) -> None:
    """What people decided on the same images in another study, and the button that takes it over."""
    elsewhere = None if guest_is_asking() else label_reads.decided_elsewhere(study)
    if elsewhere is None:
        return
    name, shared = elsewhere
    n_listed = int(np.count_nonzero(queue.table["image_id"].isin(list(shared.classes))))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="desk_elsewhere"):
        st.caption(widgets.plain(shared_decisions.shared_sentence(shared, name, n_listed)), width="content")
        st.button(
            widgets.plain(shared_decisions.take_over_label(shared, name)),
            key="desk_take_over",
            icon=":material/library_add_check:",
            on_click=_take_over,
            args=(study, name, shared),
        )


def _take_over(study: Study, name: str, shared: SharedDecisions) -> None:
    def act() -> None:
        done = shared_decisions.take_over(study, shared)
        if done:
            _remember(study, next(iter(done.after)), done)
        session.toast(shared_decisions.taken_over(done, name))

    session.attempt(PROBLEM, act)
    _turn()


def show_at_desk(study: Study, row: int) -> None:
    """Put an image on the desk. Meant for callbacks."""
    session.set_url(AT, str(study.column("images", "image_id").iat[row]))
    _turn()


def _progress(queue: Queue) -> None:
    share = queue.n_decided / max(len(queue), 1)
    st.progress(share, text=f"**{queue.n_decided:,} of {len(queue):,}** decided", width=180)


def _draw(study: Study, queue: Queue) -> None:
    asked = queue.place_of(session.url_text(AT))
    position = queue.next_open(_last_rank(study)) if asked is None else asked
    if position is None:
        _all_decided(study, queue)
        if guest_is_asking():
            return
        desk_keys({"u": KEYS["u"]}, desk=DESK, field=FIELD, turn=_turns())
        return
    one = Shown.of(study, queue, position)
    left, middle, right = st.columns([5, 6, 5], gap="medium")
    with left:
        _picture(study, one)
    with middle:
        _verdict(one)
        choices = [] if guest_is_asking() else _choices(study, one)
        _further(study, one)
    with right:
        _nearest(study, one)
    digits = {str(number): _digit(number) for number in range(1, len(choices) + 1)}
    ahead = queue.next_open(one.rank)
    keys = {" ": KEYS[" "]} if guest_is_asking() else KEYS | digits
    desk_keys(keys, desk=DESK, field=FIELD, turn=_turns(), ahead=_picture_of(study, queue, ahead))


def _picture_of(study: Study, queue: Queue, position: int | None) -> str:
    """The address of the picture at a place of the queue; "" for none."""
    if position is None:
        return ""
    row = study.row_of(str(queue.table["image_id"].iat[position]))
    return served_studies.picture_url(study, row, "image")


@dataclass(frozen=True)
class Shown:
    """The image on the desk: its row in the study, its row of `label_issues`, decision and position."""

    row: int
    facts: Mapping[str, Any]
    decision: str
    position: str

    @classmethod
    def of(cls, study: Study, queue: Queue, place: int) -> "Shown":
        facts = {str(name): value for name, value in queue.table.iloc[place].items()}
        image_id = str(facts["image_id"])
        position = f"label {place + 1:,} of {len(queue):,}"
        return cls(study.row_of(image_id), facts, queue.decided.get(image_id, ""), position)

    @property
    def image_id(self) -> str:
        return str(self.facts["image_id"])

    @property
    def label(self) -> str:
        return str(self.facts["label"])

    @property
    def rank(self) -> int:
        return int(self.facts["rank"])

    @property
    def suggested(self) -> str:
        """The likeliest class beside the label; "" where the label could not be judged."""
        return "" if widgets.undefined(self.facts["suggested"]) else str(self.facts["suggested"])


def _picture(study: Study, one: Shown) -> None:
    name = widgets.image_name(reads.image_facts(study, one.row))
    address = served_studies.picture_url(study, one.row, "image")
    gallery(
        [Tile(id=one.row, src=address, alt=name)], key="desk_picture", label=name, tile=PICTURE, zoom=True
    )
    split = SPLITS.get(str(one.facts["split"]), str(one.facts["split"])).lower()
    st.caption(f"{widgets.plain(one.image_id)} · {split} · {one.position}")
    link("image", "Open the page of this image", study, icon="open_in_full", **{session.IMAGE: one.image_id})


def _verdict(one: Shown) -> None:
    """The label, and what was decided on it."""
    st.markdown(f"Its label is **{_plain(one.label)}**")
    if not widgets.undefined(own := one.facts["own_classifier"]) and own:
        st.caption(f"The encoder's own classifier answers {_plain(str(own))}.")
    if one.decision == one.label:
        st.badge("decided: the label is right", icon=":material/check:", color="blue")
    elif one.decision == UNSURE:
        st.badge("decided: wrong, unsure what it is", icon=":material/flag:", color="orange")
    elif one.decision:
        st.badge(f"decided: {_plain(one.decision)}", icon=":material/flag:", color="orange")


def _choices(study: Study, one: Shown) -> list[label_reads.Candidate]:
    """The buttons of the suggestion, of the label and of the likeliest classes; return the last."""
    near = tuple(str(one.facts[f"near_{rank}_label"]) for rank in range(1, NEAREST + 1))
    named = (
        *([one.suggested] if one.suggested else []),
        *(name for name in near if name in study.class_names),
    )
    choices = label_reads.candidates(study, one.row, one.label, MOST_CLASSES, further=named)
    with st.container(horizontal=True, gap="small"):
        if one.suggested:
            sure = widgets.percent(float(one.facts["confidence"]), digits=0)
            label = f"{_plain(one.suggested)}, {sure} `Enter`"
            _button(study, one, label, KEYS["Enter"], one.suggested, icon="check", primary=True)
        _button(study, one, f"{_plain(one.label)} is right `N`", KEYS["n"], one.label, icon="done_all")
    with st.container(horizontal=True, gap="xsmall", key="desk_digits"):
        for number, choice in enumerate(choices, 1):
            share = "" if np.isnan(choice.probability) else f", {_share(choice.probability)}"
            label = f"`{number}` {_plain(choice.name)}{share}"
            _button(study, one, label, _digit(number), choice.name)
    return choices


def _share(probability: float) -> str:
    """
    >>> _share(0.004), _share(0.5)
    ('< 1 %', '50 %')
    """
    return "< 1 %" if probability < 0.01 else widgets.percent(probability, digits=0)


def _further(study: Study, one: Shown) -> None:
    """A field for any class, and the way on and back."""
    if guest_is_asking():
        _later_button(study, one)
        return
    key = f"{FIELD}_{_turns()}"  # a new field for each image: empty, and without the focus

    def typed() -> None:
        name = session.value(key)
        if name:
            _decide(study, one, UNSURE if name == UNKNOWN else name)

    with st.container(key=FIELD):
        st.selectbox(
            "Another class", [UNKNOWN, *(name for name in study.class_names if name != one.label)],
            index=None, key=key, format_func=with_class_names, placeholder="/ another class",
            label_visibility="collapsed", filter_mode="contains", on_change=typed,
        )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        _later_button(study, one)
        _back_button(study, one)
    st.caption(KEYS_HELP)


def _later_button(study: Study, one: Shown) -> None:
    icon = ":material/skip_next:"
    st.button("Later `Space`", key=KEYS[" "], icon=icon, on_click=_go_on, args=(study, one))


def _nearest(study: Study, one: Shown) -> None:
    """The nearest images of other units, with their labels."""
    near: list[tuple[str, float]] = []
    for rank in range(1, NEAREST + 1):
        name, similarity = one.facts[f"near_{rank}"], one.facts[f"near_{rank}_similarity"]
        if not widgets.undefined(name) and name:
            near.append((str(name), float(similarity)))
    rows = study.rows_held([name for name, _ in near])
    pairs = [(rows[name], similarity) for name, similarity in near if name in rows]
    st.markdown("The nearest images are labelled")
    if not pairs:
        st.caption("No other image has a representation to compare with.")
        return
    labels_of = reads.images(study)["label"]
    lines = {row: (str(labels_of.iat[row]), f"cosine {value:.2f}") for row, value in pairs}
    widgets.image_gallery(
        study, [row for row, _ in pairs], key="desk_near", captions=lines, tile=NEAR, marked=False,
        label="nearest images", columns=NEAREST, on_open=partial(session.open_image, study),
    )  # fmt: skip


def _all_decided(study: Study, queue: Queue) -> None:
    """What was decided, where nothing is open, and what comes next."""
    names = queue.table["image_id"].astype(str)
    made = [queue.decided[name] for name in names]
    right = sum(name == label for name, label in zip(made, queue.table["label"].astype(str), strict=True))
    unsure = made.count(UNSURE)
    with st.container(border=True):
        st.markdown(f"**All {counted(len(queue), 'label')} are decided**")
        what = (
            f"{len(made) - right - unsure:,} changed, {right:,} right, {unsure:,} wrong without a better one."
        )
        st.caption(what if guest_is_asking() else f"{what} {ONCE_MORE}")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.download_button(
                "Corrected labels as CSV",
                data=partial(form_content, study, USUAL_FORM),
                file_name=_file_name(study, USUAL_FORM),
                mime=MIME[".csv"],
                key=f"{EXPORT}_decided",
                icon=":material/download:",
                help=LABEL_FORMS[USUAL_FORM].about,
                on_click="ignore",
            )
            link("errors", "What would help", study, icon="healing", **of_what_would_help())
            _back_button(study, None)


def _button(
    study: Study, one: Shown, label: str, key: str, class_name: str, *, icon: str = "", primary: bool = False
) -> None:
    st.button(
        label,
        key=key,
        icon=f":material/{icon}:" if icon else None,
        type="primary" if primary else "secondary",
        on_click=_decide,
        args=(study, one, class_name),
    )


def _back_button(study: Study, one: Shown | None) -> None:
    """Take back the decision on the image that is shown, or else the last one of this session."""
    if guest_is_asking():
        return
    last = _done(study)
    may_go_back = bool(last) or (one is not None and bool(one.decision))
    icon, undo = ":material/undo:", partial(_take_back, study, one)
    st.button("Take back `U`", key=KEYS["u"], icon=icon, disabled=not may_go_back, on_click=undo)


def _decide(study: Study, one: Shown, class_name: str) -> None:
    def act() -> None:
        done = label_decisions.decide_label(study, one.image_id, class_name, seen=one.decision)
        if done:
            _remember(study, one.image_id, done)
        session.toast(_said(one.label, class_name))

    session.attempt(PROBLEM, act, lambda: _go_on(study, one))
    _turn()


def _said(label: str, class_name: str) -> str:
    if class_name == label:
        return f"{with_class_names(label)} is right"
    better = "unsure" if class_name == UNSURE else with_class_names(class_name)
    return f"{with_class_names(label)}, now {better}"


def _go_on(study: Study, one: Shown) -> None:
    session.set_url(AT, None)
    session.set_widget(AFTER, (_home(study), one.rank))
    _turn()


def _take_back(study: Study, one: Shown | None) -> None:
    def act() -> None:
        if one is not None and one.decision:
            label_decisions.undecide(study, one.image_id)
            session.toast("Taken back")
            return session.set_url(AT, one.image_id)
        _, image_id, done = _done(study)[-1]
        session.set_widget(DONE, [each for each in _every_done() if each[2] is not done])
        left = trace_changes.take_back(study, done)
        session.toast("Somebody has changed that since; it stays" if left else "Taken back")
        session.set_url(AT, image_id)

    session.attempt(PROBLEM, act)
    _turn()


def _remember(study: Study, image_id: str, done: ChangedTraces) -> None:
    session.set_widget(DONE, [*_every_done(), (_home(study), image_id, done)][-MOST_BACK:])


def _every_done() -> Sequence[tuple[object, str, ChangedTraces]]:
    return session.recall(DONE) or []


def _done(study: Study) -> list[tuple[object, str, ChangedTraces]]:
    """The decisions of this session in this study that can be taken back, the last one last."""
    return [each for each in _every_done() if each[0] == _home(study)]


def _last_rank(study: Study) -> int:
    """The rank of the label that was on the desk last; 0 at first."""
    path, rank = session.recall(AFTER) or (None, 0)
    return rank if path == _home(study) else 0


def _home(study: Study) -> Path:
    """The study whose traces are kept: of a basis, that below it."""
    return study.below or study.path


def _turns() -> int:
    return int(session.recall(TURN) or 0)


def _turn() -> None:
    session.set_widget(TURN, _turns() + 1)


def _digit(number: int) -> str:
    return f"desk_digit_{number}"


def _plain(name: str) -> str:
    return widgets.plain(with_class_names(name))
