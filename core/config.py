"""The settings of each step: one frozen dataclass a step, saved with the result it made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

EPSILON_CANDIDATES = (4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0)


@dataclass(frozen=True)
class EmbedConfig:
    """What is embedded with what. Everything here changes the result; how fast it runs does not."""

    images: str
    encoder: str
    val: str | None = None
    layer: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    input_size: int | None = None
    resize: int | None = None
    representations: str | None = None  # a .npy instead of an encoder
    seed: int = 0
    precision: str = "auto"  # mixed on CUDA, float32 elsewhere
    dtype: str = "float32"  # as stored; or "float16": half the disk, errors of up to 5e-4 relative
    thumbnail_size: int = 128  # pixels, longer side; 0 stores none


@dataclass(frozen=True)
class RunOptions:
    """How fast and where a step runs; never part of a result."""

    device: str = "auto"
    batch_size: int = 64
    workers: int | None = None  # decoding processes; None: chosen from the machine
    strict: bool = False  # stop at the first unreadable image instead of listing it


@dataclass(frozen=True)
class FeaturesConfig:
    """Which features fire, and which are discriminative (docs/method.md 1)."""

    epsilon: float | str = 4.0  # or "auto"
    low: float = 50.0
    high: float = 95.0
    near_zero: float = 1e-2  # share of the row's maximum below which an entry counts as zero


@dataclass(frozen=True)
class NeighboursConfig:
    """Exact cosine neighbours of val images among train images, and the spectrum of the representations.

    Both multiply whole matrices; everything else in the analysis reads each row once.
    """

    k: int = 10
    max_train: int = 100_000
    spectrum_rows: int = 25_600  # as in the RankMe paper
    seed: int = 0


@dataclass(frozen=True)
class ProbeConfig:
    """Linear probe on frozen representations (docs/method.md 3)."""

    epochs: int = 100
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 0.0
    lr: float | None = None  # None: the best of `lr_candidates` on a held-out tenth of train
    lr_candidates: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    seed: int = 0
    curves: bool = False  # accuracy against the number of kept features ([Q] Fig. 2)


@dataclass(frozen=True)
class QualityConfig:
    """Q-Score, its rivals, and how well each predicts the probe's errors (docs/method.md 2)."""

    bootstrap: int = 1000
    seed: int = 0


MAP_METHODS = ("pca", "umap")


@dataclass(frozen=True)
class MapConfig:
    """Every image as a point of the plane; PCA is always there, UMAP beside it on request."""

    method: str = "pca"
    sample: int = 100_000  # rows that PCA is fitted to; UMAP, which keeps a graph of them, to a fifth
    neighbours: int = 15  # of UMAP; this and the next are its authors' defaults
    min_dist: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class MaskOptions:
    """Where core and spurious masks come from; none given: those that the image source plants itself."""

    masks: str | None = None  # folder with core/… and spurious/… mirroring the image paths
    salient_imagenet: str | None = None  # folder in Salient ImageNet's own layout
    annotations: str | None = None  # its file of worker answers, where it lies elsewhere


@dataclass(frozen=True)
class HeatmapsConfig(MaskOptions):
    """Which maps are stored (docs/method.md 4): of val, masked and top images, for what fires on them."""

    top: int = 16  # images of each feature on which it is largest, whether it fires there or not
    train: bool = False  # also all train images


@dataclass(frozen=True)
class OverlapConfig(MaskOptions):
    """Agreement of discriminative heatmaps with masks (docs/method.md 5)."""

    threshold: float = 0.5
    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class ConceptsConfig:
    """FALCON (docs/method.md 6). "Code" = the authors' released code, where the paper is silent."""

    captions: str | None = None  # a bank of captions; None: Glyphworld's own for Glyphworld, else skipped
    caption_column: str | None = None  # of a .csv, .tsv or .parquet bank; None: guessed
    clip: str | None = None  # None: asset:glyphworld for Glyphworld, else ViT-B-32@openai, the paper's
    features: tuple[int, ...] | None = None  # only these; None: see the next two
    explainable: bool = False  # only features with more than `min_images` highly activating images
    groups: bool = False  # only groups of several features; neither given: both
    k: float | str = "auto"  # highly activating: above mean + k std of all entries
    split: str = "val"  # the probe images: val, train or all
    threshold: float = 0.6  # of a heatmap's region that is cropped (code)
    crop: bool = True  # False: captions are found for whole images
    confidence: str = "cosine"  # or softmax over the whole bank
    # Of that softmax. A CLIP's own, where it is lower, is not used: 22 over 22,141 captions leaves none above
    # the least score, and without that the words are worse (precision at 1 of 0.45 instead of 0.69).
    temperature: float = 100.0
    n_captions: int = 5
    faiss: bool = False  # an approximate index of the bank instead of all captions; its recall is stored
    min_score: float | None = None  # None: CONCEPT_SCORES, scaled for another CLIP than the paper's
    counter_score: float | None = None  # of words on counterfactual images; None: likewise
    beta: float = 0.7  # likeness of counterfactual images (code: 0.3)
    n_counterfactuals: int = 10  # (code)
    # Mean pairwise CLIP cosine that an interpretable group exceeds (code: 0.8, for the paper's CLIP). "auto":
    # half-way between that of all crops and 1. None: 0.8, for another CLIP "auto" (concepts/thresholds.py).
    gamma: float | str | None = None
    min_images: int = 10
    captioner: str | None = None  # package.module:function instead of retrieval from a bank


# Least WordScore of a kept word, and of a word of counterfactual images that discards it. 0.08 and 0.1 are
# the paper's and the code's, meant for cosines; a softmax over a bank shares 1 among all captions alike.
CONCEPT_SCORES = {"cosine": (0.08, 0.1), "softmax": (0.01, 0.0125)}


@dataclass(frozen=True)
class FailuresConfig:
    """Features behind the probe's errors (docs/method.md 6.8)."""

    top: int = 5  # features of an image or of a pair of classes, on each side
    split: str = "val"
    explained: bool = False  # only features that have words


@dataclass(frozen=True)
class TransferConfig:
    """Concepts carried from one study to another over the same images (docs/method.md 6.9)."""

    lr: float = 1.0
    batch_size: int = 256
    epochs: int = 10
    n_std: float = 4.0  # a weight above mean + n_std std of all of Z maps one feature to another
    penalty: float = 1e-4  # of the ridge, on mean squared errors of normalised rows
    seed: int = 0


def as_settings(config: Any) -> dict[str, Any]:
    """A JSON-able dict of a step's settings, with tuples as lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
