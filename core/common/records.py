"""A sentence and what it was made of: its kind and numbers fill the template of the kind, from a TOML file.

A file of templates lies beside the module that decides on the kinds, and is read under the module's name:
`trust_check.toml` beside `trust_check.py`. A placeholder is a field of `Record`, and may have one of python's
own number formats or one of SPECS. `tests/test_sentences.py` walks every file.
"""

import string
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.common.formatting import counted, formatted, joined, ordinal, percent


@dataclass(frozen=True, eq=False, repr=False)
class Record(str):
    """A text that knows its kind and its numbers; wherever a text can stand, so can it.

    Stored as JSON it is its text; `as_json` keeps the rest.
    """

    text: str
    kind: str
    n: int | None = None
    of: int | None = None  # the number that `n` is a part of
    value: float | None = None
    interval: tuple[float, float] | None = None  # of the value
    chance: float | None = None  # what the value is without skill
    what: str = ""  # the one thing that it is about, by its name
    names: tuple[str, ...] = ()
    why: str = ""
    parts: tuple["Record", ...] = ()  # of which it is composed

    def __new__(cls, text: str, *_: Any, **__: Any) -> "Record":
        return super().__new__(cls, text)

    def as_json(self) -> dict[str, Any]:
        """Return its fields, but those that it has not."""
        fields = {name: value for name, value in vars(self).items() if value not in (None, "", ())}
        if self.interval is not None:
            fields["interval"] = list(self.interval)
        if self.parts:
            fields["parts"] = [part.as_json() for part in self.parts]
        return fields


def _counted(n: int, nouns: str) -> str:
    return counted(n, *nouns.split("/"))


def _percent(share: float, digits: str) -> str:
    return percent(share, int(digits or 0))


LISTED = (",", ";")  # stand between all of them


def _joined(texts: tuple[str, ...], last: str) -> str:
    return f"{last} ".join(texts) if last in LISTED else joined(texts, last or "and")


def _ordinal(rank: int, _: str) -> str:
    return ordinal(rank)


# What may follow the colon of a placeholder beside python's own formats, with what may follow it:
# {n:counted image} or {n:counted study/studies}, {value:percent} or {value:percent 1},
# {names:joined}, {names:joined or} or {parts:joined ;}, {n:ordinal}.
SPECS: dict[str, Callable[[Any, str], str]] = {
    "counted": _counted,
    "percent": _percent,
    "joined": _joined,
    "ordinal": _ordinal,
}


class _Renderer(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        name, _, rest = format_spec.partition(" ")
        if name in SPECS:
            return SPECS[name](value, rest)
        return formatted(value, format_spec) if isinstance(value, int | float) else format(value, format_spec)


RENDERER = _Renderer()


@dataclass(frozen=True)
class Templates:
    """The templates of one file by their kinds; called with a kind and its facts, they make its record."""

    by_kind: Mapping[str, str]

    @classmethod
    def beside(cls, module: str) -> "Templates":
        """Read the file of a module: `Templates.beside(__file__)`."""
        return cls(tomllib.loads(Path(module).with_suffix(".toml").read_text(encoding="utf-8")))

    def __call__(self, kind: str, **facts: Any) -> Record:
        """
        >>> say = Templates({"found": "{n:counted image} of {of:,}: {value:percent} ({names:joined or})"})
        >>> found = say("found", n=1, of=1200, value=0.25, names=("sea", "sand"))
        >>> found, found.kind, found.of
        ('1 image of 1,200: 25 % (sea or sand)', 'found', 1200)
        >>> found.as_json()["value"]
        0.25
        """
        return Record(RENDERER.vformat(self.by_kind[kind], (), facts), kind, **facts)
