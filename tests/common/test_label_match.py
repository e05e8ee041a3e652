"""Which label is meant: the forms of a name, keys that are not unique, WordNet ids and words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.common.label_match import match_labels


def codes(called: list[str] | list[list[str]], labels: list[str], **options: bool) -> list[int]:
    listed = [[one] if isinstance(one, str) else one for one in called]
    return match_labels(listed, labels, **options).code.tolist()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Hot Dog", "hot_dog"),
        ("hot-dog", "HotDog"),
        ("Hot_Dog", "hot dog"),
        (unicodedata.normalize("NFC", "épagneul"), unicodedata.normalize("NFD", "épagneul")),
        ("ｔｅｎｃｈ", "tench"),
        ("air plane", "airplane"),
        ("jack o'lantern", "jack-o-lantern"),
        ("01", "1"),
        ("1.0", "1"),
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("n02085620-Chihuahua", "n02085620"),
        ("n02085620-Chihuahua", "chihuahua"),
        ("crane (n03126707)", "n03126707"),
        ("n01440764 tench, Tinca tinca", "tinca_tinca"),
        ("goldfish, Carassius auratus", "Carassius auratus"),
        ("golden retriever", "n02099601"),
        ("n02099601", "Golden_Retriever"),
        ("church/indoor", "church-indoor"),
    ],
)
def test_two_spellings_of_one_class_are_one(name, label):
    assert codes([name, "something else"], ["another one", label]) == [1, -1]
    assert codes([label, "something else"], ["another one", name]) == [1, -1]


@pytest.mark.parametrize(
    ("name", "label"),
    [("10-19", "1-019"), ("1 12", "11 2"), ("c++", "c"), ("1", "-1"), ("1.5", "15"), ("3d box", "box")],
)
def test_what_tells_classes_apart_is_kept(name, label):
    assert codes([name], [label]) == [-1]


def test_two_classes_are_never_taken_for_one():
    assert codes(["dog", "DOG"], ["Dog", "cat"]) == [-1, -1]
    assert codes(["Dog", "DOG"], ["Dog", "dog"]) == [0, -1]
    assert codes([["tench", "goldfish"]], ["tench", "goldfish"]) == [-1]
    match = match_labels([["crane"], ["cat"]], ["Crane", "crane!", "CRANE", "cat"])
    assert match.code.tolist() == [-1, 3] and dict(match.shared) == {"crane": ["Crane", "CRANE"]}


def test_several_things_mean_one_label_only_where_that_is_said():
    assert codes(["Dog", "dog"], ["DOG"], several=True) == [0, 0]
    assert codes(["Dog", "dog"], ["DOG"]) == [-1, -1]
    assert codes(["Hot Dog"], ["hot-dog", "hot_dog"], several=True) == [-1]


def test_an_id_is_the_identity_and_words_its_display():
    cranes = [["n02012849", "crane"], ["n03126707", "crane"]]
    assert codes(cranes, ["n03126707", "n02012849"]) == [1, 0]
    assert codes(cranes[:1], ["crane (n03126707)"]) == [-1]
    assert codes(cranes, ["crane"]) == [-1, -1]
    assert codes(["n02085620-Chihuahua"], ["n02085620-Dog", "n02085620"]) == [-1]


def test_names_by_id_by_word_and_by_number_are_matched_beside_each_other():
    match = match_labels([["n01440764"], ["Hot Dog"], ["07"], ["x"]], ["7", "hot_dog", "n01440764", "y"])
    assert match.code.tolist() == [2, 1, 0, -1] and match.unmatched == ("y",) and match.left == ["x"]
    (note,) = match.left_note("categories")
    assert (note.kind, note.n, note.of, note.names) == ("no_label", 1, 4, ("x",))


@given(st.lists(st.text(max_size=6), unique=True, max_size=6), st.randoms(use_true_random=False))
def test_labels_find_themselves_in_any_order(labels, random):
    shuffled = random.sample(labels, len(labels))
    stripped = [label.strip() for label in labels]
    code = codes(shuffled, labels)
    for name, at in zip(shuffled, code, strict=True):
        if name.strip() and stripped.count(name.strip()) == 1:
            assert at == labels.index(name)
