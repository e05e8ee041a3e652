"""Studies written by hand through the real writer, of random images whose every value is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.measures.image_columns import CONTROLS, control_column
from core.store import Study, open_study
from core.study.writer import StepWriter, write_study

CLASSES = ("ant", "bee", "cat")
WORDS = ("red", "blue", "sky", "tiny")
N_FEATURES, CHUNK, PIECE = 9, 7, 11
VARIANTS = ("paper", "binary", "soft", "energy")


@dataclass(frozen=True)
class World:
    """What a study was made of; `values` and `controls` are (n, 2) and (n, 2, 4), `shows` (n, n_words)."""

    study: Study
    raw: np.ndarray
    firing: np.ndarray
    labels: list[str | None]
    predicted: list[str]
    correct: list[bool | None]
    scores: pd.DataFrame
    values: np.ndarray
    masked: np.ndarray
    controls: np.ndarray
    shows: np.ndarray

    def mask(self, rng: np.random.Generator, share: float) -> np.ndarray:
        return rng.random(len(self.raw)) < share


def make_world(folder: Path, *, n: int = 60, seed: int = 0, by_row: bool = True) -> World:
    """Make a study of n images, every third of them in the train split.

    Args:
        by_row: store the firing sets by image, too.
    """
    rng = np.random.default_rng(seed)
    raw = rng.gamma(0.4, size=(n, N_FEATURES)).astype(np.float32)
    firing = rng.random((n, N_FEATURES)) < np.linspace(0, 0.6, N_FEATURES)  # feature 0 never fires
    labels: list[str | None] = [CLASSES[k] for k in rng.integers(0, 3, n)]
    labels[5] = None
    predicted = [name if rng.random() < 0.6 and name else CLASSES[rng.integers(3)] for name in labels]
    correct = [None if name is None else name == told for name, told in zip(labels, predicted, strict=True)]
    scores = pd.DataFrame({name: rng.normal(size=n).round(1) for name in ("q_score", "norm", "confidence")})
    scores.loc[3, "q_score"] = np.nan
    scores["n_firing"] = firing.sum(1)
    masked = rng.random((n, 2)) < 0.8
    values = np.where(masked & (rng.random((n, 2)) < 0.9), rng.random((n, 2)), np.nan)
    controls = np.where(masked[:, :, None], rng.random((n, 2, 4)), np.nan).astype(np.float32)
    shows = rng.random((n, len(WORDS))) < 0.4
    ids = [f"{i:03d}" for i in range(n)]
    splits = np.where(np.arange(n) % 3 == 0, "train", "val")
    with write_study(folder) as writer:
        with writer.step("embed", {}) as step:
            label = pd.array(labels, dtype="str")
            step.table(
                "images", pd.DataFrame({"image_id": ids, "path": ids, "split": splits, "label": label})
            )
            thirds = np.arange(n) % 3 / 3
            columns = {"image_id": ids, "third": thirds, "third_short": thirds.astype(np.float32)}
            columns["long"] = (1 << 53) + np.arange(n) % 4 % 3
            step.table("attributes", pd.DataFrame(columns))
            write_array(step, "representations", raw, CHUNK)
        with writer.step("features", {"epsilon": 4.0}, ("representations", "images")) as step:
            write_firing(step, firing, by_row)
        with writer.step("probe", {}, ("representations",)) as step:
            step.table("probe", verdicts(ids, predicted, correct, scores))
            step.summary = {"top1": 0.99, "train_top1": 1.0}
        with writer.step("quality", {}, ("representations",)) as step:
            columns = {"image_id": ids, "predicted": predicted, "correct": pd.array(correct, dtype="boolean")}
            step.table("quality", scores.assign(**columns))
            step.summary = {"premise_sentence": "Q cannot be trusted."}
        with writer.step("overlap", {"threshold": 0.5}, ("images",)) as step:
            write_overlap(step, ids, masked, values, controls)
        with writer.step("concepts", {}, ("representations",)) as step:
            write_concepts(step, ids, shows)
    study = open_study(folder)
    return World(
        study, raw, firing, labels, predicted, correct, scores, values, masked, controls.astype(float), shows
    )


def write_array(step: StepWriter, name: str, values: np.ndarray, size: int) -> None:
    starts = range(0, len(values), size)
    for chunk, start in enumerate(starts):
        step.array(name).put(chunk, values[start : start + size])
    step.finish_array(name, len(starts))


def write_firing(step: StepWriter, firing: np.ndarray, by_row: bool) -> None:
    by_feature = [np.flatnonzero(column) for column in firing.T]
    step.vector("firing_by_feature_ptr", np.cumsum([0, *map(len, by_feature)]).astype(np.int64))
    step.vector("firing_by_feature_rows", np.concatenate(by_feature).astype(np.int32))
    if by_row:
        step.vector("firing_count", firing.sum(1).astype(np.int32))
        write_array(step, "firing_features", np.nonzero(firing)[1].astype(np.int32), PIECE)


def verdicts(
    ids: list[str], predicted: list[str], correct: list[bool | None], scores: pd.DataFrame
) -> pd.DataFrame:
    told = {"predicted": predicted, "correct": pd.array(correct, dtype="boolean")}
    return pd.DataFrame({"image_id": ids, **told, "confidence": scores["confidence"]})


def write_overlap(
    step: StepWriter, ids: list[str], masked: np.ndarray, values: np.ndarray, controls: np.ndarray
) -> None:
    rows = []
    for row, number in zip(*np.nonzero(masked), strict=True):
        kind = ("core", "spurious")[number]
        stored = {control_column(name): controls[row, number, at] for at, name in enumerate(CONTROLS)}
        own = {variant: values[row, number] for variant in VARIANTS}
        about = {"image_id": ids[row], "row": row, "mask": kind, "mask_area": 0.25}
        rows.append(about | own | stored)
    step.table("overlap", pd.DataFrame(rows).astype({"row": "int32"}))
    names = {"random": 0.11, "uniform": 0.22, "centre": 0.33, "core at map resolution": 0.44}
    names |= {"spurious at map resolution": 0.55}
    means = [
        {"control": name, "mask": kind, "variant": "paper", "mean": mean, "low": 0.0, "high": 1.0, "n": 77}
        for name, mean in names.items()
        for kind in ("core", "spurious")
    ]
    step.table("overlap_controls", pd.DataFrame(means))


def write_concepts(step: StepWriter, ids: list[str], shows: np.ndarray) -> None:
    """Word k is kept by feature k and by a group of two; an image shows it through either."""
    groups = [name for k in range(len(WORDS)) for name in (f"{k}", f"{k}_8")]
    words = [WORDS[k] for k in range(len(WORDS)) for _ in range(2)]
    table = pd.DataFrame({"group": groups, "rank": 1, "word": words, "kept": True})
    more = pd.DataFrame(
        {
            "group": ["0", "0", "1"],
            "rank": [2, 3, 2],
            "word": ["dark red", "warm", "cold"],
            "kept": [True, True, False],
        }
    )
    step.table("concepts", pd.concat([table, more], ignore_index=True))
    rows, kinds = np.nonzero(shows)
    high = pd.DataFrame(
        {"group": [f"{k}_8" if row % 2 else f"{k}" for row, k in zip(rows, kinds, strict=True)]}
    )
    step.table("highly_activating", high.assign(image_id=[ids[row] for row in rows]))
