"""Describe a Glyphworld scene in words: its relations, attributes, and a caption."""

from core.worlds.atlas import Glyph, load_atlas
from core.worlds.backgrounds import COLOUR_WORDS, FLOORS
from core.worlds.scenes import FAULTS, Item, ScenePlan

APART = 0.12  # closer centres (in image sides) are neither left of nor above each other
MARKED = 0.35  # minimum severity for a part of hardness to be named and count as a cause
STATE_WORDS = {"faded": "faded", "blurred": "blurry", "occluded": "hidden", "clutter": "crowded"}
PLACES = {kind: f"on {{}} {kind}" for kind in FLOORS} | {
    "sky": "against a {} sky",
    "night": "against a {} night sky",
    "brick": "in front of a {} brick wall",
    "forest": "in front of a {} forest",
}
STYLE_PHRASES = {
    "sketch": "a pencil sketch of",
    "pastel": "a pastel drawing of",
    "mono": "a monochrome print of",
}
REVERSED = {"left of": "right of", "above": "below"}

Relation = tuple[str, str, str]


def size_word(size: float) -> str:
    """Return Glyphworld's word for an object whose longer side is `size` image sides."""
    for limit, word in ((0.22, "tiny"), (0.42, "small"), (0.62, "medium"), (0.74, "large")):
        if size < limit:
            return word
    return "huge"


def place_words(first: Item, second: Item) -> tuple[str, bool] | None:
    """("left of" | "above", whether first is the subject), or None where the two are too close to tell."""
    right, down = second.x - first.x, second.y - first.y
    if max(abs(right), abs(down)) < APART:
        return None
    return ("left of", right > 0) if abs(right) >= abs(down) else ("above", down > 0)


def relations_of(plan: ScenePlan) -> list[Relation]:
    """(subject, "left of" | "above" | "on", object) about a scene's main object, named by its class."""
    relations: list[Relation] = []
    others = ([plan.companion] if plan.companion else []) + list(plan.distractors)
    for other in others:
        noun, words = glyph_of(other).noun, place_words(plan.main, other)
        if words is not None:
            relation, forward = words
            relations.append((plan.label, relation, noun) if forward else (noun, relation, plan.label))
    if plan.ground.is_floor:
        relations.append((plan.label, "on", plan.ground.kind))
    return relations


def attributes_of(plan: ScenePlan, parts: dict[str, float]) -> list[str]:
    """List true words of a Glyphworld scene: object, colour, size, state, background, style, light."""
    words = main_words(plan, parts)
    words += [glyph_of(plan.companion).noun] if plan.companion else []
    words += [glyph_of(item).noun for item in plan.distractors]
    words += [glyph_of(plan.occluder).noun] if plan.occluder else []
    words += [plan.ground.kind, ground_colour(plan), plan.style]
    words += ["dark"] if plan.brightness < 0.9 else ["bright"] if plan.brightness > 1.06 else []
    return list(dict.fromkeys(words))


def main_words(plan: ScenePlan, parts: dict[str, float]) -> list[str]:
    """List what is true of a Glyphworld scene's main object: its class, noun, colour, size and state."""
    states = [word for part, word in STATE_WORDS.items() if parts[part] >= MARKED]
    return [plan.label, glyph_of(plan.main).noun, colour_of(plan.main), size_word(plan.main.size), *states]


def caption_of(plan: ScenePlan, parts: dict[str, float]) -> str:
    """Write one sentence on a scene such as "a small brown dog left of a white bone on green grass"."""
    sentence = [with_article(_main_phrase(plan, parts))]
    neighbour = plan.companion or (plan.distractors[0] if plan.distractors else None)
    if neighbour is not None:
        sentence += [_relative_place(plan.main, neighbour), with_article(_phrase(neighbour))]
    if parts["occluded"] >= MARKED:
        sentence.append("partly hidden")
        sentence += [f"by {with_article(_phrase(plan.occluder))}"] if plan.occluder else []
    if parts["clutter"] >= MARKED:
        sentence.append("among other things")
    sentence.append(PLACES[plan.ground.kind].format(ground_colour(plan)))
    opening = STYLE_PHRASES.get(plan.style) or ("a photo of" if plan.wording[0] < 0.4 else "")
    return f"{opening} {' '.join(sentence)}".strip()


def cause_of(plan: ScenePlan, parts: dict[str, float]) -> str:
    """Name why a Glyphworld scene is hard: the worst part of hardness, else a cue, else "none"."""
    worst = max(FAULTS, key=lambda part: parts[part])
    if parts[worst] >= MARKED:
        return worst
    if plan.companion_agrees is False:
        return "companion"
    return "none" if plan.background_agrees else "background"


def glyph_of(item: Item) -> Glyph:
    """Return the glyph of Glyphworld's sheet that an object of a scene is drawn with."""
    return load_atlas().glyphs[item.glyph]


def colour_of(item: Item) -> str:
    """Return the colour that an object of a Glyphworld scene is painted in, else the glyph's own."""
    return item.hue or glyph_of(item).colour


def ground_colour(plan: ScenePlan) -> str:
    """Return the word for the colour of a Glyphworld scene's ground."""
    return COLOUR_WORDS[plan.ground.kind][plan.ground.variant]


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase of a Glyphworld caption."""
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def _phrase(item: Item) -> str:
    glyph = glyph_of(item)
    return glyph.noun if " of " in glyph.noun else f"{colour_of(item)} {glyph.noun}"


def _main_phrase(plan: ScenePlan, parts: dict[str, float]) -> str:
    glyph, word = glyph_of(plan.main), size_word(plan.main.size)
    noun = plan.label if plan.wording[1] < 0.5 else glyph.noun
    states = [STATE_WORDS[part] for part in ("faded", "blurred") if parts[part] >= MARKED]
    return " ".join([word] * (word != "medium") + states + [colour_of(plan.main), noun])


def _relative_place(main: Item, other: Item) -> str:
    words = place_words(main, other)
    if words is None:
        return "next to"
    return words[0] if words[1] else REVERSED[words[0]]
