"""Studies of the same images with planted encoders, that only `embed` has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.compare.leaderboard import Leaderboard, leaderboard
from core.pipeline.leaderboard import answer_for_leaderboard
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress

N_FEATURES = 12


def embedded(folder: Path, raw: np.ndarray, labels: np.ndarray, *, keep: slice = slice(None)) -> Study:
    """A study of rows of given representations, without pictures."""
    source = folder.with_name(folder.name + ".input")
    source.mkdir(parents=True)
    names = [f"{number:04}" for number in range(len(labels))]
    table = pd.DataFrame({"image_id": names, "label": labels}).iloc[keep]
    table.to_csv(source / "images.csv", index=False)
    np.save(source / "raw.npy", raw[keep].astype(np.float32))
    options = {"images": str(source / "images.csv"), "representations": str(source / "raw.npy")}
    run_step("embed", folder, options, Progress.silent())
    return open_study(folder)


def classes_of(n: int, n_classes: int = 4) -> np.ndarray:
    return np.array([f"class {code}" for code in np.arange(n) % n_classes])


def planted(rng: np.random.Generator, labels: np.ndarray, strength: float) -> np.ndarray:
    """Representations in which classes stand `strength` standard deviations apart."""
    codes = np.unique(labels, return_inverse=True)[1]
    centres = np.eye(N_FEATURES)[codes] * strength
    return centres + rng.normal(size=(len(labels), N_FEATURES))


def board_of(studies: list[Study], **options: int) -> Leaderboard:
    """The leaderboard, with what it lacks computed."""
    answer_for_leaderboard(studies, {"device": "cpu"}, Progress.silent())
    return leaderboard([open_study(study.path) for study in studies], **options)
