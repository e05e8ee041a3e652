"""Planted faults: does the remedy that fits win, and does its gain hold on images that were kept away?

A third of three data sets is kept away; in the rest 10 % of labels are changed, or a shortcut or a rare class
is planted, and the step `remedies` is run on it. Its head's gain on the images kept away is compared with
the interval that the step gives, three draws each:

* wrong labels, decided: people have corrected the planted labels; fits "corrected", by the gain overall;
* wrong labels, undecided: nobody has; those kept away have wrong labels, too; fits "without_wrong";
* shortcut: features say the class, of one image in ten another class; fits "features_off" (they are
  named), by the gain on the worst slice;
* rare class: a tenth of one class is left; fits "balanced", by the gain on the worst class.

Synthetic: 100 draws of 300 images, of which 30 labels are wrong and decided, against 5,000 fresh images.

Data: as in `bench_labels` (PEREGRINE_CIFAR10, PEREGRINE_PHOTOGRAPHS).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.bench_labels import Data, cifar, glyphs, photographs
from benchmarks.results import Absent, Result
from core.measures.slice import Slice
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.label_decisions import decide_label
from core.study.progress import Progress

SEEDS = range(int(os.environ.get("PEREGRINE_BENCH_SEEDS", 3)))
DRAWS = int(os.environ.get("PEREGRINE_BENCH_DRAWS", 100))
SHARE, AWAY = 0.1, 1 / 3  # of labels that are wrong; of images that are kept away
N_FRESH = 5_000
DECIDED, UNDECIDED, SHORTCUT, RARE = "wrong labels, decided", "wrong labels", "shortcut", "rare class"
FITS = {DECIDED: "corrected", UNDECIDED: "without_wrong", SHORTCUT: "features_off", RARE: "balanced"}
BY = {SHORTCUT: "worst_slice", RARE: "worst_class"}  # the gain that is looked at; else that of all images
MISLED = "misled"  # column of images whose shortcut says another class
GROUPS = {"corrected", "without_wrong", "slices", "balanced", "features_off"}


@dataclass(frozen=True)
class Part:
    """Some images. labels: as they are given, truth: as they are. misled: by the shortcut."""

    raw: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    misled: np.ndarray
    features: tuple[int, ...] = field(default=())

    def of(self, rows: np.ndarray) -> Part:
        return replace(
            self, **{name: getattr(self, name)[rows] for name in ("raw", "labels", "truth", "misled")}
        )


def run() -> Iterator[Result | Absent]:
    yield covered()
    for name, make in {"demo": glyphs, "CIFAR-10": cifar, "photographs": photographs}.items():
        data = make()
        if isinstance(data, str):
            yield Absent(name, data)
            continue
        for kind, fits in FITS.items():
            draws = [one_draw(data, kind, seed) for seed in SEEDS]
            table = pd.DataFrame(draws)
            print(f"{name}, {kind}\n{table.round(3).to_string()}", flush=True)
            detail = f"{fits} {table['gain'].mean():+.3f}, kept away {table['away'].mean():+.3f}"
            wins = float(table["wins"].to_numpy(float).mean())
            yield Result(f"{name}, {kind}: {fits} wins", wins, "share", 1.0, True, detail)
            holds = float(table["holds"].to_numpy(float).mean())
            yield Result(f"{name}, {kind}: gain holds", holds, "share", 1.0, True, detail)


def one_draw(data: Data, kind: str, seed: int) -> dict[str, Any]:
    """Plant a fault, run the step, and compare its gain with that on the images kept away."""
    part = planted(data, kind, seed)
    order = np.random.default_rng(1000 + seed).permutation(len(part.labels))
    n_away = round(AWAY * len(order))
    away, inside = part.of(np.sort(order[:n_away])), part.of(np.sort(order[n_away:]))
    if kind == RARE:
        inside = thinned(inside, seed)
    with tempfile.TemporaryDirectory() as folder:
        study = with_remedies(Path(folder), inside, decided=kind == DECIDED)
        return judged(study, away, kind)


def judged(study: Study, away: Part, kind: str) -> dict[str, Any]:
    """The gain of the remedy that fits, whether it is the largest, and that on images kept away."""
    table, by = study.table("remedies").set_index("remedy"), BY.get(kind, "")
    column, low, high = (f"{by}_{one}" if by else one for one in ("gain", "low", "high"))
    alone = table.loc[table.index.isin(list(GROUPS)) & (table["outcome"] != "not tried")]
    fits = FITS[kind]
    if fits not in alone.index:
        return {"gain": np.nan, "low": np.nan, "high": np.nan, "away": np.nan, "wins": False, "holds": False}
    row = alone.loc[fits]
    change = changes(study, away, fits)
    inside = away_of(study, away, by)
    gain_away = float(change[inside].mean()) if inside.any() else np.nan
    return {
        "gain": row[column],
        "low": row[low],
        "high": row[high],
        "away": gain_away,
        "n_away": int(inside.sum()),
        "wins": bool(row[column] >= alone[column].max()),
        "holds": bool(row[low] <= gain_away <= row[high]),
        **{name: alone[column][name] for name in alone.index},
    }


def away_of(study: Study, away: Part, by: str) -> np.ndarray:
    """The images kept away that belong to the worst slice or class of the study; else all."""
    summary, names = study.summary("remedies"), np.array(study.class_names)
    if by == "worst_class":
        return names[away.truth] == summary["worst_class"]
    if by == "worst_slice":
        where = Slice.parse(summary["worst_slice"])
        inside = np.ones(len(away.truth), bool)
        if where.labels:
            inside &= np.isin(names[away.labels], list(where.labels))
        told = where.extras.get(MISLED)
        return inside & (away.misled == (told[0] == "yes")) if told else inside
    return np.ones(len(away.truth), bool)


def changes(study: Study, away: Part, remedy: str) -> np.ndarray:
    """(n,) 1 where the head of the remedy is right and the refit wrong, -1 the other way round, else 0."""
    heads = study.summary("remedies")["heads"]
    weights = study.vector("remedy_weights").astype(float)
    both = [weights[heads.index(name)] for name in ("refit", remedy)]
    right = [(away.raw @ one[:, :-1].T + one[:, -1]).argmax(1) == away.truth for one in both]
    return right[1].astype(float) - right[0]


def with_remedies(folder: Path, part: Part, *, decided: bool) -> Study:
    """A study of the images, all of them train images, after the step `remedies`."""
    np.save(folder / "raw.npy", part.raw.astype(np.float32))
    ids = [f"{row:06d}" for row in range(len(part.labels))]
    table = {"image_id": ids, "split": "train", "label": [f"c{code:03d}" for code in part.labels]}
    if part.misled.any():
        table[MISLED] = np.where(part.misled, "yes", "no")
    pd.DataFrame(table).to_csv(folder / "images.csv", index=False)
    options = {"images": str(folder / "images.csv"), "representations": str(folder / "raw.npy")}
    run_step("embed", folder / "study", options, Progress.silent())
    if decided:
        study = open_study(folder / "study")
        for row in np.flatnonzero(part.labels != part.truth):
            decide_label(study, ids[row], f"c{part.truth[row]:03d}")
    asked = {"device": "cpu"} | ({"features": part.features} if part.features else {})
    run_step("remedies", folder / "study", asked, Progress.silent())
    return open_study(folder / "study")


def planted(data: Data, kind: str, seed: int) -> Part:
    """The images with a fault, of those kept away, too."""
    rng, n = np.random.default_rng(seed), len(data.labels)
    nobody = np.zeros(n, bool)
    part = Part(data.raw, data.labels.copy(), data.labels, nobody)
    n_classes = int(data.labels.max()) + 1
    wrong = rng.choice(n, round(SHARE * n), replace=False)
    other = (data.labels + rng.integers(1, n_classes, n)) % n_classes
    if kind == UNDECIDED:
        part.labels[wrong] = other[wrong]
        return replace(part, truth=part.labels)
    if kind == DECIDED:
        part.labels[wrong] = other[wrong]
        return part
    if kind == SHORTCUT:
        told = data.labels.copy()
        told[wrong] = other[wrong]
        size = 2 * np.linalg.norm(data.raw, axis=1).mean() / np.sqrt(data.raw.shape[1])
        shortcut = size * np.eye(n_classes)[told] + 0.1 * size * rng.normal(size=(n, n_classes))
        features = tuple(range(data.raw.shape[1], data.raw.shape[1] + n_classes))
        raw = np.concatenate([data.raw, shortcut], 1)
        return replace(part, raw=raw, misled=np.isin(np.arange(n), wrong), features=features)
    return part


def thinned(part: Part, seed: int) -> Part:
    """All images of the largest class left out but a tenth, and at least ten of them."""
    rng = np.random.default_rng(seed)
    rare = int(np.bincount(part.labels).argmax())
    rows = np.flatnonzero(part.labels == rare)
    kept = rng.choice(rows, max(10, round(SHARE * len(rows))), replace=False)
    return part.of(np.sort(np.concatenate([np.flatnonzero(part.labels != rare), kept])))


def covered() -> Result:
    """How many of 100 intervals hold the gain of their own head on fresh images."""
    n_inside, gains = 0, []
    for seed in range(DRAWS):
        inside, fresh = synthetic(seed)
        with tempfile.TemporaryDirectory() as folder:
            study = with_remedies(Path(folder), inside, decided=True)
            row = study.table("remedies").set_index("remedy").loc["corrected"]
            gain = float(changes(study, fresh, "corrected").mean())
            n_inside += int(row["low"] <= gain <= row["high"])
            gains.append((row["gain"], gain))
    estimated, true = np.mean(gains, 0)
    detail = f"{DRAWS} draws; mean gain {estimated:+.4f} estimated, {true:+.4f} on {N_FRESH:,} fresh images"
    return Result("synthetic: gain in its interval", n_inside / DRAWS, "share", 0.9, True, detail)


def synthetic(seed: int) -> tuple[Part, Part]:
    """300 images of 3 classes with 30 wrong labels, and fresh ones, of one world for all draws."""
    world = np.random.default_rng(12345)
    centres = world.normal(size=(3, 20))
    rng = np.random.default_rng(seed)
    n = 300 + N_FRESH
    truth = rng.integers(0, 3, n)
    raw = centres[truth] + 2.0 * rng.normal(size=(n, 20))
    labels = truth.copy()
    wrong = rng.choice(300, 30, replace=False)
    labels[wrong] = (truth[wrong] + rng.integers(1, 3, 30)) % 3
    part = Part(raw, labels, truth, np.zeros(n, bool))
    return part.of(np.arange(300)), part.of(np.arange(300, n))
