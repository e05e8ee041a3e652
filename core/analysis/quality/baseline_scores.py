"""GEN, NNGuide, fDBD, SHE and ViM's residual of the evaluation images, from what a study holds."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from core.analysis.quality import baselines
from core.analysis.quality.label_free.distinctiveness import raw_moments
from core.analysis.quality.label_free.principal_scores import MOST_FEATURES
from core.analysis.quality.neighbours import QUERY_ROWS, sample_rows, stored_unit_rows
from core.common.dataframes import safe_divide
from core.config import NeighboursConfig
from core.slices.evaluate import class_column
from core.steps import settings_of
from core.storage.chunked_array import CHUNK_ROWS, ChunkedArray
from core.store import Study

OTHERS = ("nnguide", "fdbd", "she", "vim_residual")  # than those of logits alone
KEPT = 1000  # components of ViM's principal subspace at 2,048 features, as in the paper
GUIDED_ENTRIES = 1 << 26  # of evaluation rows that are compared with all train rows at a time
TRAIN_ROWS = 25_600  # train images that ViM's subspace is computed from, as many as the spectrum's


def baseline_scores(
    study: Study, *, seed: int = 0, device: str | torch.device = "cpu"
) -> dict[str, np.ndarray]:
    """Compute the baselines (n_images,) float64; NaN on train images, which the probe has learnt."""
    scores = {name: np.full(study.n_images, np.nan) for name in (*baselines.OF_LOGITS, *OTHERS)}
    if not (study.has("probe_weights") and study.has("val_logits") and study.is_val.any()):
        return scores
    logits = study.vector("val_logits").astype(np.float64)
    val = np.flatnonzero(study.is_val)
    for name, score in baselines.OF_LOGITS.items():
        scores[name][val] = score(logits)
    energy = study.table("probe", ["energy"])["energy"].to_numpy(np.float64)
    scores["nnguide"][val] = baselines.nnguide(energy[val], largest_guidance(study, val, energy, device))
    weights, bias = (study.vector(name).astype(np.float64) for name in ("probe_weights", "probe_bias"))
    array = study.array("representations")
    mean = raw_moments(study, array)[0]
    patterns = correct_patterns(study)
    origin = baselines.vim_origin(weights, bias)
    second = vim_second_moment(study, origin, seed=seed)
    outside = None if second is None else baselines.outside_axes(second, kept=min(KEPT, len(mean) // 2))
    of_rows = _OfRows(array, weights, mean, patterns, origin, outside)
    ends = np.searchsorted(val, array.starts).tolist()
    spans = [(first, last) for first, last in pairwise(ends) if last > first]
    for first, last in spans:
        for name, value in of_rows(val[first:last], logits[first:last]).items():
            scores[name][val[first:last]] = value
    return scores


@dataclass
class _OfRows:
    """The scores that read representations, of evaluation images of one chunk."""

    array: ChunkedArray
    weights: np.ndarray
    mean: np.ndarray
    patterns: np.ndarray
    origin: np.ndarray
    outside: np.ndarray | None

    def __call__(self, rows: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
        raw = self.array.rows(rows)
        values = {
            "fdbd": baselines.fdbd(logits, self.weights, raw, self.mean),
            "she": baselines.she(raw, logits.argmax(1), self.patterns),
        }
        if self.outside is not None:
            values["vim_residual"] = baselines.vim_residual(raw, self.origin, self.outside)
        return values


def largest_guidance(
    study: Study, val: np.ndarray, energy: np.ndarray, device: str | torch.device
) -> np.ndarray:
    """The k largest products E_t cos(h_i, h_t) over the train images that `neighbours` would compare with.

    Evaluation images are taken GUIDED_ENTRIES at a time, train images by the chunk, so memory does not grow
    with either.

    Args:
        val: (n,) rows. energy: (n_images,) of all images.
    Returns:
        (n, k) float32, NaN where there are fewer train images.
    """
    settings: NeighboursConfig = settings_of("neighbours", {}, study.settings("neighbours"))
    array = study.array("representations")
    k = settings.k
    train = sample_rows(np.flatnonzero(~study.is_val), settings.max_train, settings.seed)
    largest = [np.empty((0, k), np.float32)]
    height = max(1, GUIDED_ENTRIES // array.shape[1])
    for first in range(0, len(val), height):
        queries = stored_unit_rows(array, val[first : first + height], device)
        best = torch.full((len(queries), k), -torch.inf)
        for start in range(0, len(train), CHUNK_ROWS):
            rows = train[start : start + CHUNK_ROWS]
            here = _guided(queries, stored_unit_rows(array, rows, device), energy[rows], k)
            best = torch.cat([best, here], dim=1).topk(k, dim=1).values
        largest.append(best.masked_fill(best == -torch.inf, torch.nan).numpy())
    return np.concatenate(largest)


def _guided(queries: torch.Tensor, train: torch.Tensor, energy: np.ndarray, k: int) -> torch.Tensor:
    """The k largest products of evaluation images with train images (fewer where these are), on the CPU."""
    weights = torch.as_tensor(energy[:, None], dtype=queries.dtype, device=queries.device)
    bank = train * weights
    k = min(k, len(train))
    parts = ((part @ bank.T).topk(k, dim=1).values for part in queries.split(QUERY_ROWS))
    return torch.cat([*parts]).cpu()


def correct_patterns(study: Study) -> np.ndarray:
    """Mean raw row of each class over its correctly classified train images, (n_classes, n_features)."""
    correct = study.table("probe", ["correct"])["correct"].fillna(False).to_numpy(bool)
    code = np.where(correct & ~study.is_val, class_column(study, "label"), -1)
    array = study.array("representations")
    sums = np.zeros((len(study.class_names), array.shape[1]))
    for chunk, code_of_chunk in array.by_chunk(code):
        classes, of_chunk = _class_sums(array, chunk, code_of_chunk)
        sums[classes] += of_chunk
    return safe_divide(sums, np.bincount(code[code >= 0], minlength=len(sums))[:, None])


def _class_sums(array: ChunkedArray, chunk: int, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes >= 0 of a chunk, and the sums of their rows."""
    order = np.argsort(code, kind="stable")
    order = order[np.count_nonzero(code < 0) :]
    classes, firsts = np.unique(code[order], return_index=True)
    if not len(order):
        return classes, np.empty((0, array.shape[1]))
    return classes, np.add.reduceat(array.chunk(chunk)[order], firsts, axis=0, dtype=np.float64)


def vim_second_moment(study: Study, origin: np.ndarray, *, seed: int) -> np.ndarray | None:
    """X^T X of at most TRAIN_ROWS seeded raw train rows around the origin; None for too many features."""
    array = study.array("representations")
    train = np.flatnonzero(~study.is_val)
    if array.shape[1] > MOST_FEATURES or not len(train):
        return None
    if len(train) > TRAIN_ROWS:
        train = np.sort(np.random.default_rng(seed).choice(train, TRAIN_ROWS, replace=False))
    is_sampled = np.zeros(len(array), bool)
    is_sampled[train] = True
    total = np.zeros((array.shape[1], array.shape[1]))
    for start, chunk in array.chunks():
        x = np.asarray(chunk[is_sampled[start : start + len(chunk)]], np.float64) - origin
        total += x.T @ x
    return total
