import pytest

from core.concepts.caption_words import (
    LONGEST,
    Tagged,
    Word,
    chunk_phrases,
    concepts_of,
    discard_words,
    require_english,
)
from core.errors import CaptionError


def words(caption):
    return {word.text for word in concepts_of(caption) if word.kind == "word"}


def phrases(caption):
    return {word.text for word in concepts_of(caption) if word.kind == "phrase"}


def test_concepts__of_a_caption_worked_out_by_hand():
    caption = "A photo of two Brown guide dogs running on the sandy beach"
    concepts = concepts_of(caption)
    assert [word.text for word in concepts if word.kind == "word"] == [
        "brown",
        "dog",
        "run",
        "sandy",
        "beach",
    ]
    assert phrases(caption) == {"brown guide dog", "guide dog", "sandy beach"}


@pytest.mark.parametrize(
    ("caption", "word"),
    [
        ("larger zebras", "large"),
        ("striped zebras", "striped"),
        ("two men", "man"),
        ("zebras are eating grass", "eat"),
    ],
)
def test_concepts__are_in_base_form(caption, word):
    assert word in words(caption)


@pytest.mark.parametrize(
    "dropped", ["photo", "of", "3d", "c3po", "ox", "stock", "isolated", "left", "front", "12", "dog's"]
)
def test_concepts__leave_out_digits_signs_short_stop_and_discarded_words(dropped):
    assert dropped not in words(
        f"stock photo of an ox and a {dropped} isolated in front, left of 12 c3po trees"
    )


def test_concepts__of_joins_nouns_without_an_article():
    assert "ball of yarn" in phrases("a white ball of yarn")
    assert not any("photo" in phrase for phrase in phrases("a photo of grass"))


def test_concepts__a_phrase_does_not_cross_chunks_or_discarded_words():
    tokens = [Tagged("red", "JJ", "B-NP"), Tagged("wall", "NN", "I-NP"), Tagged("dog", "NN", "B-NP")]
    assert chunk_phrases(tokens, ["red", "wall", "dog"]) == ["red wall"]
    assert chunk_phrases(tokens[:2] + [Tagged("old", "JJ", "I-NP")], ["red", "wall", "old"]) == ["red wall"]
    assert chunk_phrases(tokens, ["red", None, "dog"]) == []


def test_concepts__are_each_named_once_and_of_two_kinds():
    concepts = concepts_of("a dog and a dog and dogs")
    assert concepts == [Word("dog", "word")]


@pytest.mark.parametrize("caption", ["", "   ", "\0\0", "...", "12 34", "\n", "🐶"])
def test_concepts__nothing_in_nothing_out(caption):
    assert concepts_of(caption) == []


def test_concepts__markup_is_text_and_slashes_do_not_confuse_the_tagger():
    named = words("<b>dog</b> and/or cat <script>alert(1)</script>")
    assert {"dog", "cat"} <= named
    assert not any(sign in word for word in named for sign in "<>/()")


def test_concepts__a_very_long_caption_is_read_from_its_beginning():
    assert "zebra" in words("zebra " + "grass " * 2_000_000)
    assert "zebra" not in words("grass " * LONGEST + "zebra")


def test_discard_list__holds_the_words_of_the_method_and_no_comments():
    assert {"photo", "picture", "image", "background", "stock", "view", "closeup"} <= discard_words()
    assert "#" not in discard_words() and "words" not in discard_words()


def test_discard_list__that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CaptionError, match="discard list"):
        discard_words(tmp_path / "none.txt")


def test_language__english_passes_others_are_refused():
    require_english(["a small brown dog on green grass", "two boats"])
    require_english(["", "123"])
    with pytest.raises(CaptionError, match="eine kleine"):
        require_english(["eine kleine braune Katze schläft auf dem Sofa", "der Hund läuft über die Wiese"])
    with pytest.raises(CaptionError, match="not English"):
        require_english(["маленькая коричневая собака на траве"])
