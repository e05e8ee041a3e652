"""Every label of a study as it is judged out of fold: the table, and what is said of it.

The step `crossfit` writes the table (docs/method.md 2.9); this module reads it, with what people decided.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import words
from core.common.records import Record, Templates
from core.measures.corrected_accuracy import right_by_corrected_labels
from core.measures.evaluate import result_column
from core.measures.slice import Slice
from core.study.label_decisions import CHANGED, DECISION, DOUBTED, LEFT, decisions
from core.study.reader import StudyReader

TABLE = "label_issues"
NEAREST = 3
_NEAR = tuple(f"near_{rank}{end}" for rank in range(1, NEAREST + 1) for end in ("", "_label", "_similarity"))
STORED = (
    *("image_id", "split", "label", "suggested", "confidence", "margin", "rank", "listed", "n_checked"),
    *("probability_wrong", "own_classifier", *_NEAR),
)
COLUMNS = (*STORED, *DECISION)
ACCURATE = 0.9
CORRECTED_TO = "corrected_to"  # kind of a doubt
_say = Templates.beside(__file__)


def label_issues(study: StudyReader, mask: np.ndarray) -> pd.DataFrame:
    """The labelled images of a slice, train and evaluation, the most doubtful label first.

    Ranks, and which images are listed, are those among all labelled images of the study.

    Args:
        mask: (n_images,) bool.
    Returns:
        COLUMNS: suggested, the likeliest class beside the label, and confidence, its probability; margin,
        the probability of the label less that; rank, from 1; listed, whether confident learning takes the
        label for wrong; n_checked, how many of these images were checked: margin is NaN of the others;
        probability_wrong, another measure of doubt; own_classifier, what the encoder's own classifier
        answers; near_1 … the nearest images of other units, the nearest first; corrected_label and
        by_decision, see `core.study.label_decisions.decisions`. Empty where the study lacks the table.
    """
    if not study.has(TABLE):
        return pd.DataFrame({name: [] for name in COLUMNS})
    table = study.table(TABLE)
    inside = mask[pd.Index(study.column("images", "image_id")).get_indexer(pd.Index(table["image_id"]))]
    table = table.loc[inside].reset_index(drop=True)
    return table.assign(n_checked=np.count_nonzero(np.isfinite(table["margin"])))


def issues_of(study: StudyReader, where: Slice) -> pd.DataFrame:
    """`label_issues` of the images of a filter: of both splits, unless it names one."""
    return label_issues(study, where.mask(study))


def listed_issues(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `label_issues` whose label is taken for wrong."""
    return table.loc[table["listed"].to_numpy(bool)].reset_index(drop=True)


def is_open(table: pd.DataFrame) -> np.ndarray:
    """(n,) bool: the possibly wrong labels of `label_issues` on which nobody has decided."""
    return table["by_decision"].isna().to_numpy(bool)


def all_decided(table: pd.DataFrame) -> bool:
    """Return True where `label_issues` lists labels as possibly wrong, and people have decided on each."""
    listed = listed_issues(table)
    return len(listed) > 0 and not is_open(listed).any()


def share_agreeing(table: pd.DataFrame) -> float:
    """Share of the checked images of `label_issues` whose label is the likeliest class; NaN without any."""
    margins = table["margin"].to_numpy(float)
    checked = margins[np.isfinite(margins)]
    return float((checked > 0).mean()) if len(checked) else float("nan")


def issues_sentence(table: pd.DataFrame) -> str:
    """State how many labels may be wrong, of how many that were checked; "" where there is no label.

    Args:
        table: `label_issues`.
    """
    if table.empty:
        return ""
    listed = listed_issues(table)
    first = listed.loc[is_open(listed)].head(1)
    examples = (
        _say("example", what=str(row.label), why=str(row.suggested), value=float(row.confidence))
        for row in first.itertuples()
    )
    parts = (count_sentence(table), decided_sentence(table), *examples, own_errors(table))
    return " ".join(filter(None, parts))


def count_sentence(table: pd.DataFrame) -> Record:
    """State how many labels are taken for wrong, of how many that were checked, and how many were not.

    Args:
        table: `label_issues`, not empty.
    """
    listed = listed_issues(table)
    n_listed, n_checked, n_labels = len(listed), int(table["n_checked"].iat[0]), len(table)
    if all_decided(table):
        return _say("all_decided", n=n_listed, of=n_checked)
    if n_checked == n_labels:
        return _say("some" if n_listed else "none", n=n_listed, of=n_checked)
    unchecked = _say("unchecked", n=n_labels - n_checked)
    return _say("some_checked" if n_listed else "none_checked", n=n_listed, of=n_checked, parts=(unchecked,))


