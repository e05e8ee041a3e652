from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from core.errors import SettingsError
from core.research.transfer_learning_back_tests import (
    KINDS,
    LEAST,
    STRENGTHS,
    absolute_errors,
    best_method,
    corrupt,
    error_margin,
    errors_of_the_best,
    grouping_columns,
    halves,
    mean_errors,
    on_copies,
    on_slices,
    sampling_noise,
)
from core.research.transfer_learning_estimates import ASSUMED, METHODS, Predictions, estimates
from tests.research.test_accuracy_estimates import made


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
    corrupted, left = corrupt(pixels, "contrast", 4).numpy(), STRENGTHS["contrast"][3]
    for image, changed in zip(pixels.numpy().astype(float) / 255, corrupted, strict=True):
        mean = image.sum() / image.size
        for pixel in np.ndindex(4, 4, 3):
            assert abs(changed[pixel] - 255 * (mean + left * (image[pixel] - mean))) <= 0.51


def test_blur__keeps_flat_images_and_spreads_a_point():
    flat = torch.full((1, 64, 64, 3), 90, dtype=torch.uint8)
    assert torch.equal(corrupt(flat, "blur", 5), flat)
    point = torch.zeros((1, 64, 64, 3), dtype=torch.uint8)
    point[0, 32, 32] = 255
    blurred = corrupt(point, "blur", 3)[0, :, :, 0].float() / 255
    sigma = STRENGTHS["blur"][2]  # in 64ths of the height: pixels here
    for dy, dx in ((0, 0), (1, 0), (1, 1), (0, 2)):
        weight = np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
        reach = range(-round(3 * sigma), round(3 * sigma) + 1)
        total = sum(np.exp(-(u**2 + v**2) / (2 * sigma**2)) for u in reach for v in reach)
        assert blurred[32 + dy, 32 + dx].item() == pytest.approx(weight / total, abs=0.003)


def test_corrupt__refuses_what_it_does_not_know(pixels):
    with pytest.raises(SettingsError, match="'fog'.*1"):
        corrupt(pixels, "fog", 1)
    with pytest.raises(SettingsError, match="strength 6"):
        corrupt(pixels, "blur", 6)


def test_slices__are_estimated_from_the_other_half(rng):
    predictions, correct = made(rng, 240), rng.random(240) < 0.7
    labels = np.array(["a", "b", None], object)[rng.integers(0, 3, 240)]
    few = np.array(["rare"] * 10 + ["usual"] * 230, object)
    table = on_slices(predictions, correct, {"label": labels, "kind": few}, seed=3).table()
    first, held = halves(240, 3)
    assert not set(first) & set(held) and len(first) + len(held) == 240
    cases = {f"label: {name}": held[labels[held] == name] for name in ("a", "b")}
    cases["kind: usual"] = held[few[held] == "usual"]
    assert set(table["case"]) == {name for name, rows in cases.items() if LEAST <= len(rows) < len(held)}
    assert len(table) >= 2
    for row in table.to_dict("records"):
        inside = cases[row["case"]]
        assert row["n"] == len(inside) and row["truth"] == pytest.approx(correct[inside].mean())
        by_method = estimates(predictions.at(first), correct[first], predictions.at(inside))
        assert {name: row[name] for name in METHODS} == pytest.approx(by_method)


@pytest.mark.parametrize("dtype", [object, "str", "string", "category"])
def test_grouping_columns__are_texts_and_booleans_of_any_dtype(dtype):
    values = ["a", "b", None, "a"]
    table = pd.DataFrame(
        {
            "text": pd.Series(values, dtype=dtype),
            "each another": pd.Series(["p", "q", "r", None], dtype=dtype),
            "bool": [True, False, True, True],
            "nullable": pd.array([True, None, False, True], dtype="boolean"),
            "mixed": pd.Series([True, None, False, False], dtype=object),
            "number": [0.5, 0.5, 1.0, 2.0],
            "count": [1, 1, 2, 2],
            "date": pd.to_datetime(["2026-01-01"] * 4),
            "nothing": pd.Series([None] * 4, dtype=dtype),
        }
    )
    columns = grouping_columns(table)
    assert list(columns) == ["text", "bool", "nullable", "mixed"]
    assert [None if pd.isna(value) else value for value in columns["text"]] == values


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
    first, held = halves(200, 3)
    again, draws = np.random.default_rng(7), []
    for resample in range(41):
        mine = first if resample == 0 else first[again.integers(0, 100, 100)]
        theirs = held if resample == 0 else held[again.integers(0, 100, 100)]
        gaps = {name: [] for name in METHODS}
        for label in labels_in_order(labels[held]):
            inside = np.array([row for row in theirs if labels[row] == label])
            by_method = estimates(predictions.at(mine), correct[mine], predictions.at(inside))
            for name in METHODS:
                gaps[name].append(abs(by_method[name] - correct[inside].mean()))
        draws.append([sum(gaps[ASSUMED]) / 2 - sum(gaps[name]) / 2 for name in METHODS])
    gains = run.gains(resamples=40, seed=7)
    ends = np.percentile(draws[1:], [2.5, 97.5], axis=0)
    for place, name in enumerate(METHODS):
        assert gains[name] == pytest.approx((draws[0][place], *ends[:, place]), abs=1e-12)
    assert gains[ASSUMED] == (0, 0, 0) and all(gains[name][1] < gains[name][2] for name in METHODS[1:])


