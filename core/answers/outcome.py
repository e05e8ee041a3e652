"""From logits to what a study keeps of an answer: predictions, confidences, what is correct."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import words
from core.common.formatting import counted
from core.common.largest_values import first_largest
from core.config import AddedAnswerConfig
from core.errors import SettingsError
from core.measures.design_effect import groups_among
from core.measures.intervals import share_bounds

if TYPE_CHECKING:
    import torch

    from core.common.label_match import Match
    from core.study.reader import StudyReader

VALUES = ("confidence", "margin", "energy")
SHOWN = 3  # names in a note


@dataclass(frozen=True)
class Request(AddedAnswerConfig):
    """What an answer is made with.

    Attributes:
        order: how outputs without names were matched to labels, where that is known already.
    """

    device: str | torch.device = "cpu"
    order: str = ""


@dataclass
class AnswerValues:
    """What a kind finds of a study's images.

    Attributes:
        names: what can be predicted. best: (n_images, up to 5) places in `names`, best first; -1 for none.
        values: (n_images,) confidence, margin and energy, NaN where unknown.
        known: labels that can be right; the images of others are left out. None: all.
        weights, bias: by class of the study, of an answer that is linear on the representation.
        outputs: (n_outputs,) class of the study that each output of a head means, -1 for none, where it has
            no such weights.
        facts: what its summary says besides; notes: one line each, for users.
    """

    names: Sequence[str]
    best: np.ndarray
    values: dict[str, np.ndarray]
    known: Sequence[str] | None = None
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    outputs: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClassColumns:
    """How the logits of a classifier become those of the names that are told apart.

    Outputs that mean one label are combined by log-sum-exp. Outputs that mean none stay possible, unless
    `restrict`.
    """

    names: tuple[str, ...]
    column: np.ndarray  # (n_outputs,) place in `names`, -1: left out
    known: tuple[str, ...] | None = None  # labels among `names`; None: all

    @classmethod
    def of(cls, match: Match, labels: Sequence[str], *, restrict: bool = False) -> ClassColumns:
        """Raises SettingsError where fewer than two classes can be told apart."""
        matched_codes = np.unique(match.code[match.code >= 0])
        column_of = np.full(len(labels), -1)
        column_of[matched_codes] = np.arange(len(matched_codes))
        column = np.where(match.code >= 0, column_of[match.code], -1)
        known_labels = tuple(str(labels[int(code)]) for code in matched_codes)
        names = [*known_labels]
        if not restrict:
            others = np.flatnonzero(match.code < 0)
            column[others] = len(names) + np.arange(len(others))
            names += [match.names[output] for output in others.tolist()]
        if len(names) < 2:
            raise SettingsError(
                f"only {names[0] if names else 'no class'} can be predicted, so nothing is told apart: an "
                "answer needs two classes or more (of a single logit x, store 0 and x)"
            )
        return cls(tuple(names), column, known_labels)

    @property
    def combines(self) -> bool:
        used = self.column[self.column >= 0]
        return len(np.unique(used)) < len(used)

    def combined(self, logits: torch.Tensor) -> torch.Tensor:
        """(n, n_outputs) -> (n, n_names)."""
        import torch

        used = torch.from_numpy(np.flatnonzero(self.column >= 0)).to(logits.device)
        column = torch.from_numpy(self.column[self.column >= 0]).to(logits.device)
        if not self.combines:
            return logits[:, used[torch.argsort(column)]]
        index = column.expand(len(logits), -1)
        nothing = torch.full((len(logits), len(self.names)), -torch.inf, device=logits.device)
        most = nothing.scatter_reduce(1, index, logits[:, used], "amax")
        sums = torch.zeros_like(nothing).scatter_add(
            1, index, (logits[:, used] - most.gather(1, index)).exp()
        )
        return most + sums.log()


def from_logits(
    rows: Callable[[int, int], torch.Tensor], n_images: int, columns: ClassColumns, *, step: int = 4096
) -> AnswerValues:
    """Predictions of all images of an answer from its logits, a block at a time.

    Args:
        rows: the logits of the images from one row up to another, (n, n_outputs) float32.
    """
    spans = ((start, min(start + step, n_images)) for start in range(0, n_images, step))
    blocks = starmap(partial(_predicted, rows, columns), spans)
    return joined_blocks(columns.names, blocks, columns.known)


def joined_blocks(
    names: Sequence[str], blocks: Iterable[tuple[np.ndarray, np.ndarray]], known: Sequence[str] | None
) -> AnswerValues:
    """Join an answer's predictions of blocks of images: best classes, confidence, margin and energy."""
    best = [np.empty((0, min(5, len(names))), np.int32)]
    values = [np.empty((len(VALUES), 0))]
    for classes, of_block in blocks:
        best.append(classes)
        values.append(of_block)
    of_all: dict[str, np.ndarray] = dict(zip(VALUES, np.concatenate(values, 1), strict=True))
    return AnswerValues(names, np.concatenate(best), of_all, known)


