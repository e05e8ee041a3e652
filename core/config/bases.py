"""The settings of a basis of features (docs/method.md 18)."""

from dataclasses import dataclass

from core.config.settings import option

BASIS_KINDS = ("topk", "matryoshka", "nmf", "pca", "kmeans", "random")
NORMALISATIONS = ("none", "layer_norm", "sqrt_d", "unit", "mean_norm", "centred")
ACTIVATIONS = ("relu", "topk", "abstopk", "threshold")
ON = ("pooled", "positions")


@dataclass(frozen=True)
class BasisConfig:
    """How a basis is fitted, and how images are encoded with it."""

    kind: str | None = option("what to fit on the train images", None, choices=BASIS_KINDS)
    size: int | None = option(
        "number of latents",
        None,
        metavar="M",
        minimum=1,
        left_out="8 times the features, at most 16,384; as many as features for pca and kmeans, a quarter "
        "for nmf; one for 4 train images at most",
    )
    k: int | None = option(
        "most latents that are active at once",
        None,
        metavar="K",
        minimum=1,
        left_out="32, and an eighth of the latents at most",
    )
    on: str = option(
        "vectors to encode: one an image, or one a position of the last map", "pooled", choices=ON
    )
    seeds: int = option(
        "fits with different seeds: more than one say how stable it is", 2, metavar="N", minimum=1
    )
    steps: int | None = option(
        "training steps of topk and matryoshka",
        None,
        metavar="N",
        minimum=1,
        left_out="1,000 of few vectors to 3,000, and at least one pass over them",
    )
    normalisation: str | None = option(
        "with --load: what is done to each vector first",
        None,
        choices=NORMALISATIONS,
        left_out="what the file says",
    )
    activation: str | None = option(
        "with --load: how codes are kept: positive ones, the k largest, the k largest in magnitude, or above "
        "the stored threshold",
        None,
        choices=ACTIVATIONS,
        left_out="what the file says",
    )
    pre_bias: str | None = option(
        "with --load: whether the decoder's bias is subtracted before the encoder",
        None,
        choices=("yes", "no"),
        left_out="what the file says",
    )
    pool_codes: str = option(
        "code of an image with --on positions: maximum or mean over its positions",
        "max",
        choices=("max", "mean"),
    )


@dataclass(frozen=True)
class LoadedBasisConfig:
    """How a dictionary of another library is read. `k`: codes that are kept; None: as the file says."""

    file: str = option("dictionary of another library", metavar="FILE", names="file")
    k: int | None = None
    on: str = BasisConfig.on
    normalisation: str | None = None
