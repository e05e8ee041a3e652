"""True captions are true, false ones are false and have the same words."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from core.research.visual_tokens_composed_scenes import (
    RELATIONS,
    NounPhrase,
    Statement,
    draw_statement,
    is_true,
    placed_pairs,
    scene_graph,
    shuffles,
)
from core.worlds.captions import split_words, vocabulary
from core.worlds.glyphworld import plan_world_scene
from core.worlds.scenes import PRESETS, Draws

DOG, CAT = NounPhrase("dog", "red", "small"), NounPhrase("cat", "blue")
SENTENCE = Statement(DOG, "left of", CAT, NounPhrase("brick", "red"))


@cache
def drawn():
    graphs = [scene_graph(plan_world_scene(0, index, PRESETS["compose"]), 96) for index in range(120)]
    found = []
    for index, graph in enumerate(graphs):
        statement = draw_statement(graph, Draws(1, index))
        assert statement is not None
        found.append((graph, statement))
    return found


def test_text__and_its_exchanges():
    assert SENTENCE.text == "a small red dog left of a blue cat in front of a red brick wall"
    assert SENTENCE.with_objects_exchanged().text.startswith("a blue cat left of a small red dog in")
    assert SENTENCE.with_colours_exchanged().text.startswith("a small blue dog left of a red cat in")


def test_tagged__nouns_and_adjectives():
    content = [word for word, is_content in SENTENCE.tagged() if is_content]
    assert content == ["small", "red", "dog", "blue", "cat", "red", "brick", "wall"]
    assert " ".join(word for word, _ in SENTENCE.tagged()) == SENTENCE.text


def test_drawn__is_true_and_its_exchanges_are_permutations_of_its_words():
    false = 0
    for graph, statement in drawn():
        assert is_true(statement, graph)
        swapped, coloured = statement.with_objects_exchanged(), statement.with_colours_exchanged()
        assert not is_true(swapped, graph)
        assert (
            Counter(swapped.text.split()) == Counter(statement.text.split()) == Counter(coloured.text.split())
        )
        if statement.first.colour != statement.second.colour:
            false += not is_true(coloured, graph)
    assert false > 80


def test_drawn__either_object_comes_first_and_every_relation_occurs():
    first = [graph.nodes[0].name == statement.first.noun for graph, statement in drawn()]
    assert 0.2 < sum(first) / len(first) < 0.6  # of two or three objects
    assert {statement.relation for _, statement in drawn()} == set(RELATIONS)


def test_is_true__needs_the_size_the_place_and_the_direction():
    graph, statement = drawn()[0]
    a, relation, b = next(iter(placed_pairs(graph)))
    subject, thing, ground = (graph.nodes[i] for i in (a, b, -1))
    right = Statement(
        NounPhrase(subject.name, subject.colour, subject.size),
        relation,
        NounPhrase(thing.name, thing.colour),
        NounPhrase(ground.name, ground.colour),
    )
    assert is_true(right, graph)
    wrong = NounPhrase(subject.name, subject.colour, "huge"), NounPhrase(ground.name, "plaid")
    assert not is_true(Statement(wrong[0], relation, right.second), graph)
    assert not is_true(Statement(right.first, relation, right.second, wrong[1]), graph)
    assert not is_true(Statement(right.first, "next to", right.second), graph)


def test_shuffles__keep_the_words_and_what_they_may_not_move():
    words = SENTENCE.tagged()
    found = shuffles(words, Draws(3, 1))
    assert all(Counter(text.split()) == Counter(SENTENCE.text.split()) for text in found)
    content = [is_content for _, is_content in words]
    first, second, third, fourth = (text.split() for text in found)
    plain = SENTENCE.text.split()
    assert [w for w, c in zip(first, content, strict=True) if not c] == [w for w, c in words if not c]
    assert [w for w, c in zip(second, content, strict=True) if c] == [w for w, c in words if c]
    trigrams = [plain[i : i + 3] for i in range(0, len(plain), 3)]
    assert [sorted(third[i : i + 3]) for i in range(0, len(plain), 3)] == [sorted(t) for t in trigrams]
    kept = [t for t in trigrams if len(t) == 3]
    assert all(any(fourth[i : i + 3] == t for i in range(len(plain))) for t in kept)
    assert shuffles(words, Draws(3, 1)) == found


@pytest.mark.parametrize("place", [True, False])
def test_drawn__are_in_the_vocabulary_of_the_embedded_clip(place):
    known = set(vocabulary())
    for index, (graph, _) in enumerate(drawn()):
        statement = draw_statement(graph, Draws(2, index), place=place)
        assert statement is not None
        assert (statement.place is not None) is place
        assert set(split_words(statement.text)) <= known
