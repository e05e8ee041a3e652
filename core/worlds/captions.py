"""Captions of Glyphworld: of a scene or a window of it, as a bank, and as tokens. No torch."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl

import numpy as np

from core.common.assets import asset
from core.errors import CaptionError, unknown_name
from core.worlds.atlas import Glyph, load_atlas
from core.worlds.backgrounds import COLOUR_WORDS, KINDS, NEUTRAL_FLOOR, NEUTRAL_WALL
from core.worlds.painting import measure_occlusion
from core.worlds.scenes import Draws, Item, ScenePlan, severities
from core.worlds.vocabulary import (
    MARKED,
    PLACES,
    REVERSED,
    STATE_WORDS,
    caption_of,
    colour_of,
    glyph_of,
    ground_colour,
    place_words,
    size_word,
    with_article,
)

# Words as tokens: the small vocabulary of the embedded CLIP. No torch.


PAD, START, UNKNOWN = 0, 1, 2
N_SPECIAL = 3  # the end token has the highest number: open_clip reads the text's embedding there
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")


def split_words(text: str) -> list[str]:
    """Split a caption of Glyphworld into lower-case words; inner hyphens and apostrophes are kept.

    >>> split_words("A high-heeled shoe, 2 m left of Tom's hat!")
    ['a', 'high-heeled', 'shoe', 'm', 'left', 'of', "tom's", 'hat']
    """
    return _WORD.findall(text.lower())


class WordTokenizer:
    """One token per word. A word outside the vocabulary is tried without a plural ending, else "unknown".

    Called like an open_clip tokenizer, it returns (n, context_length) int64, as an array.
    """

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.words = tuple(words)
        self.context_length = context_length
        self.numbers = {word: number for number, word in enumerate(self.words, N_SPECIAL)}
        self.end = N_SPECIAL + len(self.words)

    @property
    def vocab_size(self) -> int:
        return self.end + 1

    def number(self, word: str) -> int:
        """Return the token of a lower-case word."""
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in self.numbers:
                return self.numbers[form]
        return UNKNOWN

    def __call__(self, texts: str | Iterable[str]) -> np.ndarray:
        """Return start, words, end, padding; a long text loses its last words, never its end token."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        tokens = np.full((len(texts), self.context_length), PAD, np.int64)
        for row, text in zip(tokens, texts, strict=True):
            numbers = [self.number(word) for word in split_words(text)[: self.context_length - 2]]
            row[: len(numbers) + 2] = [START, *numbers, self.end]
        return tokens


# Captions of a Glyphworld scene or of a window of it, in all variants of the grammar. No torch.
#
# `caption_of` gives each scene one sentence. A CLIP that must understand crops and incomplete sentences
# needs more: the same facts with clauses dropped, and descriptions of what windows show.


OPENINGS = ("", "", "", "a photo of", "a picture of")
NEUTRAL_GROUNDS = {NEUTRAL_FLOOR: "a stone floor", NEUTRAL_WALL: "a plaster wall"}
SIZES = ("tiny", "small", "medium", "large", "huge")
JOINING = (
    "a an the of in on against front by and with next to left right above below partly hidden among other "
    "things photo picture sky night wall floor stone plaster this is there two some"
)
SEEN = 0.6  # minimum share of an object's box inside a window for the object to be named
MOSTLY = 0.35  # minimum share of a window that a ground fills to be named

ABSENT_FILE = asset("captions/absent_words.txt")


@dataclass(frozen=True)
class Seen:
    """An object of a scene: its position, its name, and the words for its state."""

    item: Item
    nouns: tuple[str, ...]
    colour: str
    states: tuple[str, ...]


@dataclass(frozen=True)
class SceneFacts:
    """The facts from which captions of one scene are made."""

    plan: ScenePlan
    main: Seen
    others: tuple[Seen, ...]
    hidden_by: str | None  # "" if it is a piece of background
    crowded: bool
    caption: str


Window = tuple[float, float, float, float]  # left, top, right, bottom in shares of the image's side


def caption_facts(plan: ScenePlan) -> SceneFacts:
    """Collect the names and states of everything in a Glyphworld scene."""
    parts = severities(plan, measure_occlusion(plan))
    states = tuple(STATE_WORDS[part] for part in ("faded", "blurred") if parts[part] >= MARKED)
    glyph = glyph_of(plan.main)
    main = Seen(plan.main, tuple(dict.fromkeys((plan.label, glyph.noun))), colour_of(plan.main), states)
    others = ([plan.companion] if plan.companion else []) + list(plan.distractors)
    occluded = parts["occluded"] >= MARKED
    seen_others = tuple(Seen(item, (glyph_of(item).noun,), colour_of(item), ()) for item in others)
    in_front = _noun(plan.occluder) if plan.occluder else ""
    crowded = parts["clutter"] >= MARKED
    return SceneFacts(
        plan=plan,
        main=main,
        others=seen_others,
        hidden_by=in_front if occluded else None,
        crowded=crowded,
        caption=caption_of(plan, parts),
    )


