"""Every accuracy that one study holds, with the images that it is of and the command that it is from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.answers.answer import Answer, evaluated
from core.answers.kinds import KINDS
from core.common.formatting import percent
from core.common.records import Record, Templates
from core.common.step_facts import RemediesFacts
from core.errors import PeregrineError
from core.measures.corrected_accuracy import corrected_accuracy
from core.measures.evaluate import result_column
from core.measures.headline import as_corrected, evaluation_images
from core.measures.intervals import share_bounds
from core.measures.slice_comparison import shown_images

_say = Templates.beside(__file__)


@dataclass(frozen=True)
class NamedAccuracy:
    """One accuracy of a study.

    Attributes:
        name: whose it is. images: which they are. command: the one that it is from, "" of none.
        value: the share of n images that is right. low, high: its 95 % interval (Wilson's, over units), NaN
            where the outcomes of single images are not stored. is_shown: right and wrong on pages go by it.
    """

    name: str
    images: Record
    command: str
    n: int
    value: float
    low: float
    high: float
    is_shown: bool = False

    @property
    def sentence(self) -> Record:
        """State it in a line."""
        kind = "shown" if self.is_shown else "of" if self.command else "by_people"
        return _say(kind, what=self.name, value=self.value, parts=(self.images,), why=self.command)

    def as_json(self) -> dict[str, Any]:
        """Return its fields; None where undefined."""
        ends = [None if np.isnan(end) else end for end in (self.low, self.high)]
        facts = {"name": self.name, "images": str(self.images), "command": self.command, "n": self.n}
        return facts | {"accuracy": self.value, "interval": ends, "used": self.is_shown}


def accuracies(study: Any) -> list[NamedAccuracy]:
    """List a study's accuracies for the report, over whole splits, that by which pages read it first.

    Those of its answers, that of the first by labels as people corrected them, and that of the head that
    `remedies` refits.

    Args:
        study: a `Study`, also one that is read by an answer.
    """
    whole = study
    while hasattr(whole, "whole"):
        whole = whole.whole
    name = study.answer.name if study.answer else "probe"
    answers = sorted(whole.answers.values(), key=lambda answer: answer.name != name)
    rows = [row for answer in answers if (row := _of_answer(whole, answer, is_shown=answer.name == name))]
    corrected = [*_corrected(whole, name, rows[0])] if rows and rows[0].is_shown else []
    return [*rows[:1], *corrected, *rows[1:], *_refitted(whole)]


def _of_answer(study: Any, answer: Answer, *, is_shown: bool) -> NamedAccuracy | None:
    read = study.answering(answer.name)
    correct = result_column(read, "correct")
    judged = evaluated(study, answer.kind) & np.isfinite(correct)
    n = int(np.count_nonzero(judged))
    if not n:
        return None
    images = _say("out_of_fold", n=n) if answer.is_out_of_fold else evaluation_images(n)
    low, high = share_bounds(correct[judged], None if study.groups is None else study.groups[judged])
    command = KINDS[answer.kind].step or f"answers --add {'FILE' if answer.kind == 'file' else answer.kind}"
    return NamedAccuracy(answer.title, images, command, n, float(correct[judged].mean()), low, high, is_shown)


def _corrected(study: Any, name: str, row: NamedAccuracy) -> Iterator[NamedAccuracy]:
    """The accuracy by labels as people corrected them, of an answer whose row is given; none without any."""
    read = study.answering(name)
    try:
        both = corrected_accuracy(read, shown_images(read))
    except PeregrineError:  # a page says so where it shows that itself
        return
    if both.n_corrections and both.n_corrected:
        images, nan = as_corrected(evaluation_images(both.n_corrected), both.n_corrections), np.nan
        yield NamedAccuracy(row.name, images, "", both.n_corrected, both.accuracy_corrected, nan, nan)


def _refitted(study: Any) -> Iterator[NamedAccuracy]:
    facts = study.facts(RemediesFacts)
    if facts.accuracy is not None and facts.n:
        images, nan = as_corrected(_say("out_of_fold", n=facts.n), facts.n_changed), np.nan
        yield NamedAccuracy(str(_say("refit")), images, facts.step, facts.n, facts.accuracy, nan, nan)


def accuracies_line(rows: list[NamedAccuracy]) -> Record | str:
    """Name in a line, for the report, all accuracies of a study in the fewest words; "" of fewer than two."""
    if len(rows) < 2:
        return ""
    parts = []
    for row in rows:
        is_corrected = row.images.kind == "corrected" and row.name == rows[0].name
        parts.append(_say("corrected" if is_corrected else "short", what=row.name, value=row.value))
    return _say("line", parts=tuple(parts))


def table_of(rows: list[NamedAccuracy]) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells, as text, of the report's table of the accuracies of a study."""
    cells = []
    for row in rows:
        ends = "" if np.isnan(row.low) else f"{100 * row.low:.1f} to {100 * row.high:.1f} %"
        use = str(_say("use")) if row.is_shown else ""
        cells.append([row.name, percent(row.value), ends, str(row.images), row.command, use])
    return str(_say("heads")).split(" | "), cells
