"""Steps that have nothing to do, by labels, masks and words; unreadable inputs are left to the step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.analysis import input_masks
from core.concepts import clip_and_captions
from core.errors import MaskError
from core.pipeline.run import OF_LABELS, idle_steps
from core.store import Study

STEPS: dict[str, Any] = dict.fromkeys((*OF_LABELS, "overlap", "concepts", "map"))


def study(*, labelled: bool) -> Study:
    return cast(Study, SimpleNamespace(labelled=labelled))


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("masks", [None, object()])
@pytest.mark.parametrize("skipped", [None, "no captions"])
def test_idle__by_what_the_study_lacks(monkeypatch, labelled, masks, skipped):
    monkeypatch.setattr(input_masks, "masks_of", lambda *_: masks)
    monkeypatch.setattr(clip_and_captions, "why_skipped", lambda *_: skipped)
    expected = set() if labelled else set(OF_LABELS)
    expected |= ({"overlap"} if masks is None else set()) | ({"concepts"} if skipped else set())
    assert set(idle_steps(study(labelled=labelled), STEPS)) == expected
    assert idle_steps(study(labelled=False), {"map": None}) == []  # only those that are to be run


def test_idle__masks_that_cannot_be_read_are_left_to_their_step(monkeypatch):
    def broken(*_: Any) -> None:
        raise MaskError("the folder is gone")

    monkeypatch.setattr(input_masks, "masks_of", broken)
    monkeypatch.setattr(clip_and_captions, "why_skipped", lambda *_: None)
    assert idle_steps(study(labelled=True), STEPS) == []
