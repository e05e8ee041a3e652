"""The text form of slices: `split=val label="golden retriever" q_score=0.1..0.3 fires=12,40`."""

import json
import re
from collections.abc import Mapping
from typing import Any

from core.errors import SliceError

LONGEST = 2000  # characters of a filter that somebody gives: an address, a command, a call
EXAMPLE = "split=val label=dog correct=false q_score=0.1..0.3 fires=12,40"
TEXT_KEYS = {"name": "name", "split": "split"}  # keyword -> field of Slice
LIST_KEYS = {"label": "labels", "predicted": "predicted", "concept": "concepts", "image": "image_ids"}
SAVED = "@"  # marks the name of a saved slice
KEYWORDS = (*TEXT_KEYS, *LIST_KEYS, "correct", "fires", "confusion")

_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})?\.\.({_NUMBER})?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BARE = re.compile(r'[^\s"=,>]+')
_PIECE = re.compile(r'(?:"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^\s"])+', re.DOTALL)
_SPACE = re.compile(r"\s*")


def write_text(conditions: Mapping[str, Any]) -> str:
    """Write the text form of a slice from its conditions, `Slice.to_dict()`."""
    words = [f"{key}={_quote(conditions[name])}" for key, name in TEXT_KEYS.items() if name in conditions]
    words += [f"{key}={_list(conditions[name])}" for key, name in LIST_KEYS.items() if name in conditions]
    if "correct" in conditions:
        words.append(f"correct={str(conditions['correct']).lower()}")
    if "confusion" in conditions:
        words.append("confusion=" + ">".join(map(_quote, conditions["confusion"])))
    ranges, extras = conditions.get("ranges", {}), conditions.get("extras", {})
    for key, (low, high) in ranges.items():
        words.append(f"{_column(key)}={number_text(low)}..{number_text(high)}")
    words += [f"{_column(key)}={_list(values)}" for key, values in extras.items()]
    words += [f"{SAVED}{_quote(name)}" for name in conditions.get("saved", ())]
    if "fires" in conditions:
        words.append("fires=" + ",".join(map(str, conditions["fires"])))
    return " ".join(words)


def _quote(text: str) -> str:
    plain = _BARE.fullmatch(text) and "\\" not in text and ".." not in text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _column(name: str) -> str:
    """Quote a column whose name is a keyword or looks like a saved slice."""
    odd = name in KEYWORDS or name.startswith(SAVED)
    return json.dumps(name, ensure_ascii=False) if odd else _quote(name)


def _list(values: tuple[str, ...]) -> str:
    return ",".join(map(_quote, values))


def number_text(value: float | None) -> str:
    """Write a number in the text form of a slice so that it is read as the same; an open end as nothing."""
    if value is None:
        return ""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def pieces(text: str) -> list[str]:
    """Split the text form of a slice, also an unreadable one, at the spaces outside of quotes.

    A quote that nothing closes reaches to the end. A text that is too long has no pieces.

    >>> pieces('correct=no label="golden retriever",dog')
    ['correct=no', 'label="golden retriever",dog']
    """
    return _PIECE.findall(text) if len(text) <= LONGEST else []


def checked(text: str) -> str:
    """Return the text form of a slice that somebody gives. Raises SliceError for one that is too long.

    Raises:
        SliceError: it is longer than any that a person writes; reading it would take long.
    """
    if len(text) > LONGEST:
        raise SliceError(
            f"a filter has at most {LONGEST:,} characters, this one has {len(text):,}. "
            "Save a part of it as a slice and write @NAME for that"
        )
    return text


def read(text: str) -> dict[str, Any]:
    """Parse the text form of a slice into the conditions that `Slice.from_dict` takes."""
    conditions: dict[str, Any] = {"ranges": {}, "extras": {}}
    reader = _Reader(text)
    while reader.more():
        if reader.text.startswith(SAVED, reader.at):
            reader.sign(SAVED)
            conditions["saved"] = (*conditions.get("saved", ()), reader.word()[0])
            reader.end_of_pair()
            continue
        key, quoted = reader.word()
        reader.sign("=")
        if quoted or key not in KEYWORDS:
            _read_column(key, reader, conditions)
        else:
            _read_keyword(key, reader, conditions)
        reader.end_of_pair()
    return conditions


def _read_keyword(key: str, reader: "_Reader", conditions: dict[str, Any]) -> None:
    name = TEXT_KEYS.get(key) or LIST_KEYS.get(key) or key
    if name in conditions:
        raise SliceError(f"'{key}' is given twice; list the values with commas: {key}=a,b")
    if key in TEXT_KEYS:
        conditions[name] = reader.word()[0]
    elif key == "confusion":
        true, _ = reader.word()
        reader.sign(">")
        conditions[name] = (true, reader.word()[0])
    else:
        values = reader.words()
        conditions[name] = {"correct": _truth, "fires": _features}.get(key, tuple)(values)


def _read_column(key: str, reader: "_Reader", conditions: dict[str, Any]) -> None:
    if key in conditions["ranges"] or key in conditions["extras"]:
        raise SliceError(f"'{key}' is given twice")
    ends = reader.range()
    if ends is not None:
        conditions["ranges"][key] = ends
    else:
        conditions["extras"][key] = tuple(reader.words())


def _truth(values: list[str]) -> bool:
    if values not in (["true"], ["false"]):
        raise SliceError(f"'correct' must be true or false, not '{','.join(values)}'")
    return values == ["true"]


def _features(values: list[str]) -> tuple[int, ...]:
    for value in values:
        if not value.isdecimal() or len(value) > 9:
            raise SliceError(f"'fires' takes feature numbers (fires=12,40), not '{value}'")
    return tuple(map(int, values))


class _Reader:
    """Reads the text form from left to right."""

    def __init__(self, text: str):
        self.text, self.at = text, 0

    def more(self) -> bool:
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.at < len(self.text)

    def word(self) -> tuple[str, bool]:
        """Read the next word; return it and whether it was quoted."""
        quoted = _QUOTED.match(self.text, self.at)
        match = quoted or _BARE.match(self.text, self.at)
        if match is None:
            raise self._stuck("a word")
        self.at = match.end()
        try:
            return (json.loads(match[0], strict=False), True) if quoted else (match[0], False)
        except ValueError:
            raise SliceError(f"the quoted text {match[0]} is not valid JSON") from None

    def words(self) -> list[str]:
        values = [self.word()[0]]
        while self.text.startswith(",", self.at):
            self.at += 1
            values.append(self.word()[0])
        return values

    def range(self) -> tuple[float | None, float | None] | None:
        """Read `low..high` with either end left out; None if something else follows."""
        match = _BARE.match(self.text, self.at)
        ends = _RANGE.fullmatch(match[0]) if match else None
        if match is None or ends is None:
            if match and ".." in match[0]:
                raise SliceError(f"'{match[0]}' is not a range; write 0.1..0.3, 0.1.. or ..0.3")
            return None
        self.at = match.end()
        low, high = (None if end is None else float(end) for end in ends.groups())
        return low, high

    def sign(self, sign: str) -> None:
        if not self.text.startswith(sign, self.at):
            raise self._stuck(f"'{sign}'")
        self.at += 1

    def end_of_pair(self) -> None:
        if self.at < len(self.text) and not self.text[self.at].isspace():
            raise self._stuck("a space")

    def _stuck(self, expected: str) -> SliceError:
        rest = self.text[self.at : self.at + 20]
        where = f"at '{rest}'" if rest else "at its end"
        return SliceError(
            f"cannot read the slice '{self.text}' {where}: expected {expected}. Example: {EXAMPLE}"
        )
