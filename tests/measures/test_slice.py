"""Slices: text form, masks against loops, plain words, errors."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from core.errors import SliceError
from core.measures.slice import Slice
from core.measures.slice_text import LONGEST, pieces
from core.store import Study, open_study
from core.study.writer import write_study
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


WORD = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SOME = st.lists(WORD, min_size=1, max_size=3).map(tuple)
ENDS = st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)).map(lambda pair: tuple(sorted(pair)))


def slice_of(conditions: dict[str, Any]) -> Slice:
    return Slice(**conditions)


SLICES = st.fixed_dictionaries(
    {},
    optional={
        "name": WORD,
        "split": st.sampled_from(["train", "val"]),
        "labels": SOME,
        "predicted": SOME,
        "correct": st.booleans(),
        "ranges": st.dictionaries(st.sampled_from(["q_score", "my column", "split"]), ENDS, min_size=1),
        "fires": st.lists(st.integers(0, 3000), min_size=1, max_size=3).map(tuple),
        "confusion": st.tuples(WORD, WORD),
        "image_ids": SOME,
        "extras": st.dictionaries(st.sampled_from(["background", "label", "ä b", "@x"]), SOME, min_size=1),
        "concepts": SOME,
        "saved": SOME,
    },
).map(slice_of)


@given(wanted=SLICES)
def test_text_form_round_trips(wanted: Slice) -> None:
    assert Slice.parse(str(wanted)) == wanted, str(wanted)
    assert str(Slice.parse(str(wanted))) == str(wanted)
    assert hash(Slice.parse(str(wanted))) == hash(wanted)
    assert Slice.from_json(wanted.to_json()) == wanted
    assert pickle.loads(pickle.dumps(wanted)) == wanted
    assert all(len(part.parts()) == 1 for part in wanted.parts())
    assert replace(Slice.joined(wanted.parts()), name=wanted.name) == wanted


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
        ('concept=red,"brick wall"', Slice(concepts=("brick wall", "red"))),
        ('@dogs @"my cats" split=val', Slice(saved=("dogs", "my cats"), split="val")),
        ('"@odd"=1..2', Slice(ranges={"@odd": (1.0, 2.0)})),
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
        ("q_score=0.1..x", "is not a range"),
        ("q_score=0.3..0.1", "lower end comes first"),
    ],
)
def test_parse_errors(text: str, message: str) -> None:
    with pytest.raises(SliceError, match=message):
        Slice.parse(text)


def test_text_that_somebody_gives__has_a_longest() -> None:
    fits = "label=" + "x" * (LONGEST - len("label="))
    assert Slice.parse(fits) == Slice(labels=(fits[len("label=") :],))
    for text in (fits + "x", '"\\' * LONGEST):
        with pytest.raises(SliceError, match=f"at most 2,000 characters, this one has {len(text):,}"):
            Slice.parse(text)
        assert pieces(text) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('label="a b",c x=1', ['label="a b",c', "x=1"]),
        ('x=1 label="a b', ["x=1", 'label="a b']),
        (r'x=1 label="a \" b', ["x=1", r'label="a \" b']),
        ('"\\' * 900, ['"\\' * 900]),
    ],
)
def test_pieces__a_quote_that_nothing_closes_reaches_to_the_end(text: str, wanted: list[str]) -> None:
    assert pieces(text) == wanted


def test_joined__a_range_and_a_value_of_a_column_replace_each_other() -> None:
    ranged, valued = Slice.parse("split=val q_score=0.1.."), Slice.parse("q_score=0.5")
    assert str(Slice.joined([ranged, valued])) == "split=val q_score=0.5"
    assert str(Slice.joined([valued, ranged])) == "split=val q_score=0.1.."
    with pytest.raises(SliceError, match="given twice"):
        ranges: Any = {"q_score": (0.1, None)}  # an open end as JSON has it
        Slice(ranges=ranges, extras={"q_score": ("0.5",)})


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
        ("background=0..1", "is not numeric"),
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
    with pytest.raises(SliceError, match="python -m core features"):
        Slice(fires=(0,)).mask(early)
    with pytest.raises(SliceError, match="python -m core probe"):
        Slice(correct=True).mask(early)


def test_unknown_condition() -> None:
    with pytest.raises(SliceError, match="'lables'.*'labels'"):
        Slice.from_dict({"lables": ["dog"]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "all images"),
        ("split=val", "evaluation images"),
        ("label=cat,dog,elk", "images of cat, dog or elk"),
        ("q_score=..0.1", "images, Q-Score at most 0.1"),
        ("q_score=0.1..", "images, Q-Score at least 0.1"),
        ("confusion=dog>cat fires=1,2", "images, dog taken for cat, on which features 1 and 2 fire"),
    ],
)
def test_describe(text: str, words: str) -> None:
    assert Slice.parse(text).describe() == words


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study with words, highly activating images and overlaps."""
    path = tmp_path_factory.mktemp("explained") / "study"
    small.write_small_study(path)
    ids = small.image_ids()
    with write_study(path) as writer:
        with writer.step("overlap", {}, ("images",)) as step:
            step.table(
                "overlap",
                pd.DataFrame(
                    {
                        "image_id": [ids[row] for row in (6, 1, 1, 3)],
                        "row": [6, 1, 1, 3],
                        "mask": ["core", "core", "spurious", "core"],
                        "energy": [0.9, 0.2, 0.7, np.nan],
                        "paper": [0.1, 0.2, 0.3, 0.4],
                        "binary": 0.5,
                        "soft": 0.6,
                    }
                ),
            )
        with writer.step("concepts", {}, ("images",)) as step:
            step.table("concepts", pd.DataFrame(WORDS_KEPT, columns=["group", "word", "kept"]))
            step.table("highly_activating", pd.DataFrame(HIGH, columns=["group", "image_id"]))
    return open_study(path)


