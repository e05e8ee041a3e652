"""Lists of classes, predictions, verdicts and splits with their numbers of images; a click is a filter."""

from __future__ import annotations

from core.common.captions import SPLITS, named
from core.slices.inspection.facets import CORRECT, FACETS, LABEL, PREDICTED, SPLIT
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import slice_reads
from dashboard.components.facets import Facet, Value, facets
from dashboard.state import image_filter

TITLES = {LABEL: "Class", PREDICTED: "Predicted as", CORRECT: "Verdict", SPLIT: "Split"}
WORDS = {"true": "Correct", "false": "Misclassified", **SPLITS}
SEVERAL = {LABEL: "labels", PREDICTED: "predicted"}  # fields of a slice that hold any number of values
VERDICTS = {"true": True, "false": False}
MOST = 100  # values of a facet that travel to the browser


def worth_showing(study: Study, population: Slice) -> bool:
    """Whether there is more to choose from than the split."""
    return any(len(slice_reads.facet(study, population, facet)) > 1 for facet in FACETS if facet != SPLIT)


def facet_counts(study: Study, population: Slice) -> None:
    """Draw a list for each facet that has several values, or one that the filter names."""
    facets_shown = [_facet(study, population, facet) for facet in FACETS]
    facets(
        [one for one in facets_shown if len(one.values) > 1 or any(value.pressed for value in one.values)],
        key="images_facets",
        on_press=lambda facet, value: toggle(study, facet, value),
    )


def _facet(study: Study, population: Slice, facet: str) -> Facet:
    counts = slice_reads.facet(study, population, facet)
    chosen = pressed(population, facet)
    order = [*counts, *(value for value in chosen if value not in counts)]
    listed = [value for at, value in enumerate(order) if at < MOST or value in chosen]
    values = tuple(
        Value(value, WORDS.get(value, value) if facet not in SEVERAL else named(value), counts.get(value, 0),
              value in chosen)
        for value in listed
    )  # fmt: skip
    return Facet(facet, TITLES[facet], values, left_out=len(order) - len(listed))


def pressed(population: Slice, facet: str) -> list[str]:
    """The values of a facet that the images of the page are narrowed to."""
    if facet in SEVERAL:
        return list(getattr(population, SEVERAL[facet]))
    if facet == CORRECT:
        return [value for value, correct in VERDICTS.items() if correct is population.correct]
    return [population.split] if population.split else []


def toggle(study: Study, facet: str, value: str) -> None:
    """Put a value into the filter, or take it out; another verdict or split replaces the one before. Meant
    for callbacks.
    """
    current = image_filter.current(study)
    if facet in SEVERAL:
        before = getattr(current, SEVERAL[facet])
        after = tuple(one for one in before if one != value)
        image_filter.put(study, **{SEVERAL[facet]: after if value in before else (*before, value)})
    elif facet == CORRECT:
        image_filter.put(study, correct=None if current.correct is VERDICTS[value] else VERDICTS[value])
    elif facet == SPLIT:  # evaluation images are what a page shows without a word
        image_filter.put(study, split=None if value == "val" else value)
