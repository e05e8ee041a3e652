"""What additive attention is for: who is the subject can be learned with it, and not without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.research.visual_tokens_encoder import EncoderShape, TokenTensors, VisualTokenEncoder
from core.research.visual_tokens_ranks import GraphBatch, rank_matrices

KINDS, N = 6, 64


def scenes(rng):
    """Two objects of different kinds and one relation; the label: the subject has the smaller kind."""
    kinds = np.stack([rng.permutation(KINDS)[:2] for _ in range(N)])
    subject = rng.integers(0, 2, N)
    triples = np.stack([np.arange(N), subject, 1 - subject, np.zeros(N, int)], axis=1)
    batch = GraphBatch(np.full(N, 2), np.ones(N, int), np.tile([[0.0, 0], [1, 0]], (N, 1, 1)), triples)
    tokens = TokenTensors(
        torch.zeros(N, 1),
        torch.eye(KINDS)[torch.from_numpy(kinds)],
        torch.ones(N, 1, 1),
        torch.zeros(N, 2, 4),
        torch.full((N,), 2),
        torch.ones(N, dtype=torch.long),
        torch.from_numpy(rank_matrices(batch, 4)),
    )
    label = kinds[np.arange(N), subject] < kinds[np.arange(N), 1 - subject]
    return tokens, torch.from_numpy(label).float()


def accuracy(additive):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    shape = EncoderShape(1, KINDS, 1, width=32, layers=2, heads=2, context=4, out=1, additive=additive)
    encoder = VisualTokenEncoder(shape)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    for _ in range(150):
        tokens, label = scenes(rng)
        loss = F.binary_cross_entropy_with_logits(encoder(tokens)[:, 0], label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    right = [((encoder(tokens)[:, 0] > 0) == (label > 0)).float() for tokens, label in map(scenes, [rng] * 8)]
    return float(torch.cat(right).mean())


@pytest.mark.slow
def test_direction__is_learned_with_additive_attention_only():
    assert accuracy(True) > 0.95
    assert 0.4 < accuracy(False) < 0.6
