"""GEN, NNGuide, fDBD, SHE and ViM's residual of the evaluation images, from what a study holds."""

import numpy as np
import torch

from core.analysis.quality import baselines
from core.analysis.quality.label_free.distinctiveness import raw_moments
from core.analysis.quality.label_free.principal_scores import MOST_FEATURES
from core.analysis.quality.neighbours import QUERY_ROWS, sample_rows, stored_unit_rows
from core.common.arrays import safe_divide
from core.config import NeighboursConfig
from core.slices.evaluate import class_column
from core.steps import settings_of
from core.storage.chunked_array import CHUNK_ROWS
from core.store import Study

OTHERS = ("nnguide", "fdbd", "she", "vim_residual")  # than those of logits alone
KEPT = 1000  # components of ViM's principal subspace at 2,048 features, as in the paper
GUIDED_ENTRIES = 1 << 26  # of evaluation rows that are compared with all train rows at a time
TRAIN_ROWS = 25_600  # train images that ViM's subspace is computed from, as many as the spectrum's


def baseline_scores(
    study: Study, *, seed: int = 0, device: str | torch.device = "cpu"
) -> dict[str, np.ndarray]:
    """Compute the baselines (n_images,) float64; NaN on train images, and all NaN without a probe.

    On train images the probe would rate its own training.
    """
    scores = {name: np.full(study.n_images, np.nan) for name in (*baselines.OF_LOGITS, *OTHERS)}
    if not (study.has("probe_weights") and study.has("val_logits") and study.is_val.any()):
        return scores
    logits, val = study.vector("val_logits").astype(np.float64), np.flatnonzero(study.is_val)
    for name, score in baselines.OF_LOGITS.items():
        scores[name][val] = score(logits)
    energy = study.table("probe", ["energy"])["energy"].to_numpy(np.float64)
    scores["nnguide"][val] = baselines.nnguide(energy[val], largest_guidance(study, val, energy, device))
    weights, bias = (study.vector(name).astype(np.float64) for name in ("probe_weights", "probe_bias"))
    array = study.array("representations")
    mean, patterns = raw_moments(study, array)[0], correct_patterns(study)
    origin = baselines.vim_origin(weights, bias)
    second = vim_second_moment(study, origin, seed=seed)
    outside = None if second is None else baselines.outside_axes(second, kept=min(KEPT, len(mean) // 2))
    done = 0
    for start, chunk in array.chunks():
        rows = start + np.flatnonzero(study.is_val[start : start + len(chunk)])
        raw, z = np.asarray(chunk[rows - start]), logits[done : done + len(rows)]
        done += len(rows)
        scores["fdbd"][rows] = baselines.fdbd(z, weights, raw, mean)
        scores["she"][rows] = baselines.she(raw, z.argmax(1), patterns)
        if outside is not None:
            scores["vim_residual"][rows] = baselines.vim_residual(raw, origin, outside)
    return scores


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
    array, k = study.array("representations"), settings.k
    train = sample_rows(np.flatnonzero(~study.is_val), settings.max_train, settings.seed)
    largest, height = [np.empty((0, k), np.float32)], max(1, GUIDED_ENTRIES // array.shape[1])
    for first in range(0, len(val), height):
        queries = stored_unit_rows(array, val[first : first + height], device)
        best = queries.new_full((len(queries), k), -torch.inf)
        for start in range(0, len(train), CHUNK_ROWS):
            rows = train[start : start + CHUNK_ROWS]
            weights = torch.as_tensor(energy[rows, None], dtype=queries.dtype, device=queries.device)
            bank = stored_unit_rows(array, rows, device) * weights
            for at in range(0, len(queries), QUERY_ROWS):
                part = slice(at, at + QUERY_ROWS)
                products = torch.cat([best[part], queries[part] @ bank.T], dim=1)
                best[part] = products.topk(k, dim=1).values
        largest.append(best.masked_fill(best == -torch.inf, torch.nan).cpu().numpy())
    return np.concatenate(largest)


def correct_patterns(study: Study) -> np.ndarray:
    """Mean raw row of each class over its correctly classified train images, (n_classes, n_features)."""
    correct = study.table("probe", ["correct"])["correct"].fillna(False).to_numpy(bool)
    code = np.where(correct & ~study.is_val, class_column(study, "label"), -1)
    array = study.array("representations")
    sums = np.zeros((len(study.class_names), array.shape[1]))
    for start, chunk in array.chunks():
        rows = np.flatnonzero(code[start : start + len(chunk)] >= 0)
        if not len(rows):
            continue
        order = rows[np.argsort(code[start + rows], kind="stable")]
        classes, firsts = np.unique(code[start + order], return_index=True)
        sums[classes] += np.add.reduceat(np.asarray(chunk[order]), firsts, axis=0, dtype=np.float64)
    return safe_divide(sums, np.bincount(code[code >= 0], minlength=len(sums))[:, None])


def vim_second_moment(study: Study, origin: np.ndarray, *, seed: int) -> np.ndarray | None:
    """X^T X of at most TRAIN_ROWS seeded raw train rows around the origin; None for too many features."""
    array, train = study.array("representations"), np.flatnonzero(~study.is_val)
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
