"""Numbers in addresses, read strictly: much that Python takes for a number (`1_0`, `nan`) is none here."""

import re

from core.errors import SettingsError

LONGEST = 9  # digits: fits into every integer that numpy may make of it
_WHOLE = re.compile(rf"[0-9]{{1,{LONGEST}}}")
_SHARE = re.compile(r"(?:0|1)?\.?[0-9]{0,6}")


def whole(text: str, what: str) -> int:
    """A number of digits 0 to 9 only.

    Raises:
        SettingsError: it is anything else, or too large to count anything here.
    """
    if not _WHOLE.fullmatch(text):
        raise SettingsError(f"{what} is a number from 0 on, not '{printable(text)}'")
    return int(text)


def share(text: str, what: str) -> float:
    """A number from 0 to 1, with at most six decimals. Raises SettingsError."""
    value = float(text) if _SHARE.fullmatch(text) and text.strip(".") else -1.0
    if not 0 <= value <= 1:
        raise SettingsError(f"{what} is a number from 0 to 1, not '{printable(text)}'")
    return value


def printable(text: str, most: int = 60) -> str:
    """A given text as it may stand in an answer: short, and in one line."""
    return "".join(character if character.isprintable() else "?" for character in text[:most])
