"""A weighted vote of the nearest train images (Wu et al. 2018; Caron et al. 2021): nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from core.answers.outcome import AnswerValues, Request, joined_blocks
from core.common.largest_values import first_largest, top_of
from core.common.threads import cached_property
from core.errors import SettingsError
from core.study.chunked_array import ChunkedArray
from core.study.progress import Progress
from core.study.reader import StudyReader

K, TEMPERATURE = 20, 0.07
QUERIES, KEYS = 1024, 65_536  # rows of a block of products
ON_A_GPU = 4096, 131_072  # which waits for its launches with fewer


def knn_answer(study: StudyReader, request: Request, progress: Progress) -> AnswerValues:
    """The answer `knn`: each image by the train images with the largest cosines, its own row left out."""
    names = study.class_names
    label = study.images["label"]
    codes = np.searchsorted(names, label.fillna(names[0]).to_numpy(object).astype(str))
    train = np.flatnonzero(~study.is_val & label.notna().to_numpy())
    if len(train) < 2:
        raise SettingsError(f"'{study.path}' has {len(train)} labelled train images; knn needs two or more")
    n = study.n_images
    voted = [names[code] for code in np.unique(codes[train])]
    if len(voted) == 1:
        raise SettingsError(
            f"one class only: every labelled train image of '{study.path}' is '{voted[0]}', so knn would "
            "give each image this class, which is no evidence. Add train images of other classes"
        )
    held_out = study.is_val & label.notna().to_numpy() & np.isin(codes, codes[train])
    if len(voted) == len(train) and not held_out.any():
        raise SettingsError(
            f"'{study.path}' has one train image of each class and no evaluation image of these classes, so "
            "knn would be wrong about every image. Add images of these classes"
        )
    votes = Votes(study.array("representations"), train, codes[train], len(names), request.device)
    height = block_rows(request.device)[0]
    with progress.stage("knn", total=n, unit="images") as bar:
        blocks = []
        for start in range(0, n, height):
            block = votes(start, min(start + height, n))
            blocks.append(block)
            bar.update(len(block[0]))
    answer = joined_blocks(names, blocks, voted)
    answer.facts = {"k": min(K, len(train)), "n_classes": len(voted)}
    return answer


@dataclass
class Votes:
    """The votes of images from one row up to another; the train images are read once."""

    array: ChunkedArray
    train: np.ndarray
    codes: np.ndarray  # of the train images
    n_classes: int
    device: str | torch.device

    @cached_property
    def keys(self) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Parts of the train images, their rows and their classes."""
        height = block_rows(self.device)[1]
        starts = range(0, len(self.train), height)
        parts = [self._unit(self.array.rows(self.train[start : start + height])) for start in starts]
        rows, codes = (torch.from_numpy(values).to(self.device) for values in (self.train, self.codes))
        return parts, rows, codes

    def _unit(self, raw: np.ndarray) -> torch.Tensor:
        rows = unit(torch.from_numpy(raw).to(self.device))
        return rows.to(torch.float16 if rows.is_cuda else torch.float32)

    def __call__(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        parts, rows, codes = self.keys
        query_rows = torch.arange(start, stop, device=self.device)
        cosines, places = nearest(self._unit(np.array(self.array[start:stop])), query_rows, parts, rows)
        top, classes = first_largest(vote(cosines, codes[places], self.n_classes), 5)
        classes = classes.masked_fill(top == 0, -1)  # nobody voted for it
        undefined = torch.full_like(top[:, 0], torch.nan)
        margin = top[:, 0] - top[:, 1] if top.shape[1] > 1 else undefined
        return classes.int().cpu().numpy(), torch.stack([top[:, 0], margin, undefined]).cpu().numpy()


def block_rows(device: str | torch.device) -> tuple[int, int]:
    """How many queries and how many keys the answer `knn` multiplies at a time."""
    return ON_A_GPU if torch.device(device).type == "cuda" else (QUERIES, KEYS)


def unit(raw: torch.Tensor) -> torch.Tensor:
    """Representations at length 1 for the answer `knn`; a zero row stays one: its cosines are 0."""
    raw = raw.float()
    length = raw.norm(dim=1, keepdim=True)
    return raw / length.where(length > 0, 1.0)


def nearest(
    queries: torch.Tensor, query_rows: torch.Tensor, parts: list[torch.Tensor], rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest cosines (n, k) of each image to train images for `knn`, and their places among these.

    Args:
        query_rows: (n,) row of each query; the key of the same row is left out. rows: (n_keys,) of each
            key.
    """
    k = min(K, len(rows) - 1)
    cosines = []
    places = []
    first = 0
    for keys in parts:
        products = queries @ keys.T
        mine = torch.searchsorted(rows[first : first + len(keys)], query_rows).clamp(max=len(keys) - 1)
        is_own = rows[first : first + len(keys)][mine] == query_rows
        products[is_own.nonzero()[:, 0], mine[is_own]] = -torch.inf
        nearest_cosines, at = top_of(products, k)
        cosines.append(nearest_cosines)
        places.append(at + first)
        first += len(keys)
    best, at = torch.cat(cosines, 1).topk(k, dim=1)
    return best.float(), torch.cat(places, 1).gather(1, at)


def vote(cosines: torch.Tensor, classes: torch.Tensor, n_classes: int) -> torch.Tensor:
    """(n, n_classes) float64 share of each class in the votes of `knn`, exp(cosine / T), with sum 1."""
    weight = ((cosines - cosines[:, :1]) / TEMPERATURE).double().exp()
    weight = weight.where(torch.isfinite(cosines), 0.0)
    votes = torch.zeros(len(cosines), n_classes, dtype=torch.float64, device=cosines.device)
    votes.scatter_add_(1, classes, weight)
    return votes / votes.sum(1, keepdim=True)
