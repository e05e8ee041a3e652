"""Notes on labels: that people corrected some since, and that an image has another one in the other study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.compare import notes
from core.compare.images import GAINED, LOST, RIGHT, has_other_label, shared_images
from core.compare.notes import correction_notes, penalty_notes, relabelled_notes
from core.study import label_decisions
from tests import small
from tests.manifests import edited_manifest
from tests.sentences import as_record, numbers


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
    text = as_record(note.text)
    part = as_record(text.parts[0])
    assert text.what == "second" and part.n == 1
    assert numbers(part) == ["1", "50.0", "75.0"]


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
    text = as_record(note.text)
    assert (text.n, text.of, text.what, text.names) == (1, 3, "b", ("a",))


def test_penalty__is_noted_where_probes_of_one_encoder_have_another(tmp_path: Path) -> None:
    def noted(*encoders_and_penalties: tuple[str, float]) -> list[tuple[str, ...]]:
        folders = [tmp_path / f"{encoder}-{penalty}" for encoder, penalty in encoders_and_penalties]
        for folder, (encoder, penalty) in zip(folders, encoders_and_penalties, strict=True):
            small.write_small_study(folder)
            with edited_manifest(folder) as manifest:
                manifest["steps"]["embed"]["summary"]["encoder"] = {"fingerprint": encoder}
                manifest["steps"]["probe"] = {
                    "settings": {},
                    "inputs": {},
                    "outputs": [],
                    "summary": {"penalty": penalty},
                }
        studies = [small.open_study(folder) for folder in folders]
        return [as_record(note.text).names for note in penalty_notes(shared_images(studies))]

    assert noted(("a", 3.5), ("a", 0.0003)) == [("a-3.5 3.5", "a-0.0003 0.0003")]
    assert noted(("b", 3.5), ("b", 3.6)) == []  # of a few images more
    assert noted(("c", 3.5), ("d", 0.0003)) == []


@pytest.mark.parametrize(("n_wrong", "kind"), [(7, "unclear"), (8, "")])
def test_why_unjudged__names_the_study_within_the_sentence(n_wrong, kind, monkeypatch):
    correct = np.arange(40) >= n_wrong
    monkeypatch.setattr(notes, "result_column", lambda *_: correct.astype(float))
    study: Any = None
    text = notes.why_unjudged("own", study, np.arange(40))
    why = as_record(text)
    assert why.kind == kind and bool(text) == bool(kind)
    assert not kind or (why.what, as_record(why.parts[0]).n) == ("own", n_wrong)
