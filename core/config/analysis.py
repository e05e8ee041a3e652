"""The settings of the steps that compute on images and features: one frozen dataclass per step."""

from dataclasses import dataclass
from functools import partial

from core.config.settings import FORM, OF_CHECKPOINT, option

# Options by the heading that they stand under in help texts.
encoder_option = partial(option, group="encoder")
analysis_option = partial(option, group="analysis")
image_option = partial(option, group="images")
running_option = partial(option, group="running")
mask_option = partial(option, group="masks")
EPSILON_CANDIDATES = (4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0)
POOLINGS = ("gap", "max", "top4", "gem3")
TOKENS = ("cls", "mean", "cls+mean", "cls+dist", "attnpool")
HEAD_ACTIVATIONS = ("ReLU", "ReLU6", "Hardswish", "GELU", "SiLU", "Identity", "Tanh")
TRANSPARENCIES = ("white", "drop")
LEVEL_TITLES = {"": "What the folders suggest", **{str(level): f"Level {level}" for level in range(1, 5)}}
TOKEN_NORMS = ("after", "before")
OF_PIXELS = "Of red, green and blue, for pixels from 0 to 1. As in the encoder's training."
READOUT = ("layer", "pool", "tokens", "token_norm")  # which numbers of a network are the representation
# The settings that, beside its SPEC, make an encoder what it is: arguments of `load_encoder`.
ENCODER_SETTINGS = (*READOUT, "mean", "std", "input_size", "resize")


