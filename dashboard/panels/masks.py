"""The parts of the page Masks and mIoU: the scale, the method, classes, features and images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import shared_rows
from core.charts.miou import MIOU, MIOU_BY_CLASS, SWEPT, THRESHOLD_SWEEP, Overlaps, images_that_count
from core.charts.miou_scale import MIOU_SCALE
from core.charts.options import FigureOptions
from core.charts.q_against_miou import Q_AGAINST_MIOU
from core.charts.shared_rows import VARIANTS
from core.charts.shown_names import shortened
from core.common.captions import LOOKS, ON_MASKS, with_class_names
from core.common.dataframes import numbers, words
from core.common.records import Record, Templates
from core.common.step_facts import OverlapFacts
from core.measures.chance import too_few_outcomes
from core.measures.overlap import overlap_sentence
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from core.study.overlay_image import OverlayStyle
from dashboard.cache import comparison_reads, feature_reads, heatmap_reads, overlap_reads, reads, slice_reads
from dashboard.components import widgets
from dashboard.components.cards import Bar, Card, Picture, Tone, cards
from dashboard.components.chart import download, show_chart
from dashboard.components.choose_one import choose_one, pick_one, select_one, select_some
from dashboard.panels import heatmaps
from dashboard.panels.feature_cards import pictures
from dashboard.state import served_studies, session

# The hero of the page Masks and mIoU: the scale, in a sentence what it means, and pictures of either end.


SCALE_IMAGES = 2  # pictures of either end


@widgets.stable_container
def scale_finding(study: Study, population: Slice) -> None:
    """The sentence, and how far the heat prefers the object."""
    sentence = overlap_sentence(reads.slice_table(study, population, "overlap_scale"))
    with st.container(gap=None):
        st.header(sentence.removesuffix("."), help=widgets.help_text("miou"))
        _preference(study, population)
        st.caption(say("masks"))


@widgets.stable_container
def overlap_scale(study: Study, population: Slice, controls: DeltaGenerator | None = None) -> None:
    """Pictures of either end, the scale of either mask, and how many images stand behind them."""
    table = reads.slice_table(study, population, "overlap_scale")
    example_overlays(study, population)
    if not np.isfinite(numbers(table, "value")).any():
        return
    show_chart(study, MIOU_SCALE, among=population, name="overlap_scale", title=None)
    n_object = reads.object_preference(study, population).n
    st.caption(_images(table, n_object), help=widgets.help_text("overlap_controls"))


def _preference(study: Study, population: Slice) -> None:
    """How far the heat prefers the object, as one number."""
    if line := preference(study, population):
        n = reads.object_preference(study, population).n
        st.markdown(
            f"{line}, over {n:,} images with a heatmap and a mask of the object",
            help=widgets.help_text("object_preference"),
        )


def preference(study: Study, population: Slice) -> str:
    """The object preference and its interval in words; "" where it is not defined."""
    value, low, high, _ = reads.object_preference(study, population)
    if not np.isfinite(low):
        return ""
    return say("preference", value=100 * value, interval=(100 * low, 100 * high))


def _images(table: pd.DataFrame, n_object: int) -> str:
    """How many images the scale is of, said once, and why the object preference is of more.

    n_object: images that the object preference is of.
    """
    encoder = table.loc[table["heatmap"] == "encoder"].reset_index(drop=True)
    masks = dict(zip(encoder["mask"], encoder["n"].tolist(), strict=True))
    n = max(masks.values(), default=0)
    if (encoder["images"] == "both masks").any():
        line = say("based_on" if n > 1 else "based_on_one", n=n)
        return f"{line} {say('one_mask', n=n_object)}" if n_object > n else line
    counts = tuple(say("with_mask", n=count, what=mask) for mask, count in masks.items() if count)
    return say("based_on_either", parts=counts)


@widgets.stable_container
def example_overlays(study: Study, population: Slice) -> None:
    """Draw two images of either end, with heatmap and masks side by side.

    Without masks of the background, the ends are the most and the least on the object.
    """
    table = overlap_reads.rows(study, population)
    table = table.loc[np.isfinite(numbers(table, "energy"))].sort_values("energy", kind="stable")
    lowest, background = (table.loc[table["mask"] == mask].reset_index(drop=True) for mask in ON_MASKS)
    ends = {"Most on the object": lowest[::-1], "Most on the background": background[::-1]}
    if background.empty and len(lowest) >= 2 * SCALE_IMAGES:
        ends = {"Most on the object": lowest[::-1], "Least on the object": lowest}
    if any(len(end) < SCALE_IMAGES for end in ends.values()):
        return
    for column, (title, end) in zip(st.columns(2, gap="medium"), ends.items(), strict=True):
        with column, st.container(gap="xxsmall"):
            st.markdown(f"**{title}** (share of the heat)")
            _pictures(study, title.lower(), end)
    heatmaps.legend(overlap_reads.kinds(study), OverlayStyle().colour_map)


def _pictures(study: Study, end: str, ordered: pd.DataFrame) -> None:
    rows, shares = ordered["row"].to_numpy(np.int64), numbers(ordered, "energy")
    for number, column in enumerate(st.columns(SCALE_IMAGES, gap="small")):
        with column:
            heatmaps.heatmap_gallery(
                study,
                rows[number : number + 1],
                OverlayStyle(),
                key=f"overlap_example_{end.replace(' ', '_')}_{number}",
                kinds=("Overlay", "Masks"),
                badges=lambda row, share=shares[number]: widgets.percent(share, digits=0),
                label=f"image whose heat lies {'second ' * number}{end}",
            )


# How mIoU is measured: the threshold, known heatmaps, and how it goes with a score of each image.


MASKS = ("core", "spurious")
Q_SCORE = "q_score"
CONTROLS = {
    "perfect core": "Exactly the core mask",
    "perfect spurious": "Exactly the spurious mask",
    "core at map resolution": "The core mask, as coarse as the encoder's maps",
    "spurious at map resolution": "The spurious mask, as coarse as the encoder's maps",
    "uniform": "The same everywhere",
    "random": "Random noise",
    "centre": "A blob in the centre",
}


@widgets.stable_container
def overlap_method(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """The Q-Score of each image of the page against its overlap; then what holds for the whole study."""
    with controls:
        variant = choose_variant()
        st.caption(widgets.plain(overlap_reads.measured_images(study, population, variant)))
    if scores := reads.scores(study):
        _scatter(study, population, Q_SCORE if Q_SCORE in scores else scores[0], variant)
    else:
        widgets.needs(study, "quality", "The table of quality scores")
    _controls(study, variant)
    _sweep(study, variant)
    for line in _remarks(study.facts(OverlapFacts)):
        st.caption(widgets.plain(line))


def _remarks(facts: OverlapFacts) -> list[str]:
    return [say("region", value=facts.threshold), *[f"Masks: {note}." for note in facts.mask_report.notes]]


@widgets.stable_container
def _scatter(study: Study, population: Slice, score: str, variant: str) -> None:
    options = FigureOptions(score=score, variant=variant)

    def clicked(points: list[dict]) -> None:
        session.open_image(study, int(points[-1]["customdata"][0]))

    show_chart(
        study,
        Q_AGAINST_MIOU,
        options,
        among=population,
        name="overlap_scatter",
        title=st.header,
        on_select=clicked,
    )
    st.caption("One point per image; click one to open the image.")


@widgets.stable_container
def _controls(study: Study, variant: str) -> None:
    """What the chosen measure says of heatmaps whose truth is known."""
    if not study.has("overlap_controls"):
        return
    table = reads.table(study, "overlap_controls")
    table = table.loc[table["variant"] == variant].reset_index(drop=True)
    if table.empty:
        return
    most = table.groupby("mask")["n"].max()
    counts = tuple(say("with_mask", n=int(most[mask]), what=mask) for mask in MASKS if mask in most)
    st.header("What the measure says of known heatmaps")
    columns = pd.DataFrame({"Heatmap": list(dict.fromkeys(table["control"]))})
    for mask in MASKS:
        part = table.loc[table["mask"] == mask].to_dict("records")
        intervals = {row["control"]: widgets.interval(row["mean"], row["low"], row["high"]) for row in part}
        columns[f"On the {mask} mask"] = [intervals.get(name, "") for name in columns["Heatmap"]]
    columns["Heatmap"] = [CONTROLS.get(name, name) for name in columns["Heatmap"]]
    st.dataframe(columns, hide_index=True, alt="Overlap of control heatmaps with the masks")
    st.caption(say("known_heatmaps", parts=counts))


@widgets.stable_container
def _sweep(study: Study, variant: str) -> None:
    if not widgets.needs(study, "overlap_sweep", "The sweep of the threshold"):
        return
    if not np.isfinite(numbers(reads.table(study, "overlap_sweep"), "mean")).any():
        return  # no image has both masks
    options = FigureOptions(variant=variant if variant in SWEPT else "paper")
    show_chart(study, THRESHOLD_SWEEP, options, name="overlap_sweep", title=st.header)
    line = "Of all images of the study with both masks, whatever the filter."
    if options.variant != variant:
        line += " The measure chosen above has no threshold; this is the paper's."
    st.caption(line)


def choose_variant() -> str:
    """Draw the choice; return a key of VARIANTS."""
    titles = {title: name for name, title in VARIANTS.items()}
    return titles[select_one("Measured by", titles, key="overlap_variant", width=290)]


# mIoU by class, and of the correct against the misclassified images.


say = Templates.beside(__file__)
MASKS_OF_CLASSES = {"Object": "core", "Background": "spurious"}
OPTIMISTIC = "On train images the classifier is optimistic: it was fitted to them."


@widgets.stable_container
def by_class(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """A dot and an interval a class of the page's images, correct and misclassified ones apart."""
    kinds = overlap_reads.kinds(study)
    with controls:
        titles = [title for title, mask in MASKS_OF_CLASSES.items() if mask in kinds]
        mask = MASKS_OF_CLASSES[choose_one("Mask", titles, key="overlap_class_mask")]
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
        return say("of_class", what=LOOKS[mask], names=(texts[0],))
    return say("of_classes", what=LOOKS[mask], names=(texts[0], texts[-1]))


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
        others = _compared(study)  # first, so that the variant stands where `by_class` has it
        variant = choose_variant()
    tables = {served_studies.name_of(study): overlap_reads.by_group(study, population, variant)}
    for name, other in list(others.items()):
        valid, dropped = slice_reads.checked(other, str(population))
        if dropped:  # its bars would be of other images
            st.caption(widgets.plain(f"{name} is left out: {dropped[0]}"))
            del others[name]
        else:
            tables[name] = overlap_reads.by_group(other, valid, variant)
    frame = pd.concat([table.assign(study=name) for name, table in tables.items()], ignore_index=True)
    images = images_that_count(frame)
    rows = shared_rows.chosen_rows(next(iter(tables.values())), images=images)
    uniform = None if others else _uniform(study, population, variant, images)
    st.markdown(_difference(rows, uniform))
    show_chart(
        study,
        MIOU,
        FigureOptions(variant=variant),
        among=population,
        others=list(others.values()),
        name="overlap_bars",
        shown=Overlaps(frame, tables, images, uniform),
    )
    line = f"Bars: means over images with {images}, with 95 % intervals."
    if uniform is not None and len(uniform):
        line += " The lines are a uniform heatmap, one without any preference."
    st.caption(line)
    has_train = (reads.mask(study, population) & ~study.is_val).any()
    if has_train and study.is_fitted:
        st.caption(OPTIMISTIC)


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
    return shared_rows.chosen_rows(study.table("overlap_controls"), control="uniform", variant=variant)


