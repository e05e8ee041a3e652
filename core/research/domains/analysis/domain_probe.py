"""How well a probe tells the domain of an image, or its class in each domain (docs/method.md 14.3)."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from core.analysis.probe.linear import Recipe, Standard
from core.analysis.probe.step import train_probe
from core.common.statistics.intervals import wilson
from core.common.statistics.moments import Moments
from core.common.threads import one_torch_thread
from core.research.domains.analysis.parts import DomainImages, part_slices

LINEAR, MLP = "linear", "mlp"
HIDDEN = (256, 256)
EPOCHS, BATCH, RATE, DECAY = 30, 256, 1e-3, 1e-4  # of the MLP: Adam, ours
OWN, SEEN = "own", "seen"  # protocols: trained on the domain itself, or on the seen domains


def predict_linear(
    train: np.ndarray, codes: np.ndarray, rows: np.ndarray, n_classes: int, *, lr: float | None, seed: int
) -> np.ndarray:
    """(n,) int64: classes of `rows` by the linear probe of docs/method.md 3, trained on `train`."""
    probe = train_probe(torch.from_numpy(train), codes, n_classes, lr=lr, recipe=Recipe(epochs=50, seed=seed))
    return probe.logits(torch.from_numpy(rows)).argmax(1).cpu().numpy()


def predict_mlp(
    train: np.ndarray, codes: np.ndarray, rows: np.ndarray, n_classes: int, *, seed: int
) -> np.ndarray:
    """(n,) int64: classes of `rows` by an MLP with two hidden layers of 256, on standardised columns.

    30 epochs of Adam at 1e-3 with weight decay 1e-4, in batches of 256; the same for every encoder and part,
    so nothing is tuned on what is measured.
    """
    standard = Standard.of(Moments.of_rows(train))
    x, y = standard(torch.from_numpy(train).float()), torch.from_numpy(codes)
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(seed)
        sizes = (x.shape[1], *HIDDEN)
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(HIDDEN[-1], n_classes))
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(x)).split(BATCH):
                optimiser.zero_grad()
                nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
                optimiser.step()
        with torch.inference_mode():
            return network(standard(torch.from_numpy(rows).float())).argmax(1).numpy()


def domain_probe(images: DomainImages, columns: slice, kind: str, *, seed: int = 0) -> dict[str, Any]:
    """Accuracy with which a probe names the domain of an evaluation image from some columns.

    Args:
        columns: of a part. kind: linear or mlp.
    Returns:
        accuracy with low and high (95 % Wilson interval), base_rate (share of the most common domain among
        the evaluation images), n_train, n_val. NaN without two domains to train on, or evaluation images.
    """
    has_domain = images.domains >= 0
    train, val = has_domain & ~images.is_val, has_domain & images.is_val
    codes, n_domains = images.domains, len(images.domain_names)
    n_val = int(val.sum())
    row: dict[str, Any] = {"n_train": int(train.sum()), "n_val": n_val}
    row["base_rate"] = float(np.bincount(codes[val]).max() / n_val) if n_val else np.nan
    if len(np.unique(codes[train])) < 2 or not n_val:
        return {"accuracy": np.nan, "low": np.nan, "high": np.nan, **row}
    rows, tried = images.raw[train][:, columns], images.raw[val][:, columns]
    if kind == MLP:
        predicted = predict_mlp(rows, codes[train], tried, n_domains, seed=seed)
    else:
        predicted = predict_linear(rows, codes[train], tried, n_domains, lr=0.1, seed=seed)
    return {**_share(predicted == codes[val]), **row}


def domain_probes(images: DomainImages, k: int | None, *, unseen: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row for each part and kind of probe, over the domains that are not `unseen`."""
    seen = np.array([name not in unseen for name in images.domain_names])
    codes = np.where(np.append(seen, False)[images.domains], images.domains, -1)
    within = DomainImages(
        images.raw, images.classes, codes, images.is_val, images.class_names, images.domain_names
    )
    rows = []
    for part, columns in part_slices(k, images.raw.shape[1]).items():
        for kind in (LINEAR, MLP):
            rows.append({"part": part, "probe": kind, **domain_probe(within, columns, kind)})
    return pd.DataFrame(rows)


def class_probes(images: DomainImages, k: int | None, *, unseen: tuple[str, ...] = ()) -> pd.DataFrame:
    """Top-1 accuracy of the class in each domain, by two protocols.

    own: the probe is trained on the train images of the domain that it is tested on (Kalibhat's: "unseen"
    domains
    are unseen in pre-training). seen: one probe, trained on the train images of all domains not `unseen`.

    Returns:
        part, protocol, domain, unseen, top1 with low and high (95 % Wilson), n_train, n_val; NaN where no
        probe can be trained or there is nothing to test it on.
    """
    rows = []
    for part, columns in part_slices(k, images.raw.shape[1]).items():
        for protocol in (OWN, SEEN):
            for name, result in _by_domain(images, columns, protocol, unseen):
                rows.append({"part": part, "protocol": protocol, "domain": name, **result})
    return pd.DataFrame(rows)


def _by_domain(
    images: DomainImages, columns: slice, protocol: str, unseen: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    has_class, rows = images.classes >= 0, images.raw[:, columns]
    taught = np.array([name not in unseen for name in images.domain_names])
    shared = has_class & ~images.is_val & np.append(taught, False)[images.domains]
    predicted = _tried(images, rows, shared, has_class & images.is_val) if protocol == SEEN else None
    for code, name in enumerate(images.domain_names):
        here = has_class & (images.domains == code)
        train, val = shared if protocol == SEEN else here & ~images.is_val, here & images.is_val
        answers = predicted if protocol == SEEN else _tried(images, rows, train, val)
        share = _share(None if answers is None else answers[val] == images.classes[val])
        result = {"top1": share["accuracy"], "low": share["low"], "high": share["high"]}
        yield name, {"unseen": name in unseen, **result, "n_train": int(train.sum()), "n_val": int(val.sum())}


def _tried(images: DomainImages, rows: np.ndarray, train: np.ndarray, val: np.ndarray) -> np.ndarray | None:
    """(n,) predicted classes at `val`, -1 elsewhere; None if no probe can be trained."""
    if len(np.unique(images.classes[train])) < 2 or not val.any():
        return None
    predicted = np.full(len(rows), -1)
    n_classes = len(images.class_names)
    predicted[val] = predict_linear(rows[train], images.classes[train], rows[val], n_classes, lr=0.1, seed=0)
    return predicted


def _share(correct: np.ndarray | None) -> dict[str, float]:
    if correct is None or not len(correct):
        return {"accuracy": np.nan, "low": np.nan, "high": np.nan}
    low, high = wilson(correct.sum(), len(correct))
    return {"accuracy": float(correct.mean()), "low": float(low), "high": float(high)}
