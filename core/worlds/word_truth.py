"""Ground truth of words for Glyphworld scenes, and for the images of a feature (docs/method.md 8)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from core.worlds.backgrounds import NEUTRAL_FLOOR, NEUTRAL_WALL
from core.worlds.painting import measure_occlusion
from core.worlds.scenes import Item, ScenePlan, severities
from core.worlds.vocabulary import PLACES, attributes_of, colour_of, glyph_of, ground_colour, main_words

JOINING = {"of", "a", "an", "the", "on", "against", "in", "front", "{}"}
GROUND_WORDS = {kind: set(place.split()) - JOINING for kind, place in PLACES.items()}
NEUTRALS = {NEUTRAL_FLOOR: {NEUTRAL_FLOOR, "floor"}, NEUTRAL_WALL: {NEUTRAL_WALL, "wall"}}


@cache
def _variants(word: str) -> frozenset[str]:
    """Return a word of a Glyphworld scene and its base form; captions use either."""
    from simplemma import lemmatize

    return frozenset({word.lower(), lemmatize(word, "en").lower()})


def widened(words: Iterable[str]) -> frozenset[str]:
    """Return all variants of the single words in some words and phrases of a Glyphworld scene."""
    singles = {part for word in words for part in word.split() if part not in JOINING}
    return frozenset(form for word in singles for form in _variants(word))


@dataclass(frozen=True)
class SceneTruth:
    """The words that are true of one scene.

    Attributes:
        parts: the words that belong together: one set per object, one for the ground, and one for the whole.
    """

    parts: tuple[frozenset[str], ...]

    @property
    def words(self) -> frozenset[str]:
        """Return every single word that is true."""
        return frozenset().union(*self.parts)

    def holds(self, text: str) -> bool:
        """Return True when a word is true; all words of a phrase must be true of the same thing."""
        content_words = [word for word in text.lower().split() if word not in JOINING]
        return bool(content_words) and any(all(word in part for word in content_words) for part in self.parts)


def truth_of(plan: ScenePlan) -> SceneTruth:
    """Return the words that are true of a Glyphworld scene, with colours and grounds that they omit."""
    severity = severities(plan, measure_occlusion(plan))
    others = [item for item in (plan.companion, *plan.distractors, plan.occluder) if item is not None]
    grounds = {plan.ground.kind, ground_colour(plan)} | GROUND_WORDS[plan.ground.kind]
    parts = [widened(main_words(plan, severity)), *(widened(_words_of(item)) for item in others)]
    parts += [widened(grounds)]
    if plan.ground.horizon is not None:
        parts.append(frozenset(NEUTRALS[NEUTRAL_WALL if plan.ground.is_floor else NEUTRAL_FLOOR]))
    named = frozenset().union(*parts)
    parts.append(widened(attributes_of(plan, severity)) - named)  # the style, the light
    return SceneTruth(tuple(part for part in parts if part))


def _words_of(item: Item) -> list[str]:
    """Noun and painted colour of an object; of one of a class, which composed scenes show, the class too."""
    glyph = glyph_of(item)
    return [glyph.noun, colour_of(item), *([glyph.label] if glyph.role == "class" else [])]


def _shares(word: str, truths: Sequence[SceneTruth]) -> np.ndarray:
    """(n,) bool: the Glyphworld scenes of which a word is true."""
    return np.array([truth.holds(word) for truth in truths], bool)


@dataclass(frozen=True)
class WordTruth:
    """How often words are true of a feature's images (A) and of other images (B)."""

    of_a: dict[str, float]
    of_b: dict[str, float]

    def related(self, least: float) -> set[str]:
        """Return words that fit group A and not group B: true of at least `least` of A, and of less of B."""
        return {word for word, share in self.of_a.items() if share >= least > self.of_b.get(word, 0.0)}


class TruthTable:
    """The truth of many words for all probe images."""

    def __init__(self, truths: Sequence[SceneTruth]):
        self.truths = truths
        self.vocabulary = sorted(frozenset().union(*(truth.words for truth in truths)))
        self._columns: dict[str, np.ndarray] = {}

    def column(self, word: str) -> np.ndarray:
        """(n_images,) bool: the images of which the word is true."""
        if word not in self._columns:
            self._columns[word] = _shares(word, self.truths)
        return self._columns[word]

    def of(self, positions: np.ndarray, others: np.ndarray, words: Iterable[str]) -> WordTruth:
        """Compute the share of the images at `positions`, and of `others`, for which words are true."""
        found_a, found_b = {}, {}
        for word in dict.fromkeys(words):
            column = self.column(word)
            found_a[word] = float(column[positions].mean()) if len(positions) else 0.0
            found_b[word] = float(column[others].mean()) if len(others) else 0.0
        return WordTruth(found_a, found_b)
