"""Do worst slices and words hold on scenes that no study has seen? Glyphworld renders as many as are needed.

    python -m reproductions.rendered_scenes
    python -m reproductions.rendered_scenes --study studies/demo -o build/fresh

The worst slices of a study were selected on its evaluation images, so their error rates are too high there.
Each is filled with new scenes of the same world that fit its description, and the probe's error rate is
measured on them; a slice holds if Wilson's interval lies above the error rate of usual scenes. Words: the
area under the ROC curve of a feature as a detector of the scenes of which its word is true, on the study's
own images and on fresh ones; a word holds if its interval lies above 0.5. STUDY is of Glyphworld, with
features, a probe and words. The stored table took 11 minutes of a shared core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch

from core.analysis.definitions import highly_activating
from core.analysis.heatmaps_on_demand import study_encoder
from core.common.dataframes import known_mean, numbers, unit_rows, words
from core.common.group_names import group_features
from core.concepts.concepts_step import group_activations, word_aucs
from core.encoders.encoder import Encoder
from core.measures.finder import worst_slices
from core.measures.intervals import wilson
from core.measures.slice import Slice
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress
from core.worlds.glyphworld import plan_world_scene, scene_row
from core.worlds.painting import paint
from core.worlds.scenes import ScenePlan
from core.worlds.word_truth import TruthTable, truth_of
from reproductions.common import options, run_script

FRESH_START = 60_000_000  # scenes from here on belong to no study
MOST_PLANNED = 60_000
BATCH = 64
ENCODER, CAPTIONS = "asset:simclr_glyphworld", "glyphworld?n=4000"


@dataclass(frozen=True)
class Size:
    """Images of the study, slices and scenes of each, usual scenes, and scenes that are rendered at most."""

    images: str = "glyphworld?train=2000&val=1000"
    n_slices: int = 20
    scenes: int = 100
    usual: int = 1000
    most_rendered: int = 4000


SMOKE = Size("glyphworld?train=60&val=60", n_slices=2, scenes=4, usual=20, most_rendered=200)


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--study", type=Path, metavar="STUDY", help="a study of Glyphworld with words")
    args = parser.parse_args(argv)
    size = SMOKE if args.smoke else Size()
    run_script("rendered_scenes", args, lambda _: rows(size, args.study), draw)


def rows(size: Size, folder: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for each slice, and for each kept word of a feature."""
    with TemporaryDirectory() as temporary:
        study = Study(folder) if folder else new_study(Path(temporary), size)
        concepts = study.table("concepts")
        world = FreshWorld(study, study_encoder(study))
        plans = [world.plan(index) for index in range(size.usual)]
        usual = world.look(plans)
        slices = worst_slices(study, limit=size.n_slices)
        yield from slice_rows(slices, measured_slices(world, slices, size), float(usual.wrong.mean()))
        yield from word_rows(concepts, usual.h, TruthTable([truth_of(one) for one in plans]))


def new_study(folder: Path, size: Size) -> Study:
    """Make a study of Glyphworld with features, a probe and words."""
    steps: dict[str, dict[str, Any]] = {
        "embed": {"images": size.images, "encoder": ENCODER},
        "features": {"epsilon": "auto"},
        "probe": {},
        "concepts": {"captions": CAPTIONS, "explainable": True},
    }
    for step, settings in steps.items():
        run_step(step, folder, settings | {"workers": 0}, Progress.silent())
    return Study(folder)


@dataclass
class FreshScenes:
    """What encoder and probe make of some scenes.

    Attributes:
        wrong: (n,) bool. h: (n, n_features), rows of length 1. firing: (n, n_features) bool.
        active: (n, n_features) bool, above the alpha of the study's concepts.
    """

    wrong: np.ndarray
    h: np.ndarray
    firing: np.ndarray
    active: np.ndarray