def labels_in_order(labels):
    return sorted(set(labels), key=lambda label: -np.count_nonzero(labels == label))


def test_gains__of_a_method_that_is_right_are_clear(rng):
    """The confidence falls with the accuracy, so that a difference of confidences says what has changed."""
    right = rng.random(400) < 0.9
    labelled = confident(np.where(right, 0.95, 0.45), rng)
    copies = {}
    for strength, share in enumerate((0.3, 0.5, 0.7)):
        still = rng.random(400) < share
        copies[f"noise {strength}"] = confident(np.where(still, 0.95, 0.45), rng), still
    gain, low, high = on_copies(labelled, right, copies).gains(resamples=60)["difference_of_confidences"]
    assert 0 < low < gain < high
    assert np.isnan([ends for ends in on_copies(labelled, right, {}).gains(resamples=5).values()]).all()


def confident(largest, rng):
    """Predictions of the class 0 with these probabilities, two classes."""
    return Predictions(np.stack([largest, 1 - largest], axis=1), rng.integers(0, 2, (len(largest), 2)))


def loop_best(tests):
    """The method whose mean error, averaged over the back tests that have cases, is smallest."""
    means = {}
    for name in METHODS:
        by_test = [sum(case[name] for case in cases) / len(cases) for cases in tests if cases]
        means[name] = sum(by_test) / len(by_test)
    return min(means, key=lambda name: means[name])


def loop_percentile(values, share):
    """Linear between the two nearest of the ordered values."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


@pytest.mark.parametrize("n_cases", [(6, 4), (1, 5), (9, 0)])
def test_choice_of_a_method__matches_loop(rng, n_cases):
    """Each case is judged by the method that the others choose; two methods are close, so that it changes."""
    errors = [rng.gamma(1.0, 0.1, (n, len(METHODS))) for n in n_cases]
    tests = [[dict(zip(METHODS, case, strict=True)) for case in test.tolist()] for test in errors]
    assert best_method(errors) == loop_best(tests)
    expected, best_methods = [], set()
    for number, test in enumerate(tests):
        for at, case in enumerate(test):
            rest = [[c for j, c in enumerate(t) if (i, j) != (number, at)] for i, t in enumerate(tests)]
            best_methods.add(loop_best(rest))
            expected.append(case[loop_best(rest)])
    errors_of_best = np.concatenate(errors_of_the_best(errors))
    assert errors_of_best.tolist() == pytest.approx(expected)
    assert error_margin(errors_of_best) == pytest.approx(loop_percentile(expected, 0.95))
    if n_cases == (6, 4):
        assert len(best_methods) > 1
        assert errors_of_best.mean() > np.concatenate(errors)[:, METHODS.index(best_method(errors))].mean()


def test_choice_of_a_method__without_cases():
    none = np.empty((0, len(METHODS)))
    assert best_method([none, none]) == ASSUMED and np.isnan(error_margin(np.concatenate([none, none])))
    assert [test.shape for test in errors_of_the_best([none, none])] == [(0,), (0,)]
    empty = pd.DataFrame(columns=["case", "n", "truth", *METHODS])
    assert absolute_errors(empty).shape == none.shape and np.isnan(sampling_noise(empty))


def test_sampling_noise__is_the_mean_error_by_chance(rng):
    """Against the binomial sum E |k / n - p| of each case."""
    cases = pd.DataFrame({"n": [25, 60, 155, 200], "truth": [0.4, 0.9, 0.7, 0.55]})
    exact = []
    for n, p in zip(cases["n"], cases["truth"], strict=True):
        weights = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
        exact.append(sum(weight * abs(k / n - p) for k, weight in enumerate(weights)))
    assert sampling_noise(cases) == pytest.approx(sum(exact) / 4, rel=0.02)
    assert sampling_noise(cases.assign(truth=1.0)) == 0