@dataclass(frozen=True)
class EmbedConfig:
    """Images, encoder and transform of an embedding. Everything here changes the result."""

    images: str = image_option(
        "images to analyse: a folder (CLASS/IMAGE; train/ and val/ folders; or images without labels), "
        "a .csv, .jsonl or .parquet of paths and labels, a Hugging Face data set (.parquet files or what "
        "save_to_disk wrote), a .json of COCO, FiftyOne or Label Studio, a .txt of PATH LABEL, "
        "'SHARDS-{000..099}.tar', 'torchvision:NAME?root=DIR' or 'glyphworld'; FILE?root=DIR says where "
        "relative paths begin",
        metavar="DIR",
        names="images",
        usual=True,
    )
    encoder: str = encoder_option(
        "encoder to analyse: torchvision:resnet50, timm:NAME?output_stride=16, resnet18@PATH.ckpt, "
        "timm:NAME@PATH, a checkpoint or its folder, hf:ORG/NAME, asset:NAME or "
        "python:package.module:factory",
        metavar="SPEC",
        names="encoder",
        usual=True,
        left_out="asset:efficientnet_lite0, which knows photographs; of a study, its own",
    )
    val: str | None = image_option(
        "evaluation images, if they are stored separately", None, metavar="DIR", names="images", usual=True
    )
    class_level: int | str | None = image_option(
        "which level of folders names the class, below train/ and val/: 2 for GROUP/CLASS/IMAGE, leaf for "
        "the path of the innermost folder",
        None,
        metavar="N",
        left_out="what the folders suggest",
        minimum=1,
        form=FORM,
        title="Which folders name the classes",
        titles={**LEVEL_TITLES, "leaf": "The innermost folder, by its path"},
    )
    group_level: int | None = image_option(
        "which level of folders is one patient, scene or sequence: a drawn split separates none",
        None,
        metavar="N",
        left_out="what the folders suggest",
        minimum=1,
        form=FORM,
        title="Which folders are one patient, scene or sequence",
        titles=LEVEL_TITLES,
    )
    range: str | None = image_option(
        "values that are shown black and white, in files of more than 8 bits a channel (X-rays, thermal and "
        "satellite pictures, floats); file: the lowest and highest value of each file",
        None,
        metavar="LOW,HIGH",
        left_out="the range of the file's type",
        form=FORM,
        title="Values that are black and white",
        about="The lowest and the highest value, for files of more than 8 bits a channel such as X-rays; or "
        "file, for those of each file. Left empty: the range of the file's type.",
        example="0,4095",
    )
    transparency: str | None = image_option(
        "transparent parts of pictures on white, or dropped: the colours below, as networks see them that "
        "were trained with torchvision's ImageFolder",
        None,
        choices=TRANSPARENCIES,
        left_out="white",
        form=FORM,
        title="Transparent parts of pictures",
        about="On white, or the colours below them, as networks see them that were trained with "
        "torchvision's ImageFolder.",
        titles={"": "On white", "drop": "Dropped, the colours below are seen"},
    )
    layer: str | None = encoder_option(
        "layer to analyse; head-input: what the last layer of its classifier reads",
        None,
        metavar="NAME",
        left_out="the last stage",
    )
    pool: str | None = encoder_option(
        "how a map of the layer becomes one vector: the average of each channel (gap), its maximum, the "
        "mean of its 4 strongest positions, or its generalised mean with exponent 3",
        None,
        choices=POOLINGS,
        left_out="gap",
        form=FORM,
        title="From map to feature (pooling)",
        about="How a feature's map becomes one number. Objects fill few positions of it, the background "
        "most.",
        titles={
            "": "Average of all positions (the papers')",
            "max": "Strongest position",
            "top4": "Average of the 4 strongest positions",
            "gem3": "Generalised mean (exponent 3)",
        },
    )
    tokens: str | None = encoder_option(
        "which tokens of a transformer become the vector: the CLS token, the mean of the patch tokens, "
        "both one after the other, the CLS and the distillation token one after the other, or the network's "
        "attention pooling; registers are in none of them",
        None,
        choices=TOKENS,
        left_out="the network's own",
        form=FORM,
        title="Tokens of a transformer",
        about="Which tokens of a vision transformer become the features. Registers are in none of them.",
        titles={
            "": "The network's own choice",
            "cls": "CLS token",
            "mean": "Mean of the patch tokens",
            "cls+mean": "CLS token, then the mean of the patch tokens",
            "attnpool": "Attention pooling",
        },
    )
    token_norm: str | None = encoder_option(
        "read the tokens after the transformer's final norm, or before it",
        None,
        choices=TOKEN_NORMS,
        left_out="after",
        form=FORM,
        title="Tokens are read",
        about="Tokens before and after the final norm differ in length, often several times. Most models are "
        "meant to be read after it.",
        titles={"": "After the final norm", "before": "Before the final norm"},
    )
    mean: tuple[float, ...] | None = encoder_option(
        "pixel mean for normalisation",
        None,
        metavar="R,G,B",
        left_out="the checkpoint's",
        form=OF_CHECKPOINT,
        title="Mean",
        about=OF_PIXELS,
        example="0.485,0.456,0.406",
    )
    std: tuple[float, ...] | None = encoder_option(
        "pixel standard deviation for normalisation",
        None,
        metavar="R,G,B",
        left_out="the checkpoint's",
        above=0,
        form=OF_CHECKPOINT,
        title="Standard deviation",
        about=OF_PIXELS,
        example="0.229,0.224,0.225",
    )
    input_size: int | None = encoder_option(
        "size of the encoder's input",
        None,
        metavar="N",
        unit="pixels",
        minimum=1,
        form=OF_CHECKPOINT,
        title="Input size",
        about="The side of the square that the encoder sees. As in the encoder's training.",
        example="32, in pixels",
    )
    resize: int | None = encoder_option(
        "shorter side of an image before the crop",
        None,
        metavar="N",
        unit="pixels",
        minimum=1,
        form=OF_CHECKPOINT,
        title="Resize",
        about="The shorter side of an image before the crop. As in the encoder's training.",
        example="32, in pixels",
    )
    head: str | None = encoder_option(
        "classifier in place of the encoder's own, as `remedies --head` writes it",
        None,
        metavar="FILE",
        names="file",
        left_out="the encoder's own",
    )
    representations: str | None = encoder_option(
        "your own representations, an array of shape (N, r), in place of an encoder",
        None,
        metavar="FILE.npy",
        names="file",
    )
    seed: int = running_option(
        "random seed; it also decides the train/val split of images without one", 0, metavar="N", minimum=0
    )
    precision: str = encoder_option(
        "numeric type in which the encoder multiplies; auto is bfloat16 on CUDA and float32 elsewhere; mixed "
        "is bfloat16 by its former name",
        "auto",
        choices=("auto", "float32", "bfloat16", "mixed"),
        form=FORM,
        title="Precision",
        about="In bfloat16 the encoder is about twice as fast, and about one answer in a hundred changes. "
        "For processors and GPUs that multiply it.",
        titles={"": "As this machine does best", "float32": "float32", "bfloat16": "bfloat16, faster"},
    )
    # float16: relative errors of up to 5e-4
    dtype: str = encoder_option(
        "type of the stored representations; float16 halves the disk space",
        "float32",
        choices=("float32", "float16"),
    )
    thumbnail_size: int = 128  # pixels, longer side; 0 stores none


@dataclass(frozen=True)
class RunOptions:
    """Speed and device of a step; never part of a result."""

    device: str = running_option("auto, cpu, cuda, cuda:N or mps", "auto", metavar="NAME", usual=True)
    batch_size: int = running_option("images per batch", 64, metavar="N", minimum=1)
    workers: int | None = running_option(
        "processes that decode images", None, metavar="N", left_out="depends on the machine", minimum=0
    )
    strict: bool = image_option("stop at the first unreadable image instead of skipping it", False)
    no_maps: bool = running_option(
        "keep no maps while embedding (up to 2 GB until heatmaps are stored): heatmaps then runs the encoder "
        "again",
        False,
    )


