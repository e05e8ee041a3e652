"""How well a text fits the images that CLIP finds for it: a search always finds something. No torch."""

import numpy as np

from core.common.assets import asset, asset_names
from core.common.dataframes import safe_divide
from core.common.inside import read_json_file
from core.search.search import plain_words
from core.worlds.glyphworld.word_tokens import UNKNOWN, WordTokenizer, split_words

GENERIC = ("object", "things", "stuff", "texture")  # the canonical phrases of Kerr et al. 2023
JUDGED = 5  # nearest images
SAMPLE = 2000  # images that give the spread of the cosines
FITS = 0.5  # standard deviations; see docs/method.md


def text_fit(nearest: np.ndarray, sample: np.ndarray, text: np.ndarray, generic: np.ndarray) -> float:
    """How much better a text fits the images nearest to it than words that fit anything.

    fit = median over the nearest i of (cos(text, i) - max_g cos(g, i)) / sd of cos(text, .) over a sample
    (relevancy to canonical phrases as in Kerr et al. 2023, arXiv 2303.09553, in a unit of its own).

    Args:
        nearest: (m, d) vectors of the nearest images. sample: (n, d) of any images. text: (d,).
        generic: (k, d) of words that fit anything. All of any length; zero rows have no cosine.
    Returns:
        standard deviations, higher is better, FITS or more is a fit; NaN where nothing varies or m is 0.
    """
    text, generic, nearest, sample = (_unit(one) for one in (text, generic, nearest, sample))
    spread = float(np.nanstd(sample @ text)) if len(sample) else 0.0
    if not len(nearest) or not spread > 1e-9:
        return float("nan")
    ahead = nearest @ text - (nearest @ generic.T).max(1)
    return float(np.median(ahead) / spread)


def unknown_words(clip: str, text: str) -> list[str]:
    """List the words of a text that an embedded CLIP (`asset:NAME`) cannot read; others read every word.

    >>> unknown_words("asset:glyphworld", "A walrus on grass"), unknown_words("ViT-B-32@openai", "a walrus")
    (['walrus'], [])
    """
    kind, _, name = clip.partition(":")
    if kind != "asset" or name not in asset_names("clip", ".json"):
        return []
    tokens = WordTokenizer(read_json_file(asset(f"clip/{name}.json"))["tokenizer"]["words"], 0)
    words = split_words(text) or plain_words(text)
    return [word for word in dict.fromkeys(words) if tokens.number(word) == UNKNOWN]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return safe_divide(vectors, np.linalg.norm(vectors, axis=-1, keepdims=True))
