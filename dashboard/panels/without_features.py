"""Features switched off: for all images of the filter, for one image, and whether one harms."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis.removal import (
    AT_RANDOM,
    DRAWS,
    WITHOUT,
    SwitchedOff,
    harm,
    harm_by_class,
    harm_finding,
    random_gains,
    switched_off_table,
)
from core.charts.shown_names import shortened
from core.common.captions import cut_text, with_class_names
from core.common.formatting import counted, signed
from core.common.records import Record, Templates
from core.errors import PeregrineError
from core.measures.paired_accuracy import PairedAccuracy
from core.measures.slice import Slice
from core.store import Study
from dashboard.cache import feature_reads, image_reads, reads, tried_reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.choose_one import select_some
from dashboard.components.feature_heat_list import Row
from dashboard.panels.feature_cards import heat_pictures
from dashboard.state import session

# Features switched off for all images of the filter: the accuracy before and after, and what changes.


_say = Templates.beside(__file__)
OFF = "without"  # part of the address
OFFERED, MOST_OFF = 200, 20
CHANGED_TILES = 24


@widgets.stable_container
def without_panel(study: Study, population: Slice, listed: np.ndarray) -> None:
    """Choose features of the page, as `listed` there, and see what the answer is without them."""
    if image_reads.predictor(study) is None or not len(listed):
        return
    st.header("Without some features", help=widgets.help_text("removal"))
    offered = listed[:OFFERED].tolist()
    names = dict(zip(reads.list_names(study, offered), offered, strict=True))
    picked = select_some(
        "Features to switch off",
        names,
        key=OFF,
        placeholder="Switch features off …",
        most=MOST_OFF,
        width=480,
    )
    if not picked:
        st.caption(
            "Each feature that is off is set to its mean over the train images. The answer is then computed "
            "again for every image of the filter."
        )
        return
    try:
        spoken, rows, made = tried_reads.without(study, population, tuple(names[one] for one in picked))
    except PeregrineError as error:
        st.caption(widgets.plain(str(error)))
        return
    numbers_without(switched_off_table(made).set_index("features"), len(picked))
    changed_images(study, spoken, rows, made, key="without_images")


def changed_images(
    study: Study, spoken: Sequence[str], rows: np.ndarray, made: SwitchedOff, *, key: str
) -> None:
    """The images whose answer changes, each with both answers; spoken: what can be predicted, in words."""
    changed = np.flatnonzero(made.flipped)
    if not len(changed):
        return
    captions = {}
    for at in changed.tolist():
        answers = f"{spoken[made.before[at]]}, then {spoken[made.after[at]]}"
        captions[int(rows[at])] = (answers, _verdict(made, at))
    widgets.image_gallery(
        study, rows[changed], key=key, captions=captions, marked=False,
        page_size=CHANGED_TILES, tile=112, label="images whose answer changes",
    )  # fmt: skip


def _verdict(made: SwitchedOff, at: int) -> str:
    if not np.isfinite(made.true[at]):
        return ""
    if made.after[at] == made.true[at]:
        return "now right"
    return "now wrong" if made.before[at] == made.true[at] else "still wrong"


def numbers_without(table: pd.DataFrame, n_off: int) -> None:
    """Accuracy and changed answers beside those of random features."""
    first, mine, random = table.iloc[0], table.loc[WITHOUT], table.loc[AT_RANDOM]
    columns = st.columns(3, gap="small")
    if first["n_judged"]:
        with columns[0]:
            before, after = widgets.percent(first["accuracy"]), widgets.percent(mine["accuracy"])
            changed = f"{mine['fixed']:.0f} now right, {mine['broken']:.0f} now wrong"
            interval = f"{100 * mine['accuracy_low']:.1f} to {100 * mine['accuracy_high']:.1f}"
            widgets.metric(
                "Accuracy",
                after,
                explain="accuracy",
                detail=f"before {before}; {changed}; 95 % interval: {interval}",
            )
    with columns[1]:
        n_changed, n = round(mine["flipped"] * mine["n"]), int(mine["n"])
        widgets.metric(
            "Answers that change",
            f"{n_changed:,} of {n:,}",
            explain="removal",
            detail=f"{widgets.percent(mine['flipped'])} of the images",
        )
    with columns[2]:
        accuracy = f"; accuracy {widgets.percent(random['accuracy'])}" if first["n_judged"] else ""
        widgets.metric(
            f"With {counted(n_off, 'random feature')} off",
            widgets.percent(random["flipped"]),
            explain="removal",
            detail=f"of the answers change, mean of {DRAWS} draws of like activation{accuracy}",
        )


# Whether one feature harms: the answers with it and without it, beside random features.


HARM_CLASSES = 5  # that gain, and as many that lose


@widgets.stable_container
def harm_part(study: Study, feature: int, population: Slice) -> None:
    """What the answers on the images of a filter would be without a feature; nothing where they cannot be
    asked again.
    """
    if image_reads.predictor(study) is None:
        return
    try:
        one = tried_reads.without_one(study, population, feature)
    except PeregrineError as error:
        st.header("Does it harm?", help=widgets.help_text("removal"))
        st.caption(widgets.plain(str(error)))
        return
    if not len(one.rows):
        return
    paired = harm(one.made, one.units)
    st.header(
        widgets.plain(harm_finding(paired, random_gains(one.made))), help=widgets.help_text("feature_harm")
    )
    if len(one.rows) < one.n_slice:
        st.caption(f"Of {len(one.rows):,} images at even distances of the {one.n_slice:,} of the filter.")
    numbers_without(switched_off_table(one.made).set_index("features"), 1)
    _harmed_classes(study, harm_by_class(one.made, one.names), paired)
    changed_images(study, one.spoken, one.rows, one.made, key="harm_images")


def harm_text(study: Study, feature: int, population: Slice) -> str:
    """Whether a feature harms, and the change of the accuracy, as `harm_part` says them; "" of no image."""
    try:
        one = tried_reads.without_one(study, population, feature) if image_reads.predictor(study) else None
    except PeregrineError as error:
        return str(error)
    if one is None or not len(one.rows):
        return ""
    paired = harm(one.made, one.units)
    finding = harm_finding(paired, random_gains(one.made))
    if not paired.only_first + paired.only_second:
        return f"{finding}."
    kind = "change" if finding.value is None else "interval"  # the finding says the change itself
    return f"{finding}. {_accuracy_change(paired, kind)}."


def _accuracy_change(paired: PairedAccuracy, kind: str = "change") -> Record:
    interval = 100 * paired.low, 100 * paired.high
    return _say(kind, value=100 * paired.difference, interval=interval)


def _harmed_classes(study: Study, table: pd.DataFrame, paired: PairedAccuracy) -> None:
    """The classes that gain and those that lose, and the interval of the whole."""
    if table.empty:
        return
    net = table["net"].to_numpy()
    parts: list[str] = [_accuracy_change(paired)]
    for name, rows in (
        ("without it more images are right of", table.loc[net > 0].reset_index(drop=True)),
        ("fewer of", table.loc[net < 0].iloc[::-1].reset_index(drop=True)),
    ):
        if len(rows):
            parts.append(f"{name} {_listed(rows)}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{'; '.join(parts)}.", width="content")
        download(study, table, name="feature_harm_classes", label="Classes as CSV")


def _listed(rows: pd.DataFrame) -> str:
    """Classes with their change, the largest first."""
    named = []
    for name, net in zip(rows["class"].head(HARM_CLASSES), rows["net"].head(HARM_CLASSES), strict=True):
        short = widgets.plain(shortened(with_class_names(str(name))))
        named.append(f"{short} {signed(int(net), 0)}")
    more = len(rows) - HARM_CLASSES
    return ", ".join([*named, *([f"and {counted(more, 'more class', 'more classes')}"] if more > 0 else [])])


# What the probe would say of an image without some of its features.


REMOVED = "removed"  # part of the URL
REMOVALS_SHOWN = 3  # classes
MOST_REMOVED = 64  # features
EXAMPLES = 4  # images beside a feature
LONGEST = 44  # letters of a name: two lines with its number at 1280 px


def switched_off(part: str, n_features: int) -> tuple[int, ...]:
    """The features that a part of the address switches off; what is no feature of this study is left out."""
    parts = (session.url_text(part) or "").split(",")
    numbers = {int(one) for one in parts if one.isdecimal() and len(one) < 9}
    return tuple(sorted(number for number in numbers if number < n_features))[:MOST_REMOVED]


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
        examples=tuple(picture.src for picture in pictures),
    )


@widgets.stable_container
def removal(study: Study, row: int, removed: tuple[int, ...], label: str | None) -> None:
    """The probabilities before and after features were switched off. label: the true class, if known."""
    if removed:
        with st.container(key="removal", width="content"):
            st.markdown(
                _removal_told(study, row, removed, label), width="content", help=widgets.help_text("removal")
            )


def _removal_told(study: Study, row: int, removed: tuple[int, ...], label: str | None) -> str:
    """The new answer, and how the probabilities of the classes in question change, its own first."""
    these = f"#{removed[0]}" if len(removed) == 1 else f"these {len(removed)}"
    classes = image_reads.look(study, row, removed).classes.set_index("name")
    first, then = str(classes["before"].idxmax()), str(classes["after"].idxmax())
    asked = [then, first, *(one for one in [label] if one in classes.index)]
    few = classes.loc[list(dict.fromkeys(asked))[:REMOVALS_SHOWN]]
    spoken = [widgets.plain(one) for one in few["spoken"]]
    spoken[0] = f"**{spoken[0]}**{' (the truth)' if then == label and then != first else ''},"
    changes = ", ".join(
        f"{name} from {widgets.percent(before, digits=0)} to {widgets.percent(after, digits=0)}"
        for name, before, after in zip(spoken, few["before"], few["after"], strict=True)
    )
    return f"Without {these} it {'still says' if first == then else 'says'} {changes}"