@dataclass(frozen=True)
class FeaturesConfig:
    """Which features fire, and which are discriminative (docs/method.md 1)."""

    epsilon: float | str = analysis_option(
        "how far above the mean of its image an activation fires; 'auto' chooses it from the data",
        4.0,
        metavar="E",
        unit="standard deviations",
        minimum=0,
        usual=True,
        form=FORM,
        title="When a feature fires (epsilon)",
        about="A feature fires on an image when it lies this many standard deviations above the image's "
        "mean. auto picks the largest of 4, 3.5, 3, 2.5, 2, 1.5 and 1 that suits these images. The paper "
        "uses 4.",
        example="auto",
        empty="auto",
    )
    low: float = 50.0
    high: float = 95.0
    near_zero: float = 1e-2  # share of the row's maximum below which an entry counts as zero


@dataclass(frozen=True)
class NeighboursConfig:
    """Exact cosine neighbours of val images among train images, and the spectrum of the representations."""

    k: int = option("neighbours per image", 10, metavar="N", minimum=1)
    max_train: int = 100_000
    max_nearest: int = 20_000  # train images that every image is compared with
    spectrum_rows: int = 25_600  # as in the RankMe paper
    seed: int = option("random seed of the sampled train images", 0, metavar="N", minimum=0)


@dataclass(frozen=True)
class RotationConfig:
    """Which of four turns of a picture the answer is most confident of (docs/method.md 1.8)."""


@dataclass(frozen=True)
class ProbeConfig:
    """Linear probe on frozen representations (docs/method.md 3)."""

    epochs: int = 100
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 0.0
    # None: the best of `lr_candidates` on a held-out tenth of train
    lr: float | None = analysis_option(
        "learning rate of the probe",
        None,
        metavar="LR",
        left_out="the best of six on held-out train images",
        above=0,
    )
    lr_candidates: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    solver: str | None = analysis_option(
        "how the probe is trained: to its optimum with an L2 penalty, the best on held-out train images, or "
        "by epochs of SGD, as published",
        None,
        choices=("sgd", "lbfgs"),
        left_out="lbfgs; sgd where a rate is given",
    )
    # C of the penalty 1 / (C n)
    strengths: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    seed: int = option(
        "random seed of the order of images and of the held-out set", 0, metavar="N", minimum=0
    )
    # Kalibhat 2024, Fig. 2
    curves: bool = option("also measure accuracy against the number of features kept", False)

    @property
    def solver_in_use(self) -> str:
        """The one that was asked for, else that which takes a rate where one is given."""
        return self.solver or ("lbfgs" if self.lr is None else "sgd")


@dataclass(frozen=True)
class CrossfitConfig:
    """Linear probes of which none has seen the images that it answers for (docs/method.md 2.9)."""

    folds: int = 5
    inner_folds: int = 3  # that the strength is chosen on
    # C of the penalty 1 / (C n), the strongest first
    strengths: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
    most_searched: int = 20_000  # images that the strength is chosen on
    kept: int = 20  # likeliest classes that are stored of an image
    most_compared: int = 100_000  # images among which the nearest are sought
    seed: int = option("random seed of the folds", 0, metavar="N", minimum=0)


@dataclass(frozen=True)
class AnswersConfig:
    """The encoder's own classifier, matched to the labels (docs/method.md 3.6)."""

    head_classes: str | None = analysis_option(
        "class names of outputs, for zero-shot of labels: one a line, .json, or .csv with output,label",
        None,
        metavar="FILE",
        names="file",
        left_out="those of the checkpoint or its library",
        usual=True,
        form=OF_CHECKPOINT,
        title="Class names of its outputs",
        about="In the order of its outputs: one a line, .json, or .csv with output,label.",
        endings=(".txt", ".json", ".csv"),
    )
    head_activation: str | None = analysis_option(
        "activation between the two layers of a head whose file does not say it",
        None,
        metavar="NAME",
        choices=HEAD_ACTIVATIONS,
        left_out="the one that labelled images tell",
    )
    restrict: bool = option("only classes that the images have as labels can be predicted", False)


@dataclass(frozen=True)
class AddedAnswerConfig(AnswersConfig):
    """An answer that is added to a study, of any kind."""

    file: str | None = option("predictions that you have", None, metavar="FILE", names="file")


