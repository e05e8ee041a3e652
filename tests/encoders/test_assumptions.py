"""How much harm each assumption does, and which are shown where not all are."""

from __future__ import annotations

import pytest

from core.common.step_facts import MOST_SENTENCES, EncoderFacts
from core.encoders.assumptions import SEVERITY, UNKNOWN, assumed, severity_of
from core.encoders.registry import load_encoder
from tests.encoders.planted import narrow_resnet
from tests.sentences import as_record


def test_severity__every_kind_has_one():
    assert SEVERITY.keys() == assumed.by_kind.keys() and set(SEVERITY.values()) == {0, 1, 2, 3}
    assert severity_of("a note of a user's own encoder") == UNKNOWN
    assert severity_of(assumed("random_weights", what="x", n=0)) == 3


def test_most_harmful__the_worst_come_first_and_facts_never():
    facts = EncoderFacts(assumptions=("a", "b", "c", "d", "e"), severities=(1, 0, 3, 2, 1))
    assert facts.most_harmful == ["c", "d", "a"] and len(facts.most_harmful) == MOST_SENTENCES
    assert EncoderFacts(assumptions=("a",)).most_harmful == []  # a study of before
    assert EncoderFacts(assumptions=("a",), severities=(0,)).most_harmful == []


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}, (0.485, 0.229)),
        ({"mean": (127.5,) * 3, "std": (1.0,) * 3}, (0.5, 1 / 255)),
        ({"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}, (0.485, 0.229)),
    ],
)
def test_mean_and_std_of_pixels_from_0_to_255_are_read_and_said(given, taken, tmp_path):
    import torch

    torch.save(narrow_resnet().state_dict(), tmp_path / "net.pth")
    encoder = load_encoder(str(tmp_path / "net.pth"), input_size=32, **given)
    assert (encoder.transform.mean[0], encoder.transform.std[0]) == pytest.approx(taken)
    kinds = [as_record(line).kind for line in encoder.assumptions]
    assert ("pixels_of_255" in kinds) == (given["mean"][0] > 1)
