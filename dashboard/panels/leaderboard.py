"""Which encoder? The studies of the same images, best first, and checkpoints of one training."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.charts.checkpoints import CHECKPOINT_FEATURES, CHECKPOINTS
from core.charts.leaderboard import LEADERBOARD, Board
from core.common.formatting import counted, full_sentence
from core.common.records import Templates
from core.compare.checkpoints import Checkpoints, checkpoints_finding
from core.compare.features import LEAST
from core.compare.images import left_out
from core.compare.leaderboard import (
    LEGEND,
    NOTHING,
    TITLES,
    Cell,
    Leaderboard,
    decided_labels,
    disagreements,
    encoder_to_take,
    leaderboard_finding,
    notes_of,
    number_cells,
    pair_cells,
    scope_of,
    titled_encoder,
)
from core.compare.shared_folds import SharedFolds
from core.errors import StudyError
from core.measures.slice import Slice
from core.store import Study
from core.study.commands import CompareEncoders
from core.study.jobs import read_job
from dashboard.cache import comparison_reads
from dashboard.components import widgets
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import select_some
from dashboard.components.job_follower import follow, is_written, start_button
from dashboard.components.page_link import link
from dashboard.jobs import launcher
from dashboard.panels import study_progress

# Which encoder? The studies of the same images, best first, and the pictures on which they are divided.


WHICH = "compare_board"  # widget key and part of the URL
MOST = 12  # encoders
PICTURES = 24  # of the gallery, on a page
_say = Templates.beside(__file__)


def choose_encoders(names: Mapping[str, Study], alike: Sequence[str]) -> tuple[Study, ...]:
    """The studies of a leaderboard: where no others are chosen those of the same images, one an encoder.

    Args:
        names: all that can be chosen, the open study first. alike: those of the same images, with it.
    """
    encoders = comparison_reads.one_an_encoder({name: names[name] for name in alike}, next(iter(names)))
    selected = select_some(
        "Encoders", list(names), key=WHICH, default=encoders[:MOST], most=MOST,
        placeholder="Choose two studies or more", shows_label=True,
    )  # fmt: skip
    siblings = tuple(widgets.plain(name) for name in alike if name not in encoders)
    if siblings and selected == encoders[:MOST]:
        st.caption(_say("siblings", names=siblings))
    return tuple(names[name] for name in selected)


def leaderboard_page(studies: tuple[Study, ...]) -> None:
    """The leaderboard, or the button that computes what it lacks."""
    if len(studies) < 2:
        st.caption("Choose two studies or more.")
        return
    folds = comparison_reads.shared_folds(studies)
    if missing := folds.missing:
        _to_compute(studies, folds, missing)
        return
    board = comparison_reads.leaderboard(studies)
    st.header(widgets.plain(leaderboard_finding(board)), anchor=False)
    st.caption(scope_of(board))
    _take(board)
    _table(board)
    _notes(board)
    first, *others = studies
    show_chart(first, LEADERBOARD, others=others, name="compare_leaderboard", title=None, shown=Board(board))
    _disagreements(board)
    with st.expander("Every pair of encoders", icon=":material/table:"):
        titles, *rows = pair_cells(board)
        lines = ["".join(f"<td>{html.escape(cell or NOTHING)}</td>" for cell in row) for row in rows]
        _table_html(titles, lines)
        st.caption(
            "p: how often chance alone moves the difference so far (2,000 draws of units of data, the same "
            "for all encoders). Told apart: p after Holm's correction is at most .05."
        )
        download(studies, board.pairs, name="compare_pairs")


@widgets.stable_container
def _to_compute(studies: tuple[Study, ...], folds: SharedFolds, missing: Sequence[int]) -> None:
    names = tuple(widgets.plain(folds.shared.names[number]) for number in missing)
    command = CompareEncoders(tuple(study.path for study in studies))
    folder = launcher.folder_of(command, folds.fingerprint)
    job = read_job(folder)
    with st.container(border=True):
        st.markdown(f"**{_say('to_compute', n=len(missing), of=len(studies))}**")
        st.caption(_say("how", n=folds.n, why=left_out(folds.n_other_label), names=names))
        for note in folds.notes:
            st.caption(f":material/difference: {widgets.plain(full_sentence(note.text))}")
        if job is not None and job.running:
            follow(folder, study_progress.bar)
            return
        if job is not None and job.state == "failed" and job.error:
            st.error(widgets.plain(job.error), icon=":material/error:")
        reason = start_button(command, "Compute", key="compare_board_start", folder=folder, kind="primary")
        if written := [study for study in studies if is_written(study.path)]:
            waits = _say("waits", names=tuple(widgets.plain(study.name) for study in written))
            follow(written[0].path, lambda _: st.caption(waits))
        elif reason:
            st.caption(widgets.plain(full_sentence(reason)))


def _take(board: Leaderboard) -> None:
    """Which encoder to go on with, and a way to it."""
    take = encoder_to_take(board)
    study = board.studies[board.names.index(take.what)]
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{widgets.plain(full_sentence(take))}**", width="stretch")
        link("overview", _say("open", what=widgets.plain(take.what)), study, icon_right="arrow_forward")


@widgets.stable_container
def _table(board: Leaderboard) -> None:
    """Each encoder below its study, each interval below its number."""
    titles = [title for name, title in TITLES.items() if name != "encoder"]
    rows = []
    for letters, study in zip(board.frame["letters"], board.studies, strict=True):
        name = board.names[len(rows)]
        cells = [Cell(letters), Cell(name, titled_encoder(study)), *number_cells(board, name).values()]
        rows.append("".join(f"<td>{_lines_of(cell)}</td>" for cell in cells))
    _table_html(titles, rows)
    st.caption(LEGEND)
    st.caption(_say("read"))
    download(board.folds.shared.studies, board.frame, name="leaderboard")


def _lines_of(cell: Cell) -> str:
    below = [f"<small>{html.escape(text)}</small>" for text in (cell.interval, cell.of) if text]
    return "<br>".join([html.escape(cell.value or NOTHING), *below])


def _table_html(titles: Sequence[str], rows: Sequence[str]) -> None:
    """A table; rows: the cells of each, as HTML."""
    heads = "".join(f"<th scope=col>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table class='compare board'><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    st.html(f"<div class=wide>{table}</div>")


@widgets.stable_container
def _notes(board: Leaderboard) -> None:
    notes = notes_of(board)
    for note in notes:
        st.caption(f":material/difference: {widgets.plain(full_sentence(note.text))}")
    if commands := [note.command for note in notes if note.command]:
        with st.expander("What mends this, in a terminal", icon=":material/terminal:"):
            st.code("\n".join(commands), language="bash", wrap_lines=True)


@widgets.stable_container
def _disagreements(board: Leaderboard) -> None:
    """Pictures that some encoders get right and others wrong, those they are most divided on first."""
    table = disagreements(board)
    st.header("Where they disagree", anchor=False)
    if table.empty:
        st.caption(_say("agreed"))
        return
    k = len(board.names)
    all_right, none = (int((board.correct.sum(0) == n).sum()) for n in (k, 0))
    st.caption(_say("divided", n=len(table), parts=(_say("others", n=all_right, of=none),)))
    decided = decided_labels(board)
    lines = {int(row["row"]): _lines(board, row, decided) for row in table.to_dict("records")}
    widgets.image_gallery(
        board.folds.shared.studies[0],
        table["row"].to_numpy(np.int64),
        key="compare_divided",
        captions=lines,
        page_size=PICTURES,
        tile=220,
        label="images that divide the encoders",
        marked=False,
    )


def _lines(board: Leaderboard, row: Mapping[Any, Any], decided: Mapping[int, str]) -> tuple[str, str]:
    """The label, with what people decided on it, and who gives it; then what the others say."""
    row_number = int(row["place"])
    answers = list(
        zip(board.names, board.correct[:, row_number], board.predicted[:, row_number], strict=True)
    )
    label = decided.get(row_number, board.folds.class_names[int(board.folds.codes[row_number])])
    right = tuple(name for name, is_right, _ in answers if is_right)
    wrong = [_say("wrong", what=name, why=str(answer)) for name, is_right, answer in answers if not is_right]
    return _say("right", what=label, names=right), "; ".join(wrong)


# Checkpoints of one training: numbers along it, and the features that appear with each.


ORDER = "compare_along"  # widget key and part of the URL


def in_order(names: Sequence[str]) -> list[str]:
    """Names in the order that a person counts them: epoch2 before epoch10.

    >>> in_order(["epoch10", "epoch2", "start"])
    ['epoch2', 'epoch10', 'start']
    """

    def key(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]

    return sorted(names, key=lambda name: key(name.lower()))


def choose_checkpoints(names: dict[str, Study], alike: Sequence[str]) -> tuple[Study, ...]:
    """The studies that are read as a training, in the order in which they are chosen."""
    selected = select_some(
        "Studies in the order of the training", in_order(list(names)), key=ORDER, default=in_order(alike),
        placeholder="Choose two studies or more", shows_label=True,
    )  # fmt: skip
    return tuple(names[name] for name in selected)


def checkpoints(studies: tuple[Study, ...], among: Slice) -> None:
    """The numbers along a training, and what appears when."""
    if len(studies) < 2:
        st.caption("Choose two studies or more.")
        return
    data = comparison_reads.checkpoints(studies, among=among)
    st.header(widgets.plain(checkpoints_finding(data)), anchor=False)
    st.caption(widgets.plain(f"Measured on {data.comparison.population}; bars are 95 % intervals."))
    first, *others = studies
    show_chart(
        first, CHECKPOINTS, among=among, others=others, name="compare_checkpoints", title=None, shown=data
    )
    if len(data.features):
        _features(data, studies, among)
    elif all(study.has("features") for study in studies):
        st.caption(f"Features cannot be followed: none of the last fires on {LEAST} of these images or more.")
    if notes := data.comparison.notes:
        with st.expander(counted(len(notes), "note on these studies", "notes on these studies")):
            st.markdown("\n".join(f"- {widgets.plain(full_sentence(note.text))}" for note in notes))


def _features(data: Checkpoints, studies: tuple[Study, ...], among: Slice) -> None:
    counts = {name: len(data.appearing(name)) for name in data.names}
    st.header("Which features appear when", anchor=False, help=widgets.help_text("features_along"))
    counts_text = ", ".join(f"{n:,} with {name}" for name, n in counts.items() if n)
    n = len(set(data.features["feature"]))
    last = f"Of {counted(n, 'feature')} of {data.names[-1]}"
    st.caption(widgets.plain(f"{last}: {counts_text}, and stay from there on."))
    try:
        pictures = comparison_reads.checkpoint_features(studies, among)
    except StudyError as error:
        st.caption(widgets.plain(f"{error}."))
        return
    first, *others = studies
    show_chart(
        first,
        CHECKPOINT_FEATURES,
        among=among,
        others=others,
        name="compare_checkpoint_features",
        shown=pictures,
    )
