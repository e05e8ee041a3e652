"""Building blocks that views compose. None of them computes a result."""

import html
import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.captions import headline, with_class_names
from core.common.formatting import UNDEFINED, formatted, full_sentence
from core.common.records import Record, Templates
from core.common.verdict_words import RELIABLE, USEFUL, USELESS, WEAK, Verdict
from core.store import Study
from core.study.commands import Command, Resume
from core.study.jobs import read_job
from core.study.missing import nothing
from core.study.steps import STEPS
from core.study.traces import UNSURE, ImageTrace
from dashboard.cache import reads
from dashboard.components.gallery import Tile, gallery
from dashboard.components.job_follower import making_command, run_button
from dashboard.components.tooltips import help_text as help_text
from dashboard.components.tooltips import plain as plain
from dashboard.state import served_studies, session

# One value on a scale from 0 to 1, with what it is compared with marked beside it.


NEAR = 0.17  # of the scale: labels that are nearer than this stand in two rows


def scale(value: float, marks: Sequence[tuple[str, float]], *, label: str) -> None:
    """Draw the scale.

    Args:
        value: in [0, 1]. marks: what it is compared with, each a name and a value in [0, 1].
        label: the whole in words, for a screen reader.
    """
    parts, right, row, rows = [], -1.0, 0, 0
    for name, at in sorted(marks, key=lambda mark: mark[1]):
        row = 1 - row if at - right < NEAR else 0
        right, rows = at, max(rows, row)
        left = f"left: {100 * at:.1f}%"
        text = html.escape(f"{name} {at:.2f}".replace(" 0.", " ."))
        parts.append(f"<u style='{left}'></u><span style='{left}; top: {1.5 + row}rem'>{text}</span>")
    dot = f"<b style='left: {100 * value:.1f}%'></b>"
    drawn = "<i></i>" + "".join(parts) + dot
    about = f"role=img style='height: {2.5 + rows}rem' aria-label='{html.escape(label)}'"
    st.html(f"<div class=scale {about}>{drawn}</div>")


# Tables no wider than the page, and those of which a row can be picked.


HEAD, LINE = 38, 35  # pixels of the titles and of a row
ROOM = 885  # pixels of the columns of a table beside the sidebar at 1280, without the boxes that pick rows


def fitting(described: Mapping[str, Any]) -> list[str]:
    """Return the first of some columns, those that stand beside each other at 1280.

    Args:
        described: of `st.column_config`, by name, what decides first. One without a width takes what is left.

    >>> fitting({"word": {"width": 600}, "score": {"width": 200}, "rank": {"width": 100}})
    ['word', 'score']
    """
    right = itertools.accumulate(column.get("width") or 0 for column in described.values())
    return [name for name, end in zip(described, right, strict=True) if end <= ROOM]


def fitted_table(frame: pd.DataFrame, columns: Mapping[str, Any], *, alt: str, **options: Any) -> None:
    """Show a table without the last columns that would be cut at 1280; a line says that its menu adds them.

    columns: of `st.column_config`, by name, in pixels. options: of `st.dataframe`.
    """
    described = {name: columns[name] for name in frame.columns}
    shown = fitting(described)
    st.dataframe(
        frame, hide_index=True, alt=alt, column_config=described, column_order=shown, **options
    )  # fmt: skip
    more = tuple(column.get("label") or name for name, column in described.items() if name not in shown)
    if more:
        st.caption(plain(_say("more_columns", names=more)))


def pick_row(
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    on_pick: Callable[[int], None],
    *,
    key: str,
    alt: str,
    height: int,
) -> None:
    """Show a table, at most `height` pixels of it; a click calls `on_pick` with the position of the row.

    columns: of `st.column_config`, by name.
    """

    def picked() -> None:
        if rows := session.selected_rows(key):
            on_pick(rows[0])

    fitted_table(
        frame,
        columns,
        alt=alt,
        key=key,
        height=min(HEAD + LINE * len(frame), height),
        on_select=picked,
        selection_mode="single-row",
    )


# Building blocks that views compose. None of them computes a result.


PAGE_BUTTON = 36  # pixels of a button of the page switch, with its gap
FEWEST_PAGE_BUTTONS = 5  # where fewer would fit, Streamlit's switch leaves out the second of two pages
MOST_PAGE_BUTTONS = 7
NO_MATCH = nothing("empty_filter")
TRAIN = "train"  # badge of a train image beside others
_say = Templates.beside(__file__)
Captions = Mapping[int, Sequence[str]] | Callable[[Mapping[str, Any]], Sequence[str]]
Badges = Mapping[int, str] | Callable[[int], str | None]
P = ParamSpec("P")
T = TypeVar("T")


