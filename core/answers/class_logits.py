"""Logits of a study's classes, and what features do to them near each image (docs/method.md 6.8). No torch.

An answer whose outputs are not one to one with the labels, or that is not linear on the representation, has
no weights of its classes. What a feature adds is then read off a gradient, which differs from image to image.
It is computed where the layers of the classifier are stored, else it is stored for misclassified images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from core.common.step_facts import AnswerFacts, AnswersFacts, EmbedFacts
from core.study.chunked_array import CHUNK_ROWS
from core.study.reader import StudyReader

Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # values and slopes
OUTPUTS, GRADIENTS = "probe_outputs", "probe_gradients"
LINEAR = ("head_weights", "head_bias")  # what a study holds of a linear classifier
HIDDEN = ("head_output_weights", "head_output_bias", "head_hidden_weights", "head_hidden_bias")
LOCAL = (
    "The classes of this answer have no weights of their own. What a feature adds is local: feature times "
    "the gradient at that image."
)
ONLY_WRONG = (
    "What features add is known of misclassified images alone: the layers of this classifier are not stored."
)
NO_PUSH = "This answer has no weights on the features, so what they add to it is not known."
NOT_SWITCHED_OFF = "No feature can be switched off: the layers of this classifier are not stored."


def _gelu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtr  # here: it takes long to load

    below = ndtr(x)
    density = np.exp(-0.5 * x * x)
    return x * below, below + x * density / np.sqrt(2 * np.pi)


def _silu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = 0.5 + 0.5 * np.tanh(x / 2)
    return x * share, share * (1 + x * (1 - share))


def _relu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.maximum(x, 0), x > 0


def _relu6(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.clip(x, 0, 6), (x > 0) & (x < 6)


def _hardswish(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slope = np.where(x < -3, 0.0, np.where(x > 3, 1.0, x / 3 + 0.5))
    return x * np.clip(x + 3, 0, 6) / 6, slope


def _identity(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, np.ones_like(x)


def _tanh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.tanh(x), 1 - np.tanh(x) ** 2


ACTIVATIONS: dict[str, Curve] = {
    "ReLU": _relu,
    "ReLU6": _relu6,
    "Hardswish": _hardswish,
    "GELU": _gelu,
    "SiLU": _silu,
    "Identity": _identity,  # two Linears and dropout between
    "Tanh": _tanh,
}


@dataclass(frozen=True)
class Classifier:
    """z = W a(V r + c) + b, or W r + b where no layer is hidden.

    Attributes:
        weights: (n_outputs, n_hidden or n_features) W, bias: (n_outputs,) b.
        hidden: (n_hidden, n_features) V, hidden_bias: (n_hidden,) c; None for none.
        activation: a, one of ACTIVATIONS.
        of_units: of a classifier that reads latents, the one that reads the units: images are answered by it,
            whatever latents leave out of them.
    """

    weights: np.ndarray
    bias: np.ndarray
    hidden: np.ndarray | None = None
    hidden_bias: np.ndarray | None = None
    activation: str = ""
    of_units: "Classifier | None" = None

    @property
    def first(self) -> np.ndarray:
        """(n, n_features): the weights of the first layer, which reads the representation."""
        return self.weights if self.hidden is None else self.hidden

    def start(self, raw: np.ndarray) -> np.ndarray:
        """(n, n_features) raw rows -> (n, len(first)) what the first layer makes of them, float64."""
        bias = self.bias if self.hidden_bias is None else self.hidden_bias
        return raw.astype(np.float64) @ self.first.T + bias

    def start_of(self, raw: np.ndarray, units: np.ndarray) -> np.ndarray:
        """(n, len(first)) float64: what the first layer makes of images.

        Args:
            raw: (n, n_features) rows. units: (n, n_units), whose latents `raw` are; without a basis, `raw`.
        """
        return self.start(raw) if self.of_units is None else self.of_units.start(units)

    def for_image(self, raw: np.ndarray, units: np.ndarray) -> "Classifier":
        """The classifier as it answers for one image: what latents leave out of it is a part of the bias.

        Args:
            raw: (n_features,), units: (n_units,), as for `start_of`.
        """
        if self.of_units is None:
            return self
        by = (self.of_units.start(units[None]) - self.start(raw[None]))[0]
        if self.hidden_bias is None:
            return replace(self, bias=self.bias + by, of_units=None)
        return replace(self, hidden_bias=self.hidden_bias + by, of_units=None)

    def finish(self, started: np.ndarray) -> np.ndarray:
        """The logits (n, n_outputs) from what `start` returns."""
        if self.hidden is None:
            return started
        return ACTIVATIONS[self.activation](started)[0] @ self.weights.T + self.bias

    def logits(self, raw: np.ndarray) -> np.ndarray:
        """(n, n_outputs) float64 of raw rows."""
        return self.finish(self.start(raw))

    def gradients(self, raw: np.ndarray, toward: np.ndarray, units: np.ndarray | None = None) -> np.ndarray:
        """Compute the gradient of sum_o toward_io z_o at each raw row i.

        Of a hidden layer V^T (a'(V r_i + c) * W^T toward_i), else W^T toward_i.

        Args:
            raw: (n, n_features). toward: (n, n_outputs). units: as for `start_of`, where they are not `raw`.
        Returns:
            (n, n_features) float64.
        """
        back = toward @ self.weights
        if self.hidden is None:
            return back
        started = self.start_of(raw, raw if units is None else units)
        return (back * ACTIVATIONS[self.activation](started)[1]) @ self.hidden

    def of_outputs(self, outputs: np.ndarray) -> "Classifier":
        """The classifier with some of its outputs. outputs: (n_outputs,) bool, or their numbers in order."""
        units = None if self.of_units is None else self.of_units.of_outputs(outputs)
        return replace(self, weights=self.weights[outputs], bias=self.bias[outputs], of_units=units)


def has_gradients(study: StudyReader) -> bool:
    """Whether it is known what features add to logits of an answer's classifier, near each image only."""
    is_stored = own_classifier(study) is not None or (study.below is None and study.has(GRADIENTS))
    return study.has(OUTPUTS) and is_stored and not study.has("probe_weights")


def explains_errors(study: StudyReader) -> bool:
    """Whether it is known what features add to logits of an answer's classifier on misclassified images."""
    return study.has("probe_weights") or has_gradients(study)


def can_switch_off(study: StudyReader) -> bool:
    """Whether the classifier's logits without some features are known: its layers are stored."""
    return study.has("probe_weights") or (study.has(OUTPUTS) and own_classifier(study) is not None)


def own_classifier(study: StudyReader, activation: str | None = None) -> Classifier | None:
    """The encoder's own classifier, all outputs; None where its layers are not stored.

    Args:
        activation: between its layers, where the file does not say it; None: the one of the answer `head`.
    """
    between = study.facts(EmbedFacts).head.activation
    if between == "":
        of_answer = study.facts(AnswersFacts).answers.get("head", AnswerFacts())
        between = activation or of_answer.activation
    parts = LINEAR if between is None else HIDDEN
    if not all(study.has(part) for part in parts) or (between is not None and between not in ACTIVATIONS):
        return None
    layers = (study.vector(part).astype(np.float64) for part in parts)
    of_units = _read_in_units(study, partial(own_classifier, activation=between))
    return Classifier(*layers, activation=between or "", of_units=of_units)


def _read_in_units(study: StudyReader, read: Callable[[StudyReader], Classifier | None]) -> Classifier | None:
    """The classifier on the units, of a study in a basis; None elsewhere."""
    return None if study.below is None else read(study.in_units())


def class_logits(study: StudyReader, rows: np.ndarray) -> np.ndarray:
    """Compute the logits of the study's classes by the answer that it is read by.

    A class that several outputs mean has the log of the sum of their exponentials.

    Args:
        study: with weights of a probe, or outputs of its own classifier. rows: (n,) int, image rows.
    Returns:
        (n, n_classes) float64; -inf for a class that no output means.
    """
    logits = np.empty((len(rows), len(study.class_names)))
    codes = None if study.has("probe_weights") else codes_of_outputs(study)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        outputs = output_logits(study, rows[part], of_head=codes is not None)
        logits[part] = outputs if codes is None else by_class(outputs, codes, logits.shape[1])
    return logits


def codes_of_outputs(study: StudyReader) -> np.ndarray:
    """(n_outputs,) int: the class that each output of the answer means, -1 for none."""
    codes = study.vector(OUTPUTS).astype(np.int64)
    return np.where(codes < len(study.class_names), codes, -1)


def output_logits(study: StudyReader, rows: np.ndarray, *, of_head: bool = True) -> np.ndarray:
    """(n, n_outputs) float64: logits of the encoder's own classifier, or by the weights of the probe.

    In a basis they are those of the images, not of what latents rebuild of them.
    """
    if of_head and study.has("head_logits"):
        return study.array("head_logits").rows(rows).astype(np.float64)
    classifier = own_classifier(study) if of_head else class_weights(study)
    assert classifier is not None  # a study without logits is not asked
    raw, units = (one.array("representations").rows(rows) for one in (study, study.in_units()))
    return classifier.finish(classifier.start_of(raw, units))


def class_weights(study: StudyReader) -> Classifier:
    """Return the weights of the answer that a study is read by, if linear with a class an output."""
    weights, bias = (study.vector(f"probe_{part}").astype(np.float64) for part in ("weights", "bias"))
    return Classifier(weights, bias, of_units=_read_in_units(study, class_weights))


def by_class(logits: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Combine the logits of outputs that mean one class, by the log of the sum of their exponentials.

    Args:
        logits: (n, n_outputs). codes: (n_outputs,) int, the class of each output, -1 for none.
    Returns:
        (n, n_classes) float64; -inf for a class that no output means.
    """
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]
    classes = np.full((len(logits), n_classes), -np.inf)
    if len(order):
        class_codes, starts = np.unique(codes[order], return_index=True)
        classes[:, class_codes] = np.logaddexp.reduceat(logits[:, order].astype(np.float64), starts, axis=1)
    return classes


def class_gradients(
    classifier: Classifier,
    raw: np.ndarray,
    logits: np.ndarray,
    codes: np.ndarray | None,
    classes: np.ndarray,
    units: np.ndarray | None = None,
) -> np.ndarray:
    """Compute for each row the gradient of an answer's logit of one class, mixed of its outputs by softmax.

    d log(sum_o exp(z_o)) / dr = sum_o p_o dz_o / dr, with p the softmax over the outputs o of the class.

    Args:
        raw: (n, n_features), logits: (n, n_outputs) of them. codes: as for `by_class`; None: each output is
            the class of its number. classes: (n,) int. units: as for `Classifier.gradients`.
    Returns:
        (n, n_features) float64.
    """
    if codes is None and classifier.hidden is None:
        return classifier.weights[classes]
    of_class = (np.arange(logits.shape[1]) if codes is None else codes)[None] == classes[:, None]
    shares = np.where(of_class, logits.astype(np.float64), -np.inf)
    shares = np.exp(shares - shares.max(1, keepdims=True))
    return classifier.gradients(raw, shares / shares.sum(1, keepdims=True), units)


def lead_gradients(
    study: StudyReader,
    rows: np.ndarray,
    classes: np.ndarray,
    rivals: np.ndarray,
    *,
    codes: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient of the classifier's logit of one class less that of another, by the raw representation.

    Args:
        rows: (n,) int, image rows. classes, rivals: (n,) int, class codes.
        codes: (n_outputs,) the class of each output, where some mean classes that no image has.
    Returns:
        (n, n_features) float64. Of a classifier that is linear in its classes, the difference of their
        weights. Of one whose layers are not stored NaN but for what is: of misclassified images the lead of
        the prediction over the truth.
    """
    if study.has("probe_weights") and codes is None:
        weights = study.vector("probe_weights").astype(np.float64)
        return weights[classes] - weights[rivals]
    if (classifier := own_classifier(study)) is not None:
        codes = codes_of_outputs(study) if codes is None else codes
        logits = output_logits(study, rows)
        raw, units = (one.array("representations").rows(rows) for one in (study, study.in_units()))
        sides = (class_gradients(classifier, raw, logits, codes, side, units) for side in (classes, rivals))
        return next(sides) - next(sides)
    wrong, predicted, true = misclassified(study, study.table("probe", ["predicted", "correct"]))
    places = np.minimum(np.searchsorted(wrong, rows), max(len(wrong) - 1, 0))
    stored = study.array(GRADIENTS)
    gradients = np.full((len(rows), stored.shape[1]), np.nan)
    if len(wrong):
        is_known = (wrong[places] == rows) & (predicted[places] == classes) & (true[places] == rivals)
        gradients[is_known] = stored.rows(places[is_known])
    return gradients


def misclassified(study: StudyReader, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the images to which an answer gives a wrong one of the study's classes, ascending.

    With the class codes of prediction and truth.

    Args:
        table: with `predicted` and `correct` of each image.
    """
    names = pd.Index(study.class_names)
    columns = (table["predicted"], study.column("images", "label"))
    predicted, true = (names.get_indexer(pd.Index(column.to_numpy(object))) for column in columns)
    wrong = ~table["correct"].astype("boolean").fillna(True).to_numpy(bool)
    rows = np.flatnonzero(wrong & (predicted >= 0))
    return rows, predicted[rows], true[rows]


def class_push(study: StudyReader, feature: int, rows: np.ndarray) -> pd.DataFrame:
    """Split the classifier's logits: what a feature adds to each on some images, against the average class.

    push_c = mean over i of raw_ij (w_cj - mean over c' of w_c'j): a probe's answer does not change where all
    logits grow by the same amount.

    Args:
        rows: (n,) int, image rows: those on which the feature is strongest, say.
    Returns:
        label, weight (w_cj), push, largest push first, ties by label. push is NaN without images; the table
        is empty without probe weights.
    """
    if not study.has("probe_weights"):
        return pd.DataFrame({"label": [], "weight": np.empty(0), "push": np.empty(0)})
    weights = study.vector("probe_weights")[:, feature].astype(np.float64)
    raw = study.array("representations").rows(rows)[:, feature].astype(np.float64)
    mean = float(raw.mean()) if len(raw) else np.nan
    table = pd.DataFrame(
        {"label": study.class_names, "weight": weights, "push": mean * (weights - weights.mean())}
    )
    return table.sort_values(["push", "label"], ascending=[False, True], ignore_index=True)
