"""Notes that a reader of a comparison should know before trusting it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.analysis.caveats import notes_on_accuracy, notes_on_features
from core.answers.answer import PROBE
from core.common.command_line import command_line
from core.common.records import Record, Templates
from core.common.step_facts import EmbedFacts, ProbeFacts
from core.compare.images import GAINED, LOST, Shared, has_other_label
from core.measures.chance import too_few_outcomes
from core.measures.corrected_accuracy import before_corrections
from core.measures.evaluate import of_results, result_column
from core.measures.slice import Slice
from core.store import Study

_say = Templates.beside(__file__)
OTHER_PENALTY = 2.0  # times: less follows from the number of images, by which penalties are divided


@dataclass(frozen=True)
class Note:
    """A caution about a comparison, and the command that mends it where there is one."""

    text: str
    command: str = ""

    def __str__(self) -> str:
        return f"{self.text}. Run: {self.command}" if self.command else f"{self.text}"  # no Record


def damage_notes(shared: Shared) -> list[Note]:
    """A note on each step of compared studies whose files are damaged."""
    notes = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        for step, missing in study.missing().items():
            if missing.state == "damaged":
                notes.append(Note(f"the step '{step}' of {name} is {missing.reason}", missing.command))
    return notes


def answer_notes(shared: Shared) -> list[Note]:
    """A note where compared studies are read by different answers, with the command for the same one."""
    answers = {}
    for name, study in zip(shared.names, shared.studies, strict=True):
        if study.has(PROBE):
            answers[name] = study.answer_name
    if len(set(answers.values())) < 2:
        return []
    by_study = ", ".join(f"{name} {answer}" for name, answer in answers.items())
    first, *others = (study.answers for study in shared.studies)
    common = [name for name in first if all(name in answer_names for answer_names in others)]
    paths = [study.path for study in shared.studies]
    command = command_line("compare", *paths, answer=common[0]) if common else ""
    text = f"the answer differs ({by_study}), so a change may be of the answer and not of the encoder"
    return [Note(text, command)]


def precision_notes(shared: Shared) -> list[Note]:
    """A note where encoders of compared studies multiplied in different numeric types."""
    types = {}
    for name, study in zip(shared.names, shared.studies, strict=True):
        precision = study.facts(EmbedFacts).encoder.precision
        if precision:
            types[name] = precision
    if len(set(types.values())) < 2:
        return []
    return [Note(_say("precision", names=tuple(f"{name} {type_}" for name, type_ in types.items())))]


def penalty_notes(shared: Shared) -> list[Note]:
    """A note where the probe of another study with the first one's encoder has another penalty."""
    first, *others = (study.facts(EmbedFacts).encoder.fingerprint for study in shared.studies)
    is_alike = [first is not None, *(first is not None and other == first for other in others)]
    penalties = {}
    for name, study, alike in zip(shared.names, shared.studies, is_alike, strict=True):
        if alike and study.answer_name == PROBE and (penalty := study.facts(ProbeFacts).penalty):
            penalties[name] = penalty
    if not penalties or max(penalties.values()) < OTHER_PENALTY * min(penalties.values()):
        return []
    return [
        Note(_say("penalty", names=tuple(f"{name} {penalty:.3g}" for name, penalty in penalties.items())))
    ]


def few_error_notes(correct: Mapping[str, np.ndarray]) -> list[str]:
    """A note on each compared study with too few errors for a verdict on its AUROCs.

    Args:
        correct: study -> 1, 0 or NaN of each shared image.
    """
    notes = []
    for name, outcome in correct.items():
        few = too_few_outcomes(int((outcome == 0).sum()), int((outcome == 1).sum()))
        if few and (outcome == 0).any() and (outcome == 1).any():
            notes.append(f"how well scores predict the errors of {name} {few}, so its AUROCs are not judged")
    return notes


def why_unjudged(name: str, study: Study, rows: np.ndarray) -> Record | Literal[""]:
    """Say why AUROCs are not judged, as "unclear in demo from only 3 errors"; "" where they are."""
    correct = result_column(study, "correct")[rows]
    few = too_few_outcomes(int((correct == 0).sum()), int((correct == 1).sum()))
    return _say("unclear", what=name, parts=few.parts) if few else ""


def feature_notes(shared: Shared) -> list[str]:
    """List cautions about compared studies' discriminative features and accuracy."""
    notes = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        for note in (*notes_on_features(study), *notes_on_accuracy(study)):
            notes.append(f"in {name}, {note[:1].lower()}{note[1:]}")
    return notes


def correction_notes(shared: Shared) -> list[Note]:
    """Note each compared study whose labels people corrected since, with accuracy before and after."""
    notes = []
    for name, study, rows in zip(shared.names, shared.studies, shared.rows[:, shared.judged], strict=True):
        mask = np.zeros(study.n_images, bool)
        mask[rows] = True
        if before := before_corrections(study, mask):
            notes.append(Note(_say("of_study", what=name, parts=(before,))))
    return notes


def relabelled_notes(first: str, sides: pd.DataFrame) -> list[Note]:
    """A note on each study in which images that changed sides have another label than in the first one.

    Args:
        sides: from `side_table`.
    """
    moved = sides.loc[sides["side"].isin([GAINED, LOST]).to_numpy(bool)]
    counts = moved.loc[has_other_label(moved), "study"].value_counts()
    of = moved["study"].value_counts()
    return [
        Note(_say("relabelled", n=int(n), of=int(of[name]), what=str(name), names=(first,)))
        for name, n in counts.items()
    ]


def chosen_by_result(among: Slice, shared: Shared) -> list[Note]:
    """A note where compared images were chosen by the first study's results: that favours the others."""
    if not of_results(among, shared.studies[0]):
        return []
    return [Note(_say("chosen", what=shared.names[0]))]


def unjudged(changes: pd.DataFrame) -> pd.DataFrame:
    """Take the intervals out of a table of changes between compared studies: none of them is judged."""
    return changes.assign(difference_low=np.nan, difference_high=np.nan)
