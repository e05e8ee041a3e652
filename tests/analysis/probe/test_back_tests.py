from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from core.analysis.probe.accuracy_estimates import ASSUMED, METHODS, Predictions, estimates
from core.analysis.probe.back_tests import (
    KINDS,
    LEAST,
    STRENGTHS,
    corrupt,
    halves,
    mean_errors,
    on_copies,
    on_slices,
)
from core.errors import SettingsError
from tests.analysis.probe.test_accuracy_estimates import made


@pytest.fixture
def pixels(rng):
    return torch.from_numpy(rng.integers(0, 256, (3, 64, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt__does_more_the_stronger_it_is(pixels, kind):
    distances = [
        (corrupt(pixels, kind, strength).float() - pixels.float()).abs().mean().item()
        for strength in range(1, 6)
    ]
    assert distances[0] > 1 and distances == sorted(distances)
    assert corrupt(pixels, kind, 1).shape == pixels.shape and corrupt(pixels, kind, 1).dtype == torch.uint8
    assert torch.equal(corrupt(pixels, kind, 3), corrupt(pixels, kind, 3))


def test_contrast__matches_loop(pixels):
    found, left = corrupt(pixels, "contrast", 4).numpy(), STRENGTHS["contrast"][3]
    for image, told in zip(pixels.numpy().astype(float) / 255, found, strict=True):
        mean = image.sum() / image.size
        for place in np.ndindex(4, 4, 3):
            assert abs(told[place] - 255 * (mean + left * (image[place] - mean))) <= 0.51


def test_blur__keeps_flat_images_and_spreads_a_point():
    flat = torch.full((1, 64, 64, 3), 90, dtype=torch.uint8)
    assert torch.equal(corrupt(flat, "blur", 5), flat)
    point = torch.zeros((1, 64, 64, 3), dtype=torch.uint8)
    point[0, 32, 32] = 255
    told = corrupt(point, "blur", 3)[0, :, :, 0].float() / 255
    sigma = STRENGTHS["blur"][2]  # in 64ths of the height: pixels here
    for dy, dx in ((0, 0), (1, 0), (1, 1), (0, 2)):
        weight = np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
        reach = range(-round(3 * sigma), round(3 * sigma) + 1)
        total = sum(np.exp(-(u**2 + v**2) / (2 * sigma**2)) for u in reach for v in reach)
        assert told[32 + dy, 32 + dx].item() == pytest.approx(weight / total, abs=0.003)


def test_corrupt__refuses_what_it_does_not_know(pixels):
    with pytest.raises(SettingsError, match="unknown corruption 'fog' of strength 1"):
        corrupt(pixels, "fog", 1)
    with pytest.raises(SettingsError, match="strength 6"):
        corrupt(pixels, "blur", 6)


def test_slices__are_estimated_from_the_other_half(rng):
    predictions, correct = made(rng, 240), rng.random(240) < 0.7
    labels = np.array(["a", "b", None], object)[rng.integers(0, 3, 240)]
    few = np.array(["rare"] * 10 + ["usual"] * 230, object)
    table = on_slices(predictions, correct, {"label": labels, "kind": few}, seed=3).table()
    known, held = halves(240, 3)
    assert not set(known) & set(held) and len(known) + len(held) == 240
    cases = {f"label: {name}": held[labels[held] == name] for name in ("a", "b")}
    cases["kind: usual"] = held[few[held] == "usual"]
    assert set(table["case"]) == {name for name, rows in cases.items() if LEAST <= len(rows) < len(held)}
    assert len(table) >= 2
    for row in table.to_dict("records"):
        inside = cases[row["case"]]
        assert row["n"] == len(inside) and row["truth"] == pytest.approx(correct[inside].mean())
        told = estimates(predictions.at(known), correct[known], predictions.at(inside))
        assert {name: row[name] for name in METHODS} == pytest.approx(told)


def test_mean_errors__match_loop(rng):
    predictions, correct = made(rng, 60), rng.random(60) < 0.7
    copies = {f"noise {k}": (made(rng, 40, sharpness=1 / k), rng.random(40) < 0.5) for k in (1, 2, 3)}
    run = on_copies(predictions, correct, copies)
    table, errors = run.table(), run.errors()
    for name in METHODS:
        gaps = [abs(row[name] - row["truth"]) for row in table.to_dict("records")]
        assert errors[name] == pytest.approx(sum(gaps) / 3) and errors[name] > 0
    assert np.isnan(list(mean_errors(table.head(0)).values())).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unknown = mean_errors(table.assign(**{METHODS[0]: np.nan}))
    assert np.isnan(unknown.pop(METHODS[0])) and np.isfinite(list(unknown.values())).all()


def test_gains__match_loop(rng):
    """Known images and images of the pool are drawn once a resample, for all slices and methods."""
    predictions, correct = made(rng, 200), rng.random(200) < 0.7
    labels = np.array(["a", "b"], object)[rng.integers(0, 2, 200)]
    run = on_slices(predictions, correct, {"label": labels}, seed=3)
    known, held = halves(200, 3)
    again, draws = np.random.default_rng(7), []
    for resample in range(41):
        mine = known if resample == 0 else known[again.integers(0, 100, 100)]
        theirs = held if resample == 0 else held[again.integers(0, 100, 100)]
        gaps = {name: [] for name in METHODS}
        for label in labels_in_order(labels[held]):
            inside = np.array([row for row in theirs if labels[row] == label])
            told = estimates(predictions.at(mine), correct[mine], predictions.at(inside))
            for name in METHODS:
                gaps[name].append(abs(told[name] - correct[inside].mean()))
        draws.append([sum(gaps[ASSUMED]) / 2 - sum(gaps[name]) / 2 for name in METHODS])
    found = run.gains(resamples=40, seed=7)
    ends = np.percentile(draws[1:], [2.5, 97.5], axis=0)
    for place, name in enumerate(METHODS):
        assert found[name] == pytest.approx((draws[0][place], *ends[:, place]), abs=1e-12)
    assert found[ASSUMED] == (0, 0, 0) and all(found[name][1] < found[name][2] for name in METHODS[1:])


def labels_in_order(labels):
    return sorted(set(labels), key=lambda label: -np.count_nonzero(labels == label))


def test_gains__of_a_method_that_is_right_are_clear(rng):
    """The confidence falls with the accuracy, so that a difference of confidences says what has changed."""
    right = rng.random(400) < 0.9
    known = confident(np.where(right, 0.95, 0.45), rng)
    copies = {}
    for strength, share in enumerate((0.3, 0.5, 0.7)):
        still = rng.random(400) < share
        copies[f"noise {strength}"] = confident(np.where(still, 0.95, 0.45), rng), still
    gain, low, high = on_copies(known, right, copies).gains(resamples=60)["difference_of_confidences"]
    assert 0 < low < gain < high
    assert np.isnan([ends for ends in on_copies(known, right, {}).gains(resamples=5).values()]).all()


def confident(largest, rng):
    """Predictions of the class 0 with these probabilities, two classes."""
    return Predictions(np.stack([largest, 1 - largest], axis=1), rng.integers(0, 2, (len(largest), 2)))
