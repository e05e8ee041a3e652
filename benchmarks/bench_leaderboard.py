"""Leaderboards: are encoders told apart that are equally good, and is the paired bootstrap as by hand?

Encoders of 200 images are planted: classes stand so many standard deviations apart, each in its own noise.

* copies: an encoder and the same one with its features rotated, which hold the same and are standardised
  apart; never told apart in 95 of 100 draws;
* equally good: two encoders of one strength, as of two trainings that differ by their seeds alone; told apart
  by chance at the level of the test, .05: of 100 draws in at most 10 (97.5 % of such experiments);
* a better one: of the two, one is stronger; it stands first, and they are told apart;
* by hand: the difference of a pair, its interval and its p are those of loops over the same draws of units.

20 images share their group with another one, so that units are not images.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results import Result
from core.compare.leaderboard import Leaderboard, leaderboard
from core.measures.metrics import resample
from core.pipeline.leaderboard import answer_for_leaderboard
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress

DRAWS = int(os.environ.get("PEREGRINE_BENCH_DRAWS", 100))
BY_HAND = 5  # draws that are also counted by loops
N_IMAGES, N_GROUPED, N_CLASSES, N_FEATURES, RESAMPLES = 200, 20, 4, 12, 2000
STRENGTH, STRONGER = 1.2, 2.0
COLUMNS = ("difference", "low", "high", "p")


def run() -> Iterator[Result]:
    yield copies()
    yield from of_strengths()


def copies() -> Result:
    """How often an encoder and its rotated copy are not told apart."""
    n_apart, n_changed = 0, []
    for seed in range(DRAWS):
        board = planted_board(seed, (STRENGTH,), rotated=True)
        n_apart += bool(board.pairs["apart"].any())
        n_changed.append(int(board.pairs["n_apart"].iat[0]))
    detail = f"told apart in {n_apart} of {DRAWS} draws; {np.mean(n_changed):.1f} images differ"
    return Result("copies not told apart", 1 - n_apart / DRAWS, "share", 0.95, True, detail)


def of_strengths() -> Iterator[Result]:
    """How often equally good encoders, and one that is better, are told apart; pairs against loops."""
    equal, better, worst = 0, 0, 0.0
    for seed in range(DRAWS):
        board = planted_board(seed, (STRENGTH, STRENGTH))
        equal += bool(board.pairs["apart"].any())
        if seed < BY_HAND:
            worst = max(worst, against_loops(board))
        board = planted_board(seed, (STRENGTH, STRONGER))
        better += bool(board.pairs["apart"].all()) and board.names[0] == "encoder1"
    detail = f"told apart in {equal} of {DRAWS} draws, {0.05:.0%} by the level of the test"
    yield Result("equally good ones told apart", equal / DRAWS, "share", 0.1, False, detail)
    detail = f"{STRONGER:g} against {STRENGTH:g} standard deviations: first and apart in {better} of {DRAWS}"
    yield Result("better encoder told apart", better / DRAWS, "share", 0.8, True, detail)
    detail = f"largest difference in {', '.join(COLUMNS)}, {BY_HAND} pairs, {RESAMPLES:,} draws of units each"
    yield Result("paired bootstrap by hand", worst, "", 1e-12, False, detail)


def planted_board(seed: int, strengths: Sequence[float], *, rotated: bool = False) -> Leaderboard:
    """The leaderboard of encoders of these strengths, called encoder0, encoder1 …, on one set of images.

    Args:
        rotated: with a copy of the last one, its features rotated.
    """
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(N_IMAGES) % N_CLASSES)
    groups = np.arange(N_IMAGES)
    groups[:N_GROUPED] = groups[N_GROUPED : 2 * N_GROUPED]
    names = [f"{number:04}" for number in range(N_IMAGES)]
    labels = [f"class {code}" for code in codes]
    table = pd.DataFrame({"image_id": names, "label": labels, "patient": [f"p{one}" for one in groups]})
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images.csv")
        table.to_csv(images, index=False)
        size = (N_IMAGES, N_FEATURES)
        encoders = [one * np.eye(N_FEATURES)[codes] + rng.normal(size=size) for one in strengths]
        if rotated:
            encoders.append(encoders[-1] @ np.linalg.qr(rng.normal(size=(N_FEATURES, N_FEATURES)))[0])
        studies = []
        for number, raw in enumerate(encoders):
            vectors, path = Path(folder, f"{number}.npy"), Path(folder, f"encoder{number}")
            np.save(vectors, raw.astype(np.float32))
            options = {"images": str(images), "representations": str(vectors), "group": "patient"}
            run_step("embed", path, options, Progress.silent())
            studies.append(open_study(path))
        answer_for_leaderboard(studies, {"device": "cpu"}, Progress.silent())
        return leaderboard([open_study(study.path) for study in studies], resamples=RESAMPLES)


def against_loops(board: Leaderboard) -> float:
    """The largest difference between the only pair of a board and loops over the same draws of units."""
    first, second = board.correct.astype(int).tolist()
    units = board.folds.units.tolist()
    members: dict[int, list[int]] = {}
    for image, unit in enumerate(units):
        members.setdefault(unit, []).append(image)
    ahead = sum(a - b for a, b in zip(first, second, strict=True))
    differences, n_moved = [], 0
    for number in range(RESAMPLES):
        counts = resample(len(members), 0, number).astype(int).tolist()
        drawn = [image for unit, times in enumerate(counts) for image in members[unit] * times]
        ahead_drawn = sum(first[image] - second[image] for image in drawn)
        differences.append(ahead_drawn / len(drawn))
        n_moved += abs(ahead_drawn * len(units) - ahead * len(drawn)) >= abs(ahead) * len(drawn)
    low, high = np.percentile(differences, [2.5, 97.5])
    by_hand = (ahead / len(units), low, high, (1 + n_moved) / (RESAMPLES + 1))
    row = board.pairs.iloc[0]
    return max(abs(float(row[name]) - value) for name, value in zip(COLUMNS, by_hand, strict=True))
