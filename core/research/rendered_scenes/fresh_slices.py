"""Do slices with many errors keep them on fresh scenes? Glyphworld renders as many as are needed. [torch]

The worst slices of a study were selected on its evaluation images, so their error rates are too high there
(docs/method.md 9.2). Here each slice is filled with new scenes of the same world that fit its description,
and the probe's error rate is measured on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.common.command_line import command_line
from core.common.dataframes import numbers, safe_divide, unit_rows, words
from core.common.device import resolve_device
from core.common.statistics.intervals import wilson
from core.common.threadsafe import cached_property
from core.concepts.groups import group_features
from core.concepts.tools import has_encoder, is_glyphworld
from core.data.sources.glyphworld import GlyphworldSource
from core.encoders.encoder import Encoder
from core.errors import SettingsError, StudyError
from core.jobs.progress import Progress
from core.slices.slice import Slice
from core.store import Study
from core.worlds.glyphworld.compose import plan_world_scene
from core.worlds.glyphworld.glyphworld import scene_row
from core.worlds.glyphworld.painting import paint
from core.worlds.glyphworld.scenes import ScenePlan

FRESH_START = 60_000_000  # scenes from here on belong to no study
SCENES = 200  # of each slice
USUAL_SCENES = 1000  # of the world as it is, whose error rate a slice is compared with
MOST_PLANNED, MOST_RENDERED = 60_000, 12_000
BATCH = 64
FRESH_COLUMNS = ("fresh_n", "fresh_errors", "fresh_error_rate", "fresh_low", "fresh_high", "holds", "within")


@dataclass
class FreshScenes:
    """Results of encoder and probe on some scenes.

    Attributes:
        wrong: (n,) bool. firing: (n, n_features) bool. active: (n, n_features) bool, above the alpha of the
            study's concepts.
    """

    wrong: np.ndarray
    firing: np.ndarray
    active: np.ndarray


class FreshWorld:
    """Fresh scenes of a study's world, seen by its encoder and probe.

    Raises:
        SettingsError: the study's images are not of Glyphworld. StudyError: it has no probe.
    """

    def __init__(self, study: Study, encoder: Encoder) -> None:
        self.study, self.encoder = study, encoder
        source: Any = study.source
        self.source: GlyphworldSource = source
        self.weights = study.vector("probe_weights").astype(np.float64)
        self.bias = study.vector("probe_bias").astype(np.float64)
        self.alpha = study.summary("concepts").get("alpha", np.inf) if study.has("concepts") else np.inf
        self.n_rendered = 0

    def plan(self, index: int) -> ScenePlan:
        return plan_world_scene(self.source.seed, FRESH_START + index, self.source.world)

    def look(self, plans: Sequence[ScenePlan]) -> FreshScenes:
        """Render scenes, and ask the encoder and the probe."""
        from core.analysis.features.definitions import highly_activating

        pictures = [paint(plan, self.source.world.size) for plan in plans]
        pixels = torch.from_numpy(np.stack([self.encoder.transform.pixels(one) for one in pictures]))
        with torch.inference_mode():
            raw = self.encoder.represent(pixels).double().cpu().numpy()
        h = unit_rows(raw)
        self.n_rendered += len(plans)
        names = np.array(self.study.class_names, object)
        predicted = names[(raw @ self.weights.T + self.bias).argmax(1)]
        wrong = np.not_equal(predicted, np.array([plan.label for plan in plans], object)).astype(bool)
        firing = highly_activating(h, epsilon=self._epsilon).numpy()
        return FreshScenes(wrong, firing, h > self.alpha)

    @cached_property
    def _epsilon(self) -> float:
        return float(self.study.summary("features")["epsilon"]) if self.study.has("features") else np.inf


@dataclass
class Description:
    """The conditions of a slice on scenes: classes and values of columns, firing features, words.

    Attributes:
        groups: for each word, the features of the units that kept it.
    """

    labels: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    fires: tuple[int, ...]
    groups: list[list[tuple[int, ...]]]
    wrong: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, where: Slice, study: Study) -> Description:
        return cls(where.labels, dict(where.extras), where.fires, [_units(study, w) for w in where.concepts])

    @property
    def n(self) -> int:
        return sum(len(part) for part in self.wrong)

    def may_hold(self, plan: ScenePlan) -> bool:
        """Test what can be told before the scene is rendered."""
        if self.labels and plan.label not in self.labels:
            return False
        if not self.values:
            return True
        row = _row_of(plan)
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


def check_fresh(study: Study) -> None:
    """Raise an error if no fresh scenes of a study can be rendered and classified.

    Raises:
        SettingsError: its images are not of Glyphworld, or it has no encoder. StudyError: it has no probe.
    """
    if not is_glyphworld(study) or not has_encoder(study):
        raise SettingsError(
            f"--fresh renders new scenes of Glyphworld and embeds them, and '{study.path}' has other images "
            "or no encoder; leave it out"
        )
    if not study.has("probe_weights"):
        raise StudyError(f"'{study.path}' has no probe. Run: {command_line('probe', study.path)}")


def verify_slices(
    study: Study,
    slices: pd.DataFrame,
    encoder: Encoder,
    *,
    n: int = SCENES,
    most_rendered: int = MOST_RENDERED,
    progress: Progress,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Measure the error rate of slices on fresh scenes.

    Scenes are drawn one after the other; those that fit no slice that still lacks scenes are not rendered.
    The search ends with n scenes in each slice, after MOST_PLANNED scenes, or after `most_rendered`
    renderings.

    Args:
        slices: as `core.slices.finder.worst_slices` returns.
    Returns:
        `slices` with fresh_n, fresh_errors, fresh_error_rate (in [0, 1], NaN without scenes), fresh_low and
        fresh_high (Wilson's interval), holds (the interval lies above the error rate of usual scenes; missing
        without scenes), within (the fresh rate lies in the interval that the study gave).
        n and error_rate (low, high) of usual fresh scenes, n_rendered.
    """
    world = FreshWorld(study, encoder)
    descriptions = [Description.of(Slice.parse(text), study) for text in slices["where"]]
    usual = _usual(world, progress)
    with progress.stage("fresh scenes", total=n * len(descriptions), unit="scenes") as bar:
        for plans in _candidates(world, descriptions, n):
            scenes = world.look(plans)
            for one in descriptions:
                fits = np.array([one.may_hold(plan) for plan in plans]) & one.holds(scenes)
                part = scenes.wrong[fits][: n - one.n]
                one.wrong.append(part)
                bar.update(len(part))
            if world.n_rendered >= most_rendered:
                break
    counts = np.array([one.n for one in descriptions], np.int64)
    errors = np.array([sum(int(part.sum()) for part in one.wrong) for one in descriptions], np.int64)
    rate = safe_divide(errors, counts)
    low, high = wilson(errors, counts)
    some = counts > 0
    above = low > usual["error_rate"]
    inside = (rate >= numbers(slices, "low")) & (rate <= numbers(slices, "high"))
    frame = slices.assign(
        fresh_n=counts,
        fresh_errors=errors,
        fresh_error_rate=rate,
        fresh_low=np.where(some, low, np.nan),
        fresh_high=np.where(some, high, np.nan),
        holds=[bool(one) if measured else None for one, measured in zip(above, some, strict=True)],
        within=[bool(one) if measured else None for one, measured in zip(inside, some, strict=True)],
    )
    return frame, usual | {"n_rendered": world.n_rendered}


