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


def of_filter(measure: Callable[..., T]) -> Callable[..., T]:
    """Let a measure whose last argument are images, (n_images,) bool, take the filter that holds them."""

    @named_after(measure)
    def of_its_images(study: Study, *arguments: Any) -> T:
        *others, where = arguments
        return measure(study, *others, population(study, where)[0])

    return of_its_images


def against_others(measure: Callable[[Study, np.ndarray, np.ndarray], T]) -> Callable[[Study, Slice], T]:
    """Let a measure of images and of those that they are compared with take the filter that holds them."""

    @named_after(measure)
    def of_its_images(study: Study, where: Slice) -> T:
        return measure(study, *population(study, where))

    return of_its_images


headline = cached_read(max_entries=64)(of_filter(measured.headline))
feature_differences = cached_read(max_entries=64)(against_others(feature_rates.feature_differences))
word_differences = cached_read(max_entries=64)(against_others(inspection.words))
