"""What a sentence must carry, whatever its words: its numbers, and other words in another state."""

from __future__ import annotations

import re

from core.common.records import Record

NUMBER = re.compile(r"[+\N{MINUS SIGN}]?\d+(?:[.,]\d+)*")


def numbers(text: str) -> list[str]:
    """Return the numbers of a text as they are written, with their signs, in their order.

    >>> numbers("Of the 1,200 nearest, 2 are of its class: +0.17 %.")
    ['1,200', '2', '+0.17']
    """
    return NUMBER.findall(text)


def without_numbers(text: str) -> str:
    """Return the words of a text: two states that are told apart have other words for the same numbers."""
    return NUMBER.sub("#", text)


def as_record(text: str) -> Record:
    """Return a sentence as the record that it is; one that is still composed by hand has no kind."""
    return text if isinstance(text, Record) else Record(text, "")
