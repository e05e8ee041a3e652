"""The step `crossfit`, and answers out of folds that several encoders share (docs/method.md 2.9, 10.1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis import crossfit
from core.analysis.folds import assign_folds, in_several
from core.analysis.linear_probe import Curvature, TrainSet
from core.analysis.neighbours import nearest_stored, sample_rows
from core.analysis.probe_penalty import best_strength
from core.analysis.scores import confidence, energy, margin
from core.answers.answer import CROSSFIT, HEAD, TABLE, evaluated
from core.answers.knn import K, vote
from core.answers.outcome import AnswerValues, answer_facts, outcome_table
from core.common.largest_values import first_largest
from core.common.step_facts import CrossfitFacts
from core.config import CrossfitConfig
from core.measures.confident_learning import OutOfFold, likely_wrong, probability_wrong
from core.measures.evaluate import class_column
from core.measures.image_columns import unit_codes
from core.measures.label_issues import NEAREST, STORED
from core.measures.label_issues import TABLE as ISSUES
from core.store import Study
from core.study.chunked_array import chunk_name
from core.study.writer import StepRun, StepWriter

# The step `crossfit`: every label is judged by a model that has not seen its image (docs/method.md 2.9).


WEIGHTS = "crossfit_weights"
SHOWN = 5  # largest classes of an answer


def _why_no_crossfit(study: Study, several: np.ndarray, codes: np.ndarray) -> str | None:
    """Explain why no label of a study can be checked, or return None."""
    if not study.labelled:
        return "the images have no labels"
    judged = np.unique(codes[several])
    if not len(judged):
        return "no class has two images that are no copies of each other"
    if len(judged) == 1:
        return f"one class only: every label that could be checked is '{study.class_names[judged[0]]}'"
    return None


def compute_crossfit(study: Study, step: StepWriter, config: CrossfitConfig, run: StepRun) -> None:
    """Write the answer `crossfit`, its probabilities, the weights of each fold, and the table `label_issues`.

    Without labels, or with one class, only the reason is written.
    """
    codes, units = class_column(study, "label"), unit_codes(study)
    labelled = np.flatnonzero(codes >= 0)
    folds = assign_folds(codes[labelled], units[labelled], config.folds, config.seed)
    several = in_several(codes[labelled], folds)
    if reason := _why_no_crossfit(study, several, codes[labelled]):
        step.summary = {"skipped": reason}
        return
    rows = labelled[several]
    names, of_class = np.unique(codes[rows], return_inverse=True)
    of_fold = np.unique(folds[several], return_inverse=True)[1]
    array = study.array("representations")
    images = crossfit.Labelled(array, rows, of_class, units[rows], of_fold)
    largest, searched = _predict_out_of_fold(images, step, config, run, len(study.images), names)
    answered = np.searchsorted(names, largest.codes[rows])
    answers = OutOfFold(answered, largest.probabilities[rows], largest.of_label[rows], of_class, len(names))
    _write_probabilities(step, largest, images, array.by_chunk)
    facts = _write_answer(study, step, largest, [study.class_names[name] for name in names])
    table = _issues(study, labelled, rows, names, answers)
    with run.progress.stage("nearest images", total=len(labelled), unit="images") as bar:
        against = sample_rows(labelled, config.most_compared, config.seed)
        near = nearest_stored(array, labelled, against, NEAREST, run.device, bar, units)
    table = _with_nearest(study, table, *near)
    table = table.iloc[np.lexsort(_order_of(table))].reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    step.table(ISSUES, table[list(STORED)])
    unchecked = np.setdiff1d(codes[labelled], names)
    summary = {
        "answers": {CROSSFIT: facts},
        "n_labelled": len(labelled),
        "n_checked": len(rows),
        "n_listed": int(table["listed"].sum()),
    }
    summary |= {"n_units": len(np.unique(units[rows])), "n_compared": len(against)}
    summary |= {"unchecked_classes": [study.class_names[code] for code in unchecked]}
    step.summary = summary | searched


@dataclass
class Largest:
    """The likeliest classes of each image of the study; -1 and NaN where it has no label that is checked."""

    codes: np.ndarray  # (n_images, k) int32, classes of the study, the likeliest first
    probabilities: np.ndarray  # (n_images, k) float32
    of_label: np.ndarray  # (n_images,) float32
    values: dict[str, np.ndarray]  # (n_images,) float64 confidence, margin, energy

    @classmethod
    def empty(cls, n: int, k: int) -> "Largest":
        unknown = np.full(n, np.nan, np.float32)
        values = {name: np.full(n, np.nan) for name in ("confidence", "margin", "energy")}
        nothing = np.full((n, k), -1, np.int32)
        return cls(nothing, np.full((n, k), np.nan, np.float32), unknown, values)

    def put(self, rows: np.ndarray, logits: Tensor, labels: np.ndarray, names: np.ndarray) -> None:
        """Keep what logits (m, n_classes) say of some images; names: the class that each column is."""
        shares = torch.softmax(logits, 1)
        best, columns = first_largest(shares, self.codes.shape[1])
        self.codes[rows] = names[columns.cpu().numpy()]
        self.probabilities[rows] = best.float().cpu().numpy()
        of_label = shares.gather(1, torch.from_numpy(labels).to(shares.device)[:, None])
        self.of_label[rows] = of_label[:, 0].float().cpu().numpy()
        for name, score in (("confidence", confidence), ("margin", margin), ("energy", energy)):
            self.values[name][rows] = score(logits).cpu().numpy()


def _predict_out_of_fold(
    images: crossfit.Labelled,
    step: StepWriter,
    config: CrossfitConfig,
    run: StepRun,
    n: int,
    names: np.ndarray,
    item: str = WEIGHTS,
) -> tuple[Largest, dict[str, Any]]:
    """Fit a probe to the images outside each fold, and keep what it says of those in it.

    Args:
        n: images of the study. names: (n_classes,) the class that each code is. item: of the weights.
    """
    n_folds = int(images.folds.max()) + 1
    parts = crossfit.moments_by_part(images.array, images.rows, images.folds, n_folds)
    writer, largest = step.array(item), Largest.empty(n, min(config.kept, len(names)))
    searched: dict[str, Any] = writer.extra(0) if writer.has(0) else {}
    curvature: Curvature | None = None
    total = len(config.strengths) + n_folds
    with run.progress.stage("crossfit", total=total, unit="fits") as bar:
        for fold in range(n_folds):
            if not writer.has(fold):
                curvature = curvature or _curvature(images, parts, config, run)
                searched = searched or _search(images, config, run, curvature, lambda: bar.update(1))
                weights = crossfit.fit_fold(
                    images, fold, searched["strength"], crossfit.without(parts, fold), curvature, run.device
                )
                writer.put(fold, weights, extra=searched)
            weights = np.load(writer.folder / chunk_name(fold))
            held_out = np.flatnonzero(images.folds == fold)
            for part, logits in crossfit.logits_of(images.array, images.rows[held_out], weights, run.device):
                here = held_out[part]
                largest.put(images.rows[here], logits, images.codes[here], names)
            bar.update(1)
    step.finish_array(item, n_folds)
    return largest, searched


def _curvature(images: crossfit.Labelled, parts: Any, config: CrossfitConfig, run: StepRun) -> Curvature:
    chosen = np.arange(len(images.rows))
    train: TrainSet = images.of(chosen, crossfit.without(parts, -1))
    return Curvature.of(train.batches(run.device), config.seed)


def _search(
    images: crossfit.Labelled, config: CrossfitConfig, run: StepRun, curvature: Curvature, after_each: Any
) -> dict[str, Any]:
    losses = crossfit.search_strength(
        images,
        config.strengths,
        config.inner_folds,
        config.most_searched,
        config.seed,
        curvature,
        run.device,
        after_each,
    )
    strength = best_strength(losses, config.strengths)
    return {"strength": strength, "strength_loss": {f"{value:g}": loss for value, loss in losses.items()}}


def _write_probabilities(
    step: StepWriter, largest: Largest, images: crossfit.Labelled, by_chunk: Any
) -> None:
    """Write what is kept of each image, in the chunks of the representations."""
    folds = np.full(len(largest.codes), -1, np.int8)
    folds[images.rows] = images.folds
    of_image = {
        "crossfit_classes": largest.codes,
        "crossfit_probabilities": largest.probabilities,
        "crossfit_label_probability": largest.of_label,
        "crossfit_fold": folds,
    }
    for name, values in of_image.items():
        writer, n_chunks = step.array(name), 0
        for chunk, rows in by_chunk(np.arange(len(values))):
            writer.put(chunk, values[rows])
            n_chunks += 1
        step.finish_array(name, n_chunks)


def _write_answer(study: Study, step: StepWriter, largest: Largest, labels: list[str]) -> dict[str, Any]:
    answer = AnswerValues(study.class_names, largest.codes[:, :SHOWN], largest.values, labels)
    table = outcome_table(study, answer)
    step.table(TABLE.format(name=CROSSFIT), table)
    return answer_facts(study, table, answer, CROSSFIT, evaluated(study, CROSSFIT))


def _issues(
    study: Study, labelled: np.ndarray, rows: np.ndarray, names: np.ndarray, answers: OutOfFold
) -> pd.DataFrame:
    """A row for each labelled image, in their order: what is said of its label."""
    classes = np.array(study.class_names, object)
    table = pd.DataFrame({name: study.column("images", name).iloc[labelled].array for name in STORED[:3]})
    at = np.searchsorted(labelled, rows)
    rivals, shares = answers.rival
    unknown = np.full(len(labelled), np.nan)
    suggested = np.full(len(labelled), None, object)
    suggested[at] = classes[names[rivals]]
    doubtful = np.zeros(len(labelled), bool)
    doubtful[at] = likely_wrong(answers)
    of_rival, margins, wrong = unknown.copy(), unknown.copy(), unknown.copy()
    of_rival[at], margins[at], wrong[at] = shares, answers.margins, probability_wrong(answers)
    by_head = pd.array(_own_classifier(study)[labelled], dtype="str")
    suggested_names = pd.array(suggested, dtype="str")
    return table.assign(
        suggested=suggested_names,
        confidence=of_rival,
        margin=margins,
        probability_wrong=wrong,
        listed=doubtful,
        n_checked=len(rows),
        own_classifier=by_head,
    )


def _own_classifier(study: Study) -> np.ndarray:
    """(n_images,) the class that the encoder's own classifier gives; None where there is none of use."""
    answer = study.answers.get(HEAD)
    if answer is None or answer.facts.get("at_chance"):
        return np.full(study.n_images, None, object)
    predicted = study.answering(HEAD).table("probe", ["predicted"])["predicted"]
    return predicted.astype(object).where(predicted.notna(), None).to_numpy(object)