def _noun(item: Item) -> str:
    return with_article(f"{colour_of(item)} {glyph_of(item).noun}")


def scene_caption(facts: SceneFacts, dice: Draws, *, flipped: bool = False) -> str:
    """Write a true sentence about a whole Glyphworld scene; `flipped`: the image is mirrored."""
    if not flipped and dice.chance(0.35):
        return facts.caption
    parts = [_noun_phrase(facts.main, dice)]
    if facts.others and dice.chance(0.75):
        other = dice.pick(facts.others)
        parts += [_between(facts.main.item, other.item, dice, flipped), _noun_phrase(other, dice)]
    if facts.hidden_by is not None and dice.chance(0.6):
        parts.append(f"partly hidden by {facts.hidden_by}" if facts.hidden_by else "partly hidden")
    if facts.crowded and dice.chance(0.5):
        parts.append("among other things")
    if dice.chance(0.75):
        parts.append(_place_phrase(facts.plan, dice))
    return f"{dice.pick(OPENINGS)} {' '.join(parts)}".strip()


def _noun_phrase(seen: Seen, dice: Draws) -> str:
    """Name an object of a Glyphworld caption: "a small faded brown dog", with randomly omitted words."""
    noun = dice.pick(seen.nouns)
    words = [size_word(seen.item.size)] if dice.chance(0.4) else []
    words += seen.states if dice.chance(0.7) else ()
    words += [seen.colour] if dice.chance(0.65) and " of " not in noun else []
    return with_article(" ".join([*words, noun]))


def _place_phrase(plan: ScenePlan, dice: Draws) -> str:
    """Say in a Glyphworld caption on which ground the objects stand, with or without its colour."""
    colour = ground_colour(plan) if dice.chance(0.7) else ""
    return " ".join(PLACES[plan.ground.kind].format(colour).split())


def _ground_name(plan: ScenePlan, dice: Draws) -> str:
    """Name the ground of a Glyphworld scene alone: "green grass", "a red brick wall"."""
    return _place_phrase(plan, dice).removeprefix("on ").removeprefix("against ").removeprefix("in front of ")


def _between(main: Item, other: Item, dice: Draws, flipped: bool) -> str:
    words = place_words(main, other)
    if words is None or dice.chance(0.3):
        return dice.pick(("next to", "and", "with"))
    relation = words[0] if words[1] else REVERSED[words[0]]
    sides = {"left of": "right of", "right of": "left of"}
    return sides.get(relation, relation) if flipped else relation


def window_caption(facts: SceneFacts, window: Window, dice: Draws) -> str:
    """Describe what a window of a Glyphworld scene shows: objects, with or without ground; else ground."""
    shown = [seen for seen in (facts.main, *facts.others) if visible_share(seen.item, window) >= SEEN]
    shown.sort(key=lambda seen: -seen.item.size)
    ground = window_ground(facts.plan, window, dice)
    opening = dice.pick(OPENINGS)
    if not shown:
        return f"{opening} {ground or 'other things'}".strip()
    text = _noun_phrase(shown[0], dice)
    if len(shown) > 1 and dice.chance(0.6):
        text += f" {dice.pick(('and', 'next to', 'with'))} {_noun_phrase(shown[1], dice)}"
    if ground and dice.chance(0.4):
        text += f" in front of {ground}"
    return f"{opening} {text}".strip()


def visible_share(item: Item, window: Window) -> float:
    """Share of a Glyphworld object's square box that lies inside the window."""
    half = item.size / 2
    across = min(item.x + half, window[2]) - max(item.x - half, window[0])
    down = min(item.y + half, window[3]) - max(item.y - half, window[1])
    return max(across, 0.0) * max(down, 0.0) / item.size**2


def window_ground(plan: ScenePlan, window: Window, dice: Draws) -> str | None:
    """Name the ground that fills much of a window of a Glyphworld scene; None where that is unclear."""
    ground, (_, top, _, bottom) = plan.ground, window
    if ground.horizon is None:
        return _ground_name(plan, dice)
    level = sum(ground.horizon) / len(ground.horizon)
    below = (bottom - max(top, min(level, bottom))) / max(bottom - top, 1e-6)
    share = below if ground.is_floor else 1 - below
    if share >= MOSTLY:
        return _ground_name(plan, dice)
    return NEUTRAL_GROUNDS[NEUTRAL_WALL if ground.is_floor else NEUTRAL_FLOOR] if share < 0.15 else None


def absent_caption(facts: SceneFacts, dice: Draws, absent: Sequence[str]) -> str:
    """Write a caption of a Glyphworld scene in which an absent object replaces the main object."""
    noun = dice.pick(absent)
    words = [dice.pick(SIZES)] if dice.chance(0.4) else []
    parts = [with_article(" ".join([*words, noun]))]
    if dice.chance(0.6):
        parts.append(_place_phrase(facts.plan, dice))
    return f"{dice.pick(OPENINGS)} {' '.join(parts)}".strip()


