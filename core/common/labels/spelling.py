"""The forms of a name in which two spellings of one class are equal, the most exact form first. No torch.

A name may be a number ("01"), a WordNet id, words, or an id or a number before its words
("n02085620-Chihuahua", "001.Black_footed_Albatross"). Words may be synonyms with commas between them.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

BY_ID = "by WordNet id"
BY_NAME = "by name"
BY_NUMBER = "by number"
ID_BEFORE = re.compile(r"\s*(n\d{8})(?=[\s\-_.,:;]|$)[\s\-_.,:;]*(.*)", re.IGNORECASE | re.DOTALL)
ID_BEHIND = re.compile(r"(.+?)\s*\((n\d{8})\)\s*", re.IGNORECASE | re.DOTALL)
WHOLE = re.compile(r"([+-]?\d{1,18})(?:\.0+)?")
SEPARATORS = re.compile(r"[_\-\s/\\‐-―]+")
NUMBER_BEFORE = re.compile(r"\d+\s*[.):_\-\s]\s*(?=[^\W\d])")
# A space between digits and a point before one tell numbers apart: "1 12" is not "11 2".
BETWEEN_WORDS = re.compile(r"['’`´]|\.(?!\d)|(?<!\d)\s|\s(?!\d)")


def wordnet_id(name: str) -> str | None:
    """Return the WordNet id that a name is, begins with, or has in brackets behind it.

    >>> wordnet_id("n02085620-Chihuahua"), wordnet_id("crane (n03126707)"), wordnet_id("tench")
    ('n02085620', 'n03126707', None)
    """
    return _parted(name)[0]


def words_of(name: str) -> str:
    """Return a name without its WordNet id; "" for an id alone.

    >>> words_of("n02085620-Chihuahua"), words_of("n01440764 tench, Tinca tinca"), words_of("n01440764")
    ('Chihuahua', 'tench, Tinca tinca', '')
    """
    return _parted(name)[1]


@lru_cache(maxsize=1 << 16)
def _parted(name: str) -> tuple[str | None, str]:
    if before := ID_BEFORE.fullmatch(name):
        return before[1].lower(), before[2].strip()
    if behind := ID_BEHIND.fullmatch(name):
        return behind[2].lower(), behind[1].strip()
    return None, name.strip()


def integer_of(name: str) -> int | None:
    """Return the whole number that a name is.

    >>> integer_of("01"), integer_of("1.0"), integer_of("1.5"), integer_of("one")
    (1, 1, None, None)
    """
    number = WHOLE.fullmatch(unicodedata.normalize("NFKC", name).strip())
    return int(number[1]) if number else None


@lru_cache(maxsize=1 << 16)
def plain(name: str) -> str:
    """Return a name without regard to case, Unicode form, underscores, hyphens and slashes; numbers stay.

    >>> plain("Golden_retriever"), plain("black-and-tan  coonhound"), plain("-1")
    ('golden retriever', 'black and tan coonhound', '-1')
    """
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    return text if WHOLE.fullmatch(text) else " ".join(SEPARATORS.sub(" ", text).split())


def without_number(name: str) -> str:
    """Return a name without a number that stands before its words.

    >>> without_number("001.Black_footed_Albatross"), without_number("3d printer"), without_number("12")
    ('Black_footed_Albatross', '3d printer', '12')
    """
    text = name.strip()
    return NUMBER_BEFORE.sub("", text, count=1) if NUMBER_BEFORE.match(text) else text


def as_one_word(name: str) -> str:
    """Return a plain name whose words are written as one: "air plane" is "airplane".

    >>> [as_one_word(name) for name in ("Air-plane", "jack-o'-lantern", "St. Bernard", "10-19")]
    ['airplane', 'jackolantern', 'stbernard', '10 19']
    """
    return BETWEEN_WORDS.sub("", plain(name))


def synonyms(name: str) -> list[str]:
    """Return the words of a name, one for each synonym.

    >>> synonyms("n01440764 tench, Tinca tinca")
    ['tench', 'Tinca tinca']
    """
    return [part for one in words_of(name).split(",") if (part := one.strip())]


class Spelling(NamedTuple):
    """A form in which names are compared: what it is called, and the keys that a name has in it."""

    how: str
    keys: Callable[[str], list[str]]


def _ids(name: str) -> list[str]:
    return list(filter(None, [wordnet_id(name)]))


def _numbers(name: str) -> list[str]:
    number = integer_of(name)
    return [] if number is None else [str(number)]


def _plain_words(name: str) -> list[str]:
    return list(filter(None, [plain(words_of(name))]))


def _first_synonym(name: str) -> list[str]:
    return [plain(one) for one in synonyms(name)[:1]]


def _synonyms(name: str) -> list[str]:
    return [plain(one) for one in (words_of(name), *synonyms(name)) if one]


def _without_number(name: str) -> list[str]:
    return [plain(without_number(one)) for one in (words_of(name), *synonyms(name)) if one]


def _joined(name: str) -> list[str]:
    return [as_one_word(one) for one in _without_number(name)]


def _stripped(name: str) -> list[str]:
    return [name.strip()]


def _composed(name: str) -> list[str]:
    return [unicodedata.normalize("NFC", name.strip())]


_BY_WORDS = (_plain_words, _first_synonym, _synonyms, _without_number, _joined)
_KEYS = ((BY_ID, (_ids,)), (BY_NAME, (_stripped, _composed)), (BY_NUMBER, (_numbers,)), (BY_NAME, _BY_WORDS))
SPELLINGS = tuple(Spelling(how, keys) for how, all_keys in _KEYS for keys in all_keys)
