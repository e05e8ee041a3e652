from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from core.analysis.probe.accuracy_estimates import METHODS, estimates
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
    table = on_slices(predictions, correct, {"label": labels, "kind": few}, seed=3)
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
    table = on_copies(predictions, correct, copies)
    errors = mean_errors(table)
    for name in METHODS:
        gaps = [abs(row[name] - row["truth"]) for row in table.to_dict("records")]
        assert errors[name] == pytest.approx(sum(gaps) / 3) and errors[name] > 0
    assert np.isnan(list(mean_errors(table.head(0)).values())).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unknown = mean_errors(table.assign(**{METHODS[0]: np.nan}))
    assert np.isnan(unknown.pop(METHODS[0])) and np.isfinite(list(unknown.values())).all()
