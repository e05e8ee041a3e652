"""The words that are shipped for photographs: words of WordNet, each once, and so is what is more general."""

from __future__ import annotations

import re

from core.concepts.caption_bank import open_bank
from core.concepts.caption_words import (
    ADJECTIVE,
    NOUN,
    PHOTOGRAPHS,
    VERB,
    base_of,
    compounds,
    more_general,
    photograph_words,
    words_in,
)

SMALL_WORDS = {"and", "in", "of", "o"}


def is_known(text: str) -> bool:
    """Whether WordNet has it, or each of its words."""
    if text in compounds():
        return True
    parts = re.split(r"[ '-]+", text.replace("'s ", " "))
    return all(
        one in SMALL_WORDS or any(base_of(one, part) for part in (NOUN, ADJECTIVE, VERB)) for one in parts
    )


def test_photograph_words__are_about_3_000_of_wordnet_each_once():
    words = [word.lower() for word in photograph_words()]
    assert 2_800 <= len(words) == len({*words}) <= 3_300
    assert [word for word in words if not (is_known(word) or base_of(word, NOUN))] == []


def test_photograph_words__what_is_more_general_is_one_of_them_and_no_circle():
    words = photograph_words()
    assert {general for general in words.values() if general} <= words.keys()
    assert not any(word in more_general(word, words) for word in words)
    assert list(more_general("beagle", words)) == ["dog", "animal"]
    assert "animal" not in {*more_general("mouse", words), *more_general("crane", words)}  # of two kinds


def test_bank__of_the_shipped_words_knows_what_is_more_general(tmp_path, monkeypatch):
    bank = open_bank(PHOTOGRAPHS)
    assert bank.of_concepts and bank.texts(range(len(bank))) == list(photograph_words())
    (concepts,) = words_in(["poodle"], as_they_stand=True, general=bank.general)
    assert [word for word, _ in concepts] == ["poodle", "dog", "animal"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / PHOTOGRAPHS).mkdir()  # the pictures of a user
    assert len(open_bank(PHOTOGRAPHS)) == len(bank)
