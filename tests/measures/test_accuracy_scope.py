"""Which images an accuracy is of: of an answer out of fold all, of others those that it was not fitted to."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.analysis.remedies import base_sentence
from core.answers.answer import Answer
from core.common.step_facts import RemediesFacts
from core.measures.headline import as_corrected, evaluation_images
from tests.sentences import numbers
from tests.small import write_small_study


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize(("name", "kind"), [("probe", ""), ("head", ""), ("crossfit", "out_of_fold")])
def test_scope__by_the_answer_and_the_filter(tmp_path: Path, name: str, kind: str, filtered: bool) -> None:
    study = write_small_study(tmp_path / "study")
    study.answer = None if name == "probe" else Answer(name, name, "answers")
    scope = study.accuracy_scope(1200, filtered=filtered)
    assert scope.kind == (kind or ("filtered" if filtered else "evaluation")) and scope.n == 1200


def test_remedies__say_of_both_accuracies_which_images_and_which_labels_they_are_of() -> None:
    facts = RemediesFacts(
        answer="probe",
        accuracy=0.72,
        accuracy_in_use=0.75,
        n=118,
        n_changed=3,
        n_in_use=24,
        n_in_use_changed=1,
    )
    refitted, in_use = base_sentence(facts).parts
    assert (refitted.kind, refitted.n, in_use.kind, in_use.n) == ("corrected", 3, "corrected", 1)
    assert numbers(base_sentence(facts)) == ["72.0", "118", "3", "75.0", "24", "1"]
    assert as_corrected(evaluation_images(24), 0).kind == "evaluation"
