"""Confident learning (Northcutt, Jiang and Chuang 2021), as cleanlab computes it, of any number of images.

cleanlab takes the probability of every class of every image at once. Which images of a class are taken for
another one depends on these images alone, once the thresholds and the joint counts of all are known, so that
both are counted, and the images filtered, a few classes at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.common.dataframes import check_same_length

BLOCK = 1 << 24  # probabilities held at once
LOWEST_THRESHOLD = 2e-6  # cleanlab's
FILTER = "prune_by_noise_rate"


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities of classes by models that have not seen the images.

    Attributes:
        codes: (n, k) int, the classes of the k largest probabilities of each image, the largest first.
        probabilities: (n, k) float, of these. Classes beyond them count as 0.
        of_label: (n,) float, the probability of the label. labels: (n,) int, below `n_classes`; each class
            is the label of some image.
    """

    codes: np.ndarray
    probabilities: np.ndarray
    of_label: np.ndarray
    labels: np.ndarray
    n_classes: int

    @property
    def rival(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the likeliest class beside the label, and its probability."""
        others = np.where(self.codes == self.labels[:, None], -1.0, self.probabilities)
        rows, best = np.arange(len(others)), others.argmax(1)
        return self.codes[rows, best], others[rows, best]

    @property
    def margins(self) -> np.ndarray:
        """(n,) normalised margin p_iy - max over c != y of p_ic, in [-1, 1]; low where doubtful."""
        return self.of_label - self.rival[1]

    def dense(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), n_classes) float64 probabilities of some images."""
        full = np.zeros((len(rows), self.n_classes))
        np.put_along_axis(full, self.codes[rows], self.probabilities[rows], axis=1)
        full[np.arange(len(rows)), self.labels[rows]] = self.of_label[rows]
        return full


def likely_wrong(answers: OutOfFold) -> np.ndarray:
    """(n,) bool: the labels that confident learning takes for wrong, by `prune_by_noise_rate`.

    With thresholds t_c = mean {p_ic : y_i = c}, an image counts for the likeliest class that passes its own;
    of each pair of classes as many images of the largest p_ij - p_iy are listed as these counts say. None
    whose label is the likeliest class is.

    Raises:
        ShapeError: parts of the answers disagree on n.
    """
    check_same_length("codes", len(answers.codes), "labels", len(answers.labels))
    from cleanlab.count import calibrate_confident_joint  # here: it takes a second to load
    from cleanlab.filter import find_label_issues

    listed = np.zeros(len(answers.labels), bool)
    if answers.n_classes < 2:
        return listed
    joint = calibrate_confident_joint(confident_joint(answers), answers.labels)
    for _, rows in _blocks_of_classes(answers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that are not in the block
            listed[rows] = find_label_issues(
                answers.labels[rows], answers.dense(rows), filter_by=FILTER, confident_joint=joint, n_jobs=1
            )
    return listed & (answers.codes[:, 0] != answers.labels)


def probability_wrong(answers: OutOfFold) -> np.ndarray:
    """(n,) the probability that each label is wrong, given the image, its label and how labels go wrong.

    With the calibrated joint counts J of label y and class c, T_yc = J_yc / sum_y J_yc, the rate of wrong
    labels r = mean over c of sum_{y != c} T_yc, and N_yc = r T_yc / sum_{y != c} T_yc of another label,

        w_i = a_i / (a_i + (1 - r) p_iy),  a_i = sum_{c != y} N_yc p_ic  (docs/method.md 2.9).

    An unlikely label is doubtful where the likely class is one that is mistaken for it, and less where it
    never is. It is 1 where the label has no probability, and 0 of fewer than two classes.
    """
    if answers.n_classes < 2:
        return np.zeros(len(answers.labels))
    from cleanlab.count import calibrate_confident_joint

    joint = calibrate_confident_joint(confident_joint(answers), answers.labels).astype(float)
    wrong = joint / np.maximum(joint.sum(0), 1)
    np.fill_diagonal(wrong, 0)
    of_class = wrong.sum(0)
    rate = float(of_class.mean())
    noise = rate * np.divide(wrong, of_class, out=np.zeros_like(wrong), where=of_class > 0)
    of_others = (noise[answers.labels[:, None], answers.codes] * answers.probabilities).sum(1)
    both = of_others + (1 - rate) * answers.of_label
    return np.divide(of_others, both, out=np.ones_like(both, float), where=both > 0)


def confident_joint(answers: OutOfFold) -> np.ndarray:
    """(n_classes, n_classes) int: images of each label that count for each class by confident learning."""
    from cleanlab.count import compute_confident_joint

    sums = np.bincount(answers.labels, answers.of_label, minlength=answers.n_classes)
    thresholds = np.maximum(sums / np.bincount(answers.labels, minlength=answers.n_classes), LOWEST_THRESHOLD)
    # In cleanlab's memory order: of fractions that are equal, its calibration rounds up the one that the
    # order of its sums makes larger.
    joint = np.zeros((answers.n_classes, answers.n_classes), np.int64, order="F")
    for classes, rows in _blocks_of_classes(answers):
        of_block = compute_confident_joint(
            answers.labels[rows], answers.dense(rows), thresholds=thresholds, calibrate=False
        )
        joint[classes] = of_block[classes]
    return joint


def _blocks_of_classes(answers: OutOfFold) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some classes with all images of these labels, about BLOCK probabilities, two classes or more."""
    order = np.argsort(answers.labels, kind="stable")
    edges = np.searchsorted(answers.labels[order], np.arange(answers.n_classes + 1))
    start = 0
    while start < answers.n_classes:
        most = edges[start] + BLOCK // answers.n_classes
        stop = max(int(np.searchsorted(edges, most, side="right")) - 1, start + 2)
        stop = answers.n_classes if stop >= answers.n_classes - 1 else stop  # cleanlab refuses a single class
        yield np.arange(start, stop), np.sort(order[edges[start] : edges[stop]])
        start = stop
