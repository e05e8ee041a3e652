"""The settings of the steps that compute on images and features: one frozen dataclass per step."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config.settings import option

EPSILON_CANDIDATES = (4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0)
POOLINGS = ("gap", "max", "top4", "gem3")
TOKENS = ("cls", "mean", "cls+mean", "attnpool")
TOKEN_NORMS = ("after", "before")
# The settings that, beside its SPEC, make an encoder what it is: arguments of `load_encoder`.
ENCODER_SETTINGS = ("layer", "pool", "tokens", "token_norm", "mean", "std", "input_size", "resize")


@dataclass(frozen=True)
class EmbedConfig:
    """Images, encoder and transform of an embedding. Everything here changes the result."""

    images: str = field(
        metadata=option(
            "images to analyse: a folder (CLASS/IMAGE; train/ and val/ folders; or images without labels), "
            "a .csv or .parquet of paths and labels, 'SHARDS-{000..099}.tar', 'torchvision:NAME?root=DIR' or "
            "'glyphworld'",
            metavar="DIR",
            group="images",
        )
    )
    encoder: str = field(
        metadata=option(
            "encoder to analyse: torchvision:resnet50, timm:NAME?output_stride=16, resnet18@PATH.ckpt, "
            "timm:NAME@PATH, asset:NAME or python:package.module:factory",
            metavar="SPEC",
            group="encoder",
        )
    )
    val: str | None = field(
        default=None,
        metadata=option("evaluation images, if they are stored separately", metavar="DIR", group="images"),
    )
    class_level: int | None = field(
        default=None,
        metadata=option(
            "which level of folders names the class: 2 for GROUP/CLASS/IMAGE",
            metavar="N",
            default="1, below train/ and val/ where there are any",
            minimum=1,
            group="images",
        ),
    )
    layer: str | None = field(
        default=None,
        metadata=option("layer to analyse", metavar="NAME", default="the last stage", group="encoder"),
    )
    pool: str | None = field(
        default=None,
        metadata=option(
            "how a map of the layer becomes one vector: the average of each channel (gap), its maximum, the "
            "mean of its 4 strongest positions, or its generalised mean with exponent 3",
            choices=POOLINGS,
            default="gap",
            group="encoder",
        ),
    )
    tokens: str | None = field(
        default=None,
        metadata=option(
            "which tokens of a transformer become the vector: the CLS token, the mean of the patch tokens, "
            "both one after the other, or the network's attention pooling; registers are in none of them",
            choices=TOKENS,
            default="the network's own",
            group="encoder",
        ),
    )
    token_norm: str | None = field(
        default=None,
        metadata=option(
            "read the tokens after the transformer's final norm, or before it",
            choices=TOKEN_NORMS,
            default="after",
            group="encoder",
        ),
    )
    mean: tuple[float, ...] | None = field(
        default=None,
        metadata=option(
            "pixel mean for normalisation", metavar="R,G,B", default="the checkpoint's", group="encoder"
        ),
    )
    std: tuple[float, ...] | None = field(
        default=None,
        metadata=option(
            "pixel standard deviation for normalisation",
            metavar="R,G,B",
            default="the checkpoint's",
            group="encoder",
        ),
    )
    input_size: int | None = field(
        default=None,
        metadata=option(
            "size of the encoder's input", metavar="N", unit="pixels", minimum=1, group="encoder"
        ),
    )
    resize: int | None = field(
        default=None,
        metadata=option(
            "shorter side of an image before the crop", metavar="N", unit="pixels", minimum=1, group="encoder"
        ),
    )
    representations: str | None = field(
        default=None,
        metadata=option(
            "your own representations, an array of shape (N, r), in place of an encoder",
            metavar="FILE.npy",
            group="encoder",
        ),
    )
    seed: int = field(
        default=0,
        metadata=option(
            "random seed; it also decides the train/val split of images without one",
            metavar="N",
            group="running",
        ),
    )
    precision: str = field(
        default="auto",
        metadata=option(
            "numeric precision of the encoder; auto is mixed on CUDA and float32 elsewhere",
            choices=("auto", "float32", "mixed"),
            group="encoder",
        ),
    )
    dtype: str = field(  # float16: relative errors of up to 5e-4
        default="float32",
        metadata=option(
            "type of the stored representations; float16 halves the disk space",
            choices=("float32", "float16"),
            group="encoder",
        ),
    )
    thumbnail_size: int = 128  # pixels, longer side; 0 stores none


@dataclass(frozen=True)
class RunOptions:
    """Speed and device of a step; never part of a result."""

    device: str = field(
        default="auto",
        metadata=option("auto, cpu, cuda, cuda:N or mps", metavar="NAME", group="running"),
    )
    batch_size: int = field(
        default=64, metadata=option("images per batch", metavar="N", minimum=1, group="running")
    )
    workers: int | None = field(
        default=None,
        metadata=option(
            "processes that decode images", metavar="N", default="depends on the machine", group="running"
        ),
    )
    strict: bool = field(
        default=False,
        metadata=option("stop at the first unreadable image instead of skipping it", group="images"),
    )


@dataclass(frozen=True)
class FeaturesConfig:
    """Which features fire, and which are discriminative (docs/method.md 1)."""

    epsilon: float | str = field(
        default=4.0,
        metadata=option(
            "how far above the mean of its image an activation fires; 'auto' chooses it from the data",
            metavar="E",
            unit="standard deviations",
            minimum=0,
            group="analysis",
        ),
    )
    low: float = 50.0
    high: float = 95.0
    near_zero: float = 1e-2  # share of the row's maximum below which an entry counts as zero


@dataclass(frozen=True)
class NeighboursConfig:
    """Exact cosine neighbours of val images among train images, and the spectrum of the representations.

    Both multiply whole matrices; everything else in the analysis reads each row once.
    """

    k: int = field(default=10, metadata=option("neighbours per image", metavar="N", minimum=1))
    max_train: int = 100_000
    spectrum_rows: int = 25_600  # as in the RankMe paper
    seed: int = field(default=0, metadata=option("random seed of the sampled train images", metavar="N"))


@dataclass(frozen=True)
class ProbeConfig:
    """Linear probe on frozen representations (docs/method.md 3)."""

    epochs: int = 100
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 0.0
    lr: float | None = field(  # None: the best of `lr_candidates` on a held-out tenth of train
        default=None,
        metadata=option(
            "learning rate of the probe",
            metavar="LR",
            default="the best of six on held-out train images",
            group="analysis",
        ),
    )
    lr_candidates: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    seed: int = field(
        default=0, metadata=option("random seed of the order of images and of the held-out set", metavar="N")
    )
    curves: bool = field(  # Kalibhat 2024, Fig. 2
        default=False, metadata=option("also measure accuracy against the number of features kept")
    )


@dataclass(frozen=True)
class AnswersConfig:
    """The encoder's own classifier, matched to the labels (docs/method.md 3.6)."""

    head_classes: str | None = field(
        default=None,
        metadata=option(
            "class names of the head's outputs: one a line, .json, or .csv with output,label",
            metavar="FILE",
            default="those of the checkpoint or its library",
            group="analysis",
        ),
    )
    restrict: bool = field(
        default=False, metadata=option("only classes that the images have as labels can be predicted")
    )


