"""The images of a slice, what they show in words, and how they differ from others.

All results are exact: they are recomputed from the firing sets and the tables of single images that the study
stores. No torch. Numbers of a slice are measures: see `core.measures`.
"""

from core.slices.inspection.populations import population
from core.slices.inspection.words import slice_words as words
from core.slices.inspection.words import worst_within
