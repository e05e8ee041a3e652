"""Notes on labels: that people corrected some since, and that an image has another one in the other study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core.compare.images import GAINED, LOST, RIGHT, has_other_label, shared_images
from core.compare.notes import correction_notes, relabelled_notes
from core.study import label_decisions
from tests import small
from tests.sentences import numbers


def test_corrections__are_noted_of_the_study_that_has_them_with_both_accuracies(tmp_path: Path) -> None:
    studies = [small.write_small_study(tmp_path / name) for name in ("first", "second")]
    assert correction_notes(shared_images(studies)) == []
    label_decisions.decide_label(
        studies[1], small.image_ids()[3], "dog"
    )  # an evaluation image that becomes right
    label_decisions.decide_label(
        studies[0], small.image_ids()[0], "cat"
    )  # a train image, which is not judged
    (note,) = correction_notes(shared_images(studies))
    assert note.text.what == "second" and note.text.parts[0].n == 1
    assert numbers(note.text.parts[0]) == ["1", "50.0", "75.0"]


def test_another_label__is_counted_among_the_images_that_changed_sides() -> None:
    sides = pd.DataFrame(
        {
            "study": ["b", "b", "b", "b", "c"],
            "side": [GAINED, LOST, GAINED, RIGHT, LOST],
            "label": pd.array(["dog", "dog", None, "dog", "dog"], dtype="str"),
            "label_after": pd.array(["cat", "dog", None, "cat", "dog"], dtype="str"),
        }
    )
    assert has_other_label(sides).tolist() == [True, False, False, True, False]
    (note,) = relabelled_notes("a", sides)
    assert (note.text.n, note.text.of, note.text.what, note.text.names) == (1, 3, "b", ("a",))
