"""Cached reads of everything about a slice; the rules are those of `reader.py`.

Every function takes the filter of a page and returns what holds of its images. Tables of these are read by
`reads.slice_table`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from core.measures import feature_rates
from core.measures import headline as measured
from core.slices import inspection
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.reader import cached_read, named_after

T = TypeVar("T")
population = cached_read(max_entries=64)(inspection.population)


def inside(study: Study, where: Slice) -> tuple[np.ndarray]:
    """The images of a filter, (n_images,) bool."""
    return (population(study, where)[0],)


def of_filter(
    measure: Callable[..., T], images: Callable[[Study, Slice], tuple] = inside
) -> Callable[..., T]:
    """Let a measure whose last arguments are images take the filter that `images` reads them from."""

    @named_after(measure)
    def of_its_images(study: Study, *arguments: Any) -> T:
        *others, where = arguments
        return measure(study, *others, *images(study, where))

    return of_its_images


headline = cached_read(max_entries=64)(of_filter(measured.headline))
feature_differences = cached_read(max_entries=64)(of_filter(feature_rates.feature_differences, population))
word_differences = cached_read(max_entries=64)(of_filter(inspection.words, population))
