"""The four words of every verdict, and the numbers from which each begins (docs/method.md 2.10)."""

from dataclasses import dataclass
from typing import Any

from core.common.records import Record

WORDS = USELESS, WEAK, USEFUL, RELIABLE = "useless", "weak", "useful", "reliable"

# Scores
LOOKED = 50  # images looked at: as many as one looks at in one sitting
MOST_LOOKED = 1 / 4  # of the images, at most: among the first half every score finds many errors
OF_USE = 0.55  # with many images an AUROC of .51 is surely above chance, and of no use
USEFUL_GAIN = 0.25  # of the way from chance (0) to a perfect order (1), in errors among the first ones
RELIABLE_GAIN = 0.5  # the same, surely: the lower end of its interval
OF_PLAIN = 0.5  # of what the confidence finds beyond chance: below, nobody would take the other score

# Dictionaries
EXPLAINED = 0.5  # share of the differences between images: below, most of an image is not in the latents
WELL_EXPLAINED = 0.8
ALIKE, SAME = 0.7, 0.9  # |cosine| of a latent with one of another run: found again; the same direction
SELDOM_AGAIN, OFTEN_AGAIN, RELIABLY_AGAIN = 0.1, 0.5, 0.8  # share of latents that are found again

# Names of features
FEWEST_SHOWN = 8  # images of a feature
MOST_SHOW = 0.5  # of its images, surely: the name fits most of them
NEARLY_ALL_SHOW = 0.8  # the same, of a reliable name
SELDOM_ELSEWHERE = 0.1  # of all other images show what a reliable name says
CLEAR_WORD = 0.7  # AUC, where truth is known: surely above what Hosmer and Lemeshow call acceptable


@dataclass(frozen=True)
class Verdict:
    """One of WORDS, or "" where there is too little for one, and the sentence with the numbers behind it."""

    word: str
    sentence: Record

    def as_json(self) -> dict[str, Any]:
        return {"word": self.word or None, **self.sentence.as_json()}
