"""mIoU by class, and of the correct against the misclassified images."""

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import overlap_rows
from core.charts.miou import MIOU, Overlaps
from core.charts.miou_by_class import MIOU_BY_CLASS
from core.charts.options import FigureOptions
from core.common.captions import LOOKS, shortened, with_class_names
from core.common.records import Record, Templates
from core.common.statistics.chance import too_few_outcomes
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import comparison_reads, overlap_reads, reads, slice_reads
from dashboard.components import widgets
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import choose_one, select_one, select_some
from dashboard.panels.masks.method import choose_variant

say = Templates.beside(__file__)
MASKS = {"Object": "core", "Background": "spurious"}
IMAGES = {"With both masks": "both masks", "With any mask": "any mask"}
OPTIMISTIC = "On train images the classifier is optimistic: it was fitted to them."


@widgets.stable_container
def by_class(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """A dot and an interval a class of the page's images, correct and misclassified ones apart."""
    kinds = overlap_reads.kinds(study)
    with controls:
        titles = [title for title, mask in MASKS.items() if mask in kinds]
        mask = MASKS[choose_one("Mask", titles, key="overlap_class_mask")]
        variant = choose_variant()
    table = overlap_reads.by_class(study, population, variant)
    if table.empty:
        widgets.empty_state("No classes to compare", nothing("no_masked_class"))
        return
    part = table.loc[table["mask"] == mask].reset_index(drop=True)
    st.markdown(_ends(part, mask))
    options = FigureOptions(mask=mask, variant=variant)
    show_chart(study, MIOU_BY_CLASS, options, among=population, name="overlap_classes", shown=part)
    with st.expander("All classes as a table", icon=":material/table:"):
        _class_table(study, table, population)


def _ends(part: pd.DataFrame, mask: str) -> str:
    """The classes with the least and the most overlap, in words."""
    ranked = part.loc[part["group"] == "all"].reset_index(drop=True).dropna(subset="mean").sort_values("mean")
    if ranked.empty:
        return ""
    texts = []
    for row in ranked.to_dict("records"):
        label = widgets.plain(shortened(row["label"].strip()))
        texts.append(f"**{label}** {row['mean']:.2f}")
    if len(texts) == 1:
        return f"Heatmaps of {texts[0]} {LOOKS[mask]}."
    return f"Least {LOOKS[mask]}: {texts[0]}; most: {texts[-1]}."


def _class_table(study: Study, table: pd.DataFrame, population: Slice) -> None:
    """Classes by the columns of mask and group."""
    wide = table.pivot_table(index="label", columns=["mask", "group"], values="mean", sort=False)
    wide.columns = [f"{mask}, {group}" for mask, group in wide.columns]
    wide = wide.rename_axis("Class").reset_index()
    named = wide.assign(Class=wide["Class"].map(with_class_names))
    st.dataframe(named, hide_index=True, alt="Overlap by class, mask and group", height=420)
    download(study, wide, population, name="overlap_classes_table", label="Table as CSV")


@widgets.stable_container
def by_correctness(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """Bars of the correct and the misclassified images, also of other studies; a uniform heatmap beside."""
    with controls:
        images, others = _options(study)  # first, so that the variant stands where `by_class` has it
        variant = choose_variant()
    tables = {served_studies.name_of(study): overlap_reads.by_group(study, population, variant)}
    for name, other in list(others.items()):
        valid, dropped = slice_reads.checked(other, str(population))
        if dropped:  # its bars would be of other images
            st.caption(widgets.plain(f"{name} is left out: {dropped[0]}"))
            del others[name]
        else:
            tables[name] = overlap_reads.by_group(other, valid, variant)
    rows = overlap_rows.chosen_rows(next(iter(tables.values())), images=images)
    uniform = None if others else _uniform(study, population, variant, images)
    st.markdown(_difference(rows, uniform))
    frame = pd.concat([table.assign(study=name) for name, table in tables.items()], ignore_index=True)
    options = FigureOptions(variant=variant, masked=images)
    other_studies = list(others.values())
    show_chart(
        study,
        MIOU,
        options,
        among=population,
        others=other_studies,
        name="overlap_bars",
        shown=Overlaps(frame, tables, images, uniform),
    )
    line = f"Bars: means over images with {images}, with 95 % intervals."
    if uniform is not None and len(uniform):
        line += " The lines are a uniform heatmap, one without any preference."
    st.caption(line)
    has_train = (reads.mask(study, population) & ~study.is_val).any()
    if has_train and (study.answer is None or study.answer.is_fitted):
        st.caption(OPTIMISTIC)


def _options(study: Study) -> tuple[str, dict[str, Study]]:
    """Which images count, a value of IMAGES, and the studies that are drawn beside, behind a button."""
    titles = list(IMAGES)[-len(overlap_reads.kinds(study)) :]  # of one kind of masks none has both
    with st.popover("Options", key="overlap_options"):
        title = select_one("Images", titles, key="overlap_images", width=270, shows_label=True)
        return IMAGES[title], _compared(study)


def _difference(rows: pd.DataFrame, uniform: pd.DataFrame | None) -> str:
    """Which of the two groups lies more on the object, and what a uniform heatmap has on each."""
    core = rows.loc[rows["mask"] == "core"].set_index("group")
    if not {"correct", "misclassified"} <= set(core.index):
        return ""
    right, wrong = core.loc["correct"], core.loc["misclassified"]
    if not np.isfinite([right["mean"], wrong["mean"]]).all():
        return say("one_group")
    if few := too_few_outcomes(int(wrong["n"]), int(right["n"])):
        return say("too_few", names=_two(right["mean"], wrong["mean"]), parts=(few,))
    kind = "more" if right["mean"] > wrong["mean"] else "less"
    if right["low"] <= wrong["high"] and wrong["low"] <= right["high"]:
        kind = "level"
    return say(kind, names=_two(right["mean"], wrong["mean"]), parts=_uniform_words(uniform))


def _uniform_words(uniform: pd.DataFrame | None) -> tuple[Record, ...]:
    if uniform is None or "group" not in uniform:
        return ()
    means = uniform.loc[uniform["mask"] == "core"].set_index("group")["mean"]
    return (say("uniform", names=_two(means["correct"], means["misclassified"])),)


def _two(right: float, wrong: float) -> tuple[str, str]:
    return f"{right:.2f}", f"{wrong:.2f}"


def _uniform(study: Study, population: Slice, variant: str, images: str) -> pd.DataFrame | None:
    """The uniform heatmap's overlap: with each group of the page's images for the paper's measure, else with
    all of the study's.
    """
    if variant == "paper" and study.has("overlap"):
        return overlap_reads.uniform_by_group(study, population, images)
    if not study.has("overlap_controls"):
        return None
    return overlap_rows.chosen_rows(study.table("overlap_controls"), control="uniform", variant=variant)


def _compared(study: Study) -> dict[str, Study]:
    others = comparison_reads.other_studies(study)
    others = {name: other for name, other in others.items() if other.has("overlap_summary")}
    if not others:
        return {}
    names = select_some(
        "Compare with", others, key="overlap_with", most=4, placeholder="Studies with masks", width=270,
        shows_label=True,
    )  # fmt: skip
    return {name: others[name] for name in names}
