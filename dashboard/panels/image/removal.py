"""What the probe would say of an image without some of its features."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.store import Study
from dashboard.cache import image_reads, reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_some
from dashboard.components.stable_container import stable_container

REMOVED = "removed"  # part of the URL
SHOWN = 3  # classes


@stable_container
def removal(study: Study, row: int, features: list[int], label: str | None) -> None:
    """Choose features of the image to take away, and show the probabilities before and after.

    features: those that are offered. label: the true class, if it is known.
    """
    if not study.has("probe_weights"):
        return
    names = dict(zip(reads.list_names(study, features), features, strict=True))
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", width="content", key="removal"
    ):
        picked = select_some(
            "Without these features", names, key=REMOVED, placeholder="Switch features off …", width=255
        )
        removed = tuple(sorted(names[name] for name in picked))
        if removed:
            st.markdown(_told(study, row, removed, label), width="content", help=widgets.help_text("removal"))


def _told(study: Study, row: int, removed: tuple[int, ...], label: str | None) -> str:
    """The new answer, and how the probabilities of the classes in question change."""
    these = "this one" if len(removed) == 1 else "these"
    before, after = image_reads.without(study, row, removed)
    names = study.class_names
    first, then = int(np.argmax(before)), int(np.argmax(after))
    asked = [first, then, *(names.index(one) for one in [label] if one in names)]
    changes = ", ".join(
        f"{widgets.plain(names[code])} {widgets.percent(before[code], digits=0)} → "
        f"{widgets.percent(after[code], digits=0)}"
        for code in list(dict.fromkeys(asked))[:SHOWN]
    )
    if first == then:
        return f"without {these} it still says **{widgets.plain(names[then])}**: {changes}"
    right = " (the truth)" if names[then] == label else ""
    return f"without {these} it says **{widgets.plain(names[then])}**{right}: {changes}"
