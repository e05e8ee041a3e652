"""Few-shot accuracy: the linear probe trained on a few images of each class (docs/method.md 3.5).

Table 5.2 of Kalibhat's dissertation has 5 and 10 images of each class, drawn once. Here they are drawn
several times, since which images are drawn matters more than most differences between encoders.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.definitions import Array
from core.analysis.linear_probe import Recipe
from core.analysis.probe_step import train_probe, why_no_probe
from core.analysis.tensors import as_tensor
from core.common.dataframes import check_same_length
from core.errors import SettingsError
from core.measures.evaluate import class_column
from core.measures.intervals import mean_interval
from core.research.transfer_learning_topic import FewShotConfig
from core.store import Study
from core.study.writer import StepRun, StepWriter

LR = 0.1  # too few images to choose one
ENOUGH = 5  # draws, for an interval


@dataclass(frozen=True)
class FewShot:
    """Accuracy of probes on several draws of the same number of images.

    Attributes:
        accuracy: (n_draws,) share of the evaluation images of `classes` that are classified correctly.
        classes: codes of the classes that have enough train images; all others are left out, in training and
            in evaluation. left_out: their codes. n_val: evaluation images counted.
    """

    shots: int
    accuracy: np.ndarray
    classes: tuple[int, ...]
    left_out: tuple[int, ...]
    n_val: int


def few_shot_accuracy(
    raw_train: Array,
    labels: np.ndarray,
    raw_val: Array,
    val_labels: np.ndarray,
    *,
    shots: int,
    n_draws: int = 10,
    lr: float = LR,
    seed: int = 0,
    after_draw: Callable[[], object] = lambda: None,
) -> FewShot:
    """Train a probe on `shots` train rows of each class, `n_draws` times, and evaluate each (research).

    The columns are standardised by the drawn rows alone: nothing else of the train rows is used.

    Args:
        raw_train: (n, n_features), raw_val: (m, n_features) raw representations.
        labels: (n,), val_labels: (m,) class codes, -1 without a label.
    Raises:
        ShapeError: rows and labels differ in number. SettingsError: fewer than two classes have enough rows.
    """
    check_same_length("raw_train rows", len(raw_train), "labels", len(labels))
    check_same_length("raw_val rows", len(raw_val), "val_labels", len(val_labels))
    present, counts = np.unique(labels[labels >= 0], return_counts=True)
    classes, left_out = present[counts >= shots], present[counts < shots]
    if len(classes) < 2:
        most = int(counts.max()) if len(counts) else 0
        raise SettingsError(
            f"--shots {shots}: {len(classes)} of {len(present)} classes have that many train images "
            f"(at most {most}); at least two are needed"
        )
    raw_train, raw_val = as_tensor(raw_train), as_tensor(raw_val)
    rows = np.flatnonzero(np.isin(val_labels, classes))
    true = np.searchsorted(classes, val_labels[rows])
    accuracies = []
    for drawn in draws(labels, classes, shots=shots, n_draws=n_draws, seed=seed):
        drawn_codes = np.searchsorted(classes, labels[drawn])
        recipe = Recipe(seed=seed)
        probe = train_probe(raw_train[drawn], drawn_codes, len(classes), lr=lr, recipe=recipe)
        answers = probe.logits(raw_val[rows]).argmax(1).cpu().numpy()
        accuracies.append(float((answers == true).mean()) if len(rows) else np.nan)
        after_draw()
    return FewShot(shots, np.array(accuracies), tuple(classes.tolist()), tuple(left_out.tolist()), len(rows))


def draws(
    labels: np.ndarray, classes: Sequence[int] | np.ndarray, *, shots: int, n_draws: int, seed: int
) -> Iterator[np.ndarray]:
    """Draw `shots` rows of each class without replacement `n_draws` times, for few-shot probes (research).

    Each class is shuffled and dealt out: two draws share no row until a class runs out and is shuffled again.

    Args:
        labels: (n,) class codes. classes: those to draw from, each with at least `shots` rows.
    Yields:
        (shots * n_classes,) rows, ascending.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, shots]))
    members = [np.flatnonzero(labels == code) for code in classes]
    dealt = [np.empty(0, int)] * len(members)
    for _ in range(n_draws):
        dealt_rows = []
        for number, rows in enumerate(members):
            if len(dealt[number]) < shots:
                dealt[number] = rng.permutation(rows)
            dealt_rows.append(dealt[number][:shots])
            dealt[number] = dealt[number][shots:]
        yield np.sort(np.concatenate(dealt_rows))


def compute_few_shot(study: Study, step: StepWriter, config: FewShotConfig, run: StepRun) -> None:
    """Write the table `few_shot` (research), one row a draw; the summary has means and intervals.

    Without labels, or with one class, only the reason is written.
    """
    if reason := why_no_probe(study):
        step.summary = {"skipped": reason}
        return
    codes, array = class_column(study, "label"), study.array("representations")
    train, val = (np.flatnonzero((study.is_val == side) & (codes >= 0)) for side in (False, True))
    if not len(val):
        step.summary = {"skipped": "no labelled evaluation images"}
        return
    parts = [as_tensor(array.rows(rows)).to(run.device) for rows in (train, val)]
    rows, about = [], {}
    with run.progress.stage("probes", total=len(config.shots) * config.draws, unit="probes") as bar:
        for shots in config.shots:
            labelled = (parts[0], codes[train], parts[1], codes[val])
            result = few_shot_accuracy(
                *labelled,
                shots=shots,
                n_draws=config.draws,
                lr=config.lr,
                seed=config.seed,
                after_draw=lambda: bar.update(1),
            )
            rows += [(shots, draw, accuracy) for draw, accuracy in enumerate(result.accuracy)]
            about[str(shots)] = summary_of(result, study.class_names)
    step.table("few_shot", pd.DataFrame(rows, columns=["shots", "draw", "accuracy"]))
    step.summary = {"shots": about, "draws": config.draws, "lr": config.lr}


def summary_of(result: FewShot, class_names: Sequence[str]) -> dict[str, object]:
    """Return mean and 95 % t-interval of few-shot probes (research) over the draws, and what was left out.

    Return mean and 95 % t-interval over the draws (None below five draws), and what was left out.
    """
    mean, low, high, n = mean_interval(result.accuracy)
    enough = n >= ENOUGH
    std = float(result.accuracy.std(ddof=1)) if n > 1 else None
    left_out = [class_names[code] for code in result.left_out]
    n_classes = len(result.classes)
    return {
        "accuracy": mean,
        "low": low if enough else None,
        "high": high if enough else None,
        "std": std,
        "n_val": result.n_val,
        "n_classes": n_classes,
        "left_out": left_out,
    }
