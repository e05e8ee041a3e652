"""The caption grammar of composed scenes: sentences that a graph makes true or false (docs/method.md 16.5).

NP = a [size] colour noun; S = NP REL NP [place]; REL = left of, right of, above, below. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.research.visual_tokens.tokens.graph import Node, SceneGraph
from core.research.visual_tokens.tokens.planted import GROUND
from core.worlds.glyphworld.scenes import Draws
from core.worlds.glyphworld.vocabulary import PLACES, REVERSED, with_article

OPPOSITE = REVERSED | {other: word for word, other in REVERSED.items()}
RELATIONS = tuple(OPPOSITE)
N_SHUFFLES = 4
SHUFFLES_DROPPED = "shuffles equal to their caption or to another one"
SIZE_SHARE, PLACE_SHARE = 0.4, 0.5  # of noun phrases with a size, of sentences with a place


@dataclass(frozen=True)
class NounPhrase:
    """An object as a caption names it; an empty size is not said."""

    noun: str
    colour: str
    size: str = ""

    @property
    def text(self) -> str:
        return with_article(" ".join(word for word in (self.size, self.colour, self.noun) if word))

    def names(self, node: Node) -> bool:
        """Return True if the phrase is true of an object."""
        words = (self.noun, self.colour)
        return words == (node.name, node.colour) and self.size in ("", node.size)


@dataclass(frozen=True)
class Statement:
    """One sentence of the grammar."""

    first: NounPhrase
    relation: str
    second: NounPhrase
    place: NounPhrase | None = None

    @property
    def text(self) -> str:
        words = [self.first.text, self.relation, self.second.text]
        return " ".join([*words, PLACES[self.place.noun].format(self.place.colour)] if self.place else words)

    def with_objects_exchanged(self) -> Statement:
        """ "a red dog left of a blue cat" -> "a blue cat left of a red dog"."""
        return replace(self, first=self.second, second=self.first)

    def with_colours_exchanged(self) -> Statement:
        """ "a red dog left of a blue cat" -> "a blue dog left of a red cat"."""
        first, second = self.first, self.second
        return replace(
            self, first=replace(first, colour=second.colour), second=replace(second, colour=first.colour)
        )

    def tagged(self) -> list[tuple[str, bool]]:
        """List the words of the sentence; True for its nouns and adjectives, known from the grammar."""
        content = [_content(self.first), _content(self.second)]
        place_words = _content(self.place) | set(_nouns_of_place(self.place.noun)) if self.place else set()
        words = [(word, word in content[0]) for word in self.first.text.split()]
        words += [(word, False) for word in self.relation.split()]
        words += [(word, word in content[1]) for word in self.second.text.split()]
        n_words = len(words)
        return words + [(word, word in place_words) for word in self.text.split()[n_words:]]


def _content(phrase: NounPhrase) -> set[str]:
    return {*phrase.size.split(), *phrase.colour.split(), *phrase.noun.split()}


def _nouns_of_place(kind: str) -> list[str]:
    """ "in front of a {} brick wall" -> brick, wall."""
    function_words = {"in", "front", "of", "on", "a", "against", "{}"}
    return [word for word in PLACES[kind].split() if word not in function_words]


def is_true(statement: Statement, graph: SceneGraph) -> bool:
    """Return True if two objects of the graph are what the sentence says, and its place is the ground's."""
    if statement.place is not None and not any(
        node.role == GROUND and (node.name, node.colour) == (statement.place.noun, statement.place.colour)
        for node in graph.nodes
    ):
        return False
    for a, relation, b in placed_pairs(graph):
        same_objects = statement.first.names(graph.nodes[a]) and statement.second.names(graph.nodes[b])
        if same_objects and relation == statement.relation:
            return True
    return False


def placed_pairs(graph: SceneGraph) -> Iterator[tuple[int, str, int]]:
    """Yield (object, relation, object) for every pair that the graph places, in both directions."""
    for triple in graph.triples:
        if triple.predicate in REVERSED:
            yield triple.subject, triple.predicate, triple.object
            yield triple.object, OPPOSITE[triple.predicate], triple.subject


def phrase_of(node: Node, *, with_size: bool = False) -> NounPhrase:
    return NounPhrase(node.name, node.colour, node.size if with_size else "")


def draw_statement(
    graph: SceneGraph, dice: Draws, among: tuple[int, int] | None = None, *, place: bool | None = None
) -> Statement | None:
    """Draw a true sentence about a pair of objects; None if the graph places no pair.

    Which object comes first is a coin: if the main one always did, an exchange could be told from the order.

    Args:
        among: only this pair of objects. place: True or False instead of a random choice.
    """
    pairs = [pair for pair in placed_pairs(graph) if among is None or {pair[0], pair[2]} == set(among)]
    if not pairs:
        return None
    a, relation, b = dice.pick(pairs)
    with_place = dice.chance(PLACE_SHARE) if place is None else place
    ground = next((node for node in graph.nodes if node.role == GROUND), None)
    first = phrase_of(graph.nodes[a], with_size=dice.chance(SIZE_SHARE))
    second = phrase_of(graph.nodes[b], with_size=dice.chance(SIZE_SHARE))
    return Statement(
        first, relation, second, phrase_of(ground) if with_place and ground is not None else None
    )


def false_shuffles(true: str, words: Sequence[tuple[str, bool | str]], dice: Draws) -> list[str]:
    """Return those of the four shuffles that differ from the true caption, each once.

    A text that stood twice would make the chance of an item smaller than 1 / (number of captions).
    """
    return [text for text in dict.fromkeys(shuffles(words, dice)) if text != true]


def shuffles(words: Sequence[tuple[str, bool | str]], dice: Draws) -> list[str]:
    """Return the four shuffles of the Order tests of ARO.

    Nouns and adjectives among their places; all other words among theirs; the words within each trigram;
    the trigrams.

    Args:
        words: (word, kind), in order. A noun or an adjective changes places with words of its kind, which is
            True where nouns and adjectives are one kind; other words have False or "".
    """
    plain = [word for word, _ in words]
    content = plain
    for kind in dict.fromkeys(kind for _, kind in words if kind):
        content = _permuted(
            content, [index for index, (_, word_kind) in enumerate(words) if word_kind == kind], dice
        )
    rest = [index for index, (_, kind) in enumerate(words) if not kind]
    trigrams = [plain[start : start + 3] for start in range(0, len(plain), 3)]
    content_shuffled = " ".join(_permuted(plain, rest, dice))
    within_trigrams = " ".join(word for trigram in trigrams for word in _shuffled(trigram, dice))
    return [
        " ".join(content),
        content_shuffled,
        within_trigrams,
        " ".join(word for trigram in _shuffled(trigrams, dice) for word in trigram),
    ]


def _permuted(words: list[str], places: list[int], dice: Draws) -> list[str]:
    moved = list(words)
    for position, word in zip(places, _shuffled([words[position] for position in places], dice), strict=True):
        moved[position] = word
    return moved


def _shuffled(entries: list, dice: Draws) -> list:
    left, order = list(entries), []
    while left:
        order.append(left.pop(dice.below(len(left))))
    return order
