"""Which studies can be compared, and their comparison, cached; the same rules as in `loaders.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.comparison.compare import Comparison, compare
from core.errors import PeregrineError
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import heatmap_reads, reads


def other_studies(study: Study) -> dict[str, Study]:
    """The other studies of the studies folder that hold images, by name: those made of the same --images
    first. Broken ones are left out.
    """
    found: dict[str, Study] = {}
    for entry in served_studies.entries(served_studies.studies_folder()):
        try:
            other = served_studies.open_current(entry.path)
        except PeregrineError:
            continue
        if other.has("images") and other.path.resolve() != study.path.resolve():
            found[entry.name] = other
    return dict(sorted(found.items(), key=lambda pair: not made_of_the_same(study, pair[1])))


def made_of_the_same(study: Study, other: Study) -> bool:
    """Whether both were made of the same images, as far as the manifest says."""
    inputs = [
        one.manifest["steps"].get("embed", {}).get("inputs", {}).get("@images") for one in (study, other)
    ]
    return inputs[0] is not None and inputs[0] == inputs[1]


def comparison(studies: Sequence[Study], among: Slice) -> Comparison:
    """The comparison of these studies, the first one being what the others are compared with, on the images
    of a slice of it.

    Raises:
        StudyError: they share no image, or none of that slice.
    """
    keys, stamp = tuple(study.key for study in studies), reads.saved_stamp(studies[0], among)
    return _comparison(keys, among.to_json(), stamp, _studies=studies)


def heats_of(found: Comparison) -> list[bool]:
    """Which of the studies hold heatmaps."""
    return [study.has("heatmap_maps") for study in found.shared.studies]


def rows_in(found: Comparison, number: int, rows: Sequence[int]) -> list[int]:
    """Where images of the first study stand in another one; each of them is one of those compared."""
    return found.shared.rows[number, np.searchsorted(found.shared.rows[0], rows)].tolist()


def is_stored(study: Study, row: int) -> bool:
    """Whether the heatmap of an image's discriminative features is stored."""
    rows = heatmap_reads.stored_rows(study)
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and int(rows[place]) == row


@st.cache_resource(max_entries=8, show_spinner="Comparing the studies")
def _comparison(
    keys: tuple[str, ...], among: str, saved_stamp: tuple[int, int], *, _studies: Sequence[Study]
) -> Comparison:
    return compare(_studies, among=Slice.from_json(among))