def _compared(study: Study) -> dict[str, Study]:
    """The studies that are drawn beside, chosen behind a button where there are any."""
    others = comparison_reads.other_studies(study)
    others = {name: other for name, other in others.items() if other.has("overlap_summary")}
    if not others:
        return {}
    with st.popover("Options", key="overlap_options"):
        names = select_some(
            "Compare with", others, key="overlap_with", most=4, placeholder="Studies with masks", width=270,
            shows_label=True,
        )  # fmt: skip
    return {name: others[name] for name in names}


# The features that look at the object, at the background, or at neither more than the other.


TONES: dict[str, Tone] = {"core": "good", "spurious": "bad", "undecided": "quiet"}
ORDERED_BY = {"core": "core_lift", "spurious": "spurious_lift"}  # features of a verdict; others by how often
CARDS = 24


@widgets.stable_container
def overlap_by_feature(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """Cards of the features that fire on the page's images, each with its heatmaps of these images."""
    if not widgets.needs(study, "overlap_by_feature", "The overlap of single features"):
        return
    wide = overlap_reads.feature_overlaps(study, population)
    if wide.empty:
        widgets.empty_state("No features", nothing("too_few_masks"))
        return
    with controls:
        wide = _chosen(wide)
    if wide.empty:
        widgets.empty_state("No features", nothing("no_feature_of_verdict"))
        return
    title_slot = st.container()
    page_features = wide.iloc[widgets.page_span(len(wide), CARDS, key="overlap_feature_page")]
    drawn = pictures(study, population, tuple(page_features["feature"].tolist()))
    with title_slot:
        made = [_feature_card(study, row, drawn[row["feature"]]) for row in page_features.to_dict("records")]
        cards(
            made,
            key="overlap_features",
            label="features with their heatmaps",
            on_open=lambda feature: session.go("feature", feature=feature),
        )
    download(study, wide, population, name="overlap_features", label="Data as CSV")
    st.caption(
        "Verdict and shares are of all images of the study with masks, pictures of the images of this page "
        "(without heat where no heatmap is stored). Tick: a uniform heatmap.",
        help=widgets.help_text("feature_verdict"),
    )


def _chosen(wide: pd.DataFrame) -> pd.DataFrame:
    """The features of a verdict, the clearest first; those of all verdicts as often as they fire here."""
    verdicts = words(wide, "verdict")
    options = {"All": f"All {len(wide):,} features"}
    options |= {name: f"{words.capitalize()} {verdicts.count(name):,}" for name, words in LOOKS.items()}
    asked = session.url_text("verdict")
    if asked is not None and asked not in options:
        session.drop_unknown("verdict", options)
        session.set_url("verdict", None)
    before = asked if asked in options else "All"

    def pick(name: str) -> None:
        session.set_url("verdict", None if name == "All" else name)

    pick_one(
        "Verdict",
        list(options),
        before,
        key="overlap_verdict",
        on_pick=pick,
        width=180,
        format_func=lambda name: options[name],
    )
    if before != "All":
        wide = wide.loc[wide["verdict"] == before].reset_index(drop=True)
    by = -numbers(wide, ORDERED_BY.get(before, "rate"))
    return wide.iloc[np.argsort(by, kind="stable")].reset_index(drop=True)


def _feature_card(study: Study, row: Mapping[str, Any], pictures: tuple[Picture, ...]) -> Card:
    feature = int(row["feature"])
    workers = str(row.get("keywords") or "")
    has_name = feature in feature_reads.names(study)
    bars = [_feature_bar(row, mask) for mask in ("core", "spurious") if np.isfinite(row[f"{mask}_energy"])]
    verdict = row["verdict"]
    address = session.href("feature", study, feature=str(feature))
    note = f"#{feature}" if has_name else reads.class_words(study, feature)
    lines = (f"People call it: {workers}",) if workers else ()
    title, tag, tone = feature_reads.title(study, feature), LOOKS[verdict], TONES[verdict]
    return Card(
        id=str(feature),
        title=title,
        href=address,
        note=note,
        tag=tag,
        tone=tone,
        pictures=pictures,
        bars=tuple(bars),
        lines=lines,
    )


def _feature_bar(row: Mapping[str, Any], mask: str) -> Bar:
    """The share of the feature's heat that lies on a mask, and what a uniform heatmap has there."""
    share, lift = float(row[f"{mask}_energy"]), float(row[f"{mask}_lift"])
    of_uniform = f", {lift:.2f} × uniform" if np.isfinite(lift) else ""
    uniform_share = share / lift if np.isfinite(lift) and lift > 0 else None
    text = f"{100 * share:.0f} %{of_uniform}"
    return Bar(label=f"Heat {LOOKS[mask]}", share=share, text=text, tone=TONES[mask], mark=uniform_share)


# The images whose heat lies most, or least, on one of the masks.


IMAGE_ORDERS = {
    "Most on the background first": ("spurious", False),
    "Least on the background first": ("spurious", True),
    "Most on the object first": ("core", False),
    "Least on the object first": ("core", True),
}
IMAGE_TILES = 24


@widgets.stable_container
def overlap_by_image(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """Images with their heatmaps and masks, by the share of the heat that lies on a mask."""
    table = overlap_reads.rows(study, population)
    table = table.loc[np.isfinite(numbers(table, "energy"))]
    has = set(table["mask"])
    orders = [order for order, (mask, _) in IMAGE_ORDERS.items() if mask in has] or list(IMAGE_ORDERS)
    with controls:
        order = select_one("Order", orders, key="overlap_image_order", width=255)
        kinds = ("Overlay", "Masks")
        display = heatmaps.display(study, key="overlap_look", several=True, default=kinds)
    mask, ascending = IMAGE_ORDERS[order]
    heatmaps.legend(
        [kind for kind in heatmap_reads.mask_kinds(study) if kind in display.kinds], display.style.colour_map
    )
    table = table.loc[table["mask"] == mask].sort_values("energy", ascending=ascending, kind="stable")
    share = dict(zip(table["row"].tolist(), table["energy"].tolist(), strict=True))
    shown_rows = table["row"].to_numpy()

    def badge(row: int) -> str:
        return widgets.percent(share[row], digits=0)

    label = f"images by the share of their heat on the {mask} mask"
    heatmaps.heatmap_gallery(
        study,
        shown_rows,
        display.style,
        key="overlap_gallery",
        kinds=display.shown,
        badges=badge,
        page_size=IMAGE_TILES,
        label=label,
    )
    st.caption(f"The number on each picture is the share of its heat that lies on the {ON_MASKS[mask]}.")
