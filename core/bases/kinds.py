"""The kinds of bases: one table. No torch; what is heavy is named, and imported when it is used."""

import math
from dataclasses import dataclass

from core.config import BasisConfig, LoadedBasisConfig

FEWEST_LATENTS = 3  # of two, each lies one standard deviation from their mean, and neither stands out
MOST_LATENTS = 16_384  # of a size that is not given
VECTORS_A_LATENT = 4  # of a size that is not given: a latent of fewer images is learned by heart
MOST_ACTIVE, SPARSE = 32, 8  # latents at once where none are given, and at most one of so many
BATCH = 4096  # vectors of a step of training
FEWEST_STEPS, USUAL_STEPS = 1000, 3000
PASSES = 1000  # over few vectors, at most: more of them train no better
PREFIXES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the latents, which Matryoshka trains to reconstruct alone
# Multiply-adds of a dense product that take as long as one with an active latent, and as one weight of Adam,
# measured at 400 to 4,000 vectors, 512 and 1,280 features and 256 to 4,000 latents.
OF_ACTIVE, OF_WEIGHT, OF_STEP = 75, 1200, 2e8


@dataclass(frozen=True)
class BasisKind:
    """One kind of basis.

    Attributes:
        title: its name on screen, with the field's word in brackets.
        summary: what it is, in a line for somebody who knows only neurons.
        fit: "module:function" that fits it, (vectors, size, k, seed, run) -> `dictionary.Dictionary`; "" for
            what is not fitted.
        times: the default number of latents, as a multiple of the width of the vectors.
        passes: products of all vectors with all latents that a fit takes; 0 for a training in steps.
        prefixes: of a training: how many parts of its latents reconstruct on their own.
        config: the settings that one of it is stored with.
    """

    name: str
    title: str
    summary: str
    fit: str = ""
    times: float = 8.0
    passes: float = 0.0
    prefixes: int = 1
    config: type = BasisConfig

    def default_size(self, width: int, n: int) -> int:
        """The number of latents of n vectors where none is given: at least FEWEST_LATENTS.

        At most MOST_LATENTS, and of what is learned one for VECTORS_A_LATENT vectors.

        >>> KINDS["topk"].default_size(512, 50_000), KINDS["topk"].default_size(1280, 97)
        (4096, 24)
        >>> KINDS["pca"].default_size(512, 100), KINDS["random"].default_size(512, 100)
        (25, 25)
        """
        most = min(int(self.times * width), MOST_LATENTS, n // VECTORS_A_LATENT)
        return max(FEWEST_LATENTS, most)

    def default_k(self, size: int) -> int:
        """The most latents that are active at once where no number is given.

        >>> KINDS["topk"].default_k(4096), KINDS["topk"].default_k(24), KINDS["kmeans"].default_k(4)
        (32, 3, 1)
        """
        return max(1, min(MOST_ACTIVE, size // SPARSE))

    def has_latents_for(self, k: int, size: int) -> bool:
        """Whether k of so many latents can be active at once; of clusters one is, whatever k.

        >>> KINDS["topk"].has_latents_for(8, 3), KINDS["kmeans"].has_latents_for(8, 3)
        (False, True)
        """
        return k <= size or self.name == "kmeans"

    def fit_operations(self, n: int, width: int, size: int, k: int) -> float:
        """Return the cost of a fit on n vectors, in multiply-adds of a dense product; within a factor of 2.

        >>> [f"{KINDS[kind].fit_operations(4000, 512, 512, 32):.0e}" for kind in ("topk", "pca")]
        ['6e+12', '4e+09']
        """
        if self.passes:
            return self.passes * n * width * size
        batch = min(BATCH, n)
        sparse = OF_ACTIVE * self.prefixes * batch * min(k, size) + OF_WEIGHT * size
        return default_steps(n) * (width * (batch * size + sparse) + OF_STEP)


def default_steps(n: int) -> int:
    """Return how many steps a dictionary of a basis is trained for unless a number is given.

    Steps of a training on n vectors: PASSES of them, within FEWEST_STEPS and USUAL_STEPS; or one pass.

    >>> default_steps(4_000), default_steps(8_000), default_steps(150_000), default_steps(1_280_000_000)
    (1000, 1954, 3000, 312500)
    """
    passes = min(max(FEWEST_STEPS, math.ceil(PASSES * n / BATCH)), USUAL_STEPS)
    return max(passes, math.ceil(n / BATCH))


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
            prefixes=len(PREFIXES),
        ),
        BasisKind(
            "nmf",
            "Parts that add up (NMF)",
            "latents are only added, never subtracted, so they become parts that many images share",
            "core.bases.classical:fit_nmf",
            0.25,
            passes=1600,
        ),
        BasisKind(
            "pca",
            "Largest differences (PCA)",
            "the directions in which images differ most; quick, but each direction mixes many things",
            "core.bases.classical:fit_pca",
            1.0,
            passes=4,
        ),
        BasisKind(
            "kmeans",
            "Groups of images (k-means)",
            "one latent for each group of similar images, active on that group alone",
            "core.bases.classical:fit_kmeans",
            1.0,
            passes=100,
        ),
        BasisKind(
            "random",
            "Random directions (control)",
            "nothing is learned: every other basis has to beat these",
            "core.bases.classical:fit_random",
            passes=2,
        ),
        BasisKind("file", "From a file", "learned by another library", config=LoadedBasisConfig),
    )
}
