"""Whether additive attention over scene graphs tells who is where, on planted tests of composed scenes.

Kalibhat's dissertation, Tables 6.1 and 6.2 with Fig. 6.4. Every arm sees the same scenes and, for a seed, the
same captions in the same order. Tests, at most one item a scene: *relation* (noun phrases exchanged),
*attribution* (colours exchanged), *order* (four shuffles), and *winoground*, pairs of a scene and its twin;
`leaky` names those on which a model that sees no image is not at chance. The stored table: 42 runs (seeds 0
to 2), 2 hours 28 minutes of one core of an AMD EPYC that did other work, too.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.data.glyphworld import GlyphworldSource
from core.research.visual_tokens_composed_scenes import (
    Statement,
    draw_statement,
    false_shuffles,
    is_true,
    scene_graph,
)
from core.research.visual_tokens_config import TokenTrainConfig
from core.research.visual_tokens_data import VAL_TAG, open_captions
from core.research.visual_tokens_encoder import VisualTokenEncoder
from core.research.visual_tokens_extract import extract_tokens
from core.research.visual_tokens_graph import SceneGraph
from core.research.visual_tokens_segmenters import KeyedPicture
from core.research.visual_tokens_store import TokenFolder
from core.research.visual_tokens_topic import ExtractConfig
from core.research.visual_tokens_train import retrieval, train_tokens
from core.study.progress import Progress
from core.training.files import log_path
from core.worlds.glyphworld import with_hues_exchanged, with_places_exchanged
from core.worlds.painting import paint
from core.worlds.scenes import Draws, ScenePlan
from reproductions import common
from reproductions.compositionality import Benchmark, Item, Judge, result_rows

NAME = "tokens"
USUAL: dict[str, Any] = {
    "vision": "tokens",
    "source": "planted",
    "additive": True,
    "image_token": True,
    "boxes": False,
    "attention": True,
    "shuffle_graph": False,
}
ARMS: dict[str, dict[str, Any]] = {  # what differs from USUAL
    "tokens": {},
    "plain": {"additive": False},
    "shuffled": {"shuffle_graph": True},
    "patches": {"source": "grid", "additive": False, "boxes": True},
    "tokens-noimage": {"image_token": False},
    "plain-noimage": {"additive": False, "image_token": False},
    "tokens-boxes": {"boxes": True},
    "plain-boxes": {"additive": False, "boxes": True},
    "tokens-onehot": {"source": "onehot"},
    "plain-onehot": {"source": "onehot", "additive": False},
    "mean": {"attention": False, "additive": False},
    "vit": {"vision": "vit"},
    "clip-finetuned": {"vision": "clip"},
    "clip": {"vision": "none"},  # as it is
}
SOURCES = {  # the extraction of each source of tokens
    "planted": ExtractConfig(),
    "onehot": ExtractConfig(segmenter="onehot"),
    "grid": ExtractConfig(segmenter="grid", relations="none"),
}
IMAGES = "glyphworld?preset=compose&train=6000&val=1000&seed=0"
TRAINING: dict[str, Any] = {"epochs": 12, "batch_size": 128, "device": "cpu"}
SMOKE_IMAGES = "glyphworld?preset=compose&train=24&val=24&seed=0"
SMOKE: dict[str, Any] = {"epochs": 1, "batch_size": 12, "width": 16, "layers": 1, "heads": 2, "device": "cpu"}
N_ITEMS, BLIND_CAPTIONS = 500, 3000  # of a test; from which the blind bigrams learn
TESTS = ("relation", "attribution", "order", "winoground")
TEST_TAG = 0x74657374  # keeps these captions apart from those of a training
TWINS: dict[str, Callable[[ScenePlan], ScenePlan]] = {
    "places": with_places_exchanged,
    "hues": with_hues_exchanged,
}


def planted_tests(source: GlyphworldSource, n: int = N_ITEMS) -> list[Benchmark]:
    """Build the planted tests on the val scenes of a composed world."""
    makers = dict(zip(TESTS, (relation_item, attribution_item, order_item, pair_item), strict=True))
    graphs: dict[int, SceneGraph] = {}
    tests = []
    for number, name in enumerate(TESTS):
        items: list[Item] = []
        for val_row in range(source.n_val):
            row = source.n_train + val_row
            graphs.setdefault(row, scene_graph(source.plan(row), source.world.size))
            item = makers[name](source, row, graphs[row], Draws(0, val_row, TEST_TAG, number))
            if item is not None and len(items) < n:
                items.append(item)
        tests.append(Benchmark(name, items, partial(read_scene, source)))
    return tests


def read_scene(source: GlyphworldSource, key: str) -> KeyedPicture:
    """Draw a val scene by its id, or its twin with exchanged places or hues (`ID~places`, `ID~hues`)."""
    image_id, _, twin = key.partition("~")
    val_row = int(image_id.partition("/")[2]) - source.index_of(source.n_train)
    plan = source.plan(source.n_train + val_row)
    plan = TWINS[twin](plan) if twin else plan
    return KeyedPicture(key, paint(plan, source.world.size), plan)


def key_of(source: GlyphworldSource, row: int) -> str:
    """Return the id of a scene."""
    return f"{source.seed}/{source.index_of(row)}"


def relation_item(source: GlyphworldSource, row: int, graph: SceneGraph, dice: Draws) -> Item | None:
    """A true caption, and the one with its noun phrases exchanged; None unless that is false."""
    true = draw_statement(graph, dice)
    return None if true is None else _choice(source, row, graph, true, true.with_objects_exchanged())


def attribution_item(source: GlyphworldSource, row: int, graph: SceneGraph, dice: Draws) -> Item | None:
    """A true caption, and the one with its colours exchanged; None unless that is false."""
    true = draw_statement(graph, dice)
    if true is None or true.first.colour == true.second.colour:
        return None
    return _choice(source, row, graph, true, true.with_colours_exchanged())


def _choice(
    source: GlyphworldSource, row: int, graph: SceneGraph, true: Statement, false: Statement
) -> Item | None:
    if is_true(false, graph):
        return None
    return Item((key_of(source, row),), (true.text, false.text), true.relation)


def order_item(source: GlyphworldSource, row: int, graph: SceneGraph, dice: Draws) -> Item | None:
    """A true caption and its shuffles."""
    true = draw_statement(graph, dice)
    if true is None:
        return None
    captions = (true.text, *false_shuffles(true.text, true.tagged(), dice))
    return Item((key_of(source, row),), captions, true.relation)


def pair_item(source: GlyphworldSource, row: int, graph: SceneGraph, dice: Draws) -> Item | None:
    """A scene and its twin; None unless each caption is true of its own picture and false of the other."""
    twin = "places" if dice.chance(0.5) else "hues"
    if [node.role for node in graph.nodes[:2]] != ["main", "companion"]:
        return None
    own = draw_statement(graph, dice, (0, 1))
    if own is None:
        return None
    other = own.with_objects_exchanged() if twin == "places" else own.with_colours_exchanged()
    exchanged = scene_graph(TWINS[twin](source.plan(row)), source.world.size)
    truths = [is_true(caption, one) for one in (graph, exchanged) for caption in (own, other)]
    if truths != [True, False, False, True]:
        return None
    key = key_of(source, row)
    return Item((key, f"{key}~{twin}"), (own.text, other.text), twin)


def training_captions(source: GlyphworldSource) -> list[str]:
    """Draw one caption of each of the first train scenes: what a blind model may learn from."""
    rows = range(min(BLIND_CAPTIONS, source.n_train))
    graphs = (scene_graph(source.plan(row), source.world.size) for row in rows)
    drawn = [draw_statement(graph, Draws(0, row)) for row, graph in enumerate(graphs)]
    return [statement.text for statement in drawn if statement is not None]


def train_and_test(
    output: Path,
    seed: int,
    arm: Mapping[str, Any],
    training: Mapping[str, Any],
    tokens: Mapping[str, TokenFolder],
    tests: Sequence[Benchmark],
    captions: Sequence[str],
) -> dict[str, Any]:
    """Train one arm, and try it on the planted tests and on retrieval."""
    row = {"rank_7": math.nan, "seconds_a_step": math.nan, "loss": math.nan}
    stored, planted = tokens[arm["source"]], tokens["planted"]
    if arm["vision"] == "none":
        judge = Judge(SOURCES["planted"].clip)
    else:
        switches = {name: value for name, value in arm.items() if name != "source"}
        folders = {"tokens": str(stored.path), "captions": str(planted.path)}
        train_tokens(TokenTrainConfig(output=str(output), seed=seed, **folders, **switches, **training))
        judge = Judge(str(output), stored)
        log = pd.read_csv(log_path(output))
        row["loss"] = float(log["loss"].iloc[-1])
        row["seconds_a_step"] = float(log["seconds"].iloc[-1] / log["step"].iloc[-1])
        if arm["additive"] and judge.model is not None and isinstance(judge.model.vision, VisualTokenEncoder):
            weights = judge.model.vision.rank_weights.tolist()
            row["rank_7"] = weights[7] - weights[0]
    measured: dict[str, Any] = {}
    leaky = []
    for test in tests:
        results = result_rows(test, [judge], captions)
        leaky += [test.name] if results[0]["leaky"] else []
        for one in results:
            if not one["blind"] and one["measure"] != "mean over groups":
                column = test.name if one["measure"] == "accuracy" else f"pairs_{one['measure']}"
                measured[column] = one["value"]
    return {**measured, **held_out(judge, planted, tests[0]), **row, "leaky": " ".join(sorted(leaky))}


def held_out(judge: Judge, planted: TokenFolder, test: Benchmark) -> dict[str, float]:
    """Search captions among all val scenes: one caption a scene, the same for every arm."""
    ids = planted.images.loc[planted.images["split"] == "val", "image_id"].tolist()
    captions = open_captions("", planted)
    ids = [image_id for image_id in ids if captions.has(image_id)]
    texts = [captions.draw(image_id, Draws(VAL_TAG, row)) for row, image_id in enumerate(ids)]
    return retrieval(judge.pictures(test, ids), judge.texts(texts), texts)


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all arms of a seed before the next seed."""
    images, training = (SMOKE_IMAGES, SMOKE) if smoke else (IMAGES, TRAINING)
    silent = Progress.silent()
    tokens = {
        name: extract_tokens(images, folder / "extracted" / name, config, progress=silent)
        for name, config in SOURCES.items()
        if not smoke or name == "planted"
    }
    source = GlyphworldSource.from_spec(images)
    tests, captions = planted_tests(source), training_captions(source)
    for seed in range(1 if smoke else 3):
        for arm in list(ARMS)[:2] if smoke else ARMS:
            columns = {**USUAL, **ARMS[arm]}
            output = folder / f"{arm}-s{seed}.safetensors"
            run = partial(train_and_test, output, seed, columns, training, tokens, tests, captions)
            yield common.cell(arm, seed, columns, run, "smoke" if smoke else "short")


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw the tests that are not leaky and the retrieval of each arm (Tables 6.1 and 6.2)."""
    titles = {
        "relation": "relation (chance 50 %)",
        "attribution": "attribution (chance 50 %)",
        "pairs_group": "pairs, group score (chance 16.7 %)",
        "text_to_image": "text-to-image R@1",
    }
    return common.arm_bars(table, titles, axis="right (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, test and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
