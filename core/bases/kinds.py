"""The kinds of bases: one table. No torch; what is heavy is named, and imported when it is used."""

from dataclasses import dataclass

MOST_LATENTS = 16_384  # of a width that is not given


@dataclass(frozen=True)
class BasisKind:
    """One kind of basis.

    Attributes:
        summary: what it is, in a line.
        fit: "module:function" that fits it, (vectors, size, k, seed, run) -> `dictionary.Dictionary`; "" for
            what is not fitted.
        times: the default number of latents, as a multiple of the width of the vectors.
        within: it has no more latents than there are vectors to fit it on.
    """

    name: str
    summary: str
    fit: str = ""
    times: float = 8.0
    within: bool = False

    def default_size(self, width: int, n: int) -> int:
        """The number of latents where none is given: at most MOST_LATENTS.

        >>> KINDS["topk"].default_size(512, 4000), KINDS["pca"].default_size(512, 100)
        (4096, 100)
        """
        return max(1, min(int(self.times * width), MOST_LATENTS, n if self.within else MOST_LATENTS))


KINDS = {
    kind.name: kind
    for kind in (
        BasisKind("units", "the features of the encoder as they are"),
        BasisKind(
            "topk",
            "a sparse autoencoder that keeps the k largest codes",
            "core.training.dictionaries:fit_topk",
        ),
        BasisKind(
            "matryoshka",
            "a sparse autoencoder whose first latents reconstruct on their own",
            "core.training.dictionaries:fit_matryoshka",
        ),
        BasisKind(
            "nmf", "non-negative matrix factorisation", "core.bases.classical:fit_nmf", 0.25, within=True
        ),
        BasisKind(
            "pca", "principal components, each with a sign", "core.bases.classical:fit_pca", 1.0, within=True
        ),
        BasisKind(
            "kmeans", "the nearest of some centres", "core.bases.classical:fit_kmeans", 1.0, within=True
        ),
        BasisKind("random", "random directions: a control", "core.bases.classical:fit_random"),
        BasisKind("file", "a dictionary that another library has trained"),
    )
}
