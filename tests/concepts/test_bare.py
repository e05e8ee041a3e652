"""Lists of concepts as people keep them: what stands around each concept is no part of it."""

from __future__ import annotations

import json

import pytest

from core.concepts.caption_bank import open_bank
from core.errors import CaptionError

WORDS = ["dog", "stop sign", "teddy bear", "t-shirt", "7 up"]
FORMS = {
    "bullets": "- {word}",
    "numbers": "{n}. {word}",
    "counts of uniq": "{n:7d} {word}",
    "colons": "{word}: {n}",
    "Python's dictionary": "{n}: '{word}',",
    "quotes": '"{word}",',
    "further names": "{word},{word}s",
    "ids": "n0208562{n} {word}",
    "remarks": "{word}  # seen {n}",
    "plain": "{word}",
}


@pytest.mark.parametrize("form", FORMS)
def test_concepts__are_without_what_each_line_has(tmp_path, form):
    lines = [FORMS[form].format(word=word, n=n + 1) for n, word in enumerate(WORDS)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    bank = open_bank(f"{tmp_path}/list.txt?lines=concepts")
    assert bank.texts(range(len(bank))) == WORDS and bank.of_concepts
    (sentence,) = bank.notes
    told = {part.kind for part in sentence.parts}
    assert told & {"bare", "concepts"} == {"concepts" if form == "plain" else "bare"}


def test_concepts__remarks_above_and_underscores(tmp_path):
    (tmp_path / "list.txt").write_text("# my list, second version\n\ndog\nfire_truck\nsnake_case in words\n")
    bank = open_bank(tmp_path / "list.txt")
    assert bank.texts(range(len(bank))) == ["dog", "fire truck", "snake_case in words"]
    assert bank.report["n_read"] == 5


def test_concepts__what_some_lines_have_stays(tmp_path):
    (tmp_path / "list.txt").write_text("3 wheels\nred, bright\n- dog\nhouse\ncat\n")
    bank = open_bank(tmp_path / "list.txt")
    assert bank.texts(range(len(bank))) == ["3 wheels", "red, bright", "- dog", "house", "cat"]


def test_captions__in_several_languages_are_asked_about(tmp_path):
    """XM3600: an object a language. The only text beside them is the image's key."""
    pairs = [("a dog runs", "ein Hund"), ("two cats sleep", "zwei Katzen")]
    rows = [{"image/key": en[:3], "en": {"caption": [en]}, "de": {"caption": [de]}} for en, de in pairs]
    path = tmp_path / "captions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(CaptionError, match="en.caption, de.caption"):
        open_bank(path)
    bank = open_bank(f"{path}?text=en.caption&lines=sentences")
    assert bank.texts(range(len(bank))) == ["a dog runs", "two cats sleep"]
