"""Composed scenes of Glyphworld: scene graphs, and captions that they make true (docs/method.md 16.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from core.research.visual_tokens_graph import Node, SceneGraph, Triple
from core.worlds.painting import layer_alpha, layers, paint_ground
from core.worlds.scenes import Draws, Item, ScenePlan
from core.worlds.vocabulary import (
    PLACES,
    REVERSED,
    colour_of,
    glyph_of,
    ground_colour,
    place_words,
    size_word,
    with_article,
)

# The exact scene graph of a Glyphworld scene, measured on its alpha (docs/method.md 16.1). No torch.


SEEN = 0.25  # smallest visible share of an object that counts as seen
SOLID = 128  # of 255: a pixel belongs to a shape from this opacity on
GROUND = "ground"


@dataclass(frozen=True)
class PlantedObject:
    """One drawn object: its item, role, visible alpha (size, size) uint8, and visible share in [0, 1]."""

    item: Item
    role: str
    alpha: np.ndarray
    visible: float


def planted_objects(plan: ScenePlan, size: int) -> list[PlantedObject]:
    """List a scene's objects for its graph (visual tokens, research), with what is visible of them.

    The main one, companion, distractors, occluder. What lies outside the image or behind something else is
    hidden.
    """
    drawn = [layer for layer in layers(plan, size) if layer.role != "shadow"]
    items = _items(plan)
    objects: list[PlantedObject] = []
    for number, layer in enumerate(drawn):
        if layer.role == "cover":
            continue
        alpha = layer_alpha(layer, size)
        for front in drawn[number + 1 :]:
            alpha = (alpha.astype(np.uint16) * (255 - layer_alpha(front, size)) // 255).astype(np.uint8)
        whole = max(int(np.asarray(layer.alpha, np.int64).sum()), 1)
        objects.append(PlantedObject(items.pop(0), layer.role, alpha, int(alpha.sum(dtype=np.int64)) / whole))
    order = ("main", "companion", "distractor", "occluder")
    return sorted(objects, key=lambda one: order.index(one.role))


def _items(plan: ScenePlan) -> list[Item]:
    """The items in the order in which they are drawn."""
    drawn = [*plan.distractors, plan.companion, plan.main, plan.occluder]
    return [item for item in drawn if item is not None]


def scene_graph(plan: ScenePlan, size: int = 96) -> SceneGraph:
    """Build the graph of a scene (visual tokens, research): objects and ground, with relations of all pairs.

    An object is seen if at least a quarter of its shape is visible; its score is that share, its box that of
    its visible pixels. The ground is the last node. Relations: "left of" or "above" for every pair of
    seen objects, "next to" (from the earlier to the later one) where they are too close to tell; "on" from
    each to a ground that is a floor; "hides" from the occluder to the main object.
    """
    return graph_of(plan, seen_objects(plan, size), size)


def seen_objects(plan: ScenePlan, size: int) -> list[PlantedObject]:
    """List the objects of which enough is visible; a shape without a solid pixel is not (research)."""
    objects = planted_objects(plan, size)
    return [item for item in objects if item.visible >= SEEN and (item.alpha >= SOLID).any()]


def graph_of(plan: ScenePlan, seen: list[PlantedObject], size: int) -> SceneGraph:
    """Build a scene's graph for visual tokens (research) from objects that `seen_objects` lists."""
    nodes = [_object_node(one) for one in seen]
    boxes = [mask_box(one.alpha >= SOLID) for one in seen]
    nodes.append(Node(plan.ground.kind, ground_colour(plan), "", GROUND))
    boxes.append((0.0, 0.0, float(size), float(size)))
    scores = [min(one.visible, 1.0) for one in seen] + [1.0]
    return SceneGraph(
        tuple(nodes), np.asarray(boxes, np.float64), np.asarray(scores), tuple(_relations(plan, seen))
    )


def _relations(plan: ScenePlan, seen: list[PlantedObject]) -> list[Triple]:
    triples = []
    for a, first in enumerate(seen):
        for b, second in enumerate(seen[a + 1 :], a + 1):
            words = place_words(first.item, second.item)
            if words is None:
                triples.append(Triple(a, b, "next to"))
            else:
                triples.append(Triple(a, b, words[0]) if words[1] else Triple(b, a, words[0]))
    if plan.ground.is_floor:
        triples += [Triple(a, len(seen), "on") for a in range(len(seen))]
    node_of_role = {one.role: a for a, one in enumerate(seen)}
    if "occluder" in node_of_role and "main" in node_of_role:
        triples.append(Triple(node_of_role["occluder"], node_of_role["main"], "hides"))
    return triples


def _object_node(one: PlantedObject) -> Node:
    """Name an object for visual tokens (research) as captions do: noun, colour, size word."""
    return Node(glyph_of(one.item).noun, colour_of(one.item), size_word(one.item.size), one.role)


def mask_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom in pixels of a visual token's mask (H, W) (research)."""
    down, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right = float(across[0]), float(across[-1] + 1)
    top, bottom = float(down[0]), float(down[-1] + 1)
    return left, top, right, bottom


def ground_picture(plan: ScenePlan, size: int) -> Image.Image:
    """Draw the ground without any object: its token must not know where the objects are (research)."""
    return paint_ground(plan.ground, size)


# The caption grammar of composed scenes: sentences that a graph makes true or false (docs/method.md 16.5).
#
# NP = a [size] colour noun; S = NP REL NP [place]; REL = left of, right of, above, below. No torch.


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
    """Return True if a statement (visual tokens, research) holds in a graph: two objects and the ground."""
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
    """Yield (object, relation, object) for every pair that a graph places (visual tokens, research)."""
    for triple in graph.triples:
        if triple.predicate in REVERSED:
            yield triple.subject, triple.predicate, triple.object
            yield triple.object, OPPOSITE[triple.predicate], triple.subject


def _phrase_of(node: Node, *, with_size: bool = False) -> NounPhrase:
    """Return the noun phrase of an object in a caption for visual tokens (research)."""
    return NounPhrase(node.name, node.colour, node.size if with_size else "")


def draw_statement(
    graph: SceneGraph, dice: Draws, among: tuple[int, int] | None = None, *, place: bool | None = None
) -> Statement | None:
    """Draw a true sentence about a pair of objects; None if the graph places no pair (research).

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
    first = _phrase_of(graph.nodes[a], with_size=dice.chance(SIZE_SHARE))
    second = _phrase_of(graph.nodes[b], with_size=dice.chance(SIZE_SHARE))
    return Statement(
        first, relation, second, _phrase_of(ground) if with_place and ground is not None else None
    )


def false_shuffles(true: str, words: Sequence[tuple[str, bool | str]], dice: Draws) -> list[str]:
    """Return those shuffles of a caption that differ from the true one (ARO, visual tokens, research).

    A text that stood twice would make the chance of an item smaller than 1 / (number of captions).
    """
    return [text for text in dict.fromkeys(shuffles(words, dice)) if text != true]


def shuffles(words: Sequence[tuple[str, bool | str]], dice: Draws) -> list[str]:
    """Return the four shuffles of a caption's words as the Order tests of ARO have them (research).

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
