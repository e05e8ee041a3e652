"""Features taken out: the answer without them, in closed form, and whether one harms (docs/method.md 6.8)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.answers.class_logits import Classifier, class_gradients
from core.common.records import Record, Templates
from core.errors import ShapeError
from core.measures.intervals import share_intervals
from core.measures.paired_accuracy import PairedAccuracy, paired_accuracy
from core.measures.slice_comparison import train_images
from core.study.reader import StudyReader

# Take features out of a representation and ask the probe again, in closed form (docs/method.md 6.8).
#
# A feature is taken out by setting it to its mean over the train images. What the first layer of a
# classifier makes of it changes by (mean - h_j) times the feature's weights: of a linear one nothing else
# has to be computed again.


CONTRIBUTION, GRADIENT, ACTIVATION, RANDOM = ORDERS = ("contribution", "gradient", "activation", "random")
ALIKE = 10  # a random feature is drawn among those at most so many places away in the image's order


def train_means(study: StudyReader) -> np.ndarray:
    """(n_features,) float64: what a feature taken out is set to: its raw mean on train, on all if none is.

    Where neither `failures` nor `features` has stored them, in one pass over the representations.
    """
    if study.has("feature_means"):
        return study.vector("feature_means")
    if study.has("raw_moments") and not reads_unit_rows(study):
        return study.vector("raw_moments")[0]
    representations = study.array("representations")
    train = train_images(study) if train_images(study).any() else np.ones(study.n_images, bool)
    total = np.zeros(representations.shape[1])
    for start, chunk in representations.chunks():
        total += chunk[train[start : start + len(chunk)]].sum(0, dtype=np.float64)
    return total / max(np.count_nonzero(train), 1)


def reads_unit_rows(study: StudyReader) -> bool:
    """Whether an answer to be asked again without features is linear on representations of length 1.

    Never in a basis, whose latents have no weights of such an answer.
    """
    facts = getattr(getattr(study, "answer", None), "facts", {})
    return study.below is None and bool(facts.get("on_unit_rows"))


def logits_without(
    classifier: Classifier, started: np.ndarray, raw: np.ndarray, means: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Logits after some features of each image were switched off: set to their means.

    Args:
        started: what the first layer makes of the rows, `classifier.start(raw)`. raw: (n, n_features) raw
            representations. means: (n_features,) of the train images. features: (n, k) int, those to remove
            from each row, each once; -1 for none.
    Returns:
        (n, n_outputs) float64.
    Raises:
        ShapeError: the inputs disagree.
    """
    n, n_features = raw.shape
    weights = classifier.first
    if weights.shape[1] != n_features or means.shape != (n_features,) or len(started) != n:
        raise ShapeError(f"{len(started)} rows, raw {raw.shape} and weights {weights.shape} do not match")
    changed = np.array(started, np.float64)
    rows = np.arange(n)
    for removed in features.T:
        values = np.asarray(raw[rows, removed], np.float64)
        change = np.where(removed < 0, 0.0, means[removed] - values)
        changed += change[:, None] * weights[:, removed].T
    return classifier.finish(changed)


def strongest_features(
    order: str,
    raw: np.ndarray,
    logits: np.ndarray,
    classifier: Classifier,
    predicted: np.ndarray,
    top: int,
    codes: np.ndarray | None = None,
    units: np.ndarray | None = None,
) -> np.ndarray:
    """The features, first in an order, without which an answer is asked again: at most `top` of each image.

    'contribution': h_j U'_yj for the predicted class y, as failures are explained. 'gradient': gradient times
    input of the probability of y, h_j (U'_yj - sum_c p_c U'_cj). 'activation': h_j.

    Args:
        raw: (n, n_features). logits: (n, n_outputs) of the classifier. predicted: (n,) int, y. codes:
            (n_outputs,) int, the class of each output, where several may mean one. U'_c is the gradient of
            the logit of a class, which differs from row to row where a layer is hidden. units: as for
            `Classifier.gradients`.
    Returns:
        (n, top) int64, largest first, ties by number; -1 where no more values are positive.
    Raises:
        ValueError: no such order.
    """
    raw = np.asarray(raw, np.float64)
    if order in (CONTRIBUTION, GRADIENT):
        toward = class_gradients(classifier, raw, logits, codes, predicted, units)
    if order == CONTRIBUTION:
        values = raw * toward
    elif order == GRADIENT:
        from scipy.special import softmax  # here: it takes long to load, and most pages need it not

        values = raw * (toward - classifier.gradients(raw, softmax(logits, axis=1), units))
    elif order == ACTIVATION:
        values = raw
    else:
        raise ValueError(f"unknown order '{order}'")
    first = np.argsort(-values, axis=1, kind="stable")[:, :top]
    return np.where(np.take_along_axis(values, first, axis=1) > 0, first, -1)


