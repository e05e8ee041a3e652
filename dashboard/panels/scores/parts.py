"""Which part of the page Predicting errors is shown: a row of groups, and within a group of several a list.

The part stands in the address under its own name, `quality_plot=ROC`, whatever group it is in.
"""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from dashboard.components.choose_one import pick_one
from dashboard.state import session

PART = "quality_plot"  # part of the URL
GROUP, MEMBER = "quality_group", "quality_member"  # widget keys
FOUND, CHART, NUMBERS, DISTRIBUTION, CAUSE, PAIR, IMAGES, TRUST = (
    "Errors found",
    "Chart",
    "Numbers",
    "Distribution",
    "By cause",
    "Two scores",
    "Images",
    "Trust",
)
GROUPS: dict[str, tuple[str, ...]] = {
    "Errors found": (FOUND,),
    "Scores": (CHART, NUMBERS),
    "Distribution": (DISTRIBUTION,),
    "Curves": ("ROC", "Precision-recall", "Finding errors", "Risk-coverage"),
    "When it works": (CAUSE, PAIR),
    "Images": (IMAGES,),
    "Trust in Q": (TRUST,),
}
WITHOUT_VERDICTS = {name: GROUPS[name] for name in ("Distribution", "Images", "Trust in Q")}
WIDE = (NUMBERS, CAUSE, IMAGES, TRUST)  # need the width of the page


def choose_part(*, judged: bool) -> str:
    """Draw the choice and return the part; the first one where the address names none that is there."""
    groups = GROUPS if judged else WITHOUT_VERDICTS
    part = _asked(groups)
    group = next(name for name, members in groups.items() if part in members)

    session.show_in_widget(GROUP, group)
    st.segmented_control(
        "Part",
        list(groups),
        default=group,
        required=True,
        key=GROUP,
        on_change=lambda: _show(groups, groups[session.value(GROUP)][0]),
        label_visibility="collapsed",
    )
    with st.container(width="content"):  # keeps its place, as in `stable_container`
        if len(groups[group]) > 1:
            _member(groups, group, part)
    return part


def _member(groups: Mapping[str, tuple[str, ...]], group: str, part: str) -> None:
    members = groups[group]
    key = f"{MEMBER}_{list(groups).index(group)}"  # another widget for each group, with options of its own
    pick_one(f"Part of {group}", members, part, key=key, on_pick=partial(_show, groups), width=170)


def _asked(groups: Mapping[str, tuple[str, ...]]) -> str:
    """The part that the address names; one that is not there is dropped, with a note if none has the name."""
    all_parts = [part for members in groups.values() for part in members]
    asked = session.url_text(PART)
    if asked is None or asked in all_parts:
        return asked or all_parts[0]
    session.drop_unknown(PART, [part for members in GROUPS.values() for part in members])
    session.set_url(PART, None)
    return all_parts[0]


def _show(groups: Mapping[str, tuple[str, ...]], part: str) -> None:
    first = next(iter(groups.values()))[0]
    session.set_url(PART, None if part == first else part)