class FreshWorld:
    """Fresh scenes of a study's world, seen by its encoder and probe."""

    def __init__(self, study: Study, encoder: Encoder) -> None:
        self.study, self.encoder = study, encoder
        self.source: Any = study.source

    def plan(self, index: int) -> ScenePlan:
        return plan_world_scene(self.source.seed, FRESH_START + index, self.source.world)

    def look(self, plans: Sequence[ScenePlan]) -> FreshScenes:
        """Render scenes, and ask the encoder and the probe."""
        study = self.study
        raw = np.concatenate(
            [self.represent(plans[start : start + BATCH]) for start in range(0, len(plans), BATCH)]
        )
        h = unit_rows(raw)
        names = np.array(study.class_names, object)
        logits = raw @ study.vector("probe_weights").T + study.vector("probe_bias")
        labels = np.array([plan.label for plan in plans], object)
        wrong = np.not_equal(names[logits.argmax(1)], labels).astype(bool)
        firing = highly_activating(torch.from_numpy(h), epsilon=float(study.summary("features")["epsilon"]))
        return FreshScenes(wrong, h, firing.numpy(), h > study.summary("concepts")["alpha"])

    def represent(self, plans: Sequence[ScenePlan]) -> np.ndarray:
        """(n, n_features) float64, raw."""
        pictures = [paint(plan, self.source.world.size) for plan in plans]
        pixels = np.stack([self.encoder.transform.pixels(one) for one in pictures])
        with torch.inference_mode():
            return self.encoder.represent(torch.from_numpy(pixels)).double().cpu().numpy()


@dataclass
class Description:
    """The conditions of a slice on scenes: classes and values of columns, firing features, words.

    Attributes:
        groups: for each word, the features of the units that kept it. wrong: of the scenes found so far.
    """

    labels: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    fires: tuple[int, ...]
    groups: list[list[tuple[int, ...]]]
    wrong: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, where: Slice, study: Study) -> Description:
        return cls(where.labels, dict(where.extras), where.fires, [_units(study, w) for w in where.concepts])

    def may_hold(self, plan: ScenePlan) -> bool:
        """Test what can be told before the scene is rendered."""
        if self.labels and plan.label not in self.labels:
            return False
        row = _row_of(plan) if self.values else {}
        return all(value_text(row[column]) in values for column, values in self.values.items())

    def holds(self, scenes: FreshScenes) -> np.ndarray:
        """(n,) bool: the scenes with the firing features and words; the rest was tested before."""
        inside = np.logical_and.reduce(scenes.firing[:, list(self.fires)], axis=1)
        for units in self.groups:
            inside &= np.logical_or.reduce([_activates(scenes.active, unit) for unit in units])
        return inside


@lru_cache(maxsize=4 * BATCH)
def _row_of(plan: ScenePlan) -> dict[str, object]:
    return scene_row(plan)


