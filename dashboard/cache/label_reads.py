"""Cached reads of the label desk: what was decided, and which classes an image may have."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import words
from core.common.records import Record
from core.errors import PeregrineError
from core.measures.corrected_accuracy import before_corrections as measured
from core.measures.label_issues import doubted_errors as count_doubted
from core.measures.slice import Slice
from core.publish.accuracies import accuracies as measured_accuracies
from core.store import Study
from core.study.label_decisions import decisions
from core.study.shared_decisions import SharedDecisions
from core.study.shared_decisions import shared_decisions as read_shared
from core.study.traces import UNSURE, traces_stamp
from dashboard.cache import reads
from dashboard.cache.reader import cached_read
from dashboard.state import served_studies

CLASSES, PROBABILITIES = "crossfit_classes", "crossfit_probabilities"


@cached_read(max_entries=8, names_features=True)
def decided(study: Study) -> dict[str, str]:
    """The class that people decided on, by image id: the label itself where it is right, or `UNSURE`; nothing
    where that cannot be read.
    """
    try:
        table = decisions(study)
    except PeregrineError:  # a page says so where it shows that itself
        return {}
    classes = [name or UNSURE for name in words(table, "corrected_label")]
    return dict(zip(words(table, "image_id"), classes, strict=True))


@cached_read(max_entries=32, names_features=True)
def _shared(studies: tuple[Study, Study]) -> SharedDecisions:
    """See `core.study.shared_decisions`: those of the second study; none where that cannot be read."""
    try:
        return read_shared(*studies)
    except PeregrineError:  # a page says so where it shows that itself
        return SharedDecisions({}, {})


def decided_elsewhere(study: Study) -> tuple[str, SharedDecisions] | None:
    """The served study of which this one can take over the most decisions, and these; None without any."""
    home, most = study.below or study.path, None
    for name, path in (
        (entry.name, entry.path) for entry in served_studies.entries(served_studies.studies_folder())
    ):
        if path == home or not any(traces_stamp(path)):
            continue
        with suppress(PeregrineError):  # it is being built, or is damaged
            shared = _shared((study, served_studies.open_current(path)))
            if len(shared) > (len(most[1]) if most else 0):
                most = name, shared
    return most


@cached_read(max_entries=32, names_features=True)
def before_corrections(study: Study, where: Slice) -> Record | str:
    """See `core.measures.corrected_accuracy`: of the images of a filter."""
    return measured(study, reads.inside(study, where)[0])


@cached_read(max_entries=32, names_features=True)
def doubted_errors(study: Study, where: Slice) -> Record | str:
    """See `core.measures.label_issues`: of the images of a filter; "" where that cannot be read."""
    try:
        return count_doubted(study, where.mask(study))
    except PeregrineError:  # a page says so where it shows that itself
        return ""


accuracies = cached_read(max_entries=8, names_features=True)(measured_accuracies)  # of whole splits


def issue_of(study: Study, row: int) -> dict[str, Any] | None:
    """The row of `label_issues` of an image; None where its label was not checked."""
    table = reads.label_issues(study, Slice())
    places = _places(study)
    return None if places[row] < 0 else {str(k): v for k, v in table.iloc[int(places[row])].items()}


@cached_read(max_entries=8)
def _places(study: Study) -> np.ndarray:
    """(n_images,) int: where the image of a row stands in `label_issues` of all images; -1 for not at all."""
    ids = reads.label_issues(study, Slice())["image_id"]
    return pd.Index(ids).get_indexer(pd.Index(study.column("images", "image_id")))


@dataclass(frozen=True)
class Candidate:
    """A class that an image may have, and its probability out of fold; NaN where it is not known."""

    name: str
    probability: float


def candidates(study: Study, row: int, label: str, most: int, *, further: tuple[str, ...]) -> list[Candidate]:
    """The likeliest classes beside the label of an image, the first one first.

    further: classes that follow where fewer are known.
    """
    likely = _likely(study, row)
    names = dict.fromkeys([*likely, *further])
    others = [name for name in names if name != label][:most]
    return [Candidate(name, likely.get(name, float("nan"))) for name in others]


def _likely(study: Study, row: int) -> dict[str, float]:
    """Probability by class, the likeliest first; empty where no model has judged the image."""
    if not (study.has(CLASSES) and study.has(PROBABILITIES)):
        return {}
    codes, shares = (
        np.asarray(study.array(name).rows(np.array([row])))[0] for name in (CLASSES, PROBABILITIES)
    )
    pairs = zip(codes.tolist(), shares.tolist(), strict=True)
    return {study.class_names[code]: share for code, share in pairs if code >= 0}