WORDS_KEPT = [
    ("0", "red", True),
    ("0", "brick wall", True),
    ("0", "tall", False),
    ("2", "red", True),
    ("0+2", "sand", True),
]
HIGH = [
    ("0", "train/1.jpg"),
    ("0", "val/3.jpg"),
    ("2", "val/3.jpg"),
    ("2", "val/6.jpg"),
    ("0+2", "val/6.jpg"),
]


def test_concepts__match_loop(explained: Study) -> None:
    for words in (["red"], ["brick wall"], ["sand"], ["red", "sand"], ["brick wall", "sand"]):
        expected = []
        for row, image_id in enumerate(small.image_ids()):
            carried = {
                word
                for group, word, kept in WORDS_KEPT
                for other, name in HIGH
                if kept and group == other and name == image_id
            }
            if set(words) <= carried:
                expected.append(row)
        assert np.flatnonzero(Slice(concepts=tuple(words)).mask(explained)).tolist() == expected


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("core_energy=0.1..", [1, 6]),
        ("core_energy=..0.5", [1]),
        ("core_energy=..", [1, 6]),  # NaN and images without a mask are out
        ("spurious_energy=0.7..0.7", [1]),
        ("core_paper=0.15..0.45", [1, 3]),
        ("core_energy=.. concept=red split=val", [6]),
    ],
)
def test_overlap_ranges_by_hand(text: str, wanted: list[int], explained: Study) -> None:
    assert rows(text, explained) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("concept=tall", "no feature kept the word 'tall'"),
        ("concept=brick", "no feature kept the word 'brick'"),
        ("concept=rad", "Did you mean 'red'"),
        ("core_energi=0..1", "Did you mean 'core_energy'"),
    ],
)
def test_concept_and_overlap_errors(text: str, message: str, explained: Study) -> None:
    with pytest.raises(SliceError, match=message):
        Slice.parse(text).mask(explained)


def test_concepts_that_are_not_there(study: Study) -> None:
    with pytest.raises(SliceError, match="python -m core concepts"):
        Slice(concepts=("red",)).mask(study)


@pytest.mark.parametrize("text", ["label=" + "x," * 200_000, "label='" + "y" * 400_000 + "'"])
def test_error__quotes_a_long_text_by_its_ends(study, text):
    """A file of slices that a stranger wrote may hold megabytes; a page and a terminal show one line."""
    with pytest.raises(SliceError) as caught:
        Slice.of_saved(text).mask(study)
    assert len(str(caught.value)) < 1100 and len(caught.value.short) < 1100 and "…" in str(caught.value)