@cache
def absent_words(kind: str) -> tuple[str, ...]:
    """Nouns of objects that no Glyphworld scene shows; `kind` is "read" or "unread" (see the file)."""
    lines = ABSENT_FILE.read_text(encoding="utf-8").splitlines()
    rows = [line.removeprefix(f"{kind}:") for line in lines if line.startswith(f"{kind}:")]
    return tuple(word for row in rows for word in row.split())


@cache
def vocabulary() -> tuple[str, ...]:
    """List every word that captions of Glyphworld may contain, and the absent ones that are read; sorted."""
    atlas = load_atlas()
    texts = [JOINING, *absent_words("read"), *SIZES, *STATE_WORDS.values(), *PLACES, *atlas.class_names]
    texts += ["bright dark pencil sketch pastel drawing monochrome print", *OPENINGS]
    texts += [*REVERSED, *REVERSED.values()]
    texts += [colour for colours in COLOUR_WORDS.values() for colour in colours]
    texts += [f"{glyph.noun} {glyph.colour} {glyph.label}" for glyph in atlas.glyphs.values()]
    return tuple(sorted({word for text in texts for word in split_words(text)}))


# The caption bank of Glyphworld: sentences of its grammar, many of which describe no scene. No torch.


N_CAPTIONS, SEED = 30_000, 0
BANK_TAG = 0x62616E6B  # keeps the draws of the bank apart from those of scenes
ABSENT_SHARE = 0.2  # share of captions that name something that no scene shows
WRONG_COLOUR = 0.1  # share of coloured nouns with a colour that they never have
RELATIONS = ("next to", "and", "with", *REVERSED, *REVERSED.values())
RANGES = {"n": (2, 10_000_000), "seed": (0, 2**31 - 1)}


def glyph_captions(n: int = N_CAPTIONS, seed: int = SEED) -> list[str]:
    """Draw n captions as in a web bank about objects of Glyphworld, some about absent objects.

    In any combination; sentences may repeat. Sentence i depends on (seed, i) alone.
    """
    return [_caption(Draws(seed, index, BANK_TAG)) for index in range(n)]


def parse_bank_spec(spec: str) -> dict[str, int]:
    """Parse the options of Glyphworld's captions, `glyphworld?n=30000&seed=0`. Raises CaptionError."""
    values = {"n": N_CAPTIONS, "seed": SEED}
    for name, text in parse_qsl(spec.partition("?")[2], keep_blank_values=True):
        if name not in RANGES:
            raise CaptionError(
                unknown_name(f"the bank glyphworld has no option '{name}'", name, RANGES, "Options")
            )
        low, high = RANGES[name]
        if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
            raise CaptionError(
                f"glyphworld: {name} must be a whole number from {low} to {high}, not '{text}'"
            )
        values[name] = int(text)
    return values


def _caption(dice: Draws) -> str:
    make: Callable[[Draws], str] = dice.weighted((_scene, _single, _ground), (0.6, 0.34, 0.06))
    return f"{dice.pick(OPENINGS)} {make(dice)}".strip()


def _scene(dice: Draws) -> str:
    parts = [_thing(dice)]
    if dice.chance(0.6):
        parts += [dice.pick(RELATIONS), _thing(dice)]
    if dice.chance(0.15):
        parts.append(f"partly hidden by {_thing(dice)}" if dice.chance(0.5) else "partly hidden")
    if dice.chance(0.1):
        parts.append("among other things")
    if dice.chance(0.7):
        parts.append(_place(dice))
    return " ".join(parts)


def _single(dice: Draws) -> str:
    return _thing(dice)


def _ground(dice: Draws) -> str:
    if dice.chance(0.2):
        return dice.pick(tuple(NEUTRAL_GROUNDS.values()))
    return _place(dice).removeprefix("on ").removeprefix("against ").removeprefix("in front of ")


def _place(dice: Draws) -> str:
    kind = dice.pick(KINDS)
    colours = COLOUR_WORDS[kind]
    colour = "" if dice.chance(0.3) else colours[0] if dice.chance(0.8) else dice.pick(colours)
    return " ".join(PLACES[kind].format(colour).split())


def _thing(dice: Draws) -> str:
    """Random object phrase ("a small brown dog"); with small probability an object absent from Glyphworld."""
    words = [dice.pick(SIZES)] if dice.chance(0.35) else []
    words += [dice.pick(tuple(STATE_WORDS.values()))] if dice.chance(0.1) else []
    glyph = _glyph(dice)
    if dice.chance(ABSENT_SHARE / 1.5):  # a caption names 1.5 things on average
        noun, colour = dice.pick(absent_words("read" if dice.chance(0.5) else "unread")), glyph.colour
    else:
        noun = glyph.label if glyph.role == "class" and dice.chance(0.4) else glyph.noun
        colour = glyph.colour if not dice.chance(WRONG_COLOUR) else _glyph(dice).colour
    words += [colour] if dice.chance(0.6) and " of " not in noun else []
    return with_article(" ".join([*words, noun]))


def _glyph(dice: Draws) -> Glyph:
    glyphs = load_atlas().glyphs
    return glyphs[dice.pick(tuple(glyphs))]
