"""Tables of a study that hold a prediction, as they read with another answer than the probe."""

from typing import Any

import pandas as pd

from core.answers.answer import COLUMNS, PROBE, Answer
from core.common.entries import record_of
from core.common.score_names import SCORES
from core.common.step_facts import ProbeFacts
from core.reader import StudyReader

SPLIT = "split"
OF_PROBE = ("image_id", SPLIT, "true", *COLUMNS)  # columns of the table `probe` as it reads with an answer
AS_READ = ("images", PROBE, "quality")  # tables whose columns lie elsewhere, see `source_column`


def columns_as_read(study: StudyReader, table: str) -> list[str]:
    """The columns of one of the tables AS_READ; scores that come from the probe are left out."""
    if table == PROBE:
        return list(OF_PROBE)
    names = study.columns(table)
    return [name for name in names if name in OF_PROBE or name not in SCORES or SCORES[name].label_free]


def source_column(answer: Answer, table: str, column: str) -> tuple[str, str]:
    """The table and the column of the whole study that hold a column, but for SPLIT of one of AS_READ."""
    if table not in AS_READ:
        return table, column
    if column in COLUMNS and table != "images":
        return answer.table, column
    if column in ("image_id", "true"):
        return "images", "label" if column == "true" else column
    return table, column


def has_top5(study: Any) -> bool:
    """Whether the answer of a study can predict more than five classes; else the truth is always among the
    five best."""
    facts = record_of(ProbeFacts, study.answer.facts) if study.answer else study.facts(ProbeFacts)
    return facts.has_top5


def overlap_as_read(overlap: pd.DataFrame, probe: pd.DataFrame) -> pd.DataFrame:
    """The table `overlap` with the verdicts of an answer, whose table `probe` is given."""
    rows = overlap["row"].to_numpy()
    return overlap.assign(correct=probe["correct"].array[rows], split=probe["split"].to_numpy()[rows])
