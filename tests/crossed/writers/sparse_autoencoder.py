"""What sparse-autoencoder 1 holds: it pickles its settings, so the state dict is saved instead."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch
import torch.serialization

if not hasattr(torch.serialization, "FILE_LIKE"):  # as torch called it when the tool was written
    torch.serialization.FILE_LIKE = torch.serialization.FileLike  # pyright: ignore
    optimizer = sys.modules["torch.optim.optimizer"]
    optimizer.params_t = optimizer.ParamsT  # pyright: ignore

from sparse_autoencoder import SparseAutoencoder, SparseAutoencoderConfig

from tests.crossed.kit import Cases, Written
from tests.crossed.writers.dictionaries import M, R, X, drawn, refused, save, written


@torch.no_grad()
def state(folder: Path, n_components: int | None, pickled: bool = False) -> Written:
    about = SparseAutoencoderConfig(n_input_features=R, n_learned_features=M, n_components=n_components)
    model = drawn(SparseAutoencoder(about))
    if pickled:
        model.save(folder / "sae.pt")
        return refused("sae.pt")
    path = save(folder, model.state_dict())
    if n_components == 2:
        return refused(path)
    x = X if n_components is None else X[:, None]
    return written(path, model(x).learned_activations.reshape(len(X), M))


STATE = "torch.save(state_dict)"
CASES: Cases = {
    (STATE, "one component"): partial(state, n_components=None),
    (STATE, "an axis of one component"): partial(state, n_components=1),
    (STATE, "two components"): partial(state, n_components=2),
    ("save", "one component"): partial(state, n_components=None, pickled=True),
}
