"""Files of class names in the forms that tools and papers write."""

from __future__ import annotations

import json

import pytest

from core.data.class_list import parse_class_list, read_class_list
from core.errors import SettingsError

CUB = "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n3 003.Sooty_Albatross\n"
CUPL = {
    "tench": ["A tench is a freshwater fish of the carp family."] * 3,
    "goldfish": ["The goldfish is small and orange, and lives in a bowl."] * 3,
}
CBM = {"tench": ["a long body", "fins", "a fish"], "goldfish": ["orange scales", "a bowl", "a small fish"]}


@pytest.mark.parametrize(
    ("suffix", "text", "names", "numbers"),
    [
        (
            ".txt",
            CUB,
            ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross"],
            [1, 2, 3],
        ),
        (".txt", "0: cat\n1: dog\n", ["cat", "dog"], [0, 1]),
        (".txt", "/a/airfield 0\n/b/bar 1\n", ["airfield", "bar"], [0, 1]),
        (".txt", "7 up\n11 cans\n", ["7 up", "11 cans"], [None, None]),
        (".txt", "n02119789 1 kit_fox\nn02100735 2 setter\n", ["kit_fox", "setter"], [1, 2]),
        (
            ".txt",
            "n01440764 tench, Tinca tinca\n\nn01443537 goldfish",
            ["tench, Tinca tinca", "", "goldfish"],
            [None] * 3,
        ),
        (
            ".txt",
            "{0: 'tench, Tinca tinca',\n 1: 'jack-o\\'-lantern'}",
            ["tench, Tinca tinca", "jack-o'-lantern"],
            [0, 1],
        ),
        (".txt", "['cat', \"dog\"]", ["cat", "dog"], [None, None]),
        (".json", '{"0": ["n01440764", "tench"]}', ["tench"], [0]),
        (".json", '{"architectures": ["X"], "id2label": {"1": "dog", "0": "cat"}}', ["dog", "cat"], [1, 0]),
        (".json", '{"label2id": {"dog": 1, "cat": 0}}', ["dog", "cat"], [1, 0]),
        (".json", '{"categories": [{"id": 3, "name": "dog"}]}', ["dog"], [3]),
        (".json", json.dumps(CUPL), ["tench", "goldfish"], [None, None]),
        (".json", json.dumps(CBM), ["tench", "goldfish"], [None, None]),
        (".json", '{"a": ["a", "an a", "the a"]}', ["the a"], [None]),
        (".csv", "id,name\n1,cat\n0,dog\n", ["cat", "dog"], [1, 0]),
        (".csv", "0,cat\n1,dog\n", ["cat", "dog"], [0, 1]),
    ],
)
def test_known_forms_are_read(suffix, text, names, numbers):
    classes = parse_class_list(text, suffix).classes
    assert [one.names[-1] if one.names else "" for one in classes] == names
    assert [one.number for one in classes] == numbers


def test_sentences_are_prompts_and_descriptions_are_counted():
    assert [len(one.prompts) for one in parse_class_list(json.dumps(CUPL), ".json").classes] == [3, 3]
    described = parse_class_list(json.dumps(CBM), ".json")
    assert described.n_described == 6 and not any(one.prompts for one in described.classes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{0: __import__('os')}", "more than names and numbers"),
        ("{0: 'cat',", "begins like JSON or a dictionary of Python"),
        ("[" * 5000, "holds no class names"),
        ("<xml>", "expected a name a line"),
        ("item {\n  id: 1\n}", "expected a name a line"),
        ("word " * 200, "expected a name a line"),
    ],
)
def test_other_forms_are_refused_in_a_line(tmp_path, text, problem):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(SettingsError, match=problem) as caught:
        read_class_list(tmp_path / "names.txt")
    assert "\n" not in str(caught.value)
