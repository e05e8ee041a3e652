"""What is assumed of an encoder where neither its file nor the user says it: a note a kind.

A new one is a line of `assumptions.toml`, one of `severity.toml`, and a call of `assumed` where it is found.
"""

import tomllib
from pathlib import Path

from core.common.records import Record, Templates

assumed = Templates.beside(__file__)
SEVERITY: dict[str, int] = tomllib.loads(
    Path(__file__).with_name("severity.toml").read_text(encoding="utf-8")
)
UNKNOWN = 1  # of a note that is no record, as a user's own encoder may give it


def severity_of(note: str) -> int:
    """How much harm an assumption about an encoder does where it is wrong: 3 most, 0 none: a fact."""
    return SEVERITY.get(note.kind, UNKNOWN) if isinstance(note, Record) else UNKNOWN
