"""A weighted vote of the nearest train images (Wu et al. 2018; Caron et al. 2021): nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.answers.outcome import VALUES, AnswerValues, Request
from core.errors import SettingsError

if TYPE_CHECKING:
    import torch

    from core.jobs.progress import Progress
    from core.reader import StudyReader

K, TEMPERATURE = 20, 0.07
QUERIES, KEYS = 1024, 65_536  # rows of a block of products


def knn_answer(study: StudyReader, request: Request, progress: Progress) -> AnswerValues:
    """The answer `knn`: each image by the train images with the largest cosines, its own row left out."""
    import torch

    names = study.class_names
    label = study.images["label"]
    codes = np.searchsorted(names, label.fillna(names[0]).to_numpy(object).astype(str))
    train = np.flatnonzero(~study.is_val & label.notna().to_numpy())
    if len(train) < 2:
        raise SettingsError(f"'{study.path}' has {len(train)} labelled train images; knn needs two or more")
    device = torch.device(request.device)
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    raw, n = study.array("representations"), study.n_images
    parts = [
        unit(torch.from_numpy(raw.rows(train[start : start + KEYS])).to(device)).to(dtype)
        for start in range(0, len(train), KEYS)
    ]
    best = np.empty((n, min(5, len(names))), np.int32)
    values = {name: np.full(n, np.nan) for name in VALUES}
    votes_of, rows_of = torch.from_numpy(codes[train]).to(device), torch.from_numpy(train).to(device)
    with progress.stage("knn", total=n, unit="images") as bar:
        for start in range(0, n, QUERIES):
            stop = min(start + QUERIES, n)
            queries = unit(torch.from_numpy(np.array(raw[start:stop])).to(device)).to(dtype)
            cosines, places = nearest(queries, torch.arange(start, stop, device=device), parts, rows_of)
            shares = vote(cosines, votes_of[places], len(names))
            top, classes = shares.topk(min(5, len(names)), dim=1)
            best[start:stop] = classes.cpu().numpy()
            values["confidence"][start:stop] = top[:, 0].cpu().numpy()
            if top.shape[1] > 1:
                values["margin"][start:stop] = (top[:, 0] - top[:, 1]).cpu().numpy()
            bar.update(stop - start)
    voted = [names[code] for code in np.unique(codes[train])]
    return AnswerValues(names, best, values, voted, facts={"k": min(K, len(train)), "n_classes": len(voted)})


def unit(raw: torch.Tensor) -> torch.Tensor:
    """Rows of length 1; a zero vector stays one, so its cosine with everything is 0."""
    raw = raw.float()
    length = raw.norm(dim=1, keepdim=True)
    return raw / length.where(length > 0, 1.0)


def nearest(
    queries: torch.Tensor, query_rows: torch.Tensor, parts: list[torch.Tensor], rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest cosines (n, k) of each query with the keys, and their places among all keys.

    Args:
        query_rows: (n,) row of each query; the key of the same row is left out. rows: (n_keys,) of each
            key.
    """
    import torch

    k = min(K, len(rows) - 1)
    cosines, places, first = [], [], 0
    for keys in parts:
        products = queries @ keys.T
        mine = torch.searchsorted(rows[first : first + len(keys)], query_rows).clamp(max=len(keys) - 1)
        is_own = rows[first : first + len(keys)][mine] == query_rows
        products[is_own.nonzero()[:, 0], mine[is_own]] = -torch.inf
        nearest_cosines, at = products.topk(min(k, len(keys)), dim=1)
        cosines.append(nearest_cosines)
        places.append(at + first)
        first += len(keys)
    best, at = torch.cat(cosines, 1).topk(k, dim=1)
    return best.float(), torch.cat(places, 1).gather(1, at)


def vote(cosines: torch.Tensor, classes: torch.Tensor, n_classes: int) -> torch.Tensor:
    """(n, n_classes) float64 share of each class in the votes exp(cosine / T), which add up to 1."""
    import torch

    weight = ((cosines - cosines[:, :1]) / TEMPERATURE).double().exp()
    weight = weight.where(torch.isfinite(cosines), 0.0)
    votes = torch.zeros(len(cosines), n_classes, dtype=torch.float64, device=cosines.device)
    votes.scatter_add_(1, classes, weight)
    return votes / votes.sum(1, keepdim=True)
