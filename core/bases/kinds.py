"""The kinds of bases: one table. No torch; what is heavy is named, and imported when it is used."""

from dataclasses import dataclass

MOST_LATENTS = 16_384  # of a width that is not given


@dataclass(frozen=True)
class BasisKind:
    """One kind of basis.

    Attributes:
        title: its name on screen, with the field's word in brackets.
        summary: what it is, in a line for somebody who knows only neurons.
        fit: "module:function" that fits it, (vectors, size, k, seed, run) -> `dictionary.Dictionary`; "" for
            what is not fitted.
        times: the default number of latents, as a multiple of the width of the vectors.
        within: it has no more latents than there are vectors to fit it on.
    """

    name: str
    title: str
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
        BasisKind("units", "Units", "the neurons of the encoder as they are"),
        BasisKind(
            "topk",
            "Few at a time (TopK)",
            "each image is described by the few latents that fit it best (sparse autoencoder)",
            "core.training.dictionaries:fit_topk",
        ),
        BasisKind(
            "matryoshka",
            "Coarse to fine (Matryoshka)",
            "the first latents describe an image roughly, later ones add detail (sparse autoencoder)",
            "core.training.dictionaries:fit_matryoshka",
        ),
        BasisKind(
            "nmf",
            "Parts that add up (NMF)",
            "latents are only added, never subtracted, so they become parts that many images share",
            "core.bases.classical:fit_nmf",
            0.25,
            within=True,
        ),
        BasisKind(
            "pca",
            "Largest differences (PCA)",
            "the directions in which images differ most; quick, but one mixes many things",
            "core.bases.classical:fit_pca",
            1.0,
            within=True,
        ),
        BasisKind(
            "kmeans",
            "Groups of images (k-means)",
            "a latent for each group of similar images, active on these alone",
            "core.bases.classical:fit_kmeans",
            1.0,
            within=True,
        ),
        BasisKind(
            "random",
            "Random directions (control)",
            "nothing is learned: what any other basis has to beat",
            "core.bases.classical:fit_random",
        ),
        BasisKind("file", "From a file", "another library has learned it"),
    )
}
