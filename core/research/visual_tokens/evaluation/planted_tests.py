"""Tests of composition on composed scenes, with captions that are false by the graph. No torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from core.data.sources.glyphworld import GlyphworldSource
from core.errors import SettingsError
from core.research.visual_tokens import captions
from core.research.visual_tokens.evaluation.benchmark import Benchmark, ChoiceItem, PairItem
from core.research.visual_tokens.graph import SceneGraph
from core.research.visual_tokens.planted import scene_graph
from core.research.visual_tokens.plugs import KeyedPicture
from core.worlds.glyphworld.compose import with_hues_exchanged, with_places_exchanged
from core.worlds.glyphworld.painting import paint
from core.worlds.glyphworld.scenes import Dice, ScenePlan

TESTS = ("relation", "attribution", "order", "winoground")
N_ITEMS = 1000
TEST_TAG = 0x74657374  # keeps these captions apart from those of a training
TWINS = {"places": with_places_exchanged, "hues": with_hues_exchanged}


@dataclass
class PlantedScenes:
    """The val scenes of a composed world, with their graphs, and twins in which something is exchanged."""

    source: GlyphworldSource
    graphs: dict[int, SceneGraph] = field(default_factory=dict)

    def plan(self, row: int) -> ScenePlan:
        return self.source.plan(self.source.n_train + row)

    def graph(self, row: int) -> SceneGraph:
        if row not in self.graphs:
            self.graphs[row] = self.graph_of(self.plan(row))
        return self.graphs[row]

    def graph_of(self, plan: ScenePlan) -> SceneGraph:
        return scene_graph(plan, self.source.world.size)

    def key(self, row: int, twin: str = "") -> str:
        """Return the key of a picture: the image's id, and ~places or ~hues for a twin."""
        image_id = f"{self.source.seed}/{self.source.index_of(self.source.n_train + row)}"
        return f"{image_id}~{twin}" if twin else image_id

    def read(self, key: str) -> KeyedPicture:
        image_id, _, twin = key.partition("~")
        row = int(image_id.partition("/")[2]) - self.source.index_of(self.source.n_train)
        plan = TWINS[twin](self.plan(row)) if twin else self.plan(row)
        return KeyedPicture(key, paint(plan, self.source.world.size), plan)


def planted_benchmarks(
    source: GlyphworldSource, *, tests: Sequence[str] = TESTS, n: int = N_ITEMS, seed: int = 0
) -> list[Benchmark]:
    """Build the planted tests on the val scenes, at most one item a scene.

    Relation: the noun phrases exchanged; attribution: the colours, where they differ and no other object
    makes the caption true; order: four shuffles; winoground: a scene and its twin with exchanged places or
    colours, both captions of the same words.

    Raises:
        SettingsError: the world is not composed (`glyphworld?preset=compose`), or has no val scene.
    """
    if not source.world.composed:
        raise SettingsError(
            f"'{source.spec}' is not composed: captions could be refused without an image. "
            "Use glyphworld?preset=compose"
        )
    if not source.n_val:
        raise SettingsError(f"'{source.spec}' has no val scenes to test on")
    scenes = PlantedScenes(source)
    makers: dict[str, Callable[[PlantedScenes, int, Dice], ChoiceItem | PairItem | None]] = {
        "relation": relation_item,
        "attribution": attribution_item,
        "order": order_item,
        "winoground": winoground_item,
    }
    return [_benchmark(name, makers[name], scenes, n, seed) for name in tests]


def _benchmark(
    name: str,
    make: Callable[[PlantedScenes, int, Dice], ChoiceItem | PairItem | None],
    scenes: PlantedScenes,
    n: int,
    seed: int,
) -> Benchmark:
    items: list = []
    unusable = short = 0
    for row in range(scenes.source.n_val):
        if len(items) == n:
            break
        item = make(scenes, row, Dice(seed, row, TEST_TAG, TESTS.index(name)))
        if item is None:
            unusable += 1
            continue
        items.append(item)
        short += 1 + captions.N_SHUFFLES - len(item.captions) if name == "order" else 0
    if not items:
        raise SettingsError(
            f"'{scenes.source.spec}': none of its {scenes.source.n_val} val scenes makes an item of the test "
            f"'{name}'. Take more of them, with val="
        )
    dropped = {"scenes without such an item": unusable}
    dropped |= {captions.SHUFFLES_DROPPED: short} if name == "order" else {}
    return Benchmark(f"glyphworld {name}", items, scenes.read, dropped)


def relation_item(scenes: PlantedScenes, row: int, dice: Dice) -> ChoiceItem | None:
    graph = scenes.graph(row)
    statement = captions.draw_statement(graph, dice)
    return None if statement is None else _choice(scenes, row, statement, statement.with_objects_exchanged())


def attribution_item(scenes: PlantedScenes, row: int, dice: Dice) -> ChoiceItem | None:
    statement = captions.draw_statement(scenes.graph(row), dice)
    if statement is None or statement.first.colour == statement.second.colour:
        return None
    return _choice(scenes, row, statement, statement.with_colours_exchanged())


def _choice(
    scenes: PlantedScenes, row: int, true: captions.Statement, false: captions.Statement
) -> ChoiceItem | None:
    if captions.is_true(false, scenes.graph(row)):
        return None
    return ChoiceItem(scenes.key(row), (true.text, false.text), true.relation)


def order_item(scenes: PlantedScenes, row: int, dice: Dice) -> ChoiceItem | None:
    statement = captions.draw_statement(scenes.graph(row), dice)
    if statement is None:
        return None
    shuffled = captions.false_shuffles(statement.text, statement.tagged(), dice)
    return ChoiceItem(scenes.key(row), (statement.text, *shuffled), statement.relation)


def winoground_item(scenes: PlantedScenes, row: int, dice: Dice) -> PairItem | None:
    """A scene and its twin; None unless each caption is true of its own picture and false of the other."""
    graph = scenes.graph(row)
    twin = "places" if dice.chance(0.5) else "hues"
    if [node.role for node in graph.nodes[:2]] != ["main", "companion"]:
        return None
    statement = captions.draw_statement(graph, dice, (0, 1))
    if statement is None:
        return None
    other = statement.with_objects_exchanged() if twin == "places" else statement.with_colours_exchanged()
    exchanged = scenes.graph_of(TWINS[twin](scenes.plan(row)))
    truths = [captions.is_true(caption, one) for one in (graph, exchanged) for caption in (statement, other)]
    if truths != [True, False, False, True]:
        return None
    pictures = (scenes.key(row), scenes.key(row, twin))
    return PairItem(pictures, (statement.text, other.text), "relation" if twin == "places" else "attribution")


def training_captions(source: GlyphworldSource, *, n: int, seed: int = 0) -> Iterator[str]:
    """Draw one caption of each of the first n train scenes: what a blind model may learn from."""
    size = source.world.size
    for row in range(min(n, source.n_train)):
        graph = scene_graph(source.plan(row), size)
        statement = captions.draw_statement(graph, Dice(seed, row))
        if statement is not None:
            yield statement.text
