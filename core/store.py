"""Read studies, whole or narrowed to a slice: the reader class and the notebook API. No torch.

from core.store import open_study
study = open_study("studies/demo")
study.table("quality").nsmallest(10, "q_score")
study.where("label=bird").table("quality_metrics")
study.answering("probe").where("correct=false").table("probe")
study.image("train/dog/0001.jpg")
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.answers.answer import (
    AS_READ,
    PARTS,
    PROBE,
    SPLIT,
    Answer,
    answer_named,
    answers_of,
    columns_as_read,
    default_answer,
    evaluated,
    has_top5,
    overlap_as_read,
    source_column,
)
from core.answers.class_logits import explains_errors
from core.answers.kinds import KINDS
from core.bases.basis import UNITS, Basis, bases_of, latents_table
from core.common.dataframes import unit_rows
from core.common.records import Record
from core.common.threads import cached_property
from core.common.topics import function_named
from core.measures.evaluate import result_column
from core.measures.headline import evaluation_images, filtered_images, out_of_fold
from core.measures.notebook import DisplayedStudy
from core.measures.overlap import overlap_by_class, overlap_headline, summary_table, sweep_of_all
from core.measures.slice import Slice
from core.measures.slice_comparison import images_of, with_split
from core.measures.slice_tables import (
    AS_DECIDED,
    NOT_OF_SLICES,
    OF_EVALUATION,
    OF_SCORES,
    QUICK,
    TABLES,
    VECTORS,
)
from core.study.chunked_array import ChunkedArray, MappedArray
from core.study.layers import layer
from core.study.missing import NO_WEIGHTS, OF_ANSWER, OF_LATENTS, WHOLE, Missing
from core.study.progress import Progress
from core.study.reader import StudyReader
from core.study.steps import STEPS, settings_of, step_of
from core.study.traces import traces_stamp
from core.study.writer import Collected, StepRun

if TYPE_CHECKING:
    from core.study.stored_heatmaps import HeatmapReader

OF_PROBE = ("val_logits", "probe_curves", "quality_calibration")  # of no other answer
OF_FAILURES = STEPS["failures"].outputs
OF_ANY_ANSWER = ("near_zero_share", "negative_share", "dead_share", "rankme", "alpha_req")  # of `quality`


class Study(DisplayedStudy):
    """One encoder on one image set, read from its folder."""

    answer: Answer | None = None  # the answer that it is read by, if that is not the probe
    _made: dict[Any, Any]  # of an answer or a slice: what it has computed

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._answered: dict[str, Study] = {}  # kept, with what each has computed

    def where(self, where: Slice | str) -> "Narrowed":
        """Return the study narrowed to a slice: its numbers are of these images.

        Args:
            where: evaluation images unless it names a split (see
                `core.measures.slice_comparison.population`).
        Raises:
            SliceError: the study lacks something that the slice names.
        """
        return Narrowed(self, Slice.parse(where) if isinstance(where, str) else where)

    @property
    def answers(self) -> dict[str, Answer]:
        """What says which images are correct, by name; the default first, where there is one."""
        return answers_of(self)

    def accuracy_scope(self, n: int, *, filtered: bool = False) -> Record:
        """Name the n images that an accuracy of the answer is of; filtered: by more than their split."""
        if self.is_out_of_fold:
            return out_of_fold(n)
        return filtered_images(n) if filtered else evaluation_images(n)

    @property
    def answer_name(self) -> str:
        """The name of the answer that the study is read by."""
        return self.answer.name if self.answer else PROBE

    @property
    def answer_kind(self) -> str:
        """What kind of answer that is, a name in KINDS."""
        return self.answer.kind if self.answer else PROBE

    @property
    def is_fitted(self) -> bool:
        """Whether the answer was fitted to the train images, where it is optimistic."""
        return KINDS[self.answer_kind].fitted

    @property
    def is_out_of_fold(self) -> bool:
        """Whether each image is answered by a model that has not seen it."""
        return KINDS[self.answer_kind].out_of_fold

    @property
    def bases(self) -> dict[str, Basis]:
        """The dictionaries that were fitted or loaded, by name: their codes are features, too."""
        return bases_of(self)

    @property
    def basis(self) -> Basis | None:
        """The basis in which the study is read; None for the encoder's own units."""
        return bases_of(self.in_units()).get(self.basis_name)

    @property
    def latents(self) -> pd.DataFrame | None:
        """A row for each latent of the basis in which the study is read (see LATENTS); None for units."""
        return latents_table(self.in_units(), self.basis) if self.basis else None

    def in_basis(self, name: str | None) -> "Study":
        """Return the study as it reads in a basis: its features are the latents (docs/method.md 18.5).

        Args:
            name: None or "units" for the encoder's own units.
        Raises:
            StudyError: the study has no such basis.
        """
        whole = self.below or self.path
        return Study(whole if name in (None, UNITS) else layer(whole, str(name)))

    def _opened_below(self, whole: Path) -> "Study":
        return self.in_basis(None)

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        if not (name in AS_DECIDED and self.has(name)):
            return super().table(name, columns)
        frame = AS_DECIDED[name](self, super().table(name))
        return frame if columns is None else frame.loc[:, columns]

    def columns(self, name: str) -> list[str]:
        is_decided = name in AS_DECIDED and self.has(name)
        return list(self.table(name).columns) if is_decided else super().columns(name)

    def is_made(self, table: str) -> bool:
        """Return True for a table that is computed as it is read, and not the stored one."""
        return table in AS_DECIDED

    def answering(self, name: str | None = None) -> "Study":
        """Return the study as it reads with an answer: its predictions, weights and all that follows.

        Args:
            name: None for the default: the encoder's own head where one fits, else the probe.
        Raises:
            SettingsError: the study has no such answer.
        """
        is_default = name is None
        name = name or default_answer(self.answers)
        if name == PROBE and (self.has(PROBE) or is_default or not answers_of(self)):
            return self
        if name not in self._answered:
            self._answered[name] = Answered(self, answer_named(self, name))
        return self._answered[name]

    @cached_property
    def evaluation(self) -> "Narrowed":
        """The study narrowed to the evaluation images, or to all where there are none."""
        return self.where(Slice())

    def _once(self, name: Any, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


class Answered(Study):
    """A study in which another answer than the probe says what is correct.

    The answer stands in the place of the probe: in the table `probe`, in `probe_weights` where it is linear,
    and in columns of other tables. Numbers of many images are computed; scores of the probe are left out.
    """

    answer: Answer

    def __init__(self, study: Study, answer: Answer):
        self._read_as(study)
        self.whole, self.answer = study, answer
        self.key = f"{study.key}@{answer.name}"
        self._made = {}

    @property
    def answers(self) -> dict[str, Answer]:
        return self.whole.answers

    def __reduce__(self) -> Any:
        return type(self), (self.whole, self.answer)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}; answer '{self.answer.name}'>"

    def answering(self, name: str | None = None) -> Study:
        return self.whole.answering(name)

    def in_basis(self, name: str | None) -> Study:
        return self.whole.in_basis(name).answering(self.answer.name)

    def has(self, item: str) -> bool:
        if item in PARTS:
            return self.whole.has(self.answer.part(item))
        if item in OF_FAILURES:
            return self.whole.has("representations") and explains_errors(self) and item in self._failures
        return item == PROBE or (item not in OF_PROBE and self.whole.has(item))

    def why_missing(self, item: str) -> Missing | None:
        of_answer = self.whole.has(item) or item in PARTS or item in OF_FAILURES
        if self.has(item) or not (of_answer and self.whole.has("representations")):
            return None if self.has(item) else self.whole.why_missing(item)
        if item in OF_PROBE:
            of_probe = f"it is of the probe, not of '{self.answer.name}'"
            return Missing(item, step_of(item) or "", "whole", of_probe)
        why = self.why_skipped("failures") if item in OF_FAILURES else self._no_weights
        return Missing(item, "", "skipped", f"{why} (the answer '{self.answer.name}')")

    @property
    def _no_weights(self) -> str:
        return OF_LATENTS if self.below is not None and self.answer.facts.get("linear") else NO_WEIGHTS

    def summary(self, step: str) -> dict[str, Any]:
        if step == PROBE:
            return {**self.evaluation._of_probe(), "n_classes": len(self.class_names)}
        if step == "failures":
            return self._failures[""] if explains_errors(self) else {"skipped": self._no_weights}
        summary = self.whole.summary(step)
        if step == "overlap" and self.has("overlap_summary"):
            return summary | overlap_headline(self.table("overlap_summary"))
        of_any = {name: summary[name] for name in OF_ANY_ANSWER if name in summary}
        return {"skipped": OF_ANSWER, **of_any} if step == "quality" else summary

    def holder(self, table: str, column: str) -> StudyReader:
        is_own = column == SPLIT or source_column(self.answer, table, column) != (table, column)
        return self if table in AS_READ and is_own else self.whole.holder(table, column)

    def column(self, table: str, name: str) -> pd.Series:
        if table in AS_READ and name == SPLIT:
            return self._split
        return self.whole.column(*source_column(self.answer, table, name))

    def value_range(self, table: str, name: str) -> tuple[Any, Any] | None:
        return self.whole.value_range(*source_column(self.answer, table, name))

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        if name in AS_READ and self.has(name):
            return self.kept(name).frame(columns)
        if (frame := self._table(name)) is not None:
            return frame.copy(deep=False) if columns is None else frame.loc[:, columns]
        return self._stored(name).table(name, columns)

    def columns(self, name: str) -> list[str]:
        if name in AS_READ and self.has(name):
            return columns_as_read(self.whole, name)
        frame = self._table(name)
        return self._stored(name).columns(name) if frame is None else list(frame.columns)

    def _stored(self, name: str) -> Study:
        """What has an item that does not differ with the answer, or is of images that it is judged on."""
        return self.evaluation if name in OF_EVALUATION else self.whole

    def array(self, name: str) -> ChunkedArray:
        array = self.whole.array(self.answer.part(name) if name in PARTS else name)
        if name == "representations" and self.below is None and self.answer.facts.get("on_unit_rows"):
            return MappedArray(array, unit_rows)  # what its weights are linear on
        return array

    def vector(self, name: str) -> np.ndarray:
        if name in OF_FAILURES:
            return self._failures[name]
        return self.evaluation.vector(name) if name in OF_EVALUATION else super().vector(name)

    def is_made(self, table: str) -> bool:
        return table in (*OF_EVALUATION, *AS_READ, *AS_DECIDED) or self._table(table) is not None

    def _table(self, name: str) -> pd.DataFrame | None:
        """A table that differs with the answer; None for the others."""
        makers: dict[str, Callable[[], Any]] = dict.fromkeys(OF_FAILURES, lambda: self._failures[name])
        makers["overlap"] = lambda: overlap_as_read(self.whole.table("overlap"), self.table(PROBE))
        makers["overlap_summary"] = lambda: summary_table(self.table("overlap"), self.groups)
        makers["overlap_by_class"] = lambda: overlap_by_class(self.table("overlap"), self.groups)
        makers["overlap_sweep"] = lambda: sweep_of_all(self.whole.table("overlap_sweep"))
        make = makers.get(name)
        return None if make is None or not self.has(name) else self._once(name, make)

    @cached_property
    def _split(self) -> pd.Series:
        """The split of each image; a drawn one may be void (see `evaluated`)."""
        val = evaluated(self.whole, self.answer.kind)
        if np.array_equal(val, self.whole.is_val):
            return self.whole.column("images", SPLIT)
        return pd.Series(np.array(["train", "val"], object)[val.astype(int)], dtype="str")

    @cached_property
    def _failures(self) -> dict[str, Any]:
        """Tables and arrays of the step `failures` for this answer, by name, and its summary as ""."""
        step = Collected()
        settings = settings_of("failures", {}, self.settings("failures"))
        before = Answered(self.whole, self.answer)
        before._failures = {}  # as the study is read before the step: it has none of these
        function_named(STEPS["failures"].function)(before, step, settings, StepRun(Progress.silent()))
        return {**step.items, "": step.summary}


