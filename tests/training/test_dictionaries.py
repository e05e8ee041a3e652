"""Sparse autoencoders: loss and gradients against a twin, and a planted dictionary that is recovered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.bases.dictionary import Dictionary
from core.bases.vectors import FitRun, Vectors
from core.study.progress import Progress
from core.training.dictionaries import Autoencoder, DictionaryRun, fit_topk, gradients_of

SIZE, WIDTH, K = 24, 7, 4


def planted(seed: int, n: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """x = a sum of 4 of 64 random unit directions with gamma weights, and 1 % of noise."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((64, 128))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    weights = np.zeros((n, 64))
    for row in range(n):
        weights[row, rng.choice(64, 4, replace=False)] = rng.gamma(2.0, 1.0, 4)
    clean = weights @ directions
    return directions, (clean + 0.01 * clean.std() * rng.standard_normal(clean.shape)).astype(np.float32)


def recovered(directions: np.ndarray, found: Dictionary) -> float:
    return float((np.abs(directions @ found.decoder.T).max(1) >= 0.95).mean())


def twin_loss(
    parts: dict[str, np.ndarray], x: np.ndarray, prefixes: tuple[int, ...], dead: np.ndarray
) -> float:
    """The loss by the book, vector by vector: k largest, then ReLU; nested reconstructions; dead latents."""
    decoder, encoder, bias, centre = (parts[name] for name in ("decoder", "encoder", "bias", "centre"))
    loss = 0.0
    for one in x:
        pre = encoder @ (one - centre) + bias
        z = np.zeros(SIZE)
        for latent in np.argsort(-pre)[:K]:
            z[latent] = max(0.0, pre[latent])
        for end in prefixes:
            whole = centre + sum(z[j] * decoder[j] for j in range(end))
            loss += ((whole - one) ** 2).mean() / len(x)
        residual = one - whole
        of_dead = [j for j in np.argsort(-pre) if dead[j]][:512]
        rebuilt = sum((max(0.0, pre[j]) * decoder[j] for j in of_dead), np.zeros(WIDTH))
        loss += ((rebuilt - residual) ** 2).mean() / len(x) / 32 if dead.any() else 0.0
    return loss


@pytest.mark.parametrize("prefixes", [(SIZE,), (2, 3, 6, 12, SIZE)], ids=["topk", "matryoshka"])
@pytest.mark.parametrize("dead", [(), (1, 5, 20)])
def test_loss_and_gradients_are_those_of_a_twin(rng, prefixes, dead):
    model = Autoencoder(SIZE, WIDTH, 0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.from_numpy(0.1 * rng.standard_normal(parameter.shape))
    x = rng.standard_normal((9, WIDTH))
    is_dead = np.isin(np.arange(SIZE), dead)
    given = {"k": K, "prefixes": prefixes, "dead": torch.from_numpy(is_dead)}
    loss, gradients, active = gradients_of(model, torch.from_numpy(x), **given)
    parts = {name: one.detach().numpy().copy() for name, one in model.named_parameters()}
    assert float(loss) == pytest.approx(twin_loss(parts, x, prefixes, is_dead), rel=1e-9)
    assert 0 < len(active) <= 9 * K and gradients.keys() == parts.keys()
    # the residual of the auxiliary loss is constant, so the slope is compared where no latent is dead
    for name, values in parts.items() if not dead else ():
        for place in rng.choice(values.size, min(6, values.size), replace=False):
            sides = []
            for step in (1e-6, -1e-6):
                moved = {**parts, name: values.copy()}
                moved[name].flat[place] += step
                sides.append(twin_loss(moved, x, prefixes, is_dead))
            slope = (sides[0] - sides[1]) / 2e-6
            assert gradients[name].numpy().flat[place] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("prefixes", [(SIZE,), (3, SIZE)])
def test_the_auxiliary_gradient_is_that_of_autograd(rng, prefixes):
    model = Autoencoder(SIZE, WIDTH, 1).double()
    x, dead = torch.from_numpy(rng.standard_normal((9, WIDTH))), torch.zeros(SIZE, dtype=torch.bool)
    dead[[1, 5, 9]] = True
    with_dead = gradients_of(model, x, K, prefixes, dead=dead)[1]
    without = gradients_of(model, x, K, prefixes, dead=torch.zeros_like(dead))[1]
    pre = (x - model.centre) @ model.encoder.T + model.bias
    best = pre.topk(K, dim=1)
    z = torch.zeros_like(pre).scatter(1, best.indices, best.values.relu())
    residual = (x - z @ model.decoder - model.centre).detach()
    (((pre.relu() * dead) @ model.decoder - residual) ** 2).mean().div(32).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(with_dead[name] - without[name], parameter.grad, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 0.01])
def test_a_step_takes_gradients_that_are_not_longer_than_1(rng, tmp_path, factor):
    """Of the loss summed over features: WIDTH times those of the loss; shorter ones are taken as they are."""
    x = rng.standard_normal((9, WIDTH)).astype(np.float32)
    run = FitRun(Progress.silent(), torch.device("cpu"), tmp_path / "state", {}, 10)
    training = DictionaryRun(Vectors(x, np.arange(len(x))), (SIZE,), K, 0, run)
    model, batch = training.model, factor * torch.from_numpy(x)
    none_dead = torch.zeros(SIZE, dtype=torch.bool)
    _, gradients, _ = gradients_of(model, batch, K, (SIZE,), dead=none_dead)
    along = (gradients["decoder"] * model.decoder.detach()).sum(1, keepdim=True)
    gradients["decoder"] -= along * model.decoder.detach()
    length = WIDTH * np.sqrt(sum(float(one.square().sum()) for one in gradients.values()))
    assert (length > 1) == (factor == 1.0)
    training.train_step(batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name] / max(1.0, length), rtol=1e-4, atol=1e-7)


def test_a_planted_dictionary_is_recovered_and_another_is_not(tmp_path):
    """Few steps are enough for so wide vectors; the default is 3,000."""
    directions, x = planted(0)
    run = FitRun(Progress.silent(), torch.device("cpu"), tmp_path / "state", {}, 200)
    found = fit_topk(Vectors(x, np.arange(len(x))), 64, 4, 0, run)
    assert recovered(directions, found) >= 0.9
    others, _ = planted(1, n=1)
    assert recovered(others, found) <= 0.05  # by chance none is that near
    x64, codes = x.astype(np.float64), np.zeros((len(x), 64))
    pre = (x64 - found.pre_bias) @ found.encoder.T.astype(np.float64) + found.bias
    for row in range(len(x)):
        best = np.argsort(-pre[row])[:4]
        codes[row, best] = np.maximum(pre[row, best], 0)
    error = ((codes @ found.decoder + found.offset - x64) ** 2).sum()
    assert 1 - error / ((x64 - x64.mean(0)) ** 2).sum() > 0.9
    assert Path(f"{run.state}.0.resume").is_file()