def decided_sentence(table: pd.DataFrame) -> str:
    """State on how many of the labels taken for wrong people have decided, and how; empty where on none.

    Args:
        table: `label_issues`.
    """
    listed = listed_issues(table)
    decided = words(listed, "by_decision")
    changed, left, doubted = (decided.count(kind) for kind in (CHANGED, LEFT, DOUBTED))
    parts = (_say("changed", n=changed), _say("left", n=left), _say("doubted", n=doubted))
    names = tuple(part for part in parts if part.n)
    kind = "decided" if is_open(listed).any() else "decided_all"
    return _say(kind, n=changed + left + doubted, names=names) if names else ""


def own_errors(table: pd.DataFrame) -> str:
    """Warn that weak models list their own errors as wrong labels; empty where 90 % of labels agree, and
    where people have decided on all that are listed.

    At an accuracy of .66 more than half of a list was (docs/RESULTS.md).

    Args:
        table: `label_issues`.
    """
    share = share_agreeing(table)
    return _say("own_errors", value=share) if share < ACCURATE and not all_decided(table) else ""


def doubt_sentence(row: Mapping[str, Any]) -> Record | None:
    """State that the label of one image may be wrong; None where it is not taken for wrong, and where people
    have decided on it.

    Args:
        row: of `label_issues`.
    """
    if not row["listed"] or not pd.isna(row["by_decision"]):
        return None
    kind, ahead = ("of_first", None) if row["rank"] <= 1 else ("of_image", int(row["rank"]) - 1)
    better = with_class_names(str(row["suggested"]))
    return _say(kind, what=better, value=float(row["confidence"]), of=ahead, n=int(row["n_checked"]))


def doubts_on_labels(study: StudyReader) -> dict[int, Record]:
    """Name, by the rows of images, what their label may be instead, or was corrected to.

    They are those that `doubt_sentence` doubts, and those that people changed or took for wrong.
    """
    made = decisions(study)
    decided: dict[str, Record] = {}
    for name, better, kind in zip(*(made[column] for column in ("image_id", *DECISION)), strict=True):
        if kind == DOUBTED:
            decided[str(name)] = _say("taken_for_wrong")
        elif kind != LEFT:
            decided[str(name)] = _say(CORRECTED_TO, what=_spoken(better))
    doubts: dict[str, Record] = {}
    if study.has(TABLE):
        listed = listed_issues(study.table(TABLE))
        is_left = set(made.loc[(made["by_decision"] == LEFT).to_numpy(bool), "image_id"])
        pairs = zip(listed["image_id"], listed["suggested"], strict=True)
        doubts = {str(name): _say("may_be", what=_spoken(to)) for name, to in pairs if name not in is_left}
    doubts |= decided
    return {row: doubts[name] for name, row in study.rows_held(list(doubts)).items()}


def _spoken(label: object) -> str:
    return with_class_names(str(label))


def doubted_errors(study: StudyReader, mask: np.ndarray) -> Record | str:
    """State how many errors among some images may be errors of the labels, and how many are right by the
    labels that people corrected; "" where none is either.

    Args:
        mask: (n_images,) bool.
    """
    is_wrong = mask & (result_column(study, "correct") == 0)
    errors = {row: doubt for row, doubt in errors_of_labels(study).items() if is_wrong[row]}
    return errors_in_doubt(list(errors.values()), int(np.count_nonzero(is_wrong)))


def errors_of_labels(study: StudyReader) -> dict[int, Record]:
    """The errors that may lie in the label, by the rows of images, as `doubts_on_labels` names them.

    An image whose label people corrected is one only where the answer is the corrected label: another
    answer is wrong by either. One whose label they took for wrong, without a better one, stays in doubt.
    """
    doubts = doubts_on_labels(study)
    if not any(doubt.kind == CORRECTED_TO for doubt in doubts.values()):
        return doubts
    after, before = right_by_corrected_labels(study), result_column(study, "correct")
    is_mended = (before == 0) & (after == 1)
    return {row: doubt for row, doubt in doubts.items() if doubt.kind != CORRECTED_TO or is_mended[row]}


def errors_in_doubt(doubts: Sequence[Record], of: int) -> Record | str:
    """State that some errors may be errors of the labels; "" where none may be.

    Args:
        doubts: of `errors_of_labels`, those that are errors. of: all errors.
    """
    n_mended = sum(doubt.kind == CORRECTED_TO for doubt in doubts)
    n_open = len(doubts) - n_mended
    if n_open and n_mended:
        return _say("errors_in_doubt_and_mended", n=n_open, of=of, parts=(_say("mended", n=n_mended),))
    if n_mended:
        return _say("errors_mended", n=n_mended, of=of)
    return _say("errors_in_doubt", n=n_open, of=of) if n_open else ""


def why_not_checked(study: StudyReader) -> str:
    """Explain why no label was checked, with what to run where that helps; empty where they were."""
    missing = study.why_missing(TABLE)
    return "" if missing is None else _say("not_checked", why=str(missing))
