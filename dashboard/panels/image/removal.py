"""What the probe would say of an image without some of its features."""

import numpy as np
import streamlit as st

from core.common.captions import cut_text
from core.common.formatting import signed
from core.store import Study
from dashboard.cache import image_reads, reads
from dashboard.cache.features import feature_reads
from dashboard.cache.pictures import tried_reads
from dashboard.components import widgets
from dashboard.components.feature_heat_list import Row
from dashboard.panels.features.feature_cards import heat_pictures
from dashboard.state import session

REMOVED = "removed"  # part of the URL
SHOWN = 3  # classes
MOST = 64  # features
EXAMPLES = 4  # images beside a feature
LONGEST = 44  # letters of a name: two lines with its number at 1280 px


def switched_off(part: str, n_features: int) -> tuple[int, ...]:
    """The features that a part of the address switches off; what is no feature of this study is left out."""
    parts = (session.url_text(part) or "").split(",")
    numbers = {int(one) for one in parts if one.isdecimal() and len(one) < 9}
    return tuple(sorted(number for number in numbers if number < n_features))[:MOST]


def switch(part: str, feature: str) -> None:
    """Switch a feature off, or on again. Meant for callbacks."""
    off = {*(session.url_text(part) or "").split(",")} - {""} ^ {feature}
    session.set_url(part, ",".join(sorted(off)) or None)


def switch_row(
    study: Study | None,
    feature: int,
    push: float,
    most: float,
    *,
    fires: bool,
    src: str,
    off: tuple[int, ...] | None,
) -> Row:
    """A feature in a list of those that push an answer, with its switch.

    Args:
        study: None: of the packaged encoder. push: in logits, NaN where unknown. most: the largest of all.
        src: address of its heatmap, or "". off: the features that are switched off; None: none can be.
    """
    words = feature_reads.names(study) if study is not None else {}
    name = words.get(feature, f"{study.feature_kind if study is not None else 'Feature'} {feature}")
    note = f"#{feature}" if feature in words else tried_reads.speaks_for(study, feature)
    if not note and study is not None and study.has("firing_features"):
        note = reads.class_words(study, feature)
    has_push = bool(np.isfinite(push)) and most > 0
    address = session.href("feature", study, feature=str(feature)) if study else ""
    pictures = () if study is None else heat_pictures(study, feature, EXAMPLES)
    return Row(
        id=str(feature),
        title=cut_text(name, LONGEST),
        note=note,
        href=address,
        push=float(push / most) if has_push else None,
        text=signed(push, 2) if has_push else "",
        src=src,
        marked=fires,
        off=feature in off if has_push and off is not None else None,
        examples=tuple(one.src for one in pictures),
    )


@widgets.stable_container
def removal(study: Study, row: int, removed: tuple[int, ...], label: str | None) -> None:
    """The probabilities before and after features were switched off. label: the true class, if known."""
    if removed:
        with st.container(key="removal", width="content"):
            st.markdown(_told(study, row, removed, label), width="content", help=widgets.help_text("removal"))


def _told(study: Study, row: int, removed: tuple[int, ...], label: str | None) -> str:
    """The new answer, and how the probabilities of the classes in question change, its own first."""
    these = f"#{removed[0]}" if len(removed) == 1 else f"these {len(removed)}"
    classes = image_reads.look(study, row, removed).classes.set_index("name")
    first, then = str(classes["before"].idxmax()), str(classes["after"].idxmax())
    asked = [then, first, *(one for one in [label] if one in classes.index)]
    few = classes.loc[list(dict.fromkeys(asked))[:SHOWN]]
    spoken = [widgets.plain(one) for one in few["spoken"]]
    spoken[0] = f"**{spoken[0]}**{' (the truth)' if then == label and then != first else ''},"
    changes = ", ".join(
        f"{name} {widgets.percent(before, digits=0)} → {widgets.percent(after, digits=0)}"
        for name, before, after in zip(spoken, few["before"], few["after"], strict=True)
    )
    return f"Without {these} it {'still says' if first == then else 'says'} {changes}"
