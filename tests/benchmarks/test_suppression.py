"""The suppression study: its images hold what they claim, and its table says what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import suppression
from benchmarks.trifeature import FACTORS, TEXTURES, Trifeature, levels_of, pattern, render
from core.errors import SettingsError


def test_factors__every_combination_once_in_a_thousand_and_independent():
    factors = Trifeature(n_train=1000, n_val=1000).factors()
    assert (factors.iloc[:1000].value_counts() == 1).all() and len(factors.iloc[:1000].value_counts()) == 1000
    assert (factors.iloc[1000:].value_counts() == 1).all()
    assert not factors.iloc[:1000].reset_index(drop=True).equals(factors.iloc[1000:].reset_index(drop=True))
    for one, other in (("shape", "colour"), ("shape", "texture"), ("colour", "texture")):
        assert (pd.crosstab(factors[one], factors[other]) == 20).all().all()


def test_render__is_seeded_and_places_anew():
    assert render(0, 5, 48) == render(0, 5, 48)
    twins = [i for i in range(3000) if levels_of(0, i) == levels_of(0, 5)]
    assert len(twins) == 3 and render(0, twins[0], 48) != render(0, twins[1], 48)


def test_render__colour_is_one_hue_and_the_same_light_for_each_texture():
    source = Trifeature(1000, 0)
    light, hues = {}, {}
    for row, (_, colour, texture) in enumerate(source.factors().to_numpy()[:400]):
        pixels = np.asarray(source.read(row), float)
        inside = np.ptp(pixels, axis=2) > 40  # the background is gray
        peaks = pixels[inside]
        hues.setdefault(colour, []).append((peaks / peaks.max(1, keepdims=True)).mean(0))
        light.setdefault(texture, []).append(peaks.max(1).mean())
    for found in hues.values():
        assert np.ptp(np.array(found), axis=0).max() < 0.1
    assert len({tuple((np.mean(found, axis=0) * 12).round()) for found in hues.values()}) == 10
    means = [np.mean(light[texture]) for texture in range(10)]
    assert max(means) - min(means) < 25  # of 255: DARK and BRIGHT lie 140 apart


@pytest.mark.parametrize("name", TEXTURES[1:])
def test_pattern__covers_half_and_differs_from_the_others(name, rng):
    shares = [pattern(name, 48, rng).mean() for _ in range(20)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    drawn = {other: pattern(other, 48, np.random.default_rng(0)) for other in TEXTURES}
    assert not any(np.array_equal(drawn[name], drawn[other]) for other in TEXTURES if other != name)


def test_readouts__find_what_is_there_and_only_that():
    source = Trifeature(1000, 500)
    factors = source.factors()
    shape = torch.nn.functional.one_hot(torch.tensor(factors["shape"].to_numpy())).float()
    noise = torch.randn(1500, 5, generator=torch.Generator().manual_seed(0))
    raw = torch.cat([shape, noise], 1)
    found = suppression.readouts(source, {"train": raw[:1000], "val": raw[1000:]})
    assert found["shape"] == 1.0 and found["colour"] < 0.2 and found["texture"] < 0.2


def test_main__goes_on_with_what_is_done(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(options, case, progress):
        measured.append(case)
        return {
            **case,
            **{factor: 0.5 + 0.1 * case["seed"] for factor in FACTORS},
            "loss": 1.0,
            "settings": suppression.common(options),
        }

    monkeypatch.setattr(suppression, "measure", measure)
    words = ["-o", str(tmp_path / "rows.csv"), "--temperatures", "0.2", "--seeds"]
    suppression.main([*words, "1"])
    assert (
        len(measured) == 3
        and "| simclr | 0.2 | 0.1 | 50.0 | 50.0 | 50.0 | 50.0 | 1 |" in capsys.readouterr().out
    )
    suppression.main([*words, "2"])
    assert len(measured) == 6 and all(case["seed"] == 1 for case in measured[3:])
    assert "| untrained |  |  | 55.0 ± 7.1 |" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="holds trainings with images=2000 .*epochs=20"):
        suppression.main([*words, "2", "--epochs", "21"])


def test_measure__trains_one_case(tmp_path):
    words = ["--images", "64", "--held-out", "32", "--epochs", "1", "--batch-size", "32", "--size", "24"]
    words += [
        "--arch",
        "timm:test_resnet",
        "--device",
        "cpu",
        "-o",
        str(tmp_path / "rows.csv"),
        "--lr",
        "0.1",
    ]
    options = suppression.parse(words)
    case = {"method": "simclr", "temperature": 0.2, "epsilon": 0.1, "seed": 0}
    config = suppression.settings(options, case, tmp_path / "e.safetensors")
    assert config.augment.jitter == config.augment.grayscale == 0
    assert config.objective.ifm_epsilon == 0.1 and config.temperature == 0.2
    row = suppression.measure(options, case, suppression.Progress.silent())
    assert all(0 <= row[factor] <= 1 for factor in FACTORS) and row["loss"] > 0
