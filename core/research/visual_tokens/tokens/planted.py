"""The exact scene graph of a Glyphworld scene, measured on its alpha (docs/method.md 16.1). No torch."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.research.visual_tokens.tokens.graph import Node, SceneGraph, Triple
from core.worlds.glyphworld.painting import layer_alpha, layers, paint_ground
from core.worlds.glyphworld.scenes import Item, ScenePlan
from core.worlds.glyphworld.vocabulary import colour_of, glyph_of, ground_colour, place_words, size_word

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
    """List the objects of a scene with what is visible of them: the main one, companion, distractors,
    occluder. What lies outside the image or behind something else is hidden."""
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
    """Build the graph of a scene: its seen objects and its ground, with relations of all pairs of objects.

    An object is seen if at least a quarter of its shape is visible; its score is that share, its box that of
    its visible pixels. The ground is the last node. Relations: "left of" or "above" for every pair of
    seen objects, "next to" (from the earlier to the later one) where they are too close to tell; "on" from
    each to a ground that is a floor; "hides" from the occluder to the main object.
    """
    return graph_of(plan, seen_objects(plan, size), size)


def seen_objects(plan: ScenePlan, size: int) -> list[PlantedObject]:
    """List the objects of which enough is visible; a shape without a solid pixel is not."""
    objects = planted_objects(plan, size)
    return [one for one in objects if one.visible >= SEEN and (one.alpha >= SOLID).any()]


def graph_of(plan: ScenePlan, seen: list[PlantedObject], size: int) -> SceneGraph:
    """Build the graph from the objects that `seen_objects` lists."""
    nodes = [object_node(one) for one in seen]
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


def object_node(one: PlantedObject) -> Node:
    """Name an object as the caption grammar does: noun, colour, size word."""
    return Node(glyph_of(one.item).noun, colour_of(one.item), size_word(one.item.size), one.role)


def mask_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom in pixels, the last two exclusive, of the True pixels (H, W)."""
    down, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, right = float(across[0]), float(across[-1] + 1)
    top, bottom = float(down[0]), float(down[-1] + 1)
    return left, top, right, bottom


def ground_picture(plan: ScenePlan, size: int) -> Image.Image:
    """Draw the ground without any object: its token must not know where the objects are."""
    return paint_ground(plan.ground, size)
