"""The probe of a study on other images: its accuracy, estimated without labels (docs/method.md 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    with_intervals,
)
from core.analysis.probe.evaluate import Represented, represent_pixels
from core.analysis.probe.step import Probe, train_probe
from core.common.arrays import known_mean
from core.common.formatting import number, percent
from core.errors import PeregrineError

if TYPE_CHECKING:
    from core.encoders.registry import Encoder
    from core.store import Study

MOST_TRAIN = 100_000  # rows that the two probes share
OWN, BEST = "own_top1", "estimate"
COLUMNS = (
    *(OWN, BEST, f"{BEST}_low", f"{BEST}_high", f"{BEST}_by", f"{BEST}_error", f"{BEST}_error_assumed"),
    *(f"{name}{end}" for name in METHODS for end in ("", "_low", "_high", "_error_slices", "_error_copies")),
)


@dataclass(frozen=True)
class OwnProbe:
    """The probe of a study, two others of half of its train images each, and how well estimates do with them.

    Attributes:
        known, correct: of the labelled evaluation images. slices, copies: tables of the back tests.
    """

    probe: Probe
    halves: tuple[Probe, Probe]
    class_names: list[str]
    known: Predictions
    correct: np.ndarray
    slices: pd.DataFrame
    copies: pd.DataFrame

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

    def row(self, images: Represented, *, resamples: int = 200, seed: int = 0) -> dict[str, Any]:
        """Columns COLUMNS for an image set: its evaluation images, or all where it has none or no labels.

        own_top1 is the true accuracy over images whose class the probe knows; None without such labels.
        estimate is by the method with the smallest mean error in the back tests, and estimate_error that
        error; estimate_error_assumed is the error of taking the accuracy on evaluation images. None if
        undefined.
        """
        rows = estimated_rows(images)
        new = self.predictions(images.raw[rows])
        told = with_intervals(self.known, self.correct, new, resamples=resamples, seed=seed)
        found: dict[str, Any] = {}
        errors = {
            "slices": back_tests.mean_errors(self.slices),
            "copies": back_tests.mean_errors(self.copies),
        }
        for name, ends in told.items():
            found |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
            found |= {f"{name}_error_{test}": error[name] for test, error in errors.items()}
        overall = {name: known_mean(error[name] for error in errors.values()) for name in METHODS}
        known = [name for name in METHODS if np.isfinite(overall[name])]
        best = min(known, key=lambda name: overall[name]) if known else ASSUMED
        value, low, high = told[best]
        found |= {OWN: self._own(images, rows, new), BEST: value, f"{BEST}_low": low, f"{BEST}_high": high}
        found |= {
            f"{BEST}_by": best,
            f"{BEST}_error": overall[best],
            f"{BEST}_error_assumed": overall[ASSUMED],
        }
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in ((name, found[name]) for name in COLUMNS)
        }

    def _own(self, images: Represented, rows: np.ndarray, new: Predictions) -> float:
        places = pd.Index(self.class_names).get_indexer(pd.Index(images.class_names))
        codes = images.codes[rows]
        wanted = np.where(codes < 0, -1, np.append(places, -1)[codes])
        return float((new.predicted == wanted)[wanted >= 0].mean()) if (wanted >= 0).any() else float("nan")


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
