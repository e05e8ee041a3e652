"""The step `neighbours`: cosine neighbours of val images among train images, how far each
image lies from the train images of other units, spectrum, principal components.

All need full matrix products, which is why they form a separate step.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.definitions import Array, normalise_rows
from core.analysis.principal_scores import write_principal_scores
from core.analysis.scores import alpha_req, rankme, spectra
from core.analysis.tensors import as_tensor
from core.common.dataframes import check_same_length
from core.config import NeighboursConfig
from core.measures.image_columns import unit_codes
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS, ChunkedArray
from core.study.progress import Bar
from core.study.writer import StepRun, StepWriter

QUERY_ROWS = 1024
TRAIN_ENTRIES = 1 << 25  # train entries multiplied at a time


def nearest_rows(
    queries: Array, train: Array, *, k: int = 10, units: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Find the k train representations with the largest cosine to each query, exactly.

    Args:
        queries: (n, n_features) float, L2-normalised rows. train: (m, n_features), also normalised.
        units: (n,) and (m,) int of the two; rows of the query's own unit are left out. None: none is.
    Returns:
        positions (n, k) int64 and cosines (n, k) float32, descending; with fewer than k the rest is -1 and
        NaN. A zero row has cosine 0 to everything.
    Raises:
        ShapeError: the two disagree on n_features.
    """
    queries = as_tensor(queries).float()
    train = as_tensor(train).float()
    check_same_length("queries columns", queries.shape[1], "train columns", train.shape[1])
    best = torch.full((len(queries), k), -torch.inf, device=queries.device)
    where = torch.full((len(queries), k), -1, dtype=torch.int64, device=queries.device)
    height = max(k, TRAIN_ENTRIES // max(train.shape[1], 1))
    for start in range(0, len(train), height):
        cosine = queries @ train[start : start + height].to(queries.device).T
        if units is not None:
            of_chunk = units[1][start : start + height]
            cosine.masked_fill_(units[0][:, None] == of_chunk, -torch.inf)
        similarity, index = cosine.topk(min(k, cosine.shape[1]), dim=1)
        both = torch.cat([best, similarity], 1)
        whose = torch.cat([where, index + start], 1)
        order = torch.sort(both, dim=1, descending=True, stable=True).indices[:, :k]
        best = both.gather(1, order)
        where = whose.gather(1, order)
    absent = best == -torch.inf
    return where.masked_fill(absent, -1), best.masked_fill(absent, torch.nan)


def sample_rows(rows: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Draw at most `limit` images without replacement from the seed, to find neighbours among; ascending."""
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def compute_neighbours(study: Study, step: StepWriter, config: NeighboursConfig, run: StepRun) -> None:
    """Write the nearest train images of evaluation images, and scores of the spectrum.

    `neighbours` and `neighbour_similarity` (n_val, k), table `principal_scores`, and the spectral scores
    in the summary.
    """
    array = study.array("representations")
    train = np.flatnonzero(~study.is_val)
    val = np.flatnonzero(study.is_val)
    against = sample_rows(train, config.max_train, config.seed)
    with run.progress.stage("components", total=2 * array.n_chunks, unit="parts") as bar:
        step.summary = _spectral_scores(array, config, run.device)
        step.summary |= {"k": config.k, "n_train_used": len(against), "n_train": len(train)}
        step.summary |= write_principal_scores(study, step, against, bar=bar)
    with run.progress.stage("nearest train images", total=len(array), unit="images") as bar:
        _write_nearest_train(study, step, config, run.device, bar)
    with run.progress.stage("neighbours", total=len(val), unit="images") as bar:
        if not len(val) or not len(train):
            step.summary["skipped"] = f"no {'evaluation' if len(train) else 'train'} images to compare"
            return
        rows, cosine = nearest_stored(array, val, against, config.k, run.device, bar)
    step.vector("neighbours", rows)
    step.vector("neighbour_similarity", cosine)


def _write_nearest_train(
    study: Study, step: StepWriter, config: NeighboursConfig, device: str | torch.device, bar: Bar
) -> None:
    """Write the table `nearest_train`, a score: how far each image is from train images of other units.

    For each image 1 less the largest cosine to a train image of another unit, NaN where there is none.

    Of one unit are images of one patient, lesion or sequence, and near duplicates. At most `max_nearest`
    train images, drawn with the seed, are compared.
    """
    array = study.array("representations")
    against = sample_rows(np.flatnonzero(~study.is_val), config.max_nearest, config.seed)
    train = stored_unit_rows(array, against, device)
    units = torch.from_numpy(unit_codes(study).astype(np.int64)).to(device)
    best = np.full(len(array), np.nan, np.float32)
    for start in range(0, len(array) if len(against) else 0, QUERY_ROWS):
        rows = np.arange(start, min(start + QUERY_ROWS, len(array)))
        queries = stored_unit_rows(array, rows, device)
        best[rows] = largest_of_others(queries, train, units[rows], units[against]).cpu()
        bar.update(len(rows))
    table = pd.DataFrame({"image_id": study.column("images", "image_id"), "nearest_train": 1 - best})
    step.table("nearest_train", table)
    step.summary["n_train_compared"] = len(against)


def largest_of_others(queries: Tensor, train: Tensor, of_queries: Tensor, of_train: Tensor) -> Tensor:
    """(n,) the largest cosine of each query to a row of `train` of another unit; NaN without one.

    Args:
        queries: (n, n_features), train: (m, n_features), L2-normalised rows.
        of_queries, of_train: (n,) and (m,) codes of units.
    """
    best = torch.full((len(queries),), -torch.inf, device=queries.device)
    height = max(1, TRAIN_ENTRIES // max(train.shape[1], 1))
    for start in range(0, len(train), height):
        part = slice(start, start + height)
        cosine = queries @ train[part].T
        cosine.masked_fill_(of_queries[:, None] == of_train[None, part], -torch.inf)
        best = torch.maximum(best, cosine.max(1).values)
    return best.masked_fill(best == -torch.inf, torch.nan)


def _spectral_scores(
    array: ChunkedArray, config: NeighboursConfig, device: str | torch.device
) -> dict[str, float | int]:
    """Compute RankMe and alpha-ReQ of a seeded sample of raw rows."""
    rows = sample_rows(np.arange(len(array)), config.spectrum_rows, config.seed)
    singular, eigenvalues = spectra(torch.from_numpy(array.rows(rows)).to(device))
    return {"rankme": rankme(singular), "alpha_req": alpha_req(eigenvalues), "spectrum_rows": len(rows)}


def stored_unit_rows(array: ChunkedArray, rows: np.ndarray, device: str | torch.device) -> Tensor:
    """(len(rows), n_features) float32 normalised representations of a study, on the device."""
    unit = torch.empty(len(rows), array.shape[1], device=device)
    for start in range(0, len(rows), CHUNK_ROWS):
        raw = torch.from_numpy(array.rows(rows[start : start + CHUNK_ROWS])).to(device)
        unit[start : start + CHUNK_ROWS] = normalise_rows(raw.float())
    return unit


def nearest_stored(
    array: ChunkedArray,
    val: np.ndarray,
    against: np.ndarray,
    k: int,
    device: str | torch.device,
    bar: Bar,
    units: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k images, of the rows `against`, nearest to each of the rows `val`, and their cosines.

    Args:
        units: (n_images,) int; images of the same unit are left out. None: none is.
    Returns:
        rows (n, k) int32 and cosines (n, k) float32, descending; -1 and NaN where there are fewer.
    """
    train = stored_unit_rows(array, against, device)
    of_unit = None if units is None else torch.from_numpy(units).to(device)
    rows = []
    cosines = []
    for start in range(0, len(val), QUERY_ROWS):
        part = val[start : start + QUERY_ROWS]
        queries = stored_unit_rows(array, part, device)
        apart = None if of_unit is None else (of_unit[part], of_unit[against])
        places, cosine = nearest_rows(queries, train, k=k, units=apart)
        places = places.cpu().numpy()
        rows.append(np.where(places >= 0, against[places], -1).astype(np.int32))
        cosines.append(cosine.float().cpu().numpy())
        bar.update(len(places))
    return np.concatenate(rows), np.concatenate(cosines)
