"""The caption bank of Glyphworld: sentences of its grammar, many of which describe no scene. No torch."""

from collections.abc import Callable
from urllib.parse import parse_qsl

from core.errors import CaptionError, unknown_name
from core.worlds.glyphworld.atlas import Glyph, load_atlas
from core.worlds.glyphworld.backgrounds import COLOUR_WORDS, KINDS
from core.worlds.glyphworld.captions import NEUTRAL_GROUNDS, OPENINGS, SIZES, absent_words
from core.worlds.glyphworld.scenes import Draws
from core.worlds.glyphworld.vocabulary import PLACES, REVERSED, STATE_WORDS, with_article

N_CAPTIONS, SEED = 30_000, 0
BANK_TAG = 0x62616E6B  # keeps the draws of the bank apart from those of scenes
ABSENT_SHARE = 0.2  # share of captions that name something that no scene shows
WRONG_COLOUR = 0.1  # share of coloured nouns with a colour that they never have
RELATIONS = ("next to", "and", "with", *REVERSED, *REVERSED.values())
RANGES = {"n": (2, 10_000_000), "seed": (0, 2**31 - 1)}


def glyph_captions(n: int = N_CAPTIONS, seed: int = SEED) -> list[str]:
    """Draw n sentences as in a web bank: about objects of Glyphworld in any combination, some about absent
    objects; sentences may repeat. Sentence i depends on (seed, i) alone."""
    return [_caption(Draws(seed, index, BANK_TAG)) for index in range(n)]


def parse_bank_spec(spec: str) -> dict[str, int]:
    """Parse the options of `glyphworld?n=30000&seed=0`. Raises CaptionError."""
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
