"""Two slices side by side: which two, their headline numbers, how they differ, and their images."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.charts import slices
from core.measures.finder import ALL, MIN_IMAGES
from core.measures.saved_slices_file import with_saved
from core.measures.slice import Slice
from core.measures.slice_comparison import SCORE_OF_AUROC
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import image_filter, reads, slice_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.choose_one import choose_one, select_class
from dashboard.panels import saved_slices

SIDES = FIRST, SECOND = "slices_of", "slices_b"  # parts of the URL
FILTER, REST, EVERY = "The filter", "All other images", "All images"
RESTS = {"split=val": "All other evaluation images", "split=train": "All other train images"}
WRONG, RIGHT = "Misclassified", "Correct"
EVALUATION, TRAIN = "Evaluation images", "Train images"
IN_A_SENTENCE = {
    **{name: name[:1].lower() + name[1:] for name in (REST, EVERY, *RESTS.values(), EVALUATION, TRAIN)},
    **{FILTER: "the images of the filter", WRONG: "misclassified images", RIGHT: "correct images"},
}
KINDS = {"Features": "feature", "Concepts": "concept", "Columns": "column", "Pictures": "picture"}
TILES = 12
MOST_TRAITS = 8  # drawn on either side
TRAIT_COLUMNS = ["title", "k_a", "k_b", "rate_a", "rate_b", "difference", "low", "high", "p", "q"]
MOST_WORST = 12  # slices that are offered


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called, its slice, and a slice whose images are taken out of it."""

    name: str
    chosen: Slice
    without: Slice | None = None

    @property
    def parts(self) -> slice_reads.Side:
        return self.chosen, self.without


METRICS: dict[str, tuple[str, str]] = {  # of slice_compare.metrics: title, key of its explanation
    "n_images": ("Images", "slice_images"),
    "accuracy": ("Classified correctly", "slice_accuracy"),
    "q_score": ("Mean Q-Score", "q_score"),
    "q_auroc": ("AUROC of the Q-Score", "slice_auroc"),
    "confidence_auroc": ("AUROC of confidence", "slice_confidence_auroc"),
    "confidence": ("Mean confidence", "confidence"),
    "n_firing": ("Features firing", "n_firing"),
}


def slice_comparison(study: Study, population: Slice) -> None:
    """The whole section; `population` are the images of the page."""
    sides = _choose(study, population)
    masks = [slice_reads.mask_of(study, *side.parts) for side in sides]
    _numbers(study, sides)
    for side, mask in zip(sides, masks, strict=True):
        if not mask.any():
            widgets.empty_state(f"No image is in “{side.name}”", nothing("same_images"))
            return
    if (masks[0] == masks[1]).all():
        widgets.empty_state("The two hold the same images", nothing("same_images"))
        return
    _traits(study, sides)
    _galleries(study, sides, masks)


def _choose(study: Study, population: Slice) -> tuple[Side, Side]:
    """Two of the slices; by default the worst one and all other images of the page."""
    current = image_filter.of_page()
    options = _options(study, current, population)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        names = list(options)
        a = select_class("First slice", names, key=FIRST, default=names[0], width=330) or names[0]
        st.caption("against", width="content")
        b = select_class("Second slice", [REST, *names], key=SECOND, default=REST, width=330) or REST
    one = Side(a, options[a])
    if b != REST:
        return one, Side(b, options[b])
    around = _around(study, population, one.chosen)
    return one, Side(RESTS.get(str(around), REST), around, one.chosen)


def _around(study: Study, population: Slice, current: Slice) -> Slice:
    """Among which images a slice has others: those of the page, else those of its split, else all."""
    for around in (population, Slice(split=population.split)):
        if slice_reads.mask_of(study, around, current).any():
            return around
    return Slice()


def _options(study: Study, current: Slice, population: Slice) -> dict[str, Slice]:
    """What can be compared, by the name that the page and the link give it; the usual one first."""
    options = _worst(study, population)
    if current:
        options[FILTER] = population
    if reads.images(study).has_values("correct") and population.correct is None:
        options |= {
            name: Slice.joined([population, Slice(correct=right)])
            for name, right in ((WRONG, False), (RIGHT, True))
        }
    if study.is_val.any() and not study.is_val.all():
        options |= {EVALUATION: Slice(split="val"), TRAIN: Slice(split="train")}
    options[EVERY] = Slice()
    for name in saved_slices.names(study):
        saved, dropped = slice_reads.checked(study, str(Slice(saved=(name,))))
        if not dropped:
            options[f"@{name}"] = saved
    return options


def _worst(study: Study, population: Slice) -> dict[str, Slice]:
    """The worst slices of the page by name, the most significant first."""
    table = slice_reads.worst(study, population, MIN_IMAGES, ALL).head(MOST_WORST)
    return {
        str(name): Slice.parse(str(text)) for name, text in zip(table["name"], table["where"], strict=True)
    }