def _predicted(
    rows: Callable[[int, int], torch.Tensor], columns: ClassColumns, start: int, stop: int
) -> tuple[np.ndarray, np.ndarray]:
    import torch

    logits = columns.combined(rows(start, stop))
    top, places = first_largest(logits, 5)
    total = (logits - top[:, :1]).exp().sum(1).double()
    shares = (top - top[:, :1]).exp().double() / total[:, None]
    margin = torch.full_like(total, torch.nan)
    if top.shape[1] > 1:
        margin = shares[:, 0] - shares[:, 1]
    values = torch.stack([shares[:, 0], margin, top[:, 0].double() + torch.log(total)])
    return places.int().cpu().numpy(), values.cpu().numpy()


def outcome_table(study: StudyReader, answer: AnswerValues) -> pd.DataFrame:
    """The table `answer_NAME`, of a row an image and the columns of `answer.COLUMNS`."""
    names = np.array([*answer.names, None], dtype=object)
    label = study.images["label"]
    true = pd.Index(names[:-1]).get_indexer(pd.Index(label.to_numpy(object)))
    judged = label.notna().to_numpy() & (answer.best[:, 0] >= 0)
    if answer.known is not None:
        judged &= label.isin(list(answer.known)).to_numpy()
    verdicts = {"correct": answer.best[:, 0] == true, "top5_correct": (answer.best == true[:, None]).any(1)}
    table = {"predicted": pd.array(names[answer.best[:, 0]], dtype="str"), **answer.values}
    for name, right in verdicts.items():
        unknown = ~judged | ((answer.best.shape[1] == 1) & (name == "top5_correct"))
        table[name] = pd.arrays.BooleanArray(right & (true >= 0), unknown)
    return pd.DataFrame(table)


def answer_facts(
    study: StudyReader, table: pd.DataFrame, answer: AnswerValues, kind: str, evaluated: np.ndarray
) -> dict:
    """Facts that a study keeps of an answer added to it, such as its accuracy on evaluation images."""
    judged = evaluated & table["correct"].notna().to_numpy()
    right = table["correct"].fillna(False).to_numpy(bool)
    n = int(judged.sum())
    n_right = int((judged & right).sum())
    labels = words(study.images.loc[judged], "label")
    counts = np.unique(labels, return_counts=True)[1]
    guess = counts.max() / n if len(counts) > 1 else 1 / max(len(answer.names), 1)  # of one class all are it
    low = share_bounds(right[judged], groups_among(study.groups, judged))[0] if n else np.nan
    predicted = pd.Series(table["predicted"])
    others = (~predicted.isin(study.class_names) & predicted.notna()).to_numpy()
    top5 = table["top5_correct"].to_numpy(dtype=float, na_value=np.nan)[judged]
    has_top5 = np.isfinite(top5).any() and len(answer.names) > 5
    left_out = evaluated & study.images["label"].notna().to_numpy() & ~judged
    other_notes = _other_classes_note(predicted.to_numpy(object)[others])
    top1 = n_right / n if n else None
    top5_share = float(np.nanmean(top5)) if has_top5 else None
    shares = {"top1": top1, "top5": top5_share, "n": n, "n_wrong": n - n_right if n else None}
    n_missing = int(predicted.isna().to_numpy().sum())
    share_of_others = float(others[evaluated].mean()) if evaluated.any() else 0.0
    facts = {"kind": kind, **shares, "n_missing": n_missing, "n_left_out": int(left_out.sum())}
    facts |= {"other_classes": share_of_others, "at_chance": bool(n_right < n and low <= guess)}
    facts |= {"linear": answer.weights is not None, "notes": [*answer.notes, *other_notes]}
    return facts | answer.facts


def quoted(names: Sequence[object] | pd.Index | np.ndarray) -> str:
    """List the first names of an answer's classes, each in quotes."""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + " …" * (len(names) > SHOWN)


def _other_classes_note(predicted: np.ndarray) -> list[str]:
    """Say which classes are predicted that no image has as label, the most common first.

    >>> _other_classes_note(np.array(["cello", "lute", "lute"]))
    ["3 images predicted as classes that no image has as label: 'lute', 'cello'"]
    """
    names = pd.Series(predicted).value_counts().index.tolist()
    if not names:
        return []
    few = quoted([with_class_names(str(name)) for name in names])
    return [f"{counted(len(predicted), 'image')} predicted as classes that no image has as label: {few}"]