@dataclass(frozen=True)
class QualityConfig:
    """Q-Score, its baselines, and how well each predicts the probe's errors (docs/method.md 2)."""

    bootstrap: int = option("bootstrap resamples for the confidence intervals", 1000, metavar="N", minimum=1)
    seed: int = option("random seed of the bootstrap", 0, metavar="N", minimum=0)
    calibrate: int | None = option(
        "also make one score of those that need no labels, on N labelled train images",
        None,
        metavar="N",
        minimum=1,
        left_out="none; 200 without a number",
        bare=200,
    )


MAP_METHODS = ("pca", "umap")
UMAP_IMAGES = 200, 5_000  # fewer are seen at a glance, more take longer than a minute


@dataclass(frozen=True)
class MapConfig:
    """Every image as a point of the plane; PCA is always there, UMAP beside it where cheap or asked for."""

    method: str | None = option(
        "map of the images; umap is added to pca and needs the package umap-learn",
        None,
        choices=MAP_METHODS,
        left_out=f"umap for {UMAP_IMAGES[0]} to {UMAP_IMAGES[1]:,} images where it is installed, else pca",
    )
    # UMAP, which keeps a graph of the rows, is fitted to a fifth of them.
    sample: int = option("images to which the projection is fitted", 100_000, metavar="N", minimum=1)
    neighbours: int = 15  # of UMAP; this and the next are its authors' defaults
    min_dist: float = 0.1
    seed: int = option("random seed of the sample and of UMAP", 0, metavar="N", minimum=0)


@dataclass(frozen=True)
class MaskOptions:
    """Source of core and spurious masks; none given: those that the image source plants itself."""

    masks: str | None = mask_option(
        "folder with core/… and spurious/… masks, named like the images, or a .json of COCO; DIR?value=1 "
        "says which values are the mask (1+2, 255,0,0 or any; &ignore=255)",
        None,
        metavar="DIR",
        names="file",
        usual=True,
    )
    salient_imagenet: str | None = mask_option(
        "folder of Salient ImageNet's masks, in its own layout", None, metavar="DIR", names="file"
    )
    annotations: str | None = mask_option(
        "file of Salient ImageNet's worker answers",
        None,
        metavar="CSV",
        names="file",
        left_out="discover_spurious_features.csv in that folder",
    )


@dataclass(frozen=True)
class HeatmapsConfig(MaskOptions):
    """Which maps are stored (docs/method.md 4): of val, masked and top images, for what fires on them."""

    # Images of a feature on which it is largest, whether it fires there or not.
    top: int = option("top images per feature", 16, metavar="N", minimum=1)
    train: bool = option("include all train images, not only those with masks", False)


@dataclass(frozen=True)
class OverlapConfig(MaskOptions):
    """Agreement of discriminative heatmaps with masks (docs/method.md 5)."""

    threshold: float = option("heatmap value from which a pixel counts as attended", 0.5, metavar="T")
    bootstrap: int = option("bootstrap resamples for the confidence intervals", 1000, metavar="N", minimum=1)
    seed: int = option("random seed of the bootstrap", 0, metavar="N", minimum=0)


@dataclass(frozen=True)
class CausesConfig:
    """Why images are wrong: trials with their controls (docs/method.md 9.3)."""

    answer: str | None = option(
        "answer whose errors are explained", None, metavar="NAME", left_out="the one that pages show"
    )
    errors: int = option("most errors that are tried, drawn with the seed", 2000, metavar="N", minimum=1)
    right: int = option(
        "most images answered correctly that they are compared with, drawn likewise",
        2000,
        metavar="N",
        minimum=2,
    )
    seed: int = option("random seed of what is drawn, and of features and masks", 0, metavar="N", minimum=0)
    image: tuple[
        str, ...
    ] = ()  # only these errors, and as many right images as they need; the command's --images


@dataclass(frozen=True)
class RemediesConfig:
    """Heads that are refitted under remedies, out of fold (docs/method.md 3.7)."""

    answer: str | None = option(
        "answer that a refit is compared with", None, metavar="NAME", left_out="the one that pages show"
    )
    features: tuple[int, ...] = option(
        "features to switch off or scale",
        (),
        metavar="J[,K]",
        left_out="those that look at the background by the masks, and those that people call spurious",
    )
    feature_scale: float = option(
        "what is left of those features: 0 switches them off", 0.0, metavar="S", minimum=0
    )
    seed: int = option("random seed of the folds and of the bootstrap", 0, metavar="N", minimum=0)
    folds: int = 5
    inner_folds: int = 3  # that the strength is chosen on
    strengths: tuple[float, ...] = CrossfitConfig.strengths
    most_searched: int = CrossfitConfig.most_searched
