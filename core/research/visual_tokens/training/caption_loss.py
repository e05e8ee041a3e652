"""The loss of a training on pairs of images and captions."""

import torch
from torch import Tensor
from torch.nn import functional as F

STARTING_SCALE = 1 / 0.07  # of the cosine, before the softmax
LARGEST_SCALE = 100.0


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE with captions that belong to no image as additional negatives.

    Args:
        images: (n, d). texts: (n + m, d), the first n belong to the images. scale: of the cosine.
        same: (n + m, n + m) bool, captions with the same words: never negatives of each other.
    """
    n = len(images)
    images = F.normalize(images.float(), dim=1)
    texts = F.normalize(texts.float(), dim=1)
    logits = scale * images @ texts.T  # (n, n + m)
    twins = same[:n].clone()
    twins[torch.arange(n), torch.arange(n)] = False
    logits = logits.masked_fill(twins, -torch.inf)
    target = torch.arange(n, device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :n].T, target)) / 2


def same_rows(tokens: Tensor) -> Tensor:
    """(n, n) bool: equal rows of tokens."""
    _, groups = torch.unique(tokens, dim=0, return_inverse=True)
    return groups[:, None] == groups[None, :]
