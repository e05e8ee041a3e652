"""Features switched off for all images of the filter: the accuracy before and after, and what changes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.common.formatting import counted
from core.errors import PeregrineError
from core.measures.switched_off import AT_RANDOM, DRAWS, WITHOUT, SwitchedOff, switched_off_table
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import image_reads, reads
from dashboard.cache.pictures import tried_reads
from dashboard.components import widgets
from dashboard.components.choose_one import select_some

OFF = "without"  # part of the address
OFFERED, MOST = 200, 20
TILES = 24


@widgets.stable_container
def without_panel(study: Study, population: Slice, listed: np.ndarray) -> None:
    """Choose features of the page, as `listed` there, and see what the answer is without them."""
    if image_reads.asked(study) is None or not len(listed):
        return
    st.header("Without some features", help=widgets.help_text("removal"))
    offered = listed[:OFFERED].tolist()
    names = dict(zip(reads.list_names(study, offered), offered, strict=True))
    picked = select_some(
        "Features to switch off", names, key=OFF, placeholder="Switch features off …", most=MOST, width=480
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
    numbers(switched_off_table(made).set_index("features"), len(picked))
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
        answers = f"{spoken[made.before[at]]} → {spoken[made.after[at]]}"
        captions[int(rows[at])] = (answers, _verdict(made, at))
    widgets.image_gallery(
        study, rows[changed], key=key, captions=captions, marked=False,
        page_size=TILES, tile=112, label="images whose answer changes",
    )  # fmt: skip


def _verdict(made: SwitchedOff, at: int) -> str:
    if not np.isfinite(made.true[at]):
        return ""
    if made.after[at] == made.true[at]:
        return "now right"
    return "now wrong" if made.before[at] == made.true[at] else "still wrong"


def numbers(table: pd.DataFrame, n_off: int) -> None:
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
                f"{before} → {after}",
                explain="accuracy",
                detail=f"{changed}; 95 % interval: {interval}",
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
