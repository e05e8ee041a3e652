"""Checkpoints of one training: numbers along it, and the features that appear with each."""

import re
from collections.abc import Sequence

import streamlit as st

from core.charts.checkpoints import CHECKPOINT_FEATURES, CHECKPOINTS
from core.charts.options import FigureOptions
from core.common.formatting import counted, full_sentence
from core.comparison.checkpoints import Checkpoints, checkpoints_finding
from core.comparison.features import LEAST
from core.errors import StudyError
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import comparison_reads
from dashboard.components import widgets
from dashboard.components.chart import show_chart
from dashboard.components.choose_one import choose_one, select_some

ORDER, APPEAR = "compare_along", "compare_appear"  # widget keys and parts of the URL
ANY = "Any"


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
    among_names = [ANY, *(name for name, n in counts.items() if n)]
    name = choose_one("Appear with", among_names, key=APPEAR, shows_label=True)
    features = () if name == ANY else tuple(data.appearing(name)["feature"].tolist())
    try:
        pictures = comparison_reads.checkpoint_features(studies, among, features)
    except StudyError as error:
        st.caption(widgets.plain(f"{error}."))
        return
    first, *others = studies
    show_chart(
        first,
        CHECKPOINT_FEATURES,
        FigureOptions(features=features),
        among=among,
        others=others,
        name="compare_checkpoint_features",
        shown=pictures,
    )
