"""The settings of the steps that name features in words: one frozen dataclass per step."""

from dataclasses import dataclass
from functools import partial

from core.config.settings import option

# Options by the heading that they stand under in help texts.
word_option = partial(option, group="words")
selection_option = partial(option, group="selection")
crop_option = partial(option, group="crops")
# Least WordScore of a kept word, and of a word of counterfactual images that discards it. 0.08 and 0.1 are
# the paper's and the code's, meant for cosines; a softmax over a bank shares 1 among all captions alike.
CONCEPT_SCORES = {"cosine": (0.08, 0.1), "softmax": (0.01, 0.0125)}


@dataclass(frozen=True)
class ConceptsConfig:
    """FALCON (docs/method.md 6). "Code" = the authors' released code, where the paper is silent."""

    # Captions: None is Glyphworld's own bank for Glyphworld, else the words that are shipped for photographs
    # where a CLIP of photographs is named or on this computer; without one the step is skipped.
    captions: str | None = word_option(
        "captions or a vocabulary: .txt, .csv, .tsv, .json, .jsonl, .parquet, or a folder of LAION or "
        ".txt files",
        None,
        metavar="PATH",
        names="file",
        usual=True,
        left_out="the built-in bank for Glyphworld; else, with a CLIP of photographs, the shipped words "
        "`photographs`",
    )
    caption_column: str | None = word_option(
        "column of the captions", None, metavar="NAME", left_out="detected from the names"
    )
    clip: str | None = word_option(
        "CLIP model of open_clip or asset:NAME",
        None,
        metavar="MODEL[@WEIGHTS]",
        names="clip",
        usual=True,
        left_out="asset:glyphworld for Glyphworld, else one of photographs that is on this computer "
        "(`fetch clip`), else ViT-B-32@openai",
    )
    features: tuple[int, ...] | None = selection_option("explain only these features", None, metavar="J[,K]")
    # Single features: those with more than `min_images` highly activating images. Neither of the two: both.
    explainable: bool = selection_option("explain only single features", False)
    groups: bool = selection_option("explain only groups of several features", False)
    k: float | str = selection_option(
        "how far above the mean of all activations an image activates a feature highly; 'auto' "
        "chooses it from the data",
        "auto",
        metavar="N",
        unit="standard deviations",
        minimum=0,
    )
    split: str = selection_option("probe images", "val", choices=("val", "train", "all"))
    # (code)
    threshold: float = crop_option("heatmap value above which a crop keeps a pixel", 0.6, metavar="T")
    crop: bool = crop_option("caption whole images instead of crops", True, flags=("--no-crop",))
    # softmax: over the whole bank
    confidence: str = word_option("confidence of a caption", "cosine", choices=("cosine", "softmax"))
    # Of that softmax. A CLIP's own, where it is lower, is not used: 22 over 22,141 captions leaves none above
    # the least score, and without that the words are worse (precision at 1 of 0.45 instead of 0.69).
    temperature: float = 100.0
    n_captions: int = 5
    min_score: float | None = word_option(
        "minimum score of a word",
        None,
        metavar="S",
        left_out=f"0.45; falcon: {CONCEPT_SCORES['cosine'][0]}, scaled for other CLIPs than ViT-B-32@openai",
    )
    counter_score: float | None = word_option(
        "score on other images above which a word is discarded: all others, or falcon's counterfactual "
        "images",
        None,
        metavar="S",
        left_out=f"0.5; falcon: {CONCEPT_SCORES['cosine'][1]}, scaled likewise",
    )
    # (code: 0.3)
    beta: float = word_option("minimum similarity of counterfactual images", 0.7, metavar="B")
    n_counterfactuals: int = 10  # (code)
    # Mean pairwise CLIP cosine that an interpretable group exceeds (code: 0.8, for the paper's CLIP). "auto":
    # half-way between that of all crops and 1. None: 0.8, for another CLIP "auto" (concepts/thresholds.py).
    gamma: float | str | None = selection_option(
        "minimum mean cosine of an interpretable group's images, or 'auto'",
        None,
        metavar="G",
        minimum=0,
        left_out="0.8 for ViT-B-32@openai, else auto",
    )
    min_images: int = selection_option(
        "minimum number of highly activating images", 10, metavar="N", minimum=1
    )
    naming: str | None = word_option(
        "how words are chosen: those that most images of a feature show and most others do not, or by "
        "the scores and the contrast of FALCON",
        None,
        choices=("majority", "falcon"),
        left_out="majority; falcon with a captioner",
    )
    captioner: str | None = word_option(
        "your own captioner in place of a bank, as package.module:function",
        None,
        metavar="MODULE:FUNCTION",
        names="code",
    )


@dataclass(frozen=True)
class FailuresConfig:
    """Features behind the probe's errors (docs/method.md 6.8)."""

    # of an image or of a pair of classes
    top: int = option("features on each side", 5, metavar="N", minimum=1)
    split: str = option("images to analyse", "val", choices=("val", "train", "all"))
    explained: bool = option("use only features that have words", False)
    interventions: bool = option(
        "remove the blamed features, and others for comparison, and count whose prediction changes", True
    )
    seed: int = option("random seed of the features compared with", 0, metavar="N", minimum=0)


@dataclass(frozen=True)
class SearchConfig:
    """The images embedded whole with CLIP, for searches by a text or a picture (docs/method.md 11)."""

    clip: str | None = option(
        "CLIP model of open_clip or asset:NAME",
        None,
        metavar="MODEL[@WEIGHTS]",
        names="clip",
        left_out="that of the concepts, else one of photographs that is on this computer (`fetch clip`)",
    )
