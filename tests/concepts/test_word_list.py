import pytest

from core.concepts.caption_words import (
    ADJECTIVE,
    NOUN,
    VERB,
    base_of,
    compounds,
    concepts_of,
    known_words,
    lemma_of,
    tag,
)

TAGS = {NOUN: "NNS", VERB: "VBG", ADJECTIVE: "JJR"}
ENDINGS = {NOUN: ("s", "es", "ies"), VERB: ("s", "es", "ed", "ing", "ies"), ADJECTIVE: ("er", "est")}


@pytest.mark.slow
@pytest.mark.parametrize("part", TAGS)
def test_base_forms__of_every_word_are_words(part: str) -> None:
    """Of each word of the list as if it were inflected, and of each with an ending."""
    words = known_words(NOUN) | known_words(VERB)
    forms = [*words, *(word + ending for word in known_words(part) for ending in ENDINGS[part])]
    bases = {base for form in forms if (base := base_of(form, part))}
    assert len(forms) > 80_000 and bases <= known_words(part)
    some = forms[::20]
    changed = {lemma for form in some if (lemma := lemma_of(form, TAGS[part])) != form}
    assert changed and changed <= known_words(part) | words


@pytest.mark.parametrize(
    ("form", "part", "base"),
    [
        ("playing", "VBG", "play"),
        ("talking", "VBG", "talk"),
        ("ran", "VBD", "run"),
        ("hoping", "VBG", "hope"),
        ("singing", "VBG", "sing"),
        ("seed", "VB", "seed"),
        ("lenses", "NNS", "lens"),
        ("vases", "NNS", "vase"),
        ("wolves", "NNS", "wolf"),
        ("scissors", "NNS", "scissors"),
        ("building", "NN", "building"),
        ("larger", "JJR", "large"),
        ("smartphones", "NNS", "smartphones"),  # the list does not have it
    ],
)
def test_base_forms__of_captions(form: str, part: str, base: str) -> None:
    assert lemma_of(form, part) == base


@pytest.mark.parametrize(
    ("caption", "named", "not_named"),
    [
        ("a dragonfly on a leaf", {"dragonfly", "leaf"}, {"leave"}),
        ("a woman in a kimono", {"kimono"}, set()),
        ("a baguette on a plate", {"baguette"}, set()),
        ("a stop sign at a corner", {"stop sign", "sign"}, {"stop"}),
        ("two teddy bears on a bed", {"teddy bear"}, {"bear", "teddy"}),
        ("a red fire hydrant", {"fire hydrant", "hydrant", "red fire hydrant"}, {"fire", "red fire"}),
        ("a polar bear in the snow", {"polar bear", "bear"}, set()),
        ("people riding horses", {"ride", "horse"}, {"riding horse"}),
        ("the leaves are green", {"leaf"}, {"leave"}),
        ("a red rose in a vase", {"rose", "red rose"}, {"rise"}),
        ("a playing child", {"play", "child"}, set()),
        ("a large white cup", {"white", "cup"}, {"large white"}),
    ],
)
def test_concepts__where_the_word_list_knows_better(
    caption: str, named: set[str], not_named: set[str]
) -> None:
    words = {word.text for word in concepts_of(caption)}
    assert named <= words and not not_named & words


def test_compounds__are_one_token_of_a_noun_chunk() -> None:
    tokens = tag("two red fire hydrants")
    assert [(token.text, token.tag) for token in tokens] == [
        ("two", "CD"),
        ("red", "JJ"),
        ("fire hydrant", "NN"),
    ]
    assert tokens[-1].chunk == "I-NP"
    assert all(len(name.split()) > 1 for name in compounds())