def _usual(world: FreshWorld, progress: Progress) -> dict[str, Any]:
    """Return the error rate of fresh scenes as the world makes them."""
    wrong = []
    with progress.stage("usual scenes", total=USUAL_SCENES, unit="scenes") as bar:
        for start in range(0, USUAL_SCENES, BATCH):
            indices = range(start, min(start + BATCH, USUAL_SCENES))
            wrong.append(world.look([world.plan(index) for index in indices]).wrong)
            bar.update(len(indices))
    errors = int(np.concatenate(wrong).sum())
    low, high = wilson(errors, USUAL_SCENES)
    rate = errors / USUAL_SCENES
    return {"n": USUAL_SCENES, "error_rate": rate, "low": float(low), "high": float(high)}


def _candidates(world: FreshWorld, descriptions: Sequence[Description], n: int) -> Iterator[list[ScenePlan]]:
    """Yield batches of scenes that may fit a slice that lacks scenes; other scenes than the usual ones."""
    batch: list[ScenePlan] = []
    for index in range(USUAL_SCENES, USUAL_SCENES + MOST_PLANNED):
        lacking = [one for one in descriptions if one.n < n]
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


def fresh_report(study: Study, limit: int, given: Mapping[str, Any], n: int, device: str) -> dict[str, Any]:
    """Return the worst slices with their error rates on fresh scenes, and that of usual scenes."""
    from core.slices.finder import worst_slices

    check_fresh(study)
    from core.analysis.gradcam.on_demand import study_encoder

    table = worst_slices(study, limit=limit, **given)
    with Progress.for_command(None, stages_total=2) as progress:
        encoder = study_encoder(study, resolve_device(device))
        table, usual = verify_slices(study, table, encoder, n=n, progress=progress)
    return {"fresh": usual, "slices": table.to_dict("records")}
