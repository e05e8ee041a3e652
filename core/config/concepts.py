"""The settings of the steps that name features in words: one frozen dataclass per step."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.config.settings import option

# Least WordScore of a kept word, and of a word of counterfactual images that discards it. 0.08 and 0.1 are
# the paper's and the code's, meant for cosines; a softmax over a bank shares 1 among all captions alike.
CONCEPT_SCORES = {"cosine": (0.08, 0.1), "softmax": (0.01, 0.0125)}


@dataclass(frozen=True)
class ConceptsConfig:
    """FALCON (docs/method.md 6). "Code" = the authors' released code, where the paper is silent."""

    # Captions: None is Glyphworld's own bank for Glyphworld; other studies skip the step.
    captions: str | None = field(
        default=None,
        metadata=option(
            "caption bank: .txt, .csv, .parquet or a folder of LAION files",
            metavar="PATH",
            default="the built-in bank for Glyphworld, none for other images",
            group="words",
        ),
    )
    caption_column: str | None = field(
        default=None,
        metadata=option(
            "caption column of a .csv, .tsv or .parquet bank",
            metavar="NAME",
            default="detected from the names",
            group="words",
        ),
    )
    clip: str | None = field(
        default=None,
        metadata=option(
            "CLIP model of open_clip or asset:NAME",
            metavar="MODEL[@WEIGHTS]",
            default="asset:glyphworld for Glyphworld, else ViT-B-32@openai",
            group="words",
        ),
    )
    features: tuple[int, ...] | None = field(
        default=None, metadata=option("explain only these features", metavar="J[,K]", group="selection")
    )
    # Single features: those with more than `min_images` highly activating images. Neither of the two: both.
    explainable: bool = field(
        default=False, metadata=option("explain only single features", group="selection")
    )
    groups: bool = field(
        default=False, metadata=option("explain only groups of several features", group="selection")
    )
    k: float | str = field(
        default="auto",
        metadata=option(
            "how far above the mean of all activations an image activates a feature highly; 'auto' "
            "chooses it from the data",
            metavar="N",
            unit="standard deviations",
            minimum=0,
            group="selection",
        ),
    )
    split: str = field(
        default="val",
        metadata=option("probe images", choices=("val", "train", "all"), group="selection"),
    )
    threshold: float = field(  # (code)
        default=0.6,
        metadata=option("heatmap value above which a crop keeps a pixel", metavar="T", group="crops"),
    )
    crop: bool = field(
        default=True,
        metadata=option("caption whole images instead of crops", flags=("--no-crop",), group="crops"),
    )
    confidence: str = field(  # softmax: over the whole bank
        default="cosine",
        metadata=option("confidence of a caption", choices=("cosine", "softmax"), group="words"),
    )
    # Of that softmax. A CLIP's own, where it is lower, is not used: 22 over 22,141 captions leaves none above
    # the least score, and without that the words are worse (precision at 1 of 0.45 instead of 0.69).
    temperature: float = 100.0
    n_captions: int = 5
    faiss: bool = field(  # the recall of the index is stored
        default=False,
        metadata=option("search captions with an approximate index (needs faiss-cpu)", group="words"),
    )
    min_score: float | None = field(
        default=None,
        metadata=option(
            "minimum score of a word",
            metavar="S",
            default=f"0.45; falcon: {CONCEPT_SCORES['cosine'][0]}, scaled for other CLIPs than "
            "ViT-B-32@openai",
            group="words",
        ),
    )
    counter_score: float | None = field(
        default=None,
        metadata=option(
            "score on other images above which a word is discarded: all others, or falcon's counterfactual "
            "images",
            metavar="S",
            default=f"0.5; falcon: {CONCEPT_SCORES['cosine'][1]}, scaled likewise",
            group="words",
        ),
    )
    beta: float = field(  # (code: 0.3)
        default=0.7,
        metadata=option("minimum similarity of counterfactual images", metavar="B", group="words"),
    )
    n_counterfactuals: int = 10  # (code)
    # Mean pairwise CLIP cosine that an interpretable group exceeds (code: 0.8, for the paper's CLIP). "auto":
    # half-way between that of all crops and 1. None: 0.8, for another CLIP "auto" (concepts/thresholds.py).
    gamma: float | str | None = field(
        default=None,
        metadata=option(
            "minimum mean cosine of an interpretable group's images, or 'auto'",
            metavar="G",
            minimum=0,
            default="0.8 for ViT-B-32@openai, else auto",
            group="selection",
        ),
    )
    min_images: int = field(
        default=10,
        metadata=option(
            "minimum number of highly activating images", metavar="N", minimum=1, group="selection"
        ),
    )
    naming: str | None = field(
        default=None,
        metadata=option(
            "how words are chosen: those that most images of a feature show and most others do not, or by "
            "the scores and the contrast of FALCON",
            choices=("majority", "falcon"),
            default="majority; falcon with a captioner",
            group="words",
        ),
    )
    twins: int = field(
        default=0,
        metadata=option(
            "Glyphworld: render N pairs of scenes with and without what each word says, and test the "
            "features on them",
            metavar="N",
            minimum=0,
            bare=32,
            group="words",
        ),
    )
    captioner: str | None = field(
        default=None,
        metadata=option(
            "your own captioner in place of a bank, as package.module:function",
            metavar="MODULE:FUNCTION",
            group="words",
        ),
    )


@dataclass(frozen=True)
class FailuresConfig:
    """Features behind the probe's errors (docs/method.md 6.8)."""

    top: int = field(  # of an image or of a pair of classes
        default=5, metadata=option("features on each side", metavar="N", minimum=1)
    )
    split: str = field(default="val", metadata=option("images to analyse", choices=("val", "train", "all")))
    explained: bool = field(default=False, metadata=option("use only features that have words"))
    interventions: bool = field(
        default=True,
        metadata=option(
            "remove the blamed features, and others for comparison, and count whose prediction changes"
        ),
    )
    seed: int = field(default=0, metadata=option("random seed of the features compared with", metavar="N"))


@dataclass(frozen=True)
class SearchConfig:
    """The images embedded whole with CLIP, for searches by a text or a picture (docs/method.md 11)."""

    clip: str | None = field(
        default=None,
        metadata=option(
            "CLIP model of open_clip or asset:NAME",
            metavar="MODEL[@WEIGHTS]",
            default="that of the concepts, else ViT-B-32@openai; its weights are not downloaded by `analyze`",
        ),
    )
