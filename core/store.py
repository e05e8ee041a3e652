"""Read studies, whole or narrowed to a slice: the reader class and the notebook API. No torch.

from core.store import open_study
study = open_study("studies/demo")
study.table("quality").nsmallest(10, "q_score")
study.where("label=bird").table("quality_metrics")
study.array("representations")[:100]
study.image("train/dog/0001.jpg")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.measures.slice_tables import OF_EVALUATION, OF_SCORES, QUICK, TABLES, VECTORS
from core.reader import StudyReader
from core.slices.evaluate import result_column
from core.slices.inspection.populations import images_of, with_split
from core.slices.slice import Slice
from core.steps import step_of
from core.storage.missing import Missing

WHOLE = "its numbers are of all images of the study, and there are none of a slice; leave out --where"
NOT_OF_SLICES = (
    *("overlap_sweep", "overlap_by_feature", "probe_curves", "failure_pairs", "explained"),
    *("domain_probes", "domain_classes", "domain_twins", "domain_jaccard", "domain_features", "domain_map"),
)
NO_SUMMARY = ("quality", "concepts", "failures")  # what their steps say is of the whole study


class Study(StudyReader):
    """One encoder on one image set, read from its folder."""

    def where(self, where: Slice | str) -> Narrowed:
        """Return the study narrowed to a slice: its numbers are of these images.

        Args:
            where: evaluation images unless it names a split (see `core.slices.inspection.population`).
        Raises:
            SliceError: the study lacks something that the slice names.
        """
        return Narrowed(self, Slice.parse(where) if isinstance(where, str) else where)

    @cached_property
    def evaluation(self) -> Narrowed:
        """The study narrowed to the evaluation images, or to all where there are none."""
        return self.where(Slice())


class Narrowed(Study):
    """A study whose numbers are of the images of a slice.

    What is stored for single images is filtered, what is a number of many images is computed by the function
    of its step, and what cannot be computed for a slice is missing, with the reason. D and the tails of
    features are definitions on the train images and stay as they are, like the words of features.
    """

    def __init__(self, study: Study, where: Slice):
        whole = study.whole if isinstance(study, Narrowed) else study
        where = Slice.joined([study.slice, where]) if isinstance(study, Narrowed) else where
        self.__dict__.update(whole.__dict__)  # the same snapshot, and what it has read already
        self.whole, self.slice = whole, with_split(whole, where)
        self.chosen = self.inside = images_of(whole, where)  # (n_images,) bool: the images of the slice
        self.key = f"{whole.key}#{self.slice}"
        self._made: dict[Any, Any] = {}

    @property
    def n_chosen(self) -> int:
        return int(np.count_nonzero(self.inside))

    def has(self, item: str) -> bool:
        if item in NOT_OF_SLICES:
            return False
        if item == "overlap_controls":
            return self.whole.has("overlap")
        return item in QUICK or self.whole.has(item)

    def why_missing(self, item: str) -> Missing | None:
        """As for a whole study; an item that it holds and a slice cannot have is "whole"."""
        if self.has(item):
            return None
        missing = self.whole.why_missing(item)
        return missing or Missing(item, step_of(item) or "", "whole", WHOLE)

    def summary(self, step: str) -> dict[str, Any]:
        whole = self.whole.summary(step)
        if not whole:
            return whole
        if step in NO_SUMMARY:
            return {"skipped": WHOLE}
        if step == "probe":
            return self._of_probe()
        return {name: value for name, value in whole.items() if not (step == "overlap" and name == "notes")}

    def _of_probe(self) -> dict[str, Any]:
        """Return top1 and top5 of the slice, None where undefined, and n_val, the images behind them."""
        summary = {}
        for name, column in {"top1": "correct", "top5": "top5_correct"}.items():
            values = result_column(self.whole, column)[self.inside]
            values = values[np.isfinite(values)]
            summary[name] = float(values.mean()) if len(values) else None
            summary["n_val"] = max(len(values), summary.get("n_val", 0))
        return summary

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        measure = TABLES.get(name) or QUICK.get(name)
        if measure is None or self._is_stored(name):
            return self.whole.table(name, columns)
        frame = self._once(name, lambda: measure(self.whole, self.inside))
        return frame[list(frame.columns) if columns is None else columns]

    def columns(self, name: str) -> list[str]:
        measured = (name in TABLES or name in QUICK) and not self._is_stored(name)
        return list(self.table(name).columns) if measured else self.whole.columns(name)

    def of_scores(self, name: str, scores: Sequence[str]) -> pd.DataFrame:
        """The rows of some scores of one of the tables OF_SCORES; of a slice, only these are computed."""
        if self._is_stored(name) or name in self._made:
            table = self.table(name)
            return table.loc[table["score"].isin(list(scores))].reset_index(drop=True)
        names = tuple(scores)
        return self._once((name, names), lambda: OF_SCORES[name](self.whole, self.inside, names))

    def vector(self, name: str) -> np.ndarray:
        if name not in VECTORS or self._is_stored(name):
            return self.whole.vector(name)
        return self._once(VECTORS[name], lambda: VECTORS[name](self.whole, self.inside))[name]

    def _is_stored(self, name: str) -> bool:
        """Return True when the study holds the item of just these images."""
        return name in OF_EVALUATION and self._of_evaluation and self.whole.has(name)

    @cached_property
    def _of_evaluation(self) -> bool:
        return np.array_equal(self.inside, self.whole.is_val)

    def _once(self, name: Any, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def open_study(path: str | Path) -> Study:
    """Open a study folder for reading.

    Raises:
        StudyError: no study there, or a damaged or newer one; the message says what to do.
    """
    return Study(path)