def value_text(value: object) -> str | None:
    """Return a value of a scene as slices write it; None for none."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _units(study: Study, word: str) -> list[tuple[int, ...]]:
    table = study.table("concepts", ["group", "word", "kept"])
    kept_words = table.loc[(table["word"] == word) & table["kept"].to_numpy(bool)]
    return [group_features(name) for name in dict.fromkeys(words(kept_words, "group"))]


def _activates(active: np.ndarray, unit: tuple[int, ...]) -> np.ndarray:
    """(n,) bool: a single feature is active, or exactly the features of a group are."""
    there = np.logical_and.reduce(active[:, list(unit)], axis=1)
    return there if len(unit) == 1 else there & (active.sum(1) == len(unit))


def measured_slices(world: FreshWorld, slices: pd.DataFrame, size: Size) -> list[Description]:
    """Return the slices with up to `size.scenes` fresh scenes of each.

    Scenes are drawn one after the other, after the usual ones; those that fit no slice that still lacks
    scenes are not rendered. The search ends after MOST_PLANNED scenes or `size.most_rendered` renderings.
    """
    described = [Description.of(Slice.parse(text), world.study) for text in slices["where"]]
    n_rendered = 0
    for plans in _candidates(world, described, size):
        scenes = world.look(plans)
        for one in described:
            fits = np.array([one.may_hold(plan) for plan in plans]) & one.holds(scenes)
            one.wrong += scenes.wrong[fits][: size.scenes - len(one.wrong)].tolist()
        n_rendered += len(plans)
        if n_rendered >= size.most_rendered:
            break
    return described


def _candidates(world: FreshWorld, described: Sequence[Description], size: Size) -> Iterator[list[ScenePlan]]:
    """Yield batches of scenes that may fit a slice that lacks scenes."""
    batch: list[ScenePlan] = []
    for index in range(size.usual, size.usual + MOST_PLANNED):
        lacking = [one for one in described if len(one.wrong) < size.scenes]
        if not lacking:
            return
        plan = world.plan(index)
        if any(one.may_hold(plan) for one in lacking):
            batch.append(plan)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def slice_rows(
    slices: pd.DataFrame, described: Sequence[Description], usual: float
) -> Iterator[dict[str, Any]]:
    """Yield the error rate of each slice where it was found and on fresh scenes; it holds above `usual`."""
    for row, one in zip(slices.to_dict("records"), described, strict=True):
        n, n_wrong = len(one.wrong), sum(one.wrong)
        fresh = n_wrong / n if n else float("nan")
        low, high = (float(end) for end in wilson(n_wrong, n))
        yield row_of(
            "error of slice", row["where"], (row["error_rate"], row["low"], row["high"]), (fresh, low, high),
            n, usual,
        )  # fmt: skip


def word_rows(concepts: pd.DataFrame, h: np.ndarray, truth: TruthTable) -> Iterator[dict[str, Any]]:
    """Yield how well each feature tells its kept words, in the study and on fresh scenes."""
    kept = concepts.loc[concepts["kept"].to_numpy(bool)]
    groups, names = words(kept, "group"), words(kept, "word")
    if not groups:
        return
    units = list(dict.fromkeys(groups))
    fresh = word_aucs(groups, names, group_activations(h, units), units, truth)
    for row, measured in zip(kept.to_dict("records"), fresh.to_dict("records"), strict=True):
        of_study, of_fresh = ([one[end] for end in ("auc", "auc_low", "auc_high")] for one in (row, measured))
        yield row_of("AUC of word", f"{row['group']}: {row['word']}", of_study, of_fresh, len(h), 0.5)


def row_of(
    measure: str, what: str, found: Sequence[float], fresh: Sequence[float], n: int, limit: float
) -> dict[str, Any]:
    """Return a row: the value and its interval in the study and on n fresh scenes, and whether it holds."""
    columns = ("found", "found_low", "found_high", "fresh", "fresh_low", "fresh_high")
    values = dict(zip(columns, (round(float(one), 4) for one in (*found, *fresh)), strict=True))
    return {"measure": measure, "what": what} | values | {"n_fresh": n, "holds": bool(fresh[1] > limit)}


def means(table: pd.DataFrame) -> Mapping[str, tuple[float, float]]:
    """Return by measure the mean value where it was found and on fresh scenes."""
    both = table.dropna(subset=["found", "fresh"])
    parts = {str(name): part.reset_index(drop=True) for name, part in both.groupby("measure")}
    return {
        name: (known_mean(numbers(part, "found")), known_mean(numbers(part, "fresh")))
        for name, part in parts.items()
    }


def draw(table: pd.DataFrame) -> go.Figure:
    """What was found in the study against what fresh scenes say."""
    told = "; ".join(f"{name}: {a:.3f} became {b:.3f}" for name, (a, b) in means(table).items())
    figure = px.scatter(table, x="found", y="fresh", color="measure", hover_name="what", title=told)
    return figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line_dash="dot")


if __name__ == "__main__":
    main()