@dataclass(frozen=True)
class QualityConfig:
    """Q-Score, its baselines, and how well each predicts the probe's errors (docs/method.md 2)."""

    bootstrap: int = field(
        default=1000,
        metadata=option("bootstrap resamples for the confidence intervals", metavar="N", minimum=1),
    )
    seed: int = field(default=0, metadata=option("random seed of the bootstrap", metavar="N"))
    calibrate: int | None = field(
        default=None,
        metadata=option(
            "also compare the scores that need no labels on N labelled train images",
            metavar="N",
            minimum=1,
            default="none; 200 without a number",
            bare=200,
        ),
    )


MAP_METHODS = ("pca", "umap")


@dataclass(frozen=True)
class MapConfig:
    """Every image as a point of the plane; PCA is always there, UMAP beside it on request."""

    method: str = field(
        default="pca",
        metadata=option(
            "projection; umap is added to pca and needs the package umap-learn", choices=MAP_METHODS
        ),
    )
    # UMAP, which keeps a graph of the rows, is fitted to a fifth of them.
    sample: int = field(
        default=100_000, metadata=option("images to which the projection is fitted", metavar="N", minimum=1)
    )
    neighbours: int = 15  # of UMAP; this and the next are its authors' defaults
    min_dist: float = 0.1
    seed: int = field(default=0, metadata=option("random seed of the sample and of UMAP", metavar="N"))


@dataclass(frozen=True)
class MaskOptions:
    """Source of core and spurious masks; none given: those that the image source plants itself."""

    masks: str | None = field(
        default=None,
        metadata=option(
            "folder with core/… and spurious/… masks, named like the images", metavar="DIR", group="masks"
        ),
    )
    salient_imagenet: str | None = field(
        default=None,
        metadata=option(
            "folder of Salient ImageNet's masks, in its own layout", metavar="DIR", group="masks"
        ),
    )
    annotations: str | None = field(
        default=None,
        metadata=option(
            "file of Salient ImageNet's worker answers",
            metavar="CSV",
            default="discover_spurious_features.csv in that folder",
            group="masks",
        ),
    )


@dataclass(frozen=True)
class HeatmapsConfig(MaskOptions):
    """Which maps are stored (docs/method.md 4): of val, masked and top images, for what fires on them."""

    # Images of a feature on which it is largest, whether it fires there or not.
    top: int = field(default=16, metadata=option("top images per feature", metavar="N", minimum=1))
    train: bool = field(default=False, metadata=option("include all train images, not only those with masks"))


@dataclass(frozen=True)
class OverlapConfig(MaskOptions):
    """Agreement of discriminative heatmaps with masks (docs/method.md 5)."""

    threshold: float = field(
        default=0.5, metadata=option("heatmap value from which a pixel counts as attended", metavar="T")
    )
    bootstrap: int = field(
        default=1000,
        metadata=option("bootstrap resamples for the confidence intervals", metavar="N", minimum=1),
    )
    seed: int = field(default=0, metadata=option("random seed of the bootstrap", metavar="N"))
