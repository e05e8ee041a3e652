"""The linear probe on frozen representations (docs/method.md 3), and the step `probe`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis import linear_probe
from core.analysis.caveats import rate_note
from core.analysis.definitions import Array
from core.analysis.linear_probe import Curvature, TrainSet, fit_classes
from core.analysis.probe_penalty import PER_CLASS, draw_per_class, search_penalty
from core.analysis.scores import confidence, energy, margin
from core.analysis.tensors import as_tensor, check_matrix
from core.common.dataframes import check_same_length
from core.common.formatting import counted
from core.common.largest_values import first_largest
from core.common.moments import Moments
from core.common.topics import function_of_option
from core.config import ProbeConfig
from core.errors import SettingsError
from core.measures.design_effect import groups_among
from core.measures.evaluate import class_column
from core.store import Study
from core.study.chunked_array import ChunkedArray
from core.study.writer import StepRun, StepWriter

TOLERANCE = 1e-5  # largest entry of the gradient: of 1,000 classes it is 1e-3 where all weights are 0
WIDENED_ROWS = 1024  # rows widened to float64 at a time
FEWEST_EVALUATED = 8  # with 7 images the 95 % interval of an accuracy is .35 to .59 wide
NONE_HELD_OUT = "there are no evaluation images, and train has one image of each class"
TOO_FEW = (
    "too few images to evaluate a probe: {n} of {n_val} with a class that train has, and it takes {fewest}; "
    "what needs no labels is here"
)


@dataclass(frozen=True)
class Probe:
    """A trained probe for raw rows: logits = raw @ weights.T + bias."""

    weights: Tensor  # (n_classes, n_features) float64; 0 for features constant on train
    bias: Tensor  # (n_classes,) float64
    lr: float | None  # None: trained to its optimum, with `penalty`
    searched: dict[float, float]  # held-out accuracy of each rate or penalty tried; empty if one was given
    penalty: float | None = None
    losses: dict[float, float] = field(default_factory=dict)  # held-out mean log loss of each penalty tried

    def logits(self, raw: Array) -> Tensor:
        """(n, n_classes) float64."""
        raw = as_tensor(raw).to(self.weights.device)
        check_same_length("raw columns", raw.shape[1], "probe features", self.weights.shape[1])
        return torch.cat([part.double() @ self.weights.T + self.bias for part in raw.split(WIDENED_ROWS)])


def train_probe(
    raw: Array,
    labels: Array,
    n_classes: int,
    *,
    lr: float | None = None,
    candidates: tuple[float, ...] = ProbeConfig.lr_candidates,
    strengths: tuple[float, ...] = (),
    recipe: linear_probe.Recipe | None = None,
) -> Probe:
    """Train a linear probe on representations in memory.

    Args:
        raw: (n, n_features) float, raw representations, on the device to train on.
        labels: (n,) int class codes in [0, n_classes).
        lr: learning rate; None = the best of `candidates` on a seeded tenth of the rows.
        strengths: train to the optimum with the best of these C instead, penalty 1 / (C n).
    Raises:
        ShapeError: the two disagree on n. SettingsError: an invalid learning rate.
    """
    raw, labels = as_tensor(raw), as_tensor(labels)
    check_matrix("raw", raw)
    check_same_length("raw rows", len(raw), "labels", len(labels))
    standard = linear_probe.Standard.of(Moments.of_rows(raw.cpu().numpy()))
    codes = labels.long().to(raw.device)

    def load(positions: np.ndarray) -> Tensor:
        return raw[torch.from_numpy(positions).to(raw.device)]

    rows = linear_probe.ShuffledRows(load, codes, raw.shape[1], standard)
    settings = {"candidates": candidates, "strengths": strengths, "recipe": recipe or linear_probe.Recipe()}
    return _train_on_rows(rows, standard, n_classes, lr=lr, **settings)


def _train_on_rows(
    rows: linear_probe.ShuffledRows,
    standard: linear_probe.Standard,
    n_classes: int,
    *,
    lr: float | None,
    candidates: tuple[float, ...],
    recipe: linear_probe.Recipe,
    strengths: tuple[float, ...] = (),
    after_epoch: Callable[[], object] = lambda: None,
    groups: np.ndarray | None = None,
) -> Probe:
    """Choose the probe's learning rate or penalty if none is given, then train it on all rows."""
    if strengths:
        return _train_to_optimum(rows, standard, n_classes, strengths, recipe.seed, after_epoch, groups)
    if lr is not None and not lr > 0:
        raise SettingsError(f"--lr {lr:g}: expected a number above 0, e.g. 0.3")
    given = lr is not None or recipe.penalty is not None
    searched = {} if given else _search_rate(rows, n_classes, candidates, recipe, after_epoch, groups)
    best_lr = lr if given else max(searched, key=lambda rate: searched[rate])
    everything = np.arange(len(rows))
    fitted = linear_probe.fit(
        rows, everything, n_classes, lrs=[best_lr or 0], recipe=recipe, after_epoch=after_epoch
    )
    weights, bias = standard.fold(fitted.weights[0], fitted.bias[0])
    accuracies = {rate: accuracy for rate, (accuracy, _) in searched.items()}
    return Probe(weights, bias, best_lr, accuracies, recipe.penalty)


