"""What an encoder answers out of folds that are the same for several encoders (docs/method.md 10.1)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from core.analysis.crossfit import fit
from core.analysis.crossfit.step import predict_out_of_fold
from core.analysis.quality.neighbours import nearest_stored, sample_rows
from core.answers.answer import CROSSFIT, TABLE
from core.answers.knn import K, vote
from core.common.step_facts import CrossfitFacts
from core.config import CrossfitConfig
from core.slices.evaluate import class_column
from core.storage.writer import StepRun, StepWriter
from core.store import Study


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
    labelled = fit.Labelled(array, images.rows[order], images.codes[order], images.units[order], folds)
    columns = np.arange(len(images.class_names))
    largest, searched = predict_out_of_fold(labelled, step, config, run, study.n_images, columns, item)
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
