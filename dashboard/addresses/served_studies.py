"""Addresses of studies and of their pictures. No streamlit: the thumbnail route uses them too."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import quote

from core.answers.answer import PROBE, default_answer
from core.errors import PeregrineError
from core.served.studies import (
    DEFAULT,
    MANIFEST,
    Entry,
    link_out,
    open_current,
    resolve,
    split_basis,
    studies_folder,
)
from core.served.studies import forget_studies as forget
from core.served.studies import study_entries as entries
from core.store import Study

__all__ = [  # what is served is decided in core.served.studies
    "DEFAULT",
    "MANIFEST",
    "Entry",
    "entries",
    "forget",
    "link_out",
    "open_current",
    "resolve",
    "split_basis",
    "studies_folder",
]

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
    name = study.answer.name if study.answer else PROBE
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