def _search_rate(
    rows: linear_probe.ShuffledRows,
    n_classes: int,
    candidates: tuple[float, ...],
    recipe: linear_probe.Recipe,
    after_epoch: Callable[[], object] = lambda: None,
    groups: np.ndarray | None = None,
) -> dict[float, tuple[float, float]]:
    """(accuracy, - loss) of a probe at each learning rate on a seeded tenth of rows, from the others.

    Of rows in groups (patients, sequences) whole groups are held out. With fewer than ten rows nothing can
    be held out, and the rates are evaluated on the rows themselves.
    """
    used, held_out = _held_out(len(rows), recipe.seed, groups)
    fitted = linear_probe.fit(
        rows, used, n_classes, lrs=list(candidates), recipe=recipe, after_epoch=after_epoch
    )
    accuracy, loss = linear_probe.accuracy_and_loss(fitted, rows, held_out)
    return {rate: (float(a), -float(v)) for rate, a, v in zip(candidates, accuracy, loss, strict=True)}


def _train_to_optimum(
    rows: linear_probe.ShuffledRows,
    standard: linear_probe.Standard,
    n_classes: int,
    strengths: tuple[float, ...],
    seed: int,
    after_fit: Callable[[], object] = lambda: None,
    groups: np.ndarray | None = None,
) -> Probe:
    """Train a probe to the optimum with the penalty that is best on at most PER_CLASS rows a class."""
    drawn = draw_per_class(rows.labels.cpu().numpy(), PER_CLASS, seed)
    few = rows if len(drawn) == len(rows) else rows.subset(drawn)
    curvature = Curvature.of(rows, seed)
    of_drawn = None if groups is None else groups[drawn]
    searched = search_penalty(few, n_classes, strengths, curvature, seed, after_fit, of_drawn)
    del few  # as large as all rows may be
    penalty = 1 / (searched.best * len(rows))
    trained = fit_classes(rows, n_classes, penalty, curvature, start=searched.start, tolerance=TOLERANCE)
    after_fit()
    weights, bias = standard.fold(trained[:, :-1], trained[:, -1])
    accuracies = {1 / (one * len(rows)): accuracy for one, accuracy in searched.accuracies.items()}
    losses = {1 / (one * len(rows)): loss for one, loss in searched.losses.items()}
    return Probe(weights, bias, None, accuracies, penalty, losses)


