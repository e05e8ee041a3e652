"""The probe of a study on other images: its accuracy, estimated without labels (docs/method.md 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from core.analysis.probe import back_tests
from core.analysis.probe.accuracy_estimates import (
    ASSUMED,
    METHODS,
    TITLES,
    Predictions,
    resampled_estimates,
)
from core.analysis.probe.back_tests import BackTest
from core.analysis.probe.evaluate import Represented, represent_pixels
from core.analysis.probe.step import Probe, train_probe
from core.common.arrays import known_mean
from core.common.formatting import number, percent
from core.common.statistics.intervals import percentile_interval
from core.errors import PeregrineError

if TYPE_CHECKING:
    from core.encoders.registry import Encoder
    from core.store import Study

MOST_TRAIN = 100_000  # rows that the two probes share
OWN, BEST = "own_top1", "estimate"
SLICES, COPIES = TESTS = ("slices", "copies")
ENDS = (
    *("", "_low", "_high"),
    *(f"_error_{test}" for test in TESTS),
    *(f"_gain_{test}{end}" for test in TESTS for end in ("", "_low", "_high")),
)
COLUMNS = (
    *(OWN, BEST, f"{BEST}_low", f"{BEST}_high", f"{BEST}_by", f"{BEST}_error", f"{BEST}_error_assumed"),
    *(f"{name}{end}" for name in METHODS for end in ENDS),
)


@dataclass(frozen=True)
class Estimated:
    """Accuracy of the own probe on an image set, by each method.

    Attributes:
        point: method -> estimate. draws: (resamples, n_methods), see `resampled_estimates`.
    """

    point: dict[str, float]
    draws: np.ndarray


@dataclass(frozen=True)
class OwnProbe:
    """The probe of a study, two others of half of its train images each, and how well estimates do with them.

    Attributes:
        known, correct: of the labelled evaluation images. slices, copies: the back tests.
    """

    probe: Probe
    halves: tuple[Probe, Probe]
    class_names: list[str]
    known: Predictions
    correct: np.ndarray
    slices: BackTest
    copies: BackTest

    @classmethod
    def of(
        cls,
        study: Study,
        encoder: Encoder,
        *,
        n_corrupted: int = back_tests.CORRUPTED,
        seed: int = 0,
        after_image: Callable[[int], object] = lambda n: None,
    ) -> OwnProbe:
        """Read the probe, train its halves and run the back tests.

        Args:
            n_corrupted: evaluation images that are corrupted in 15 ways; 0 or missing pictures: none are.
        """
        names = study.class_names
        codes = np.asarray(pd.Categorical(study.images["label"], categories=names).codes, np.int64)
        summary = study.summary("probe")
        weights, bias = (
            torch.from_numpy(study.vector(f"probe_{part}")).double() for part in ("weights", "bias")
        )
        probe = Probe(weights, bias, float(summary["lr"]), {})
        train = np.flatnonzero(~study.is_val & (codes >= 0))
        train = np.sort(np.random.default_rng(seed).permutation(train)[:MOST_TRAIN])
        raw = study.array("representations").rows(train).astype(np.float32)
        first, second = (
            train_probe(raw[part], codes[train[part]], len(names), lr=probe.lr)
            for part in back_tests.halves(len(train), seed)
        )
        held = np.flatnonzero(study.is_val & (codes >= 0))
        made = cls(probe, (first, second), names, *([None] * 4))  # pyright: ignore[reportArgumentType]
        known = made.predictions(study.array("representations").rows(held).astype(np.float32))
        correct = known.predicted == codes[held]
        columns = {"label": study.images["label"].to_numpy(object)[held]}
        if study.has("attributes"):
            table = study.table("attributes").iloc[held]
            columns |= {name: table[name].to_numpy(object) for name in table if table[name].dtype == object}
        slices = back_tests.on_slices(known, correct, columns, seed=seed)
        some = np.sort(np.random.default_rng(seed).permutation(len(held))[:n_corrupted])
        told = made._copies(study, encoder, held[some], codes, after_image)
        copies = back_tests.on_copies(known, correct, told)
        return cls(probe, (first, second), names, known, correct, slices, copies)

    def predictions(self, raw: np.ndarray) -> Predictions:
        """What the probe and its halves say of raw rows, (n, n_features)."""
        shares = self.probe.logits(raw).softmax(1).numpy()
        return Predictions(
            shares, np.stack([half.logits(raw).argmax(1).numpy() for half in self.halves], axis=1)
        )

    def _copies(
        self,
        study: Study,
        encoder: Encoder,
        rows: np.ndarray,
        codes: np.ndarray,
        after_image: Callable[[int], object],
    ) -> dict[str, tuple[Predictions, np.ndarray]]:
        """Predictions of corrupted copies of some images, by 'kind strength'; none without pictures."""
        pixels, used = [], []
        for row in rows:
            try:
                pixels.append(encoder.transform.pixels(study.image(int(row))))
            except (PeregrineError, OSError):
                continue
            used.append(row)
        if not used:
            return {}
        whole, found = torch.from_numpy(np.stack(pixels)), {}
        for kind in back_tests.KINDS:
            for strength in range(1, 6):
                copies = back_tests.corrupt(whole, kind, strength, seed=strength)
                told = self.predictions(represent_pixels(encoder, copies.numpy()))
                found[f"{kind} {strength}"] = told, told.predicted == codes[used]
                after_image(len(used))
        return found

    @cached_property
    def back_tested(self) -> dict[str, Any]:
        """Columns of COLUMNS that the back tests give, whatever the images: errors and gains by method."""
        found: dict[str, Any] = {}
        for test, run in zip(TESTS, (self.slices, self.copies), strict=True):
            found |= {f"{name}_error_{test}": error for name, error in run.errors().items()}
            for name, ends in run.gains().items():
                found |= {
                    f"{name}_gain_{test}{end}": value
                    for end, value in zip(("", "_low", "_high"), ends, strict=True)
                }
        return found

    def estimated(self, images: Represented, *, resamples: int = 200, seed: int = 0) -> Estimated:
        """Estimate the accuracy on an image set's `estimated_rows`."""
        new = self.predictions(images.raw[estimated_rows(images)])
        return Estimated(*resampled_estimates(self.known, self.correct, new, resamples=resamples, seed=seed))

    def row(self, images: Represented, told: Estimated) -> dict[str, Any]:
        """Columns COLUMNS for an image set, of which `told` is what is estimated.

        own_top1 is the true accuracy over images whose class the probe knows; None without such labels.
        estimate is by the method with the smallest mean error in the back tests, and estimate_error that
        error; estimate_error_assumed is the error of taking the accuracy on evaluation images. A method's
        gains are how much smaller its errors are than those, paired (`BackTest.gains`). None if undefined.
        """
        found: dict[str, Any] = dict(self.back_tested)
        for name, low, high in zip(METHODS, *percentile_interval(told.draws), strict=True):
            found |= {name: told.point[name], f"{name}_low": float(low), f"{name}_high": float(high)}
        overall = {name: known_mean(found[f"{name}_error_{test}"] for test in TESTS) for name in METHODS}
        known = [name for name in METHODS if np.isfinite(overall[name])]
        best = min(known, key=lambda name: overall[name]) if known else ASSUMED
        found |= {f"{BEST}{end}": found[f"{best}{end}"] for end in ("", "_low", "_high")}
        found |= {
            OWN: self._own(images),
            f"{BEST}_by": best,
            f"{BEST}_error": overall[best],
            f"{BEST}_error_assumed": overall[ASSUMED],
        }
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in ((name, found[name]) for name in COLUMNS)
        }

    def _own(self, images: Represented) -> float:
        rows = estimated_rows(images)
        places = pd.Index(self.class_names).get_indexer(pd.Index(images.class_names))
        codes = images.codes[rows]
        wanted = np.where(codes < 0, -1, np.append(places, -1)[codes])
        if not (wanted >= 0).any():
            return float("nan")
        predicted = self.probe.logits(images.raw[rows]).argmax(1).numpy()
        return float((predicted == wanted)[wanted >= 0].mean())


def estimated_rows(images: Represented) -> np.ndarray:
    """(n,) bool: the evaluation images of a set; all images where it has none, or no labels."""
    judged = (images.codes >= 0).any() and images.is_val.any()
    return images.is_val if judged else np.ones(len(images.raw), bool)


def in_words(row: dict[str, Any]) -> str:
    """What is estimated of an image set, in one sentence; empty where nothing is."""
    if row.get(BEST) is None:
        return ""
    said = (
        f"the study's own probe is right on about {percent(row[BEST])} of these images "
        f"({percent(row[f'{BEST}_low'])} to {percent(row[f'{BEST}_high'])}), by {TITLES[row[f'{BEST}_by']]}"
    )
    if row[f"{BEST}_error"] is not None:
        said += (
            f", which is off by {number(100 * row[f'{BEST}_error'], 1)} points in back tests "
            f"(assuming the accuracy on evaluation images: {number(100 * row[f'{BEST}_error_assumed'], 1)})"
        )
    return said + ("" if row[OWN] is None else f"; by their labels: {percent(row[OWN])}")
