"""What an address says: the study, its pictures, and the numbers in it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import quote

from core.answers.answer import default_answer
from core.errors import PeregrineError, SettingsError
from core.publish.served import DEFAULT as DEFAULT
from core.publish.served import MANIFEST as MANIFEST
from core.publish.served import Entry as Entry
from core.publish.served import forget_studies as forget
from core.publish.served import link_out as link_out
from core.publish.served import open_current as open_current
from core.publish.served import resolve as resolve
from core.publish.served import split_basis as split_basis
from core.publish.served import studies_folder as studies_folder
from core.publish.served import study_entries as entries
from core.store import Study

__all__ = [
    "ANSWER",
    "BASIS",
    "DEFAULT",
    "Entry",
    "LONGEST_PARAMETER",
    "MANIFEST",
    "answer_option",
    "answer_query",
    "asked_for",
    "entries",
    "example_beside",
    "forget",
    "in_units",
    "link_out",
    "name_of",
    "open_current",
    "picture_url",
    "picture_urls",
    "printable",
    "readable",
    "resolve",
    "share",
    "split_basis",
    "studies_folder",
    "whole",
]


# Numbers in addresses, read strictly: much that Python takes for a number (`1_0`, `nan`) is none here.


LONGEST_PARAMETER = 9  # digits: fits into every integer that numpy may make of it
_WHOLE = re.compile(rf"[0-9]{{1,{LONGEST_PARAMETER}}}")
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


# Addresses of studies and of their pictures. No streamlit: the thumbnail route uses them too.


BASIS = "basis"  # query parameter: the basis in which the study is read
ANSWER = "answer"  # query parameter: the answer that says what is correct


def name_of(study: Study) -> str:
    """The name under which a study is selected and its pictures are served."""
    folder = studies_folder()
    inside = study.path.is_relative_to(folder)
    return study.path.relative_to(folder).as_posix() if inside else study.name


def example_beside(study: Study) -> Study | None:
    """The embedded study, where it is served, is another one, and can be opened now."""
    folders = {entry.name: entry.path for entry in entries(studies_folder())}
    path = folders.get(DEFAULT)
    if path is None or path == (study.below or study.path):
        return None
    with suppress(PeregrineError):  # it is being built, or is damaged: this page is of another one
        return open_current(path)
    return None


def picture_url(study: Study, row: int, kind: str = "thumb") -> str:
    """Address of a `thumb`, `image` or `overlay`, relative to the page so that a proxy's prefix survives."""
    return picture_urls(study, [row], kind)[0]


def picture_urls(study: Study, rows: Iterable[int], kind: str = "thumb") -> list[str]:
    """Return the addresses of many rows' pictures."""
    head, tail = f"{kind}/{quote(name_of(study))}", study.digest
    return [f"{head}/{int(row)}?v={tail}" for row in rows]


def answer_query(study: Study) -> dict[str, str]:
    """What an address says of the answer that its study is read by; empty for the probe."""
    return {ANSWER: study.answer.name} if study.answer else {}


def answer_option(study: Study) -> str:
    """What a command is told of the answer that its study is read by; empty for the default of the study."""
    name = study.answer_name
    return name if name in study.answers and name != default_answer(study.answers) else ""


def in_units(study: Study) -> Study:
    """A study by the units of its encoder, whatever its basis, read by the same answer."""
    if study.below is None:
        return study
    whole = open_current(study.below)
    return whole.answering(study.answer.name) if study.answer else whole


def asked_for(name: str, query: Mapping[str, str]) -> Study:
    """The study that an address names, as it reads with the answer that the address names.

    Raises:
        StudyError: no such study. SettingsError: it has no such answer.
    """
    study, answer = open_current(resolve(studies_folder(), name)), query.get(ANSWER)
    return study.answering(answer) if answer else study


def readable() -> Iterator[tuple[str, Study]]:
    """The studies of the studies folder with their names; broken ones are left out."""
    for entry in entries(studies_folder()):
        with suppress(PeregrineError):
            yield entry.name, open_current(entry.path)