class Narrowed(Study):
    """A study whose numbers are of the images of a slice.

    What is stored of single images is filtered, numbers of many are computed as their step does, and others
    are missing, with the reason. D, tails and words of features stay as they are.
    """

    def answering(self, name: str | None = None) -> Study:
        return self.whole.answering(name).where(self.slice)

    def in_basis(self, name: str | None) -> Study:
        return self.whole.in_basis(name)

    def __reduce__(self) -> Any:
        return type(self), (self.whole, self.slice)

    def __init__(self, study: Study, where: Slice):
        whole = study.whole if isinstance(study, Narrowed) else study
        where = Slice.joined([study.slice, where]) if isinstance(study, Narrowed) else where
        self._read_as(whole)
        self.answer = whole.answer
        self.whole, self.slice = whole, with_split(whole, where)
        self.chosen = self.inside = images_of(whole, where)  # (n_images,) bool: the images of the slice
        self.inside.setflags(write=False)
        self.key = f"{whole.key}#{self.slice}"
        self._made = {}

    def rows_of_slice(self, usual: np.ndarray) -> np.ndarray:
        return self.inside

    def images_named(self, usual: str) -> str:
        return "images of the slice"

    @cached_property
    def source(self) -> Any:
        return self.whole.source

    @cached_property
    def masks(self) -> Any:
        return self.whole.masks

    @cached_property
    def _images(self) -> pd.DataFrame:
        return self.whole._images

    @cached_property
    def class_names(self) -> list[str]:
        return self.whole.class_names

    @cached_property
    def is_val(self) -> np.ndarray:
        return self.whole.is_val

    @cached_property
    def groups(self) -> np.ndarray | None:
        return self.whole.groups

    @cached_property
    def heatmap_reader(self) -> "HeatmapReader":
        return self.whole.heatmap_reader

    def holder(self, table: str, column: str) -> StudyReader:
        return self.whole.holder(table, column)

    def column(self, table: str, name: str) -> pd.Series:
        return self.whole.column(table, name)

    def value_range(self, table: str, name: str) -> tuple[Any, Any] | None:
        return self.whole.value_range(table, name)

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
        whole = Missing(item, step_of(item) or "", "whole", WHOLE)
        return None if self.has(item) else self.whole.why_missing(item) or whole

    def summary(self, step: str) -> dict[str, Any]:
        whole = self.whole.summary(step)
        if not whole:
            return whole
        if step in ("quality", "concepts", "failures"):  # what they say is of the whole study
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
        return summary if has_top5(self.whole) else summary | {"top5": None}

    def is_made(self, table: str) -> bool:
        return (table in TABLES or table in QUICK) and not self._is_stored(table)

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        if not self.is_made(name):
            return self.whole.table(name, columns)
        measure = TABLES.get(name) or QUICK[name]
        key = (name, traces_stamp(self.path)) if name in AS_DECIDED else name
        frame = self._once(key, lambda: measure(self.whole, self.inside))
        return frame[list(frame.columns) if columns is None else columns]

    def columns(self, name: str) -> list[str]:
        return list(self.table(name).columns) if self.is_made(name) else self.whole.columns(name)

    def of_scores(self, name: str, scores: Sequence[str]) -> pd.DataFrame:
        """The rows of some scores of one of the tables OF_SCORES; of a slice, only these are computed."""
        if self._is_stored(name) or name in self._made:
            table = self.table(name)
            return table.loc[table["score"].isin(list(scores))].reset_index(drop=True)
        names = tuple(scores)
        return self._once((name, names), lambda: OF_SCORES[name](self.whole, self.inside, names))

    def array(self, name: str) -> ChunkedArray:
        return self.whole.array(name)

    def vector(self, name: str) -> np.ndarray:
        if name not in VECTORS or self._is_stored(name):
            return self.whole.vector(name)
        return self._once(VECTORS[name], lambda: VECTORS[name](self.whole, self.inside))[name]

    def _is_stored(self, name: str) -> bool:
        """Return True when the study holds the item of just these images."""
        return name in OF_EVALUATION and self._of_evaluation and self.whole.has(name)

    @cached_property
    def _of_evaluation(self) -> bool:
        return self.whole.answer is None and np.array_equal(self.inside, self.whole.is_val)


def open_study(path: str | Path, answering: str | None = None) -> Study:
    """Open a study folder as the notebook API `Study`, with the answer that commands read it by.

    Args:
        answering: the answer that says what is correct; None for the default: the encoder's own head where
            one fits, else the probe. `Study(path)` is the study as its steps stored it, read by the probe.
    Raises:
        StudyError: no study there, or a damaged or newer one; the message says what to do.
        SettingsError: the study has no such answer.
    """
    return Study(path).answering(answering)