def _with_nearest(study: Study, table: pd.DataFrame, rows: np.ndarray, cosines: np.ndarray) -> pd.DataFrame:
    ids, labels = (
        np.append(study.column("images", name).to_numpy(object), np.array([None]))
        for name in ("image_id", "label")
    )
    columns: dict[str, Any] = {}
    for rank in range(NEAREST):
        columns[f"near_{rank + 1}"] = pd.array(ids[rows[:, rank]], dtype="str")
        columns[f"near_{rank + 1}_label"] = pd.array(labels[rows[:, rank]], dtype="str")
        columns[f"near_{rank + 1}_similarity"] = cosines[:, rank].astype(float)
    return table.assign(**columns)


def _order_of(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the ranking, last first: the margin; of equal ones, what the own classifier doubts, too."""
    by_own_classifier = table["own_classifier"]
    is_doubted = (by_own_classifier.notna() & (by_own_classifier != table["label"])).to_numpy(bool)
    both = table["listed"].to_numpy(bool) & is_doubted
    return ~both, table["margin"].to_numpy(float)


# What an encoder answers out of folds that are the same for several encoders (docs/method.md 10.1).


@dataclass(frozen=True)
class FoldedImages:
    """Images of a study on folds that other studies share.

    Attributes:
        rows: (n,) of the study, in the order of the shared images. codes: (n,) int, class of each.
        units, folds: (n,) int. class_names: of the codes.
    """

    rows: np.ndarray
    codes: np.ndarray
    units: np.ndarray
    folds: np.ndarray
    class_names: list[str]


def answer_out_of_folds(
    study: Study, images: FoldedImages, step: StepWriter, config: CrossfitConfig, run: StepRun, item: str
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Answer each image by a probe that has not seen its fold, and by its nearest images of other units.

    Stored answers of the step `crossfit` are taken where they are of the same folds.

    Args:
        item: what the weights of the folds are stored as.
    Returns:
        predicted, confidence, correct, knn_predicted, knn_correct, in the order of the images; facts.
    """
    names = np.array(images.class_names, object)
    stored = _stored_answers(study, images)
    if stored is None:
        predicted, confidence, facts = _fitted(study, images, step, config, run, item)
    else:
        predicted, confidence = stored
        strength = study.facts(CrossfitFacts).strength
        facts = {} if strength is None else {"strength": strength}
    nearest = _nearest_classes(study, images, config, run)
    table = pd.DataFrame({"predicted": pd.array(names[predicted], dtype="str"), "confidence": confidence})
    table = table.assign(correct=predicted == images.codes)
    voted = np.append(names, np.array([None], object))[nearest]  # the last of -1
    knn = pd.array(voted, dtype="str")
    return table.assign(knn_predicted=knn, knn_correct=nearest == images.codes), facts


def _stored_answers(study: Study, images: FoldedImages) -> tuple[np.ndarray, np.ndarray] | None:
    """(n,) class and confidence by the step `crossfit`; None where it is missing, or had other folds."""
    if not (study.has("crossfit_fold") and study.has(TABLE.format(name=CROSSFIT))):
        return None
    folds = study.vector("crossfit_fold")
    used = np.flatnonzero(folds >= 0)
    if not np.array_equal(used, images.rows) or not np.array_equal(folds[used], images.folds):
        return None
    names = np.array(study.class_names, object)
    labels = class_column(study, "label")[used]
    if not np.array_equal(names[labels].astype(str), np.array(images.class_names)[images.codes]):
        return None
    largest = study.array("crossfit_classes").rows(used)[:, 0]
    predicted = np.searchsorted(images.class_names, names[largest].astype(str))
    return predicted, study.array("crossfit_probabilities").rows(used)[:, 0].astype(float)


def _fitted(
    study: Study, images: FoldedImages, step: StepWriter, config: CrossfitConfig, run: StepRun, item: str
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """(n,) class and confidence by probes that are fitted here; facts."""
    order = np.argsort(images.rows, kind="stable")  # as they lie in the study
    array = study.array("representations")
    folds = images.folds[order]
    labelled = crossfit.Labelled(array, images.rows[order], images.codes[order], images.units[order], folds)
    columns = np.arange(len(images.class_names))
    largest, searched = _predict_out_of_fold(labelled, step, config, run, study.n_images, columns, item)
    predicted, confidence = largest.codes[images.rows, 0], largest.probabilities[images.rows, 0]
    return predicted, confidence.astype(float), {"strength": searched["strength"]}


def _nearest_classes(study: Study, images: FoldedImages, config: CrossfitConfig, run: StepRun) -> np.ndarray:
    """(n,) the class that the K nearest images of other units vote for; -1 where there are none."""
    code_of, unit_of = np.full(study.n_images, -1), np.full(study.n_images, -1)
    code_of[images.rows], unit_of[images.rows] = images.codes, images.units
    places = sample_rows(np.arange(len(images.rows)), config.most_compared, config.seed)
    against = np.sort(images.rows[places])
    array = study.array("representations")
    with run.progress.stage("nearest images", total=len(images.rows), unit="images") as bar:
        rows, cosines = nearest_stored(array, images.rows, against, K, run.device, bar, unit_of)
    classes = torch.from_numpy(np.where(rows >= 0, code_of[rows], 0)).long()
    similarities = torch.from_numpy(np.where(rows >= 0, cosines, -np.inf)).float()
    votes = vote(similarities, classes, len(images.class_names))
    best = votes.argmax(1).numpy()
    return np.where((rows >= 0).any(1), best, -1)
