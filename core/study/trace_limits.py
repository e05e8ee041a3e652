"""Limits of notes, tags and names.

Tags and names are written into pages, charts and filters, so they hold no signs that any of these could take
for markup: letters, digits, spaces and a few others. A note is any text, and is only ever shown as such.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import TraceError

LONGEST_NAME = 40
LONGEST_TAG = 30
LONGEST_NOTE = 2000
LONGEST_CLASS = 200
MOST_TAGS = 12  # of one image or feature
LONGEST_ADDRESS, MOST_VIEWS = 2000, 200
ADDRESS = re.compile(r"[a-z_]{1,30}(\?[!-~]*)?")  # a page of the dashboard and its query
IN_NAME = " -,'()"
IN_TAG = " -_"


def checked_name(name: Any) -> str:
    """Return a person's name for a feature without superfluous spaces; an empty one is none.

    Raises:
        TraceError: it is too long or holds other signs than letters, digits, spaces and `IN_NAME`.
    """
    return _plain(name, "a name", LONGEST_NAME, IN_NAME)


def _checked_tag(tag: Any) -> str:
    """Return a tag that people give images of a study without superfluous spaces.

    Raises:
        TraceError: it is empty, too long or holds other signs than letters, digits, spaces and `IN_TAG`.
    """
    clean = _plain(tag, "a tag", LONGEST_TAG, IN_TAG)
    if not clean:
        raise TraceError("a tag needs letters or digits, such as 'doubtful'")
    return clean


def checked_tags(tags: Any) -> tuple[str, ...]:
    """Return tags of an image of a study in alphabetical order, each once.

    Raises:
        TraceError: one of them is no tag, or there are too many.
    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise TraceError("tags are a list of texts")
    unique = tuple(sorted({_checked_tag(tag) for tag in tags}, key=lambda tag: (tag.casefold(), tag)))
    if len(unique) > MOST_TAGS:
        raise TraceError(f"at most {MOST_TAGS} tags, not {len(unique)}; remove some first")
    return unique


def checked_note(note: Any) -> str:
    """Return a note on a study without spaces at its ends and characters that cannot be shown.

    Raises:
        TraceError: it is too long or no text.
    """
    text = _text(note, "a note").replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(sign for sign in text if sign in "\n\t" or _can_be_shown(sign)).strip()
    return _short(clean, "a note", LONGEST_NOTE)


def checked_views(views: Any) -> dict[str, str]:
    """Return saved views in alphabetical order: names like those of features, and addresses of pages.

    Raises:
        TraceError: one of them is none, or there are too many.
    """
    if not isinstance(views, Mapping):
        raise TraceError("views are addresses by their names")
    if len(views) > MOST_VIEWS:
        raise TraceError(f"a study keeps at most {MOST_VIEWS} views; remove some first")
    checked = {}
    for name, address in sorted(views.items(), key=lambda pair: str(pair[0]).casefold()):
        if not (clean := checked_name(name)):
            raise TraceError("a view needs a name with letters, such as 'dogs under snow'")
        checked[clean] = _short(_text(address, "an address"), "an address", LONGEST_ADDRESS)
        if not ADDRESS.fullmatch(address):
            raise TraceError(f"the address of a view is a page and its query, not {address[:40]!r}")
    return checked


def checked_class(name: Any) -> str:
    """Return the name of a class that people give an image as it is, since a data set defines it.

    Raises:
        TraceError: it is no text or longer than any class name.
    """
    return _short(_text(name, "a class name"), "a class name", LONGEST_CLASS)


def _plain(value: Any, what: str, longest: int, more: str) -> str:
    clean = unicodedata.normalize("NFC", " ".join(_text(value, what).split()))
    if not clean:
        return ""
    for sign in clean:
        if sign not in more and unicodedata.category(sign)[0] not in "LMN":
            raise TraceError(
                f"{what} holds letters, digits, spaces and {' '.join(more.strip())}, not {sign!r}"
            )
    if unicodedata.category(clean[0])[0] not in "LN":
        raise TraceError(f"{what} begins with a letter or a digit, not {clean[0]!r}")
    return _short(clean, what, longest)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TraceError(f"{what} is a text, not {type(value).__name__}")
    return value


def _short(text: str, what: str, longest: int) -> str:
    if len(text) > longest:
        raise TraceError(f"{what} has at most {longest:,} characters, this one has {len(text):,}")
    return text


def _can_be_shown(sign: str) -> bool:
    """Return False for controls, lone surrogates and signs that turn the direction of the text around."""
    return (
        unicodedata.category(sign) not in ("Cc", "Cs")
        and sign not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
