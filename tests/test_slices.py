"""Slices: text form, masks against loops, plain words, errors."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.errors import SliceError
from core.slices import Slice
from core.store import Study
from tests import small

WORDS = [
    "dog",
    "golden retriever",
    "Ünïcode 犬",
    'quo"te',
    "back\\slash",
    "a=b",
    "x>y",
    "1..2",
    "",
    "a,b",
    "új\nsor",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small.write_small_study(tmp_path_factory.mktemp("slices") / "study")


def random_slice(rng: np.random.Generator) -> Slice:
    """A slice with each condition there or not, of awkward words and numbers."""

    def some(n: int = 3) -> tuple[str, ...]:
        return tuple(rng.choice(WORDS, rng.integers(1, n + 1)))

    def ends() -> tuple[float, float]:
        low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-8, 8))
        return (float(low) if rng.random() < 0.7 else -math.inf), (
            float(high) if rng.random() < 0.7 else math.inf
        )

    every = {
        "name": str(rng.choice(WORDS)),
        "split": str(rng.choice(["train", "val"])),
        "labels": some(),
        "predicted": some(),
        "correct": bool(rng.random() < 0.5),
        "ranges": {str(word): ends() for word in rng.choice(["q_score", "my column", "split"], 2)},
        "fires": tuple(int(j) for j in rng.integers(0, 3000, 3)),
        "confusion": (str(rng.choice(WORDS)), str(rng.choice(WORDS))),
        "image_ids": some(),
        "extras": {str(word): some() for word in rng.choice(["background", "label", "ä b"], 2)},
    }
    return Slice(**{key: value for key, value in every.items() if rng.random() < 0.5})


def test_text_form_round_trips(rng: np.random.Generator) -> None:
    for _ in range(500):
        wanted = random_slice(rng)
        assert Slice.parse(str(wanted)) == wanted, str(wanted)
        assert str(Slice.parse(str(wanted))) == str(wanted)
        assert hash(Slice.parse(str(wanted))) == hash(wanted)
        assert Slice.from_json(wanted.to_json()) == wanted
        assert pickle.loads(pickle.dumps(wanted)) == wanted


def test_text_form_as_documented() -> None:
    text = "split=val label=dog correct=false q_score=0.1..0.3 fires=12,40"
    wanted = Slice(
        split="val", labels=("dog",), correct=False, ranges={"q_score": (0.1, 0.3)}, fires=(12, 40)
    )
    assert Slice.parse(text) == wanted
    assert str(wanted) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Slice()),
        ("  \n", Slice()),
        ("q_score=..0.1", Slice(ranges={"q_score": (-math.inf, 0.1)})),
        ("q_score=1e-3..", Slice(ranges={"q_score": (0.001, math.inf)})),
        ("q_score=-2..-1", Slice(ranges={"q_score": (-2.0, -1.0)})),
        ('label="golden retriever",dog', Slice(labels=("dog", "golden retriever"))),
        ('"label"=dog', Slice(extras={"label": ("dog",)})),
        ('background="1..2"', Slice(extras={"background": ("1..2",)})),
        ("confusion=dog>cat", Slice(confusion=("dog", "cat"))),
        ("image=train/a.jpg", Slice(image_ids=("train/a.jpg",))),
    ],
)
def test_parse_by_hand(text: str, wanted: Slice) -> None:
    assert Slice.parse(text) == wanted


def test_equal_choices_are_equal() -> None:
    assert Slice(labels=("b", "a", "a")) == Slice(labels=["a", "b"])  # pyright: ignore[reportArgumentType]
    assert Slice(fires=(40, 12, 40)) == Slice(fires=(12, 40))
    assert Slice(extras={"agrees": True}) == Slice(extras={"agrees": ("true",)})  # pyright: ignore
    assert not Slice(name="everything") and Slice(correct=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label", "at its end: expected '='"),
        ("label=", "expected a word"),
        ("label==dog", "expected a word"),
        ('label="dog', "expected a word"),
        ("confusion=dog", "expected '>'"),
        ("label=dog>cat", "expected a space"),
        ("label=dog label=cat", "given twice"),
        ("a=1 a=2", "given twice"),
        ("correct=maybe", "true or false"),
        ("fires=one", "feature numbers"),
        ("fires=-1", "feature numbers"),
        ("q_score=0.1..x", "no range"),
        ("q_score=0.3..0.1", "lower end comes first"),
    ],
)
def test_parse_errors(text: str, message: str) -> None:
    with pytest.raises(SliceError, match=message):
        Slice.parse(text)


def test_empty_slice_is_every_image(study: Study) -> None:
    assert_array_equal(Slice().mask(study), np.ones(8, dtype=bool))
    assert_array_equal(Slice(name="whatever").mask(study), np.ones(8, dtype=bool))


def rows(text: str, study: Study) -> list[int]:
    return np.flatnonzero(Slice.parse(text).mask(study)).tolist()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("split=val", [3, 4, 5, 6, 7]),
        ("label=dog", [0, 1, 5]),
        ('label=dog,"golden retriever"', [0, 1, 4, 5]),
        ("predicted=dog", [0, 3, 5, 6]),
        ("correct=true", [0, 2, 4, 5]),
        ("correct=false", [1, 3, 6]),  # the image without a label is neither
        ("q_score=0.1..0.3", [1, 2, 3, 7]),  # both ends included, NaN out
        ("q_score=..", [0, 1, 2, 3, 4, 5, 7]),
        ("fires=0", [0, 1, 3, 6]),
        ("fires=0,2", [1, 3, 6]),
        ("fires=3", []),
        ("confusion=cat>dog", [3, 6]),
        ("image=train/0.jpg,val/7.jpg", [0, 7]),
        ("background=sand", [0, 2, 5]),
        ('background="wet sand",snow', [3, 6, 7]),
        ("background_agrees=true", [0, 2, 4, 6]),
        ("hardness=0.55..", [6, 7]),
        ("n_firing=2", [1, 3]),
        ("split=val correct=false fires=1", [6]),
    ],
)
def test_mask_by_hand(text: str, wanted: list[int], study: Study) -> None:
    assert rows(text, study) == wanted


def test_mask_is_the_conjunction(study: Study, rng: np.random.Generator) -> None:
    conditions = [
        {"split": "val"},
        {"labels": ("dog", "cat")},
        {"correct": False},
        {"ranges": {"q_score": (0.05, 0.45)}},
        {"fires": (0,)},
        {"extras": {"background": ("sand", "snow")}},
    ]
    for _ in range(30):
        chosen = [one for one in conditions if rng.random() < 0.5]
        together = Slice.from_dict({key: value for one in chosen for key, value in one.items()})
        apart = [Slice.from_dict(one).mask(study) for one in chosen]
        assert_array_equal(together.mask(study), np.logical_and.reduce([np.ones(8, bool), *apart]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q_scor=0..1", "no column 'q_scor'.*Did you mean 'q_score'.*hardness"),
        ("backround=sand", "no column 'backround'.*Did you mean 'background'"),
        ("background=sandy", "no image has background 'sandy'. Did you mean 'sand'"),
        ("label=dgo", "no label 'dgo'.*Did you mean 'dog'"),
        ("predicted=wolf", "no predicted 'wolf'.*cat"),
        ("split=test", "no split 'test'.*train, val"),
        ("fires=4", "no feature 4.*0 to 3"),
        ("background=0..1", "holds no numbers"),
        ("hardness=hard", "holds numbers, not 'hard'"),
        ("background_agrees=yes", "no background_agrees 'yes'.*true, false"),
        ("image=nowhere.jpg", "no image has image_id 'nowhere.jpg'"),
    ],
)
def test_mask_errors_name_the_remedy(text: str, message: str, study: Study) -> None:
    with pytest.raises(SliceError, match=message):
        Slice.parse(text).mask(study)


def test_what_is_not_computed_yet_is_said(tmp_path: Path) -> None:
    early = small.write_small_study(tmp_path / "early", features=False)
    with pytest.raises(SliceError, match="Run: python -m core features"):
        Slice(fires=(0,)).mask(early)
    with pytest.raises(SliceError, match="needs the probe.*python -m core probe"):
        Slice(correct=True).mask(early)


def test_unknown_condition() -> None:
    with pytest.raises(SliceError, match="no 'lables'. Did you mean 'labels'"):
        Slice.from_dict({"lables": ["dog"]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "all images"),
        ("split=val", "validation images"),
        ("label=cat,dog,elk", "images of cat, dog or elk"),
        ("q_score=..0.1", "images, q_score at most 0.1"),
        ("q_score=0.1..", "images, q_score at least 0.1"),
        ("confusion=dog>cat fires=1,2", "images, dog taken for cat, on which features 1 and 2 fire"),
    ],
)
def test_describe(text: str, words: str) -> None:
    assert Slice.parse(text).describe() == words
