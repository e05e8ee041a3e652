"""What a page calls the images of its filter, in a title and in sentences."""

from dataclasses import replace

from core.slices.slice import Slice

MOST_CLASSES = 3  # that are named


def population_name(population: Slice) -> str:
    """Name the images of a filter in a few words; empty for a filter that names at most a split.

    >>> population_name(Slice(split="val", labels=("bird",))), population_name(Slice(split="val"))
    ('bird', '')
    >>> population_name(Slice(labels=("bird", "cat"), correct=False)), population_name(Slice(correct=True))
    ('misclassified bird or cat', 'correctly classified images')
    >>> population_name(Slice(confusion=("bird", "cat")))
    'bird taken for cat'
    >>> population_name(Slice(labels=("bird",), fires=(3,)))
    'bird, filtered'
    """
    plain = replace(population, name="", split=None)
    if not plain:
        return ""
    if plain == Slice(confusion=plain.confusion) and plain.confusion:
        return f"{plain.confusion[0]} taken for {plain.confusion[1]}"
    kind = {True: "correctly classified ", False: "misclassified ", None: ""}[plain.correct]
    rest = replace(plain, labels=(), correct=None)
    if not (plain.labels or kind):
        return "the filtered images"
    return f"{kind}{_classes(plain.labels) or 'images'}{', filtered' if rest else ''}"


def others_name(population: Slice) -> str:
    """Name the images that those of a filter are compared with.

    >>> others_name(Slice(labels=("bird",), split="val")), others_name(Slice(correct=False))
    ('other classes', 'all other images')
    """
    return (
        "other classes"
        if replace(population, split=None) == Slice(labels=population.labels)
        else "all other images"
    )


def _classes(labels: tuple[str, ...]) -> str:
    if len(labels) > MOST_CLASSES:
        return f"{len(labels)} classes"
    return " or ".join(labels)
