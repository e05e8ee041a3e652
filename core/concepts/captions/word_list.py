"""Base forms by WordNet's word list (Fellbaum 1998; `assets/wordnet/`), and its compounds. No torch.

As WordNet's own morphy: exceptions first, then endings by rules, and only words of the list are base forms.
"""

from collections.abc import Sequence
from functools import cache, lru_cache

from core.common.assets import asset
from core.errors import CaptionError

NOUN, VERB, ADJECTIVE = "noun", "verb", "adj"
FILES = {NOUN: "nouns", VERB: "verbs", ADJECTIVE: "adjectives"}
RULES: dict[str, Sequence[tuple[str, str]]] = {  # (ending, ending of the base)
    NOUN: (
        *(("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh")),
        *(("men", "man"), ("ies", "y"), ("s", "")),
    ),
    VERB: (
        *(("ies", "y"), ("es", "e"), ("es", ""), ("s", "")),
        *(("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    ),
    ADJECTIVE: (("er", "e"), ("er", ""), ("est", "e"), ("est", "")),
}
LONGEST_COMPOUND = 4  # words


def _lines(name: str) -> list[str]:
    path = asset(f"wordnet/{name}.txt")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CaptionError(f"cannot read the word list '{path}': {error.strerror}") from None


@cache
def known_words(part: str) -> frozenset[str]:
    """The words of a part of speech in their base forms. Raises CaptionError when they cannot be read."""
    return frozenset(_lines(FILES[part]))


@cache
def irregular_forms(part: str) -> dict[str, str]:
    """The base of each form that rules do not tell, or not alone."""
    return dict(line.split() for line in _lines(f"{FILES[part]}_irregular"))


@lru_cache(maxsize=65_536)
def base_of(word: str, part: str) -> str | None:
    """Return the base form of an inflected word, a word of the list; None if there is none.

    >>> [base_of(word, VERB) for word in ("playing", "ran", "riding", "singing", "play")]
    ['play', 'run', 'ride', 'sing', 'play']
    >>> [base_of(word, NOUN) for word in ("lenses", "wolves", "women", "frisbees", "zzzs")]
    ['lens', 'wolf', 'woman', 'frisbee', None]
    """
    if exception := irregular_forms(part).get(word):
        return exception
    words = known_words(part)
    bases = (word.removesuffix(ending) + of_base for ending, of_base in RULES[part] if word.endswith(ending))
    return next((base for base in bases if base in words), word if word in words else None)


@cache
def compounds() -> dict[str, bool]:
    """Compounds of things, such as "fire hydrant", and whether such a thing is what its last word says.

    >>> compounds()["fire hydrant"], compounds()["hot dog"], "dog hydrant" in compounds()
    (True, False, False)
    """
    return dict.fromkeys(_lines("compounds"), True) | dict.fromkeys(_lines("compounds_of_their_own"), False)
