"""The address of a caption bank: a file, and what is said of its form. No torch."""

import os
from dataclasses import dataclass, field

from core.concepts.captions.files import FormAsked
from core.concepts.captions.line_form import NAMED_SEPARATORS
from core.errors import CaptionError, unknown_name

CONCEPTS, SENTENCES = "concepts", "sentences"
CHOICES = {"header": ("yes", "no"), "lines": (CONCEPTS, SENTENCES)}
OPTIONS = ("text", "column", "sep", "header", "lines")


@dataclass(frozen=True)
class BankAddress:
    """Where captions are, and how they are to be read.

    Attributes:
        lines: CONCEPTS where each caption is a concept as it stands, SENTENCES where it has words; None: by
            their lengths.
    """

    place: str
    asked: FormAsked = field(default_factory=FormAsked)
    lines: str | None = None


def bank_address(text: str, column: str | None = None) -> BankAddress:
    """Take an address apart: `FILE?text=COLUMN&sep=tab&header=no&lines=concepts`.

    Args:
        column: of the captions, where the address names none.
    Raises:
        CaptionError: an option or a value of one that there is not.

    >>> bank_address("a.txt?sep=tab&lines=concepts")
    BankAddress(place='a.txt', asked=FormAsked(text=None, separator='\\t', header=None), lines='concepts')
    """
    place, mark, query = text.rpartition("?")
    if not mark or "=" not in query or _is_there(text):
        return BankAddress(text, FormAsked(column))
    parts = [part.partition("=") for part in query.split("&")]
    options = {name: value for name, _, value in parts}
    if unknown := [name for name in options if name not in OPTIONS]:
        if "://" in text:  # part of the address of a server
            return BankAddress(text, FormAsked(column))
        hint = unknown_name(f"no option '{unknown[0]}' of captions", unknown[0], list(OPTIONS), "Options")
        raise CaptionError(hint)
    for name, values in CHOICES.items():
        if options.get(name, values[0]) not in values:
            raise CaptionError(f"{name} is {' or '.join(values)}, not '{options[name]}'")
    header = options["header"] == "yes" if "header" in options else None
    named = options.get("text") or options.get("column") or column
    return BankAddress(place, FormAsked(named, _separator(options.get("sep")), header), options.get("lines"))


def _is_there(path: str) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:  # a name that no file can have
        return False


def _separator(given: str | None) -> str | None:
    if given is None or given in NAMED_SEPARATORS:
        return None if given is None else NAMED_SEPARATORS[given]
    sign = {"\\t": "\t"}.get(given, given)
    if len(sign) != 1 or sign in "\"'\r\n" or sign.isalnum():
        separators = ", ".join(NAMED_SEPARATORS)
        raise CaptionError(f"sep is one character or one of {separators}, not '{given}'")
    return sign
