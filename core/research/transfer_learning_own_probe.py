"""The probe of a study on other images: its accuracy, estimated without labels (docs/method.md 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.probe_step import Probe, recipe_of, train_probe
from core.common.dataframes import known_mean
from core.common.formatting import percent
from core.common.step_facts import ProbeFacts
from core.common.threads import cached_property
from core.encoders.registry import Encoder
from core.errors import PeregrineError
from core.research import transfer_learning_back_tests as back_tests
from core.research.transfer_learning_back_tests import BackTest
from core.research.transfer_learning_estimates import (
    ASSUMED,
    METHODS,
    TITLES,
    Predictions,
    errors_in_words,
    estimate_in_words,
    prediction_interval,
    resampled_estimates,
)
from core.research.transfer_learning_evaluate import Represented, represent_pixels
from core.store import Study
from core.study.steps import settings_of

MOST_TRAIN = 100_000  # rows that the two probes share
OWN, BEST = "own_top1", "estimate"
SLICES, COPIES = TESTS = ("slices", "copies")
ERROR_ENDS = tuple(f"_error_{test}" for test in TESTS)
GAIN_ENDS = tuple(f"_gain_{test}{end}" for test in TESTS for end in ("", "_low", "_high"))
ENDS = ("", "_margin", *ERROR_ENDS, *GAIN_ENDS)
OF_TESTS = tuple(f"{what}_{test}" for what in ("n", "noise") for test in TESTS)
OF_BEST = tuple(f"{BEST}{end}" for end in ("", "_low", "_high", "_by", "_margin", "_error"))
OF_METHODS = tuple(f"{name}{end}" for name in METHODS for end in ENDS)
COLUMNS = (OWN, *OF_BEST, f"{BEST}_error_assumed", f"{BEST}_noise", *OF_TESTS, *OF_METHODS)


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
        labelled, correct: of the labelled evaluation images. slices, copies: the back tests.
    """

    probe: Probe
    halves: tuple[Probe, Probe]
    class_names: list[str]
    labelled: Predictions
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
        stored = study.facts(ProbeFacts)
        weights, bias = (
            torch.from_numpy(study.vector(f"probe_{part}")).double() for part in ("weights", "bias")
        )
        probe = Probe(weights, bias, stored.lr, {}, stored.penalty)
        train = np.flatnonzero(~study.is_val & (codes >= 0))
        train = np.sort(np.random.default_rng(seed).permutation(train)[:MOST_TRAIN])
        raw = study.array("representations").rows(train).astype(np.float32)
        recipe = recipe_of(settings_of("probe", {}, study.settings("probe")), probe.penalty)
        probes = []
        for half in back_tests.halves(len(train), seed):
            half_codes = codes[train[half]]
            probes.append(train_probe(raw[half], half_codes, len(names), lr=probe.lr, recipe=recipe))
        first, second = probes
        rows = np.flatnonzero(study.is_val & (codes >= 0))
        made = cls(probe, (first, second), names, *([None] * 4))  # pyright: ignore[reportArgumentType]
        labelled = made.predictions(study.array("representations").rows(rows).astype(np.float32))
        correct = labelled.predicted == codes[rows]
        columns = {"label": study.images["label"].to_numpy(object)[rows]}
        if study.has("attributes"):
            columns |= back_tests.grouping_columns(study.table("attributes").iloc[rows])
        slices = back_tests.on_slices(labelled, correct, columns, seed=seed)
        some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:n_corrupted])
        corrupted = made._copies(study, encoder, rows[some], codes, after_image)
        copies = back_tests.on_copies(labelled, correct, corrupted)
        return cls(probe, (first, second), names, labelled, correct, slices, copies)

    def predictions(self, raw: np.ndarray) -> Predictions:
        """Return the predictions of the probe and of its halves for raw rows, (n, n_features)."""
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
        whole, by_corruption = torch.from_numpy(np.stack(pixels)), {}
        for kind in back_tests.KINDS:
            for strength in range(1, 6):
                copies = back_tests.corrupt(whole, kind, strength, seed=strength)
                predictions = self.predictions(represent_pixels(encoder, copies.numpy()))
                by_corruption[f"{kind} {strength}"] = predictions, predictions.predicted == codes[used]
                after_image(len(used))
        return by_corruption

    @cached_property
    def back_tested(self) -> dict[str, Any]:
        """Columns of COLUMNS that the back tests give, whatever the images."""
        runs = dict(zip(TESTS, (self.slices, self.copies), strict=True))
        cases = {test: run.table() for test, run in runs.items()}
        errors = [back_tests.absolute_errors(table) for table in cases.values()]
        errors_of_best = back_tests.errors_of_the_best(errors)
        margin = back_tests.error_margin(np.concatenate(errors_of_best))
        mean_error = known_mean(map(known_mean, errors_of_best))
        columns: dict[str, Any] = {
            f"{BEST}_by": back_tests.best_method(errors),
            f"{BEST}_margin": margin,
            f"{BEST}_error": mean_error,
        }
        columns |= {f"n_{test}": len(table) for test, table in cases.items()}
        columns |= {f"noise_{test}": back_tests.sampling_noise(table) for test, table in cases.items()}
        columns[f"{BEST}_noise"] = known_mean(columns[f"noise_{test}"] for test in TESTS)
        for at, name in enumerate(METHODS):
            columns[f"{name}_margin"] = back_tests.error_margin(np.concatenate(errors)[:, at])
        for test, run in runs.items():
            columns |= {f"{name}_error_{test}": error for name, error in run.errors().items()}
            for name, ends in run.gains().items():
                columns |= {
                    f"{name}_gain_{test}{end}": value
                    for end, value in zip(("", "_low", "_high"), ends, strict=True)
                }
        columns[f"{BEST}_error_assumed"] = known_mean(columns[f"{ASSUMED}_error_{test}"] for test in TESTS)
        return columns

    def estimated(self, images: Represented, *, resamples: int = 200, seed: int = 0) -> Estimated:
        """Estimate the accuracy on an image set's `estimated_rows`."""
        new = self.predictions(images.raw[estimated_rows(images)])
        return Estimated(
            *resampled_estimates(self.labelled, self.correct, new, resamples=resamples, seed=seed)
        )

    def row(self, images: Represented, estimate: Estimated) -> dict[str, Any]:
        """Columns COLUMNS for an image set, of which `estimate` is what is estimated.

        own_top1 is the true accuracy over images whose class the probe knows; None without such labels.
        estimate is by the method with the smallest mean error in the back tests. estimate_error and
        estimate_margin are the mean and the 95th percentile of the errors of that choice, made in each case
        without it, and estimate_low and estimate_high the estimate -+ the margin. estimate_noise is the mean
        error that chance alone gives the cases; estimate_error_assumed that of taking the accuracy on
        evaluation images. A method's gains are how much smaller its errors are than those, paired
        (`BackTest.gains`). n_slices and n_copies: cases of each back test. None if undefined.
        """
        columns = {**self.back_tested, **estimate.point, OWN: self._own_accuracy(images)}
        columns[BEST] = columns[columns[f"{BEST}_by"]]
        ends = prediction_interval(columns[BEST], columns[f"{BEST}_margin"])
        columns |= {f"{BEST}_low": float(ends[0]), f"{BEST}_high": float(ends[1])}
        values = {}
        for name in COLUMNS:
            value = columns[name]
            values[name] = None if isinstance(value, float) and not np.isfinite(value) else value
        return values

    def _own_accuracy(self, images: Represented) -> float:
        rows = estimated_rows(images)
        places = pd.Index(self.class_names).get_indexer(pd.Index(images.class_names))
        codes = images.codes[rows]
        true_codes = np.where(codes < 0, -1, np.append(places, -1)[codes])
        if not (true_codes >= 0).any():
            return float("nan")
        predicted = self.probe.logits(images.raw[rows]).argmax(1).numpy()
        return float((predicted == true_codes)[true_codes >= 0].mean())


def estimated_rows(images: Represented) -> np.ndarray:
    """(n,) bool: images of a set whose accuracy is estimated (research): for evaluation, or all."""
    judged = (images.codes >= 0).any() and images.is_val.any()
    return images.is_val if judged else np.ones(len(images.raw), bool)


def in_words(row: dict[str, Any]) -> str:
    """State the estimated accuracy on an image set (research) in one sentence; empty where there is none."""
    if row.get(BEST) is None:
        return ""
    sentence = (
        f"the study's own probe is right on about {estimate_in_words(row[BEST], row[f'{BEST}_margin'])} of "
        f"these images, by {TITLES[row[f'{BEST}_by']]}"
    )
    sizes = {f"n_{test}": row[f"n_{test}"] for test in TESTS}
    assumed = row[f"{BEST}_error_assumed"]
    noise = row[f"{BEST}_noise"]
    sentence += errors_in_words(row[f"{BEST}_error"], assumed=assumed, noise=noise, **sizes)
    return sentence + ("" if row[OWN] is None else f"; by their labels: {percent(row[OWN])}")