@widgets.stable_container
def _numbers(study: Study, sides: tuple[Side, Side]) -> None:
    """A line a number: what it is, and of either slice its value and interval."""
    tables = [slice_reads.metrics(study, side.chosen, without=side.without) for side in sides]
    # Slices that are chosen by the verdict have no accuracy that says anything.
    by_verdict = any(
        part.correct is not None or part.confusion
        for side in sides
        for part in with_saved(side.chosen, study.path)
    )
    left_out = ("accuracy", *SCORE_OF_AUROC) if by_verdict else ()
    with st.container(border=True, gap="xsmall"):
        _line("", *(f"**{widgets.plain(side.name)}**  \n:small[{_described(side)}]" for side in sides))
        for one, other in zip(*(table.to_dict("records") for table in tables), strict=True):
            if one["metric"] in left_out:
                continue
            title, key = METRICS[one["metric"]]
            _line(title, _said(one), _said(other), explain=key)
        if by_verdict:
            st.caption("The slices are chosen by whether the classifier is right, so accuracy is left out.")


def _line(title: str, one: str, other: str, *, explain: str | None = None) -> None:
    for at, (column, text) in enumerate(zip(st.columns([2, 3, 3]), (title, one, other), strict=True)):
        with column:
            about = widgets.help_text(explain) if explain and not at else None
            st.markdown(text or "\N{NO-BREAK SPACE}", help=about)


def _described(side: Side) -> str:
    words = side.chosen.describe()
    return widgets.plain(words if side.without is None else f"{words} outside the first slice")


SCALES = {"accuracy": (100, 1, " %"), "confidence": (100, 1, " %"), "n_firing": (1, 1, "")}


def _said(row: dict) -> str:
    """The number in bold, its interval behind it."""
    kind = row["metric"]
    if kind == "n_images":
        return f"**{int(row['value']):,}**"
    if widgets.undefined(row["value"]):
        return "not defined"
    scale, digits, unit = SCALES.get(kind, (1, 3, ""))
    value, low, high = (f"{scale * row[end]:.{digits}f}" for end in ("value", "low", "high"))
    interval = "" if widgets.undefined(row["low"]) else f" :gray[{low} to {high}]"
    return f"**{value}{unit}**{interval}"


@widgets.stable_container
def _traits(study: Study, sides: tuple[Side, Side]) -> None:
    table, shared = slice_reads.differences(study, sides[0].parts, sides[1].parts)
    kinds = set(table["kind"])
    there = [title for title, kind in KINDS.items() if kind in kinds]
    if not there:
        return
    st.header("More common in one than in the other", help=widgets.help_text("slice_difference"))
    title = choose_one("Trait", there, key="slices_trait")
    kind = KINDS[title]
    table = table.loc[(table["kind"] == kind).to_numpy()].reset_index(drop=True)
    names = sides[0].name, sides[1].name
    sure = table["q"].to_numpy() <= 0.05
    more, fewer = (int((sure & (table["difference"] * sign > 0)).sum()) for sign in (1, -1))
    one, other = (IN_A_SENTENCE.get(name, name) for name in names)
    st.markdown(widgets.plain(_difference(kind, more, fewer, len(table), one, other)))
    if shared:
        st.caption(f"The slices share {shared:,} images; here those count in the smaller slice only.")
    listed = table.loc[:, TRAIT_COLUMNS].rename(columns={"title": "trait"})
    chart(
        study,
        "slices_differences",
        lambda theme: slices.differences(table, names, limit=MOST_TRAITS, theme=theme),
        *(sides[0].chosen, sides[0].parts, sides[1].parts, names, kind),
        alt=f"Difference of how often {title} occur in {names[0]} and in {names[1]}",
        data=listed,
    )


def _difference(kind: str, more: int, fewer: int, n: int, one: str, other: str) -> str:
    """Say how many traits are significantly more common in one slice than in the other.

    >>> _difference("feature", 3, 0, 259, "small objects", "others")
    '3 of 259 features fire significantly more often on small objects than on others, none less (FDR 5 %).'
    >>> _difference("column", 1, 2, 40, "small objects", "all others")
    '1 of 40 values is significantly more common in small objects than in all others, 2 less (FDR 5 %).'
    """
    single = more == 1
    does, often, preposition = ("is" if single else "are", "more common", "in")
    if kind == "feature":
        does, often, preposition = ("fires" if single else "fire", "more often", "on")
    names = {"feature": "features", "concept": "words", "column": "values", "picture": "kinds of pictures"}
    what = names[kind]
    less = f"{fewer:,}" if fewer else "none"
    return (
        f"{more:,} of {n:,} {what} {does} significantly {often} {preposition} {one} than {preposition} "
        f"{other}, {less} less (FDR 5 %)."
    )


def _galleries(study: Study, sides: tuple[Side, Side], masks: list[np.ndarray]) -> None:
    for column, side, mask, key in zip(st.columns(2, gap="large"), sides, masks, "ab", strict=True):
        with column:
            st.markdown(f"**{widgets.plain(side.name)}**")
            widgets.image_gallery(
                study,
                np.flatnonzero(mask),
                key=f"slices_images_{key}",
                page_size=TILES,
                tile=96,
                label=f"images of {side.name}",
            )
