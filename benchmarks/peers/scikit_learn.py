"""scikit-learn: metrics and their bootstrap, nearest rows, whitening, ridge regression, the probe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.peers.environment import SKLEARN
from benchmarks.peers.task import Inputs, Task, largest_difference, unit

RESAMPLES, SEED, NEAREST, WHITENED, PENALTY = 100, 0, 10, 9, 1e-4
N_CLASSES = 20
STRENGTHS = (1.0, 0.1, 0.01, 0.001)


def _scored(n: int) -> dict[str, np.ndarray]:
    """Scores with ties, a little higher where the outcome is right."""
    rng = np.random.default_rng(0)
    correct = rng.random(n) < 0.7
    scores = (rng.normal(size=(3, n)) + np.array([[0.1], [0.5], [1.0]]) * correct).round(2)
    return {"scores": scores, "correct": correct}


def _metrics_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.measures.metrics import metrics_of, rank

    return lambda: np.array([metrics_of(rank(row, inputs["correct"]))[:3] for row in inputs["scores"]])


def _metrics_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    right, wrong = inputs["correct"], ~inputs["correct"]
    return lambda: np.array(
        [
            [
                roc_auc_score(right, row),
                average_precision_score(right, row),
                average_precision_score(wrong, -row),
            ]
            for row in inputs["scores"]
        ]
    )


def _bootstrap_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.measures.metrics import bootstrap_metrics, rank

    n = len(inputs["correct"])
    rankings = [rank(row, inputs["correct"]) for row in inputs["scores"]]
    return lambda: bootstrap_metrics(rankings, n, resamples=RESAMPLES, seed=SEED)[:, :, 0]


def _bootstrap_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    from sklearn.metrics import roc_auc_score

    from core.measures.metrics import resample

    correct, scores = inputs["correct"], inputs["scores"]
    counts = [resample(len(correct), SEED, number) for number in range(RESAMPLES)]
    return lambda: np.array(
        [[roc_auc_score(correct, row, sample_weight=count) for row in scores] for count in counts]
    )


def _rows(small: bool) -> dict[str, np.ndarray]:
    rng, (n, m, width) = np.random.default_rng(1), (30, 200, 16) if small else (2000, 20_000, 512)
    return {
        "queries": unit(rng.standard_normal((n, width))),
        "train": unit(rng.standard_normal((m, width)) * np.linspace(1, 5, width)),
    }


def _nearest_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.analysis.neighbours import nearest_rows

    return lambda: nearest_rows(inputs["queries"], inputs["train"], k=NEAREST)[1].numpy()


def _nearest_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    from sklearn.neighbors import NearestNeighbors

    def found() -> np.ndarray:
        index = NearestNeighbors(n_neighbors=NEAREST, metric="cosine", algorithm="brute")
        return 1 - index.fit(inputs["train"]).kneighbors(inputs["queries"])[0]

    return found


def _whitened_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.analysis.principal_scores import Covariance, axes_of_covariance, whitened_norm

    def norms() -> np.ndarray:
        train = axes_of_covariance(Covariance.of_rows(inputs["train"]))
        return whitened_norm(inputs["queries"], train, k=WHITENED)

    return norms


def _whitened_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    """Its variances are divided by n - 1, ours by n."""
    from sklearn.decomposition import PCA

    def norms() -> np.ndarray:
        train = inputs["train"].astype(np.float64)
        whitened = PCA(WHITENED, whiten=True, svd_solver="covariance_eigh").fit(train)
        norm = np.linalg.norm(whitened.transform(inputs["queries"].astype(np.float64)), axis=1)
        return norm * np.sqrt(len(train) / (len(train) - 1))

    return norms


def _pairs(small: bool) -> dict[str, np.ndarray]:
    rng, (n, width) = np.random.default_rng(2), (60, 8) if small else (5000, 512)
    target = unit(rng.standard_normal((n, width)))
    return {"target": target, "source": unit(target @ rng.standard_normal((width, width)))}


def _ridge_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.research.transfer import fit_ridge

    return lambda: fit_ridge(inputs["target"], inputs["source"], penalty=PENALTY)


def _ridge_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    from sklearn.linear_model import Ridge

    def weights() -> np.ndarray:
        x, y = (inputs[name].astype(np.float64) for name in ("target", "source"))
        return Ridge(alpha=PENALTY * len(x), fit_intercept=False, solver="cholesky").fit(x, y).coef_

    return weights


def _classes(small: bool) -> dict[str, np.ndarray]:
    """Rows of overlapping classes, half of them to train on."""
    rng, (n, width) = np.random.default_rng(3), (3000, 16) if small else (8000, 256)
    codes = rng.integers(0, N_CLASSES, 2 * n)
    centres = rng.standard_normal((N_CLASSES, width)) * 3 / np.sqrt(width)
    return {"raw": (centres[codes] + rng.standard_normal((2 * n, width))).astype(np.float32), "codes": codes}


def _probe_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.analysis.probe_step import train_probe
    from core.config import ProbeConfig

    raw, codes, half = inputs["raw"], inputs["codes"], len(inputs["codes"]) // 2

    def right() -> np.ndarray:
        probe = train_probe(raw[:half], codes[:half], N_CLASSES, strengths=ProbeConfig.strengths)
        return probe.logits(raw[half:]).argmax(1).numpy() == codes[half:]

    return right


def _probe_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    """As ours: the best of some penalties on a tenth of the rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    raw, codes, half = inputs["raw"], inputs["codes"], len(inputs["codes"]) // 2
    tenth = half // 10

    def fitted(strength: float, rows: slice):  # noqa: ANN202
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        return model.fit(raw[rows], codes[rows])

    def right() -> np.ndarray:
        held = slice(0, tenth)
        accuracy_of = {c: fitted(c, slice(tenth, half)).score(raw[held], codes[held]) for c in STRENGTHS}
        model = fitted(max(STRENGTHS, key=lambda c: accuracy_of[c]), slice(0, half))
        return model.predict(raw[half:]) == codes[half:]

    return right


def _accuracies(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    text = f"accuracies {ours.mean():.2%} and {theirs.mean():.2%} on {len(ours):,} rows held out"
    return float(abs(ours.mean() - theirs.mean())), text


TASKS = (
    Task(
        "AUROC and two AUPRC",
        SKLEARN,
        lambda small: _scored(200 if small else 200_000),
        *(_metrics_ours, _metrics_theirs, largest_difference, 1e-10),
    ),
    Task(
        f"AUROC of {RESAMPLES} resamples",
        SKLEARN,
        lambda small: _scored(50 if small else 10_000),
        *(_bootstrap_ours, _bootstrap_theirs, largest_difference, 1e-10),
    ),
    Task("nearest rows", SKLEARN, _rows, _nearest_ours, _nearest_theirs, largest_difference, 1e-5),
    Task("whitened norm", SKLEARN, _rows, _whitened_ours, _whitened_theirs, largest_difference, 1e-6),
    Task("ridge", SKLEARN, _pairs, _ridge_ours, _ridge_theirs, largest_difference, 1e-6),
    # Each chooses among penalties of its own.
    Task("linear probe", SKLEARN, _classes, _probe_ours, _probe_theirs, _accuracies, None),
)
