"""What an answer is, where a study keeps it, and tables as they read with another answer. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from core.answers.kinds import KINDS
from core.common.command_line import command_line
from core.common.entries import record_of
from core.common.formatting import counted
from core.common.score_names import SCORES
from core.common.step_facts import EmbedFacts, ProbeFacts
from core.errors import SettingsError, StudyError, did_you_mean
from core.study.inside import NAME
from core.study.reader import StudyReader

# What an answer is, where a study keeps it, and which ones a study has. No torch.
#
# An answer says for each image which class is predicted. The probe is one: it lies in the study as it
# always did. Every other one is a table `answer_NAME` of one row an image and, where its logits are linear
# on the representation, `answer_NAME_weights` and `answer_NAME_bias`, a row for each class of the study. A
# head whose classes have no weights has `answer_NAME_outputs`, the class of each output; where these are
# made of the representation alone, but not linear on it, `answer_NAME_gradients` too
# (`core.answers.class_logits`).


PROBE, HEAD, CROSSFIT = "probe", "head", "crossfit"
TABLE = "answer_{name}"
COLUMNS = ("predicted", "confidence", "margin", "energy", "correct", "top5_correct")  # of the table
PARTS = {  # of an answer, by what they stand in for
    "probe_weights": "weights",
    "probe_bias": "bias",
    "probe_outputs": "outputs",
    "probe_gradients": "gradients",
}


@dataclass(frozen=True)
class Answer:
    """One answer of a study.

    Attributes:
        kind: a name in KINDS. step: the entry of the manifest that made it.
        facts: top1, n (images with a label that it knows), n_wrong, n_missing, notes …; None where unknown.
    """

    name: str
    kind: str
    step: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return PROBE if self.name == PROBE else TABLE.format(name=self.name)

    def part(self, item: str) -> str:
        """The item that holds what `item` (a key of PARTS) is of this answer."""
        return item if self.name == PROBE else f"{self.table}_{PARTS[item]}"

    @property
    def is_out_of_fold(self) -> bool:
        """Whether each image is answered by a model of its own, which has not seen it."""
        return KINDS[self.kind].out_of_fold

    @property
    def title(self) -> str:
        """What the pages call it: its kind, or the name that it was given.

        >>> Answer("head", "head", "answers").title, Answer("preds-v2", "file", "answer-preds-v2").title
        ('own classifier', 'preds-v2')
        """
        return KINDS[self.kind].title if self.name == self.kind and self.kind in KINDS else self.name

    @property
    def words(self) -> str:
        """What the answer is, in a line.

        >>> Answer("head", "head", "answers", {"n_outputs": 1000, "top1": 0.883, "n_wrong": 117}).words
        'head (1,000 classes): top-1 88.3 % (117 errors)'
        """
        kind = "" if self.kind == self.name else f"{self.kind}, "
        outputs = self.facts.get("n_outputs") or self.facts.get("n_classes")
        classes = counted(outputs, "class", "classes") if outputs else ""
        about = f"{kind}{classes}".rstrip(", ")
        top1, n_wrong = self.facts.get("top1"), self.facts.get("n_wrong")
        accuracy = "accuracy unknown" if top1 is None else f"top-1 {100 * top1:.1f} %"
        if self.is_out_of_fold and self.facts.get("n"):
            accuracy += f" of {counted(self.facts['n'], 'image')} out of fold"
        errors = f" ({n_wrong:,} error{'s' * (n_wrong != 1)})" if n_wrong is not None else ""
        return f"{self.name}{f' ({about})' if about else ''}: {accuracy}{errors}"


def answers_of(study: StudyReader) -> dict[str, Answer]:
    """The answers that a study holds, by name, in the order of KINDS: the default first.

    Those out of fold, which are never the default, come last.
    """
    answers = []
    for step, entry in study.manifest["steps"].items():
        if study.state(step) != "done":
            continue
        for name, facts in entry["summary"].get("answers", {}).items():
            if (
                isinstance(facts, dict)
                and NAME.fullmatch(name)
                and facts.get("kind") in KINDS
                and study.has(TABLE.format(name=name))
            ):
                answers.append(Answer(name, facts["kind"], step, facts))
    if study.has(PROBE):
        answers.append(Answer(PROBE, PROBE, PROBE, dict(study.facts(ProbeFacts).described)))
    answers.sort(key=_place)
    return {answer.name: answer for answer in answers}


def _place(answer: Answer) -> tuple[Any, ...]:
    order = answer.name != HEAD, answer.name != PROBE, list(KINDS).index(answer.kind)
    return answer.is_out_of_fold, *order, answer.name


def default_answer(answers: Mapping[str, Answer]) -> str:
    """The answer by which a study is read by default: the head, else the probe, else the first one.

    Never one out of fold, of which each image has a model of its own.
    """
    return next((name for name, answer in answers.items() if not answer.is_out_of_fold), PROBE)


def answer_named(study: StudyReader, name: str) -> Answer:
    """Return an answer of a study by name. Raises SettingsError, with what adds it, for an unknown one."""
    answers = answers_of(study)
    if name in answers:
        return answers[name]
    names = f"It has: {', '.join(answers)}" if answers else "It has none"
    step = KINDS[name].step if name in KINDS else ""
    made = command_line(step, study.path) if step == name else command_line("answers", study.path, add=name)
    add = f" To add it: {made}" if name in KINDS else ""
    if step and (why := study.why_skipped(step)):
        add = f" No {name}: {why}"
    raise SettingsError(f"no answer '{name}' in '{study.path}'.{did_you_mean(name, answers)} {names}.{add}")


def evaluated(study: StudyReader, kind: str) -> np.ndarray:
    """(n_images,) bool: the images of a study by which an answer of a kind is judged.

    Those of the evaluation split; all labelled ones out of fold, and where nothing was fitted and the split
    was drawn, not given.
    """
    if KINDS[kind].out_of_fold:
        return study.column("images", "label").notna().to_numpy()
    given = study.facts(EmbedFacts).split_given
    if study.is_val.any() and (given or KINDS[kind].fitted):
        return study.is_val
    return study.column("images", "label").notna().to_numpy()


def answers_table(study: Any) -> pd.DataFrame:
    """What every answer says of each image: image_id, split, true; NAME_predicted, _confidence, _correct.

    Raises:
        StudyError: the study has no answer.
    """
    if not study.answers:
        raise StudyError(
            f"no answers in '{study.path}'. Run: {command_line('answers', study.path, add='FILE')}"
        )
    columns = ["predicted", "confidence", "correct"]
    parts = []
    for name in study.answers:
        table = study.answering(name).table(PROBE, columns)
        parts.append(table.add_prefix(f"{name}_"))
    images = study.table("images", ["image_id", "split", "label"]).rename(columns={"label": "true"})
    return pd.concat([images, *parts], axis=1)


# Tables of a study that hold a prediction, as they read with another answer than the probe.


SPLIT = "split"
OF_PROBE = ("image_id", SPLIT, "true", *COLUMNS)  # columns of the table `probe` as it reads with an answer
AS_READ = ("images", PROBE, "quality")  # tables whose columns lie elsewhere, see `source_column`


def columns_as_read(study: StudyReader, table: str) -> list[str]:
    """The columns of a study's table as an answer reads it; scores that come from the probe are left out."""
    if table == PROBE:
        return list(OF_PROBE)
    names = study.columns(table)
    return [name for name in names if name in OF_PROBE or name not in SCORES or SCORES[name].label_free]


def source_column(answer: Answer, table: str, column: str) -> tuple[str, str]:
    """The stored table and column behind one that an answer replaces, but for SPLIT of one of AS_READ."""
    if table not in AS_READ:
        return table, column
    if column in COLUMNS and table != "images":
        return answer.table, column
    if column in ("image_id", "true"):
        return "images", "label" if column == "true" else column
    return table, column


def has_top5(study: Any) -> bool:
    """Whether an answer predicts more than five classes, so that its top-5 accuracy tells something.

    Else the truth is always among the five best.
    """
    facts = record_of(ProbeFacts, study.answer.facts) if study.answer else study.facts(ProbeFacts)
    return facts.has_top5


def overlap_as_read(overlap: pd.DataFrame, probe: pd.DataFrame) -> pd.DataFrame:
    """The table `overlap` with the verdicts of an answer, whose table `probe` is given."""
    rows = overlap["row"].to_numpy()
    return overlap.assign(correct=probe["correct"].array[rows], split=probe["split"].to_numpy()[rows])
