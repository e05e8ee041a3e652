"""The domain of each training image: from a column, from folders, or found by clustering."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from core.common.dataframes import unit_rows
from core.common.formatting import counted, first_of
from core.data.source import split_named
from core.errors import SettingsError, did_you_mean
from core.research import domains_robust_clustering as robust
from core.research.domains_config import AUTO, CLUSTER, COLUMN, FOLDER, DomainsConfig
from core.research.domains_parts import confounded

# The domain of each training image: from a column, from the folders, or not known yet.


SHARE = 16  # one feature in 16 is in the prefix, as in Kalibhat's: 24 of 384


class Rest(nn.Module):
    """The features k ... r - 1 of a backbone."""

    def __init__(self, backbone: nn.Module, k: int):
        super().__init__()
        self.backbone, self.k = backbone, k

    def forward(self, views: Tensor) -> Tensor:
        """(n, 3, S, S) -> (n, r - k)."""
        return self.backbone(views)[:, self.k :]


def prefix_length(n_prefix: int | None, n_features: int) -> int:
    """Return the length of the domain prefix (research): `n_prefix`, or a sixteenth (at least one).

    Raises:
        SettingsError: no feature would be left for the method.
    """
    k = max(n_features // SHARE, 1) if n_prefix is None else n_prefix
    if k >= n_features:
        raise SettingsError(
            f"domains.prefix = {k} leaves nothing of the {n_features} features for the content: use at most "
            f"{n_features - 1}; Kalibhat's dissertation uses a sixteenth."
        )
    return k


@dataclass(frozen=True)
class DomainLabels:
    """Domains of the training images.

    codes: (n_images,) int64 from 0, or all -1 before the first clustering. names: of the M domains.
    truth: (n_images,) int64 of the domains that clusters are compared with; None: unknown. notes: warnings.
    """

    codes: np.ndarray
    names: tuple[str, ...]
    truth: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def domain_labels(config: DomainsConfig, source: Any, rows: np.ndarray) -> DomainLabels:
    """Read the domains of the listing rows `rows` of a source.

    Raises:
        SettingsError: unknown column, one domain only, images without a domain, more clusters than images.
    """
    assert config.labels is not None
    truth = None if config.truth is None else pd.factorize(_named(config.truth, source, rows), sort=True)[0]
    if config.labels == CLUSTER:
        n_domains = config.n_domains or 0
        if n_domains > len(rows):
            raise SettingsError(f"domains.n_domains = {n_domains} is more than the {len(rows)} images.")
        names = tuple(f"cluster {number}" for number in range(n_domains))
        return DomainLabels(np.full(len(rows), -1, np.int64), names, truth)
    values = _named(config.labels, source, rows)
    codes, names = pd.factorize(values, sort=True)
    if len(names) < 2:
        raise SettingsError(
            f"domains.labels = '{config.labels}': all {len(rows)} training images are '{names[0]}'. "
            "There is nothing to disentangle with one domain."
        )
    return DomainLabels(
        codes.astype(np.int64), tuple(map(str, names)), truth, _warnings(source, rows, codes, config.labels)
    )


def _named(labels: str, source: Any, rows: np.ndarray) -> np.ndarray:
    """(n,) text: the domain (research) of each row, from "column:NAME" or "folder".

    Raises:
        SettingsError: unknown column, folders without domains, or images without a domain.
    """
    values = _folders(source, rows) if labels == FOLDER else _column(labels[len(COLUMN) :], source, rows)
    if missing := [row for row, value in zip(rows, values, strict=True) if pd.isna(value) or value == ""]:
        ids = source.table["image_id"]
        raise SettingsError(
            f"domains.labels = '{labels}': {counted(len(missing), 'image')} without a domain: "
            f"{first_of([ids.iat[row] for row in missing])}. Fill the column, or remove them."
        )
    return np.array([str(value) for value in values], dtype=object)


def _column(name: str, source: Any, rows: np.ndarray) -> np.ndarray:
    for frame in (getattr(source, "extras", None), source.table):
        if frame is not None and name in frame:
            return frame[name].to_numpy(object)[rows]
    extras = getattr(source, "extras", None)
    columns = [*([] if extras is None else extras.columns), *source.table.columns]
    raise SettingsError(
        f"The images have no column '{name}'.{did_you_mean(name, columns)} Columns: {', '.join(columns)}."
    )


def _folders(source: Any, rows: np.ndarray) -> np.ndarray:
    """The first folder of each image id, below train/ and val/."""
    ids = source.table["image_id"].to_numpy(object)[rows]
    parts = [image_id.split("/") for image_id in ids]
    parts = [part[1:] if split_named(part[0]) else part for part in parts]
    if any(len(part) < 3 for part in parts):
        first = next(image_id for image_id, part in zip(ids, parts, strict=True) if len(part) < 3)
        raise SettingsError(
            f"domains.labels = 'folder' needs DOMAIN/CLASS/IMAGE, but '{first}' is not in two folders. "
            "Use 'column:NAME' with a table of images."
        )
    return np.array([part[0] for part in parts], dtype=object)


def _warnings(source: Any, rows: np.ndarray, codes: np.ndarray, labels: str) -> list[str]:
    classes = source.table["label"].to_numpy(object)[rows]
    if pd.isna(classes).any():
        return []
    warning = confounded(
        labels,
        pd.factorize(classes)[0],
        codes,
        both="a rest without the domain is one without the class",
        domain="a rest without the domain cannot tell classes of different domains apart",
    )
    return [warning] if warning else []


# Cluster the training images during the training, and report what was found.


Represent = Callable[[np.ndarray], Tensor]  # training images by number -> (n, r) raw representations
BLOCK = 8192
FACTS = ("epsilon", "kept", "kept_paper", "kept_nearest", "empty", "ari", "purity_kept", "purity_dropped")


@dataclass(frozen=True)
class PseudoLabels:
    """One clustering.

    clusters: (n_images,) int64, the cluster of every image. kept: (n_images,) bool, those that are no
    outliers. threshold: the first epsilon. facts: one value for each of FACTS, NaN where undefined.
    """

    clusters: np.ndarray
    kept: np.ndarray
    threshold: float
    facts: dict[str, float]


def find_domains(
    represent: Represent,
    before: np.ndarray,
    config: DomainsConfig,
    *,
    n_prefix: int,
    number: int,
    last: int,
    threshold: float | None,
    truth: np.ndarray | None,
    seed: int,
) -> PseudoLabels:
    """Find domains by clustering all training images (research), and name the clusters as before.

    Args:
        before: (n_images,) int64, the clusters of the clustering before; -1 without one.
        number: of this clustering, from 0. last: number of the last one, whose epsilon is 0.
        threshold: epsilon of the first clustering; None: this is the first one.
    """
    n_images, n_domains = len(before), config.n_domains or 0
    rows = np.sort(np.random.default_rng(seed).permutation(n_images)[: config.cluster_rows])

    def directions(rows: np.ndarray) -> np.ndarray:
        raw = represent(rows).double().cpu().numpy()
        return unit_rows(raw[:, :n_prefix] if config.cluster_on == "prefix" else raw)

    h = directions(rows)
    clustering = robust.cluster(h, n_domains, seed=seed, most_rows=config.cluster_rows)
    codes = np.empty(n_images, np.int64)
    ratios = {rule: np.empty(n_images) for rule in ("paper", "nearest")}
    for start in range(0, n_images, BLOCK):
        part = np.arange(start, min(start + BLOCK, n_images))
        block = h[part] if len(rows) == n_images else directions(part)
        codes[part] = robust.squared_distances(block, clustering.centroids).argmin(1)
        for rule, ratio in ratios.items():
            ratio[part] = robust.separation(block, clustering.centroids, rule=rule)
    if threshold is None:
        automatic = config.outlier_threshold == AUTO
        set_threshold = 0.0 if automatic else float(config.outlier_threshold)
        chosen_ratio = ratios[config.rule]
        threshold = robust.automatic_threshold(chosen_ratio, codes, n_domains) if automatic else set_threshold
    epsilon = robust.epsilon_at(threshold, number, last)
    shares = {f"kept_{rule}": float(robust.kept(ratio, epsilon).mean()) for rule, ratio in ratios.items()}
    sure = robust.kept(ratios[config.rule], epsilon) if config.robust else np.ones(n_images, bool)
    clusters = robust.renaming(before, codes, n_domains)[codes]
    facts = {"epsilon": epsilon, "kept": float(sure.mean()), **shares, "empty": float(clustering.n_empty)}
    return PseudoLabels(clusters, sure, threshold, facts | _agreement_with_truth(clusters, sure, truth))


def _agreement_with_truth(
    clusters: np.ndarray, sure: np.ndarray, truth: np.ndarray | None
) -> dict[str, float]:
    """Adjusted Rand index of found domains (research) with the true ones, and purity; NaN if unknown."""
    if truth is None:
        return dict.fromkeys(("ari", "purity_kept", "purity_dropped"), float("nan"))
    from sklearn.metrics import adjusted_rand_score

    purity_kept = robust.purity(clusters[sure], truth[sure])
    purity_dropped = robust.purity(clusters[~sure], truth[~sure])
    return {
        "ari": float(adjusted_rand_score(truth, clusters)),
        "purity_kept": purity_kept,
        "purity_dropped": purity_dropped,
    }