def stable_container(draw: Callable[P, T]) -> Callable[P, T]:
    """Draw a part of a page in a container of its own, so that what follows keeps its place.

    For each part that draws now more, now less. Streamlit knows elements by their place: where one moves, the
    browser holds two of it for a moment, and when the old one goes, so does its tie to the address. An empty
    container takes no room.
    """

    @wraps(draw)
    def in_its_place(*args: P.args, **kwargs: P.kwargs) -> T:
        with st.container():
            return draw(*args, **kwargs)

    return in_its_place


def metric(label: str, value: str, *, explain: str, detail: str | None = None) -> None:
    """A headline number as a bordered card. `explain` is a key of tooltips.TEXTS: its formula and source
    become the tooltip. `detail` is a short second line: base rate, interval, rank.
    """
    with st.container(border=True, height="stretch", gap=None):
        st.metric(label, "–" if value == UNDEFINED else value, help=help_text(explain))
        st.caption((detail or "\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%"))


def interval(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Value and interval in words.

    >>> interval(0.7312, 0.702, 0.759)
    '0.731 (0.702 to 0.759)'
    >>> interval(float("nan"), 0, 1)
    'not defined'
    """
    if undefined(value):
        return "not defined"
    if undefined(low) or undefined(high):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def number(value: float | None, *, digits: int = 3) -> str:
    """A number for people.

    >>> number(128000, digits=0), number(4.25, digits=1), number(None)
    ('128,000', '4.2', 'not defined')
    """
    return "not defined" if value is None or undefined(value) else f"{value:,.{digits}f}"


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return "not defined" if share is None or undefined(share) else f"{100 * share:.{digits}f} %"


@stable_container
def image_gallery(
    study: Study,
    rows: np.ndarray | Sequence[int],
    *,
    key: str,
    captions: Captions | None = None,
    badges: Badges | None = None,
    page_size: int = 48,
    select: bool = False,
    tile: int = 132,
    label: str = "images",
    on_open: Callable[[int], None] | None = None,
    pictures: Callable[[list[int]], list[tuple[str, ...]]] | None = None,
    names: tuple[str, ...] = (),
    marked: bool = True,
    unmarked: Collection[int] = (),
    columns: int = 0,
    why_none: str = "",
) -> None:
    """Tiles of images, a page at a time; click or Enter opens the detail of an image, arrow keys move.

    rows: image rows in the order shown. captions: per row, or from what is known of an image, up to two
    lines (default: the headline, class and prediction).
    badges: short text on a row's picture. select: ctrl, cmd or shift click
    marks images (`state.picked_rows`). tile: least width in pixels. key: unique on the page; also the URL
    name of the page number when there is more than one. on_open: instead of opening the detail.
    pictures: in place of the thumbnail, addresses of one or more pictures of each row, drawn side by side
    (an empty address is drawn as absent); names: what each of them is. marked: with the verdict on each,
    but for the rows `unmarked`.
    columns: tiles in a row, whatever the width (0: as many as fit).
    why_none: said where there are no rows, and it is not the filter that leaves none.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if not rows.size:
        of_filter = NO_MATCH if session.filter_text() else nothing("none_there")
        empty_state("No images", nothing("none_of_these", why=why_none) if why_none else of_filter)
        return
    slot = st.container(gap="small")
    page_rows = rows[page_span(len(rows), page_size, key=f"{key}_page")]
    tiles = _tiles(study, page_rows, captions or {}, badges)
    hidden = {*page_rows.tolist()} if not marked else {*unmarked}
    tiles = [replace(one, verdict="") if one.id in hidden else one for one in tiles]
    if pictures is not None:
        tiles = [
            replace(one, src=first, beside=tuple(others), names=names)
            for one, (first, *others) in zip(tiles, pictures(page_rows.tolist()), strict=True)
        ]

    def keep_marks(marks: list[int]) -> None:
        _merge_marks(study, page_rows, marks)

    picked: Sequence[int] = ()
    if select:
        picked = [row for row in session.picked_rows(study) if row in page_rows]
    with slot:
        gallery(
            tiles,
            key=key,
            label=f"{len(rows):,} {label}",
            tile=tile,
            columns=columns,
            on_open=on_open or (lambda row: session.open_image(study, row, rows)),
            on_pick=keep_marks if select else None,
            picked=picked,
        )


@stable_container
def nearest_gallery(
    study: Study,
    rows: np.ndarray,
    cosines: np.ndarray,
    *,
    key: str,
    label: str,
    columns: int = 0,
    on_open: Callable[[int], None] | None = None,
    names: Mapping[int, str] | None = None,
) -> None:
    """Tiles of images with their class and the cosine by which they were found, the nearest first.

    Images that the answer was fitted to have no verdict, which would be no evidence, and a line says so.
    on_open: in place of moving the opened image. names: what a row is called in place of its cosine.
    """
    labels = reads.images(study)["label"]
    captions = {}
    for row, cosine in zip(rows.tolist(), cosines, strict=True):
        found_by = (names or {}).get(row, f"cosine {formatted(cosine, '.3f')}")
        captions[row] = (found_by,) if undefined(labels.iat[row]) else (str(labels.iat[row]), found_by)
    move = on_open or (lambda row: session.step_image(study, row))
    seen = rows[reads.answer_has_seen(study)[rows]].tolist()
    image_gallery(
        study, rows, key=key, captions=captions, tile=104, columns=columns, label=label, on_open=move,
        badges=dict.fromkeys(seen, TRAIN) if len(seen) < len(rows) else None, unmarked=seen,
    )  # fmt: skip
    if seen:
        st.caption(_say("all_seen" if len(seen) == len(rows) else "some_seen", n=len(seen)))


def page_span(n_items: int, page_size: int, *, key: str) -> slice:
    """The part of a long list that is shown now; draws the page switch when one page is not enough."""
    n_pages = max(1, math.ceil(n_items / page_size))
    if n_pages == 1:
        return slice(0, n_items)
    with st.container(horizontal=True, vertical_alignment="center"):
        buttons = min(max(n_pages, FEWEST_PAGE_BUTTONS), MOST_PAGE_BUTTONS)
        width = PAGE_BUTTON * (buttons + 2)  # with previous and next
        page = st.pagination(
            n_pages, max_visible_pages=MOST_PAGE_BUTTONS, width=width, key=key, bind="query-params"
        )
        first = (page - 1) * page_size
        st.caption(f"{first + 1:,} to {min(first + page_size, n_items):,} of {n_items:,}", width="content")
    return slice(first, first + page_size)


def _tiles(study: Study, rows: np.ndarray, captions: Captions, badges: Badges | None) -> list[Tile]:
    facts = reads.facts_of(study, rows.tolist())
    addresses = served_studies.picture_urls(study, rows)
    left = reads.traces_shown(study)
    return [
        Tile(
            id=int(row),
            src=address,
            alt=image_name(fact),
            lines=_caption(row, fact, captions),
            verdict=_verdict(fact),
            badge=_badge(row, badges),
            traces=_traces(left.get(str(fact["image_id"]))),
        )
        for row, address, fact in zip(rows.tolist(), addresses, facts, strict=True)
    ]


def _traces(trace: ImageTrace | None) -> tuple[tuple[str, str], ...]:
    """What people left on an image, as badges: a flag for a wrong label, words for a right one (a tick
    says that the answer is right), its tags, a pen for a note.
    """
    if not trace:
        return ()
    should = "" if trace.wrong_label == UNSURE else f" {with_class_names(trace.wrong_label)}"
    mark = f"label is wrong{f', should be{should}' if should else ''}"
    flag = ((f"⚑{should}", mark),) if trace.wrong_label else ()
    right = (("right label", "label was looked at and is right"),) if trace.right_label else ()
    note = (("✎", f"note: {trace.note}"),) if trace.note else ()
    return (*flag, *right, *((tag, f"tagged {tag}") for tag in trace.tags), *note)


def _caption(row: int, fact: Mapping[str, Any], captions: Captions) -> tuple[str, ...]:
    if callable(captions):
        return tuple(captions(fact))
    return tuple(captions[row]) if row in captions else caption_lines(fact)


def image_name(fact: Mapping[str, Any]) -> str:
    """Return what an image is called where it is read aloud: its label and its file, or else its path.

    >>> image_name({"image_id": "n01440764/tench_1.jpg", "label": "n01440764"})
    'tench (tench_1.jpg)'
    """
    label, name = fact.get("label"), str(fact["image_id"])
    return name if undefined(label) else f"{with_class_names(str(label))} ({name.rpartition('/')[2]})"


def caption_lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
    """The headline of an image: its class first, and what the probe predicts; see `core.common.captions`."""
    return (headline(fact),)


def truth_then_answer(fact: Mapping[str, Any]) -> tuple[str]:
    """The class of an image, and the answer where it is wrong; the file name where no class is known."""
    if undefined(fact.get("label")):
        return (str(fact["image_id"]).rpartition("/")[2],)
    if fact.get("correct") is False:
        return (f"{fact['label']} → {fact['predicted']}",)
    return (str(fact["label"]),)


def _verdict(fact: Mapping[str, Any]) -> str:
    correct = fact.get("correct")
    return "" if undefined(correct) else ("correct" if correct else "wrong")


def _badge(row: int, badges: Badges | None) -> str:
    if callable(badges):
        return badges(row) or ""
    return "" if badges is None else badges.get(row, "")


def _merge_marks(study: Study, page_rows: np.ndarray, marked: list[int]) -> None:
    """Marks on this page as the gallery says; marks on other pages stay."""
    here = set(page_rows.tolist())
    session.pick_rows(study, [row for row in session.picked_rows(study) if row not in here] + marked)


def empty_state(what: str, why: Record, command: Command | str | None = None, takes: str = "") -> None:
    """A calm panel instead of a missing result: what is not there, why, and the command that makes it.

    why: a reason of `core.study.missing.nothing`, where the words of all of them stand.
    A command that the reader has to finish first is a text, and has no button. takes: what the command does,
    and about how long.
    """
    with st.container(border=True):
        st.markdown(f"**{plain(what)}**")
        st.caption(plain(f"{full_sentence(why)} {takes}".rstrip()))
        if isinstance(command, str):
            st.code(command, language="bash", wrap_lines=True)
        elif command:
            run_button(command, key=f"{what}: {command.shell}")


def drawer(title: str, key: str, icon: str, draw: Callable[[], object]) -> None:
    """A part that is drawn only while it is open; the link says whether it is."""
    part = st.expander(title, icon=f":material/{icon}:", key=key, bind="query-params")
    if part.open:
        with part:
            draw()


def problem_of(of: str) -> None:
    """Say once why what was tried there was not possible; see `problems.attempt`."""
    if problem := session.take_problem(of):
        st.warning(plain(full_sentence(problem)), icon=":material/error:")


@stable_container
def needs(study: Study, item: str, what: str, takes: Callable[[], str] = str) -> bool:
    """True when the study holds `item` (a table or array); else shows what is missing and the command.

    takes: says what the command does, and about how long.
    """
    missing = study.why_missing(item)
    if missing is None:
        return True
    if is_coming(study, item):
        empty_state(f"{what}: being computed", nothing("running"))
        return False
    lacks = "cannot be read" if missing.state == "damaged" else "not computed"
    command = making_command(study, missing.step, redo=missing.redo) if missing.command else None
    why = missing.sentence
    if isinstance(command, Resume):
        steps = tuple(STEPS[step].title for step in study.missing())
        why = nothing("in_basis", what=study.path.name, names=steps)
    empty_state(f"{what}: {lacks}", why, command, "" if command is None else takes())
    return False


def is_coming(study: Study, item: str) -> bool:
    """Whether a study lacks an item that a job which runs now computes."""
    missing = study.why_missing(item)
    return missing is not None and missing.state == "missing" and _comes(study, missing.step)


def _comes(study: Study, step: str) -> bool:
    """Whether a job runs that computes a step: the step itself, or a command of several, such as analyze; one
    that learns a basis computes steps of that alone.
    """
    job = read_job(study.path)
    first = job.arguments[0] if job is not None and job.running and job.arguments else None
    is_idle = job is not None and step in job.idle
    of_several = (
        first is not None
        and not is_idle
        and first not in STEPS
        and (first != "basis" or study.below is not None)
    )
    return first == step or of_several


def page_header(title: str, question: str) -> DeltaGenerator:
    """Title of a page and the question that it answers; returns the place of the question, for the answer."""
    with st.container(gap=None, key="page_header"):
        st.title(title)
        answer = st.empty()
    answer.caption(question)
    return answer


def undefined(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value))


# One of the four words of a verdict, as a badge with its sentence.


Colour = Literal["green", "blue", "orange", "red", "gray"]
LOOKS: dict[str, tuple[str, Colour]] = {
    RELIABLE: (":material/verified:", "green"),
    USEFUL: (":material/check:", "blue"),
    WEAK: (":material/trending_flat:", "orange"),
    USELESS: (":material/close:", "red"),
    "": (":material/help:", "gray"),
}
NOT_JUDGED = "not judged"


@stable_container
def verdict(judged: Verdict) -> None:
    """The word of a verdict, and the sentence with its numbers."""
    icon, colour = LOOKS[judged.word]
    with st.container(gap="xxsmall"):
        st.badge(judged.word or NOT_JUDGED, icon=icon, color=colour, help=help_text("verdict"))
        st.markdown(plain(judged.sentence))
