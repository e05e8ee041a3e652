"""Take features out of a representation and ask the probe again, in closed form (docs/method.md 6.8).

A feature is taken out by setting it to its mean over the train images. What the first layer of a classifier
makes of it changes by (mean - h_j) times the feature's weights: of a linear one nothing else has to be
computed again.
"""

import numpy as np

from core.errors import ShapeError
from core.reader import StudyReader
from core.slices.features.class_logits import Classifier, class_gradients
from core.slices.inspection.populations import train_images

CONTRIBUTION, GRADIENT, ACTIVATION, RANDOM = ORDERS = ("contribution", "gradient", "activation", "random")
ALIKE = 10  # a random feature is drawn among those at most so many places away in the image's order


def train_means(study: StudyReader) -> np.ndarray:
    """(n_features,) float64: the mean of each raw feature over the train images; over all where none is.

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
    """Whether the answer that a study is read by is linear on representations of length 1; never in a basis,
    whose latents have no weights of such an answer.
    """
    facts = getattr(getattr(study, "answer", None), "facts", {})
    return study.below is None and bool(facts.get("on_unit_rows"))


def logits_without(
    classifier: Classifier, started: np.ndarray, raw: np.ndarray, means: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Logits after some features of each row were set to their means.

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
    """The features of each row that come first in an order, at most `top`.

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
    """For each feature another one, drawn among those that are about as active in the same row.

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
