"""The loss on images and captions, against a loop and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from core.research.visual_tokens_train import contrastive_loss, same_rows
from tests.concepts import reference_clip as reference


@pytest.mark.parametrize(("n", "extra"), [(1, 0), (4, 3), (9, 0)])
def test_loss__matches_loop(rng, n, extra):
    images, texts = rng.normal(size=(n, 6)), rng.normal(size=(n + extra, 6))
    groups = rng.integers(0, 4, n + extra)
    same = groups[:, None] == groups[None, :]
    loss = contrastive_loss(torch.tensor(images), torch.tensor(texts), torch.tensor(5.0), torch.tensor(same))
    assert loss.item() == pytest.approx(reference.contrastive_loss(images, texts, 5.0, same), rel=1e-5)


def test_loss__by_hand():
    eye = torch.eye(2)
    none = torch.eye(2, dtype=torch.bool)
    expected = math.log(1 + math.exp(-3.0))
    assert contrastive_loss(eye, eye, torch.tensor(3.0), none).item() == pytest.approx(expected, rel=1e-6)
    twins = torch.ones(2, 2, dtype=torch.bool)
    assert contrastive_loss(eye, eye, torch.tensor(3.0), twins).item() == pytest.approx(0)


def test_same_rows__by_hand():
    tokens = torch.tensor([[1, 2], [1, 3], [1, 2]])
    assert same_rows(tokens).tolist() == [[True, False, True], [False, True, False], [True, False, True]]
