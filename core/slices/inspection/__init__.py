"""Everything about one slice: its numbers, its features and words, its errors and its heatmaps on masks.

All results are exact: they are recomputed from the firing sets and the tables of single images that the study
stores. No torch. An undefined number is NaN, with a reason beside it; a slice without images is no error.
"""

from __future__ import annotations

from core.slices.inspection.features import feature_differences
from core.slices.inspection.numbers import confusions, headline, score_aurocs
from core.slices.inspection.populations import population
from core.slices.inspection.report import inspect
from core.slices.inspection.scale import overlap_scale
from core.slices.inspection.words import words, worst_within

__all__ = [
    "confusions",
    "feature_differences",
    "headline",
    "inspect",
    "overlap_scale",
    "population",
    "score_aurocs",
    "words",
    "worst_within",
]
