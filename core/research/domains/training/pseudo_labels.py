"""Cluster the training images during the training, and report what was found."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.common.dataframes import unit_rows
from core.research.domains.training import robust_clustering as robust
from core.research.domains.training.config import AUTO, DomainsConfig

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
    """Cluster all training images and name the clusters as before.

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
    return PseudoLabels(clusters, sure, threshold, facts | agreement_with_truth(clusters, sure, truth))


def agreement_with_truth(
    clusters: np.ndarray, sure: np.ndarray, truth: np.ndarray | None
) -> dict[str, float]:
    """Adjusted Rand index with the true domains, and purity of kept and of dropped rows; NaN if unknown."""
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
