"""Cheap indicators of collapse and of sparsity (Kalibhat 2024). No Q-Score: it must not guide training."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from core.analysis.quality.scores import near_zero_share
from core.analysis.quality.spectrum import rankme


@torch.no_grad()
def represent(backbone: nn.Module, batches: Iterator[Tensor]) -> Tensor:
    """(N, r) float32 raw representations of normalised batches, in evaluation mode."""
    was_training = backbone.training
    backbone.eval()
    raw = torch.cat([backbone(batch).float() for batch in batches])
    backbone.train(was_training)
    return raw


def representation_statistics(raw: Tensor) -> dict[str, float]:
    """Shares near zero and dead, mean |L_i| at three thresholds, and RankMe, of (N, r) representations."""
    h = torch.nn.functional.normalize(raw.double(), dim=1)
    z = (h - h.mean(1, keepdim=True)) / h.std(1, correction=0, keepdim=True).clamp(min=1e-12)
    dead = (raw.amax(0) <= 0).double().mean().item()
    near_zero = near_zero_share(raw).mean().item()
    values = {"near_zero": near_zero, "dead": dead, "rankme": rankme(torch.linalg.svdvals(raw.double()))}
    for epsilon in (4, 3, 2):
        values[f"firing_{epsilon}"] = (z > epsilon).sum(1).double().mean().item()
    return values


def knn_accuracy(
    train: Tensor, labels: np.ndarray, val: Tensor, val_labels: np.ndarray, *, k: int = 20
) -> float:
    """Share of val rows for whose true class the k nearest train rows (cosine, weighted) vote."""
    unit = torch.nn.functional.normalize
    similarity, nearest = (unit(val, dim=1) @ unit(train, dim=1).T).topk(min(k, len(train)), dim=1)
    codes = torch.as_tensor(labels, device=train.device)
    votes = similarity.new_zeros(len(val), int(codes.max()) + 1)
    votes.scatter_add_(1, codes[nearest], torch.exp(similarity / 0.1))
    return (votes.argmax(1).cpu().numpy() == val_labels).mean().item()
