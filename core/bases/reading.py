"""A dictionary while it is read: tensors and settings that remember what was taken, and what decides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.bases.dictionary import JUMP, MAGNITUDE, RAW_TOPK, RELU, TOPK, Dictionary
from core.bases.origin import noted
from core.common.entries import Taken
from core.errors import CheckpointError

# What names mean that libraries and people give an activation, as `_plain` writes them.
_OF_RELU = ("relu", "standard", "vanilla", "l1")
_OF_JUMP = ("jumprelu", "jump", "batchtopk", "matryoshkabatchtopk", "threshold")
ACTIVATIONS: dict[str, str] = {
    **dict.fromkeys(_OF_RELU, RELU),
    **dict.fromkeys(("topk", "ksparse"), TOPK),
    **dict.fromkeys(_OF_JUMP, JUMP),
    **dict.fromkeys(("abstopk", "magnitude"), MAGNITUDE),
}
KEEP_K = (TOPK, RAW_TOPK, MAGNITUDE)
WITH_K = re.compile(r"(\w*topk)(\d+)")
# Where it is said: of the activation, of an architecture that names one, of k, of a threshold.
SAYS_ACTIVATION = (
    *("activation", "activation_fn", "activation_fn_str", "activation_function", "activation_type"),
    *("act", "act_fn", "nonlinearity"),
)
SAYS_KIND = ("architecture", "sae_type")
SAYS_K = ("k", "top_k", "topk", "topk_k", "k_active", "n_active")
SAYS_THRESHOLD = ("threshold", "running_threshold", "_running_threshold")
THRESHOLDS = (
    *("threshold", "thresholds", "jump_thresholds", "topk_threshold"),
    *("_running_threshold", "running_threshold", "activation.threshold"),
)
INSIDE = (
    "sae",
    "autoencoder",
    "model",
    "cfg",
    "config",
    "trainer",
    "activation_kwargs",
    "activation_fn_kwargs",
)
KEPT_BY = {"relu": RELU, "topk": TOPK, "abstopk": MAGNITUDE, "threshold": JUMP}  # --activation


class UnknownLayout(CheckpointError):
    """The weights are of no library that is known, or not such as are read."""


class Undecided(UnknownLayout):
    """The file does not say how codes are kept, and the user can."""


@dataclass(frozen=True)
class StatedSettings:
    """What the user says of a file. Each overrides what the file says; None: as the file says.

    Attributes:
        k: codes that are kept. activation: a name in KEPT_BY. pre_bias: the bias is subtracted first.
    """

    k: int | None = None
    activation: str | None = None
    pre_bias: bool | None = None

    @property
    def decides(self) -> bool:
        """Whether it says how codes are kept."""
        return self.k is not None or self.activation is not None


@dataclass
class Reading:
    """What is read of a file of a dictionary.

    Attributes:
        tensors: arrays by their names. settings: beside them, or in the same file. notes: what is assumed.
        otherwise: other dictionaries that the same file may mean, by what they would be.
        reads_as: what the one that is built would be called among them. assumed_pre_bias: whether a bias is
            subtracted is not stated. has_header: the settings are a line before the weights, as of saev.
    """

    tensors: Taken
    settings: Taken
    asked: StatedSettings = field(default_factory=StatedSettings)
    notes: list[str] = field(default_factory=list)
    otherwise: dict[str, Dictionary] = field(default_factory=dict)
    reads_as: str = ""
    assumed_pre_bias: bool = False
    has_header: bool = False

    def has(self, *names: str) -> bool:
        """Whether tensors of all these names are there."""
        return all(name in self.tensors for name in names)

    def number(self, name: str) -> float | None:
        """The only number of a tensor; None where there is no such tensor."""
        return float(np.reshape(self.tensors[name], -1)[0]) if name in self.tensors else None

    def first(self, *names: str) -> np.ndarray | None:
        """The first tensor that is there under one of these names."""
        return next((self.tensors[name] for name in names if name in self.tensors), None)

    def said(self) -> "Said":
        """What settings and tensors say of the activation, in the words that people use."""
        parts = [self.settings, *(self.settings.inner(name) for name in INSIDE)]

        def stated(keys: tuple[str, ...], kinds: tuple[type, ...]) -> dict[str, Any]:
            pairs = [(key, part.get(key)) for part in parts for key in keys if key in part]
            return {key: one for key, one in pairs if isinstance(one, kinds) and not isinstance(one, bool)}

        names = stated(SAYS_ACTIVATION, (str,)) or stated(SAYS_KIND, (str,))
        numbers = stated(SAYS_K, (int, float)) | {"the tensor 'k'": self.number("k")}
        numbers |= {"the tensor 'top_k'": self.number("top_k")}
        threshold = self.first(*THRESHOLDS)
        if threshold is None:
            threshold = next(iter(stated(SAYS_THRESHOLD, (int, float, list)).values()), None)
        return Said(names, numbers, None if threshold is None else np.asarray(threshold, np.float64))

    def of_bias(self, name: str, *, stated: bool | None, usual: bool) -> bool:
        """Whether a bias is subtracted before the encoder.

        Args:
            stated: as the library or its settings say; None: nobody says it. usual: then.
        """
        if self.asked.pre_bias is not None:
            return self.asked.pre_bias
        if stated is not None:
            return stated
        if np.any(self.tensors[name]):
            self.assumed_pre_bias = True
            self.notes.append(noted("bias_subtracted" if usual else "bias_kept", what=name))
        return usual


@dataclass(frozen=True)
class Said:
    """What a file says of an activation: names and ks by where they stand, and a threshold."""

    names: Mapping[str, str]
    ks: Mapping[str, float | None]
    threshold: np.ndarray | None


@dataclass(frozen=True)
class KeptCodes:
    """How pre-activations become codes: an activation, and its k or threshold."""

    activation: str
    k: int | None = None
    threshold: np.ndarray | float | None = None


def _plain(name: object) -> str:
    """A name without case, signs, brackets and words that say nothing.

    >>> _plain("torch.nn.ReLU()"), _plain("TopKSAE"), _plain("Batch-Top-K")
    ('relu', 'topk', 'batchtopk')
    """
    text = re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*", "", str(name).lower()))
    return re.sub(r"^(torch)?nn(?=[a-z])|(sae|activation)$", "", text)


def _activation_named(name: object, source: str) -> tuple[str, int | None]:
    """The activation of a dictionary that a name in its file means, and the k that stands in it.

    Raises:
        UnknownLayout: it is none of ACTIVATIONS, with `source`, where the name stands.

    >>> _activation_named("nn.ReLU()", "cfg"), _activation_named("topk:32", "cfg")
    (('relu', None), ('topk', 32))
    """
    plain = _plain(name)
    counted = WITH_K.fullmatch(plain)
    stem = counted[1] if counted else plain
    if stem not in ACTIVATIONS:
        raise UnknownLayout(
            f"its {source} is '{name}', which is not read: only ReLU, TopK, AbsTopK and thresholds "
            "(JumpReLU, BatchTopK)"
        )
    return ACTIVATIONS[stem], int(counted[2]) if counted else None


def kept_by(
    reading: Reading,
    names: Mapping[str, Any],
    ks: Mapping[str, Any],
    threshold: np.ndarray | float | None = None,
    *,
    usual: str | None = None,
    library: str = "the file",
) -> KeptCodes:
    """Decide which codes a dictionary that is read from a file keeps.

    Decide on the activation: what the user says, a threshold, a stated name, a stated k, what is usual.

    Args:
        names: what is said of the activation, by where it is said; None for nothing. ks: likewise of k.
        threshold: that the file holds, which decides whatever the names. usual: None where nobody knows.
    Raises:
        UnknownLayout: an unknown name, two that contradict each other, or nothing to go by.
    """
    stated = {where: _activation_named(name, where) for where, name in names.items() if name is not None}
    numbers = {where: int(one) for where, one in ks.items() if one is not None}
    numbers |= {where: k for where, (_, k) in stated.items() if k is not None}
    k = reading.asked.k if reading.asked.k is not None else _only(numbers, "--k K")
    if reading.asked.activation is not None:
        return _completed(
            KEPT_BY[reading.asked.activation], k, threshold, f"--activation {reading.asked.activation}"
        )
    if threshold is not None:
        return KeptCodes(JUMP, None, threshold)
    activation = _only({where: one for where, (one, _) in stated.items()}, "--activation NAME")
    if activation == JUMP and reading.asked.k is not None:
        return KeptCodes(TOPK, reading.asked.k)
    if activation is None and k:
        activation = TOPK
    if activation is None and usual is None:
        raise Undecided(
            f"nothing in {library} says how codes are kept: give --k K if it keeps the k largest (TopK), "
            "--activation relu if it keeps every positive one"
        )
    stated_names = ", ".join(f"{where} {name}" for where, name in names.items() if name)
    return _completed(str(activation or usual), k, threshold, stated_names)


def _only(values: Mapping[str, Any], option: str) -> Any:
    """The one value that is said; UnknownLayout where two places contradict each other."""
    places = list(values.items())
    for where, value in places[1:]:
        if value != places[0][1]:
            raise UnknownLayout(
                f"contradicts itself: {places[0][0]} says {places[0][1]}, {where} says {value}; give {option}"
            )
    return places[0][1] if places else None


def _completed(activation: str, k: int | None, threshold: np.ndarray | float | None, why: str) -> KeptCodes:
    if activation == JUMP:
        if threshold is None:
            raise Undecided(
                f"its activation is one with a threshold ({why}), but neither its weights nor its settings "
                "hold a threshold: give --k K to keep the k largest of each vector instead"
            )
        return KeptCodes(JUMP, None, threshold)
    if activation in KEEP_K and not k:
        raise UnknownLayout(
            f"its activation keeps the k largest ({why}), but the file does not say k: give --k K"
        )
    return KeptCodes(activation, k if activation in KEEP_K else None)


def assembled(
    how: KeptCodes,
    encoder: np.ndarray,
    decoder: np.ndarray,
    *,
    bias: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    pre_bias: bool | np.ndarray = False,
    norm: str = "none",
) -> Dictionary:
    """Make a dictionary of the weights that were read from a file.

    Args:
        encoder, decoder: (M, r). pre_bias: (r,) what is subtracted first; True for the offset itself.
    Raises:
        UnknownLayout: the shapes do not belong to one dictionary.
    """
    if encoder.ndim != 2 or decoder.shape != encoder.shape:
        raise UnknownLayout(f"has an encoder of shape {encoder.shape} and a decoder of {decoder.shape}")
    size, width = decoder.shape
    offset = np.zeros(width) if offset is None else offset
    bias = np.zeros(size) if bias is None else bias
    subtracted = np.zeros(width) if pre_bias is False else offset if pre_bias is True else pre_bias
    threshold = None
    if how.activation == JUMP:
        threshold = np.broadcast_to(np.maximum(np.asarray(how.threshold, np.float32), 0), (size,)).copy()
    for name, values, shape in (("bias", bias, (size,)), ("offset", offset, (width,))):
        if np.shape(values) != shape:
            raise UnknownLayout(f"has a {name} of shape {np.shape(values)}, where {shape} is due")
    values = (decoder, offset, encoder, bias, subtracted)
    rows, centre, directions, shift, before = (np.ascontiguousarray(value, np.float32) for value in values)
    return Dictionary(rows, centre, directions, shift, before, how.activation, how.k, threshold, norm)
