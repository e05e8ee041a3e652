"""The settings of each step: one frozen dataclass per step, saved together with the step's result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

EPSILON_CANDIDATES = (4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0)


@dataclass(frozen=True)
class EmbedConfig:
    """Which images to embed with which encoder. Every field changes the result; none is about speed."""

    images: str
    encoder: str
    val: str | None = None
    layer: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    input_size: int | None = None
    resize: int | None = None
    representations: str | None = None  # a .npy file to use instead of an encoder
    seed: int = 0
    precision: str = "auto"  # mixed on CUDA, float32 elsewhere
    dtype: str = "float32"  # storage type; "float16" halves the disk space at a relative error of up to 5e-4
    thumbnail_size: int = 128  # pixels, longer side; 0 stores none


@dataclass(frozen=True)
class RunOptions:
    """How fast and where a step runs; never part of its result."""

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

    Both need full matrix products; the other steps of the analysis read each row once.
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
    """Q-Score, its baselines, and how well each predicts the probe's errors (docs/method.md 2)."""

    bootstrap: int = 1000
    seed: int = 0


MAP_METHODS = ("pca", "umap")


@dataclass(frozen=True)
class MapConfig:
    """Every image as a point in the plane: always by PCA, on request also by UMAP."""

    method: str = "pca"
    sample: int = 100_000  # rows used to fit PCA; UMAP, which stores a graph of its rows, uses a fifth
    neighbours: int = 15  # UMAP; this and the next are the authors' defaults
    min_dist: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class MaskOptions:
    """Where core and spurious masks come from; by default those that the image source provides."""

    masks: str | None = None  # folder with core/… and spurious/… mirroring the image paths
    salient_imagenet: str | None = None  # folder in Salient ImageNet's own layout
    annotations: str | None = None  # its file of worker answers, if stored elsewhere


@dataclass(frozen=True)
class HeatmapsConfig(MaskOptions):
    """Which maps are stored (docs/method.md 4): for validation, masked and top images, of firing features."""

    top: int = 16  # images with each feature's largest activations, firing or not
    train: bool = False  # also all train images


@dataclass(frozen=True)
class OverlapConfig(MaskOptions):
    """Agreement of discriminative heatmaps with masks (docs/method.md 5)."""

    threshold: float = 0.5
    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class ConceptsConfig:
    """FALCON (docs/method.md 6). "Code" = the authors' released code, where the paper does not say."""

    captions: str | None = None  # caption bank; None: Glyphworld's captions for Glyphworld, else skipped
    caption_column: str | None = None  # of a .csv, .tsv or .parquet bank; None: guessed
    clip: str | None = None  # None: asset:glyphworld for Glyphworld, else ViT-B-32@openai, as in the paper
    features: tuple[int, ...] | None = None  # only these; None: see the next two
    explainable: bool = False  # only features with more than `min_images` highly activating images
    groups: bool = False  # only groups of several features; both False: both kinds
    k: float | str = "auto"  # highly activating: above mean + k std of all entries
    split: str = "val"  # the probe images: val, train or all
    threshold: float = 0.6  # heatmap threshold of the region to crop (code)
    crop: bool = True  # False: match captions to whole images
    confidence: str = "cosine"  # or softmax over the whole bank
    # Temperature of that softmax. A CLIP's own lower temperature is not used: 22 over 22,141 captions leaves
    # none above the minimum score, and without it the words are worse (precision at 1: 0.45, not 0.69).
    temperature: float = 100.0
    n_captions: int = 5
    faiss: bool = False  # search an approximate index instead of all captions; its recall is stored
    min_score: float | None = None  # None: CONCEPT_SCORES, rescaled for a CLIP other than the paper's
    counter_score: float | None = None  # of words on counterfactual images; None: likewise
    beta: float = 0.7  # similarity of counterfactual images (code: 0.3)
    n_counterfactuals: int = 10  # (code)
    # Mean pairwise CLIP cosine that an interpretable group must exceed (code: 0.8, for the paper's CLIP).
    # "auto": half-way between the mean of all crops and 1. None: 0.8, or "auto" for another CLIP
    # (concepts/thresholds.py).
    gamma: float | str | None = None
    min_images: int = 10
    captioner: str | None = None  # package.module:function instead of retrieval from a bank


# Minimum WordScore of a kept word, and of a counterfactual word that discards it. 0.08 and 0.1 come from
# the paper and the code and are meant for cosines; a softmax shares 1 among all captions of the bank.
CONCEPT_SCORES = {"cosine": (0.08, 0.1), "softmax": (0.01, 0.0125)}


@dataclass(frozen=True)
class FailuresConfig:
    """Features that explain the probe's errors (docs/method.md 6.8)."""

    top: int = 5  # features listed on each side, for an image or a pair of classes
    split: str = "val"
    explained: bool = False  # only features that have words


@dataclass(frozen=True)
class TransferConfig:
    """Concepts transferred from one study to another over the same images (docs/method.md 6.9)."""

    lr: float = 1.0
    batch_size: int = 256
    epochs: int = 10
    n_std: float = 4.0  # a weight above mean + n_std std over all of Z links two features
    penalty: float = 1e-4  # ridge penalty, with mean squared errors of normalised rows
    seed: int = 0


def as_settings(config: Any) -> dict[str, Any]:
    """Return a step's settings as a JSON-able dict, with tuples as lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }
