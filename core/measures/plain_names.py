"""Names of slices in plain words: "small objects", "trees at night", "dogs next to an unusual object".

One table of rules by column and value; what no rule knows is named as it is, "tree, with hide = yes".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.common.formatting import joined
from core.measures.image_columns import WHY, cause_name
from core.measures.slice import Slice
from core.measures.traits import Cut, picture_words

# Values that describe the object itself, whatever the column is called: "small objects", "faded trees".
ADJECTIVES = frozenset(
    (
        *("tiny", "small", "large", "huge", "faded", "blurred", "blurry", "occluded", "truncated", "hidden"),
        *("dark", "bright", "rotated", "old", "young", "wet", "dry", "broken"),
        *("black", "white", "gray", "red", "green", "blue", "yellow", "orange", "pink", "purple", "brown"),
    )
)
# Values that say where or when, in columns of surroundings.
PLACES = {
    **dict.fromkeys(("night", "night sky", "blue night sky", "dark night"), "at night"),
    **{"day": "by day", "dusk": "at dusk", "dawn": "at dawn", "sunset": "at sunset"},
    **{"sky": "in the sky", "blue sky": "in the sky", "water": "on water", "sea": "at sea"},
    **{"snow": "on snow", "sand": "on sand", "grass": "on grass", "wood": "on wood", "cloth": "on cloth"},
    **{"brick": "in front of bricks", "forest": "in a forest", "street": "in the street"},
    **{"rain": "in rain", "fog": "in fog", "indoor": "indoors", "outdoor": "outdoors"},
    **{"indoors": "indoors", "outdoors": "outdoors"},
}
SURROUNDINGS = frozenset(
    (
        *("background", "scene", "place", "location", "environment", "setting"),
        *("time", "daytime", "light", "weather"),
    )
)
# Single conditions that need words of their own.
SPECIAL = {
    ("cause", "none"): "without a known difficulty",
    ("cause", "clutter"): "with clutter",
    ("cause", "background"): "with a misleading background",
    ("cause", "companion"): "with a misleading companion",
}
PLURALS = {
    **{
        name: name for name in ("fish", "aircraft", "sheep", "deer", "fruit", "furniture", "food", "clothing")
    },
    **{"person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice"},
    **{"goose": "geese", "leaf": "leaves", "wolf": "wolves", "knife": "knives", "shelf": "shelves"},
}
UNUSUAL = {"companion": "next to an unusual object", "background": "on an unusual background"}
VERDICT: dict[bool | None, str] = {True: "correct", False: "misclassified"}
YES, NO = ("true", "yes"), ("false", "no")
AGREES = re.compile(r"(.+?)[_ ](agrees|matches)$")
HAS = re.compile(r"(has|with)[_ ](.+)$")
IS = re.compile(r"is[_ ](.+)$")
SAY = "whose features say "  # of a word, see `_joined`
RELATIVE = ("with feature ", "with latent ", "whose ")  # what stands behind all other words, joined by "and"


@dataclass(frozen=True)
class Phrase:
    """The part of a name that one condition adds: a word before the subject, or words behind it.

    alone: the words are a sentence without a subject ("background matches the class").
    """

    before: str = ""
    behind: str = ""
    alone: bool = False


def plain_name(where: Slice, words: Mapping[int, str] | None = None, kind: str = "feature") -> str:
    """Name a slice of images in plain words. The split is left out.

    Args:
        words: of features, which the name then mentions. kind: what one of them is called.

    >>> plain_name(Slice.parse("split=val cause=small"))
    'small objects'
    >>> plain_name(Slice.parse("label=tree background=night")), plain_name(Slice.parse("label=tree hide=yes"))
    ('trees at night', 'tree, with hide = yes')
    >>> plain_name(Slice.parse("label=dog companion_agrees=false"))
    'dogs next to an unusual object'
    """
    where = replace(where, split=None, name="")
    if not where:
        return "all images"
    phrases = [_phrase(part, words or {}, kind.lower()) for part in where.parts() if not part.labels]
    label = " or ".join(where.labels)
    if not phrases:
        return plural(label)
    if not label and all(phrase.alone for phrase in phrases):
        return ", ".join(phrase.behind for phrase in phrases)
    comma = [
        phrase.behind
        for phrase in phrases
        if phrase.alone or (phrase.behind.startswith("with ") and not phrase.behind.startswith(RELATIVE))
    ]
    direct = _joined([phrase.behind for phrase in phrases if phrase.behind and phrase.behind not in comma])
    before = [phrase.before for phrase in phrases if phrase.before]
    subject = label
    if before or direct:
        of_images = not before or before == [VERDICT.get(where.correct)]
        subject = plural(label) if label else "images" if of_images else "objects"
    elif not label:
        return f"images {' and '.join(comma)}"
    return ", ".join([" ".join([*before, subject, *direct]), *comma])


def _joined(clauses: list[str]) -> list[str]:
    """Join the relative clauses with "and", words of features as one, behind all other words.

    >>> _joined(["at night", "with feature 25", "whose features say “red”", "whose features say “wall”"])
    ['at night', 'with feature 25 and “red” and “wall” features']
    """
    relative = [clause for clause in clauses if clause.startswith(RELATIVE)]
    named = [clause.removeprefix(SAY) for clause in relative if clause.startswith(SAY)]
    others = [clause for clause in relative if not clause.startswith(SAY)]
    if named:
        begins = "" if others and others[-1].startswith("with ") else "with "
        others.append(f"{begins}{' and '.join(named)} features")
    joined = " and ".join(others)
    return [*(clause for clause in clauses if clause not in relative), *([joined] if joined else [])]


def _phrase(part: Slice, words: Mapping[int, str], kind: str) -> Phrase:
    for column, (low, high) in part.ranges.items():
        if clause := picture_words(column, Cut(column, low, high).text):
            return Phrase(behind=clause)
    for column, values in part.extras.items():
        if clause := picture_words(column, " or ".join(values)):
            return Phrase(behind=clause)
        if column == WHY:
            return Phrase(behind=f"with the cause “{joined([cause_name(value) for value in values], 'or')}”")
        return _value(column, " or ".join(values))
    if part.correct is not None:
        return Phrase(before=VERDICT[part.correct])
    if part.confusion:
        return Phrase(behind=f"{part.confusion[0]} taken for {part.confusion[1]}", alone=True)
    for number in part.fires:
        in_brackets = f" ({words[number]})" if words.get(number) else ""
        return Phrase(behind=f"with {kind} {number}{in_brackets}")
    for word in part.concepts:
        return Phrase(behind=f"{SAY}“{word}”")  # which is not always what the image shows
    return Phrase(behind=part.describe().removeprefix("images, "))


def _value(column: str, value: str) -> Phrase:
    name, low = column.replace("_", " "), value.casefold()
    if adjective := SPECIAL.get((column.casefold(), low)):
        return Phrase(behind=adjective)
    if column.casefold() in SURROUNDINGS:
        return Phrase(behind=PLACES.get(low) or f"with {_article(value)} {name}")
    if low in ADJECTIVES:
        return Phrase(before=value)
    if column.casefold() == "companion":
        return Phrase(behind=f"beside {_article(value)}")
    if low in YES + NO:
        if match := AGREES.match(column):
            if low in NO and (unusual := UNUSUAL.get(match[1].casefold())):
                return Phrase(behind=unusual)
            does = "matches" if low in YES else "does not match"
            return Phrase(behind=f"{match[1].replace('_', ' ')} {does} the class", alone=True)
        if match := HAS.match(column):
            return Phrase(behind=f"{'with' if low in YES else 'without'} {match[2].replace('_', ' ')}")
        if match := IS.match(column):
            adjective = match[1].replace("_", " ")
            return Phrase(before=adjective) if low in YES else Phrase(behind=f"that are not {adjective}")
        return Phrase(behind=f"with {name} = {'yes' if low in YES else 'no'}")
    return Phrase(behind=f"with {name} = {value}")


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].casefold() in 'aeiou' and noun else 'a'} {noun}"


def plural(name: str) -> str:
    """Put a class in the name of a slice into the plural, if it is plain English; any other name is left.

    >>> [plural(name) for name in ("tree", "bus", "fire lorry", "fish", "n0144", "jeans", "bird of paradise")]
    ['trees', 'buses', 'fire lorries', 'fish', 'n0144', 'jeans', 'bird of paradise']
    """
    if not re.fullmatch(r"[a-z]{2,}([ -][a-z]{2,})*", name) or " of " in name or " or " in name:
        return name
    last = name.split(" ")[-1]
    head = name[: -len(last)]
    if last in PLURALS:
        return head + PLURALS[last]
    if re.search(r"(ss|x|ch|sh|us)$", last):
        return f"{name}es"
    if last.endswith("s"):
        return name
    if re.search(r"[^aeiou]y$", last):
        return f"{name[:-1]}ies"
    return f"{name}s"