def _held_out(n: int, seed: int, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and a tenth to evaluate on; below ten rows, all and all.

    Of rows in groups, a tenth of the groups; below ten groups, all and all.
    """
    if groups is not None:
        names, codes = np.unique(groups, return_inverse=True)
        of_train, of_held = _held_out(len(names), seed)
        return np.flatnonzero(np.isin(codes, of_train)), np.flatnonzero(np.isin(codes, of_held))
    order = np.random.default_rng(seed).permutation(n)
    used = np.sort(order[n // 10 :])
    return used, np.sort(order[: n // 10]) if n >= 10 else used


def recipe_of(config: ProbeConfig, penalty: float | None = None) -> linear_probe.Recipe:
    """Return the recipe of a probe's training; `penalty`: that of a probe trained to its optimum."""
    return linear_probe.Recipe(
        config.epochs, config.batch_size, config.momentum, config.weight_decay, config.seed, penalty
    )


def why_no_probe(study: Study) -> str | None:
    """Explain why this study cannot have a probe, or return None."""
    return why_none_of(class_column(study, "label"), study.is_val, study.class_names)


def why_none_of(codes: np.ndarray, is_val: np.ndarray, names: Sequence[str]) -> str | None:
    """Explain why images cannot have a probe, by their classes and splits, or return None.

    Args:
        codes: (n,) int, the class of each image as a position in `names`, or -1. is_val: (n,) bool.
    """
    if not len(names):
        return "the images have no labels"
    present = np.unique(codes[~is_val & (codes >= 0)])
    if not len(present):
        return "no labelled train images"
    if len(present) == 1:
        return f"one class only: every labelled train image is '{names[present[0]]}'"
    n_val, n_evaluated = int(is_val.sum()), int(np.isin(codes[is_val], present).sum())
    if not n_val and len(present) == np.count_nonzero(codes >= 0):
        return NONE_HELD_OUT
    if n_val and n_evaluated < FEWEST_EVALUATED:
        images = counted(n_val, "evaluation image")
        return TOO_FEW.format(n=f"{n_evaluated:,}", n_val=images, fewest=FEWEST_EVALUATED)
    return None


def compute_probe(study: Study, step: StepWriter, config: ProbeConfig, run: StepRun) -> None:
    """Train the probe and write `probe_weights`, `probe_bias`, `val_logits`, table `probe`.

    With `config.curves` also the table `probe_curves`. Without labels, or with one class, only the reason is
    written.
    """
    if reason := why_no_probe(study):
        step.summary = {"skipped": reason}
        return
    n_classes = len(study.class_names)
    train = TrainSet.of(study)
    rows, recipe = train.batches(run.device), recipe_of(config)
    strengths = config.strengths if config.solver_in_use == "lbfgs" else ()
    if strengths and config.lr is not None:
        raise SettingsError("--lr is the rate of --solver sgd; --solver lbfgs has none. Leave one out.")
    total = len(strengths) + 1 if strengths else config.epochs * (1 if config.lr is not None else 2)
    with run.progress.stage("probe", total=total, unit="penalties" if strengths else "epochs") as bar:
        groups, standard = groups_among(study.groups, train.rows), train.standard
        probe = _train_on_rows(
            rows,
            standard,
            n_classes,
            lr=config.lr,
            candidates=config.lr_candidates,
            strengths=strengths,
            recipe=recipe,
            after_epoch=lambda: bar.update(1),
            groups=groups,
        )
    step.vector("probe_weights", probe.weights.float().cpu().numpy())
    step.vector("probe_bias", probe.bias.float().cpu().numpy())
    table = _predict(study, step, probe)
    step.table("probe", table if study.is_val.any() else _without_outcomes(table))
    step.summary = _summary(table, probe, train, n_classes)
    if probe.lr and (note := rate_note(probe.lr, probe.searched)):
        run.progress.note(f"note: {note}")
    if config.curves:
        write_curves = function_of_option("probe --curves")
        recipe = recipe_of(config, probe.penalty)
        step.summary |= write_curves(
            study, step, train, rows, probe.lr or 0.0, recipe, run.progress, run.device
        )


def _predict(study: Study, step: StepWriter, probe: Probe) -> pd.DataFrame:
    """Write `val_logits` and return the table `probe`: the probe's result for every image."""
    array = study.array("representations")
    parts = []
    for number, is_val in array.by_chunk(study.is_val):
        logits, verdicts = _predicted(array, probe, number, is_val)
        step.array("val_logits").put(number, logits)
        parts.append(verdicts)
    step.finish_array("val_logits", array.n_chunks)
    predictions = pd.concat(parts, ignore_index=True)
    return _with_truth(study, predictions)


def _predicted(
    array: ChunkedArray, probe: Probe, chunk: int, is_val: np.ndarray
) -> tuple[np.ndarray, pd.DataFrame]:
    logits = probe.logits(torch.from_numpy(np.array(array.chunk(chunk))))
    return logits.cpu().numpy()[is_val].astype(np.float32), _verdicts(logits)


def _verdicts(logits: Tensor) -> pd.DataFrame:
    best = first_largest(logits, 5)[1].cpu().numpy()
    scores = {"confidence": confidence(logits), "margin": margin(logits), "energy": energy(logits)}
    columns = {name: values.cpu().numpy() for name, values in scores.items()}
    return pd.DataFrame({"best": list(best), **columns})


def _with_truth(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    codes, names = class_column(study, "label"), np.array([*study.class_names, None], dtype=object)
    best = np.stack(predictions["best"].to_list()) if len(predictions) else np.empty((0, 1), int)
    labelled = codes >= 0
    verdicts = {"correct": best[:, 0] == codes, "top5_correct": (best == codes[:, None]).any(1)}
    true = pd.array(names[codes], dtype="str")
    predicted = pd.array(names[best[:, 0]], dtype="str")
    columns = {
        "image_id": study.images["image_id"],
        "split": study.images["split"],
        "true": true,
        "predicted": predicted,
    }
    columns |= {name: predictions[name] for name in ("confidence", "margin", "energy")}
    for name, values in verdicts.items():
        columns[name] = values if labelled.all() else pd.arrays.BooleanArray(values, ~labelled)
    return pd.DataFrame(columns)


def _without_outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a study without evaluation images, where no outcome is known.

    That a probe is right about the images that it was trained on says nothing of the encoder.
    """
    unknown = pd.array([pd.NA] * len(table), dtype="boolean")
    return table.assign(correct=unknown, top5_correct=unknown)


def _chosen(probe: Probe) -> dict[str, object]:
    accuracies = {f"{strength:g}": share for strength, share in probe.searched.items()}
    if probe.penalty is None:
        return {"lr": probe.lr, "lr_accuracy": accuracies}
    losses = {f"{strength:g}": loss for strength, loss in probe.losses.items()}
    return {"penalty": probe.penalty, "penalty_accuracy": accuracies, "penalty_loss": losses}


def _summary(table: pd.DataFrame, probe: Probe, train: TrainSet, n_classes: int) -> dict[str, object]:
    split, labelled = table["split"].to_numpy(), table["true"].notna().to_numpy()

    def share(split_name: str, column: str) -> float | None:
        verdicts = table[column].to_numpy(dtype=float, na_value=np.nan)[(split == split_name) & labelled]
        return float(verdicts.mean()) if len(verdicts) else None

    top5 = share("val", "top5_correct") if n_classes > 5 else None
    n_val = int(((split == "val") & labelled).sum())
    shares = {"top1": share("val", "correct"), "top5": top5, "train_top1": share("train", "correct")}
    counts = {"n_train": len(train.rows), "n_val": n_val, "n_classes": n_classes}
    return {**shares, **_chosen(probe), **counts}