def random_alike(raw: np.ndarray, features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each feature to switch off another one that is about as active on the same image.

    Drawn are features at most `ALIKE` places away in the row's order of activation, none of `features` and
    none twice, so that what they do is owed to their activation alone.

    Args:
        raw: (n, n_features). features: (n, k) int, -1 for none.
    Returns:
        (n, k) int64; -1 where there was none, or no other feature is near.
    """
    n, n_features = raw.shape
    order = np.argsort(-np.asarray(raw, np.float64), axis=1, kind="stable")
    position = np.empty_like(order)
    np.put_along_axis(position, order, np.arange(n_features)[None].repeat(n, 0), axis=1)
    drawn = np.full(features.shape, -1, np.int64)
    reach = np.arange(-ALIKE, ALIKE + 1)
    taken = np.zeros((n, n_features), bool)
    row, column = np.nonzero(features >= 0)
    taken[row, features[row, column]] = True
    for at in range(features.shape[1]):
        here = features[:, at] >= 0
        near = position[np.arange(n), features[:, at]][:, None] + reach
        inside = (near >= 0) & (near < n_features)
        candidates = np.take_along_axis(order, np.clip(near, 0, n_features - 1), axis=1)
        free = inside & ~np.take_along_axis(taken, candidates, axis=1) & here[:, None]
        chance = np.where(free, rng.random(free.shape), -1.0)
        best = chance.argmax(1)
        has_candidate = free.any(1)
        candidate = candidates[np.arange(n), best]
        drawn[has_candidate, at] = candidate[has_candidate]
        taken[np.flatnonzero(has_candidate), candidate[has_candidate]] = True
    return drawn


# What an answer says of the images of a slice once some features are switched off (docs/method.md 6.8).
#
# Beside it stand random features of the same number and of about the same activation: what they do as well
# is owed to taking features away, not to these features.


DRAWS = 20  # sets of random features
AS_IT_IS, WITHOUT, AT_RANDOM = "as it is", "without these features", "without random features"


@dataclass(frozen=True)
class SwitchedOff:
    """Predictions of n images, as codes of what can be predicted.

    Attributes:
        before, after: (n,) with all features, and without those switched off. random: (DRAWS, n) without
            random ones instead. true: (n,) float, NaN where the class is not known.
    """

    before: np.ndarray
    after: np.ndarray
    random: np.ndarray
    true: np.ndarray

    @property
    def flipped(self) -> np.ndarray:
        """(n,) bool: the images whose prediction changes."""
        return self.before != self.after


def switched_off(
    chunks: Iterable[tuple[np.ndarray, np.ndarray]],
    classifier: Classifier,
    means: np.ndarray,
    codes_of: Callable[[np.ndarray], np.ndarray],
    features: Sequence[int],
    true: np.ndarray,
    average: np.ndarray,
    *,
    seed: int = 0,
) -> SwitchedOff:
    """Predict images again with some features switched off, that is, at their means.

    Args:
        chunks: raw representations (m, n_features) and (m, n_units), a part of the images at a time; the same
            but in a basis (see `Classifier.start_of`). means: (n_features,) what a feature is when it is off.
        codes_of: what logits predict. true: (n,). average: (n_features,) mean activation of these images, by
            which random features are about as active.
    """
    off = np.unique(np.asarray(features, np.int64))[None]
    rng = np.random.default_rng(seed)
    sets = [off, *(random_alike(average[None], off, rng) for _ in range(DRAWS))]
    before: list[np.ndarray] = []
    after: list[list[np.ndarray]] = [[] for _ in sets]
    for raw, units in chunks:
        started = classifier.start_of(raw, units)
        before.append(codes_of(classifier.finish(started)))
        for mine, one in zip(after, sets, strict=True):
            removed = np.repeat(one, len(raw), axis=0)
            mine.append(codes_of(logits_without(classifier, started, raw, means, removed)))
    named, *random = (np.concatenate(one) if one else np.empty(0, int) for one in after)
    return SwitchedOff(np.concatenate(before) if before else np.empty(0, int), named, np.stack(random), true)


def switched_off_table(made: SwitchedOff) -> pd.DataFrame:
    """Tabulate what switching features off does to the answers of images.

    Accuracy and changed predictions: one row as it is, one without the features, one without random ones.

    Returns:
        features, n (images), n_judged (of a known class), accuracy, accuracy_low, accuracy_high, flipped,
        flipped_low, flipped_high (shares with Wilson's 95 % intervals; accuracy NaN where no class is
        known), fixed (wrong before and right now) and broken, numbers of images; of random features means.
    """
    has_truth = np.isfinite(made.true)
    rows = []
    for name, codes in ((AS_IT_IS, made.before[None]), (WITHOUT, made.after[None]), (AT_RANDOM, made.random)):
        right, was = codes == made.true, made.before == made.true
        share_right = np.where(has_truth, right.mean(0), np.nan)
        share_changed = (codes != made.before).mean(0)
        values = np.stack([share_right, share_changed], axis=1)
        mean, low, high, _ = share_intervals(values)
        fixed = (right & ~was & has_truth).sum(1)
        broken = (~right & was & has_truth).sum(1)
        row = {"features": name, "n": len(has_truth), "n_judged": int(has_truth.sum())}
        row |= {"accuracy": mean[0], "accuracy_low": low[0], "accuracy_high": high[0]}
        row |= {"flipped": mean[1], "flipped_low": low[1], "flipped_high": high[1]}
        row |= {"fixed": float(fixed.mean()), "broken": float(broken.mean())}
        rows.append(row)
    return pd.DataFrame(rows)


# Whether a feature harms: the answers with and without it, beside random features (docs/method.md 6.8).


FEWEST = 8  # images that become right or wrong, below which nothing is concluded
ALPHA = 0.05
MOST = 20_000  # images that a page asks again; of more, so many are taken at even distances
_say = Templates.beside(__file__)


def evenly_spaced(rows: np.ndarray, most: int = MOST) -> np.ndarray:
    """(m,) ascending: rows of all images, or `most` of them at even distances, to predict again."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def harm(made: SwitchedOff, units: np.ndarray | None = None) -> PairedAccuracy:
    """Compare the answers with all features (first) and with some switched off (second).

    Args:
        units: (n,) codes of what was drawn together; None: each image for itself.
    Returns:
        of the images of a known class; `difference` is the accuracy that is gained by switching off.
    """
    has_truth = np.isfinite(made.true)
    codes = np.stack([made.before, made.after])[:, has_truth]
    correct = (codes == made.true[has_truth]).astype(float)
    return paired_accuracy(correct, codes, None if units is None else units[has_truth])


def random_gains(made: SwitchedOff) -> np.ndarray:
    """(DRAWS,) accuracy gained by switching off each set of random features; NaN without known classes."""
    has_truth = np.isfinite(made.true)
    if not has_truth.any():
        return np.full(len(made.random), np.nan)
    true = made.true[has_truth]
    right = made.random[:, has_truth] == true
    return right.mean(1) - (made.before[has_truth] == true).mean()


def harm_finding(paired: PairedAccuracy, random: np.ndarray) -> Record:
    """Say whether a feature harms the answers, helps, or neither, by switching it off.

    It harms where more images become right than wrong, by McNemar's exact test at ALPHA, and by more than
    with every set of random features; it helps in the same way the other way round.

    Args:
        random: (DRAWS,) of `random_gains`.
    """
    fixed, broken = paired.only_second, paired.only_first
    if not paired.n:
        return _say("no_labels")
    if not fixed + broken:
        return _say("no_change", of=paired.n)
    if fixed + broken < FEWEST:
        return _say("too_few", n=fixed + broken, of=paired.n)
    points, sure = 100 * abs(paired.difference), paired.p < ALPHA
    if sure and paired.difference > max(random.max(), 0.0):
        return _say("harms", value=points)
    if sure and paired.difference < min(random.min(), 0.0):
        return _say("helps", value=points)
    return _say("unclear", value=points)


def harm_by_class(made: SwitchedOff, classes: Sequence[str]) -> pd.DataFrame:
    """Count, for each class, what switching a feature off makes right and wrong.

    Args:
        classes: names of the codes.
    Returns:
        class, n (images of it), fixed, broken, net (fixed - broken), random_net (the mean of net over the
        sets of random features); classes without a change left out, those that gain most first.
    """
    has_truth = np.isfinite(made.true)
    true = made.true[has_truth].astype(np.int64)
    before = made.before[has_truth] == true
    after = made.after[has_truth] == true

    def count(images: np.ndarray) -> np.ndarray:
        return np.bincount(true, weights=images.astype(float), minlength=len(classes))

    random = (made.random[:, has_truth] == true).mean(0) if len(true) else np.empty(0)
    numbers = {"n": np.ones(len(true)), "fixed": after & ~before, "broken": before & ~after}
    columns = {name: count(images).astype(int) for name, images in numbers.items()}
    columns["random_net"] = count(random - before) if len(true) else np.zeros(len(classes))
    table = pd.DataFrame({"class": list(classes), **columns})
    table.insert(4, "net", table["fixed"] - table["broken"])
    changed = table.loc[(table["fixed"] + table["broken"]) > 0]
    return changed.sort_values("net", ascending=False, kind="stable").reset_index(drop=True)
