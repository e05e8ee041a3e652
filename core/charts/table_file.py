"""A table as a file that is downloaded, and what its numbers are of."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.csv_text import csv_text
from core.common.inside import replacing
from core.errors import SettingsError
from core.measures.slice import Slice
from core.store import Study
from core.study import layers
from core.study.leftovers import remove_leftovers_of

# What numbers are of: the study, the answer, the basis and the filter, by name, with every table and run.


def provenance(study: Study, among: Slice | None = None) -> dict[str, str]:
    """Return what the numbers of a chart's file are of: study, answer, filter ("" for all images).

    Args:
        among: the slice that was taken of it, beside one that it is narrowed to.
    """
    of_study: Slice | None = vars(study).get("slice")
    parts: list[Any] = [conditions for conditions in (of_study, among) if conditions]
    filter_text = str(Slice.joined(parts)) if parts else ""
    return {
        "study": layers.name_of(study.below or study.path),
        "answer": study.answer_name,
        "basis": study.basis_name,
        "filter": filter_text,
    }


def provenance_of_all(studies: Iterable[Study], among: Slice | None = None) -> dict[str, str]:
    """Return what the numbers of a chart's file are of: each study's name once, in their order."""
    each = [provenance(study, among) for study in studies]
    values = {name: dict.fromkeys(of_study[name] for of_study in each) for name in each[0]}
    return {name: ", ".join(different) for name, different in values.items()}


def answers_read(*studies: Study) -> tuple[str, ...]:
    """Return the answers by which the studies of a chart are read, each once."""
    return tuple(dict.fromkeys(provenance(study)["answer"] for study in studies))


def identity(study: Study) -> str:
    """Return what tells a chart's study, as it is read, from every other one of this machine."""
    whole = str((study.below or study.path).resolve())
    return sha256("\0".join([whole, *provenance(study).values()]).encode()).hexdigest()[:16]


# A table as a file that is downloaded: its name, and its text with numbers as numbers.
#
# Every such file is called STUDY_TABLE_SLICE, and says in columns which study, answer and slice it is of.


LONGEST, MOST_BYTES = 120, 240  # characters and bytes of a name; most systems allow 255 bytes with the ending


@dataclass(frozen=True)
class TableFile:
    """A table, the studies and the images that it is of, and what it is called."""

    studies: tuple[str, ...]
    table: str
    frame: pd.DataFrame | Callable[[], pd.DataFrame]  # the table, or what makes it
    among: Slice | None = None
    answers: tuple[str, ...] = ()  # by which the studies are read

    @property
    def stem(self) -> str:
        """The name of the file without its ending; pictures of the same numbers have it too."""
        return file_stem(self.studies, self.table, self.among)

    def rows(self) -> pd.DataFrame:
        """Return the table itself."""
        return self.frame() if callable(self.frame) else self.frame.copy()

    def content(self) -> bytes:
        """Return the table as CSV, with columns `study`, `answer` and `slice` where it has none."""
        frame = self.rows()
        answers = {"answer": " / ".join(self.answers)} if self.answers else {}
        facts = {"study": " / ".join(self.studies), **answers, "slice": str(self.among) if self.among else ""}
        for name, value in facts.items():
            if name not in frame:
                frame[name] = value
        return csv_text(frame).encode()


def file_stem(studies: Sequence[str], table: str, among: Slice | None = None) -> str:
    """Name a chart's file, or that of its table, after the studies, what it shows, and its images.

    >>> file_stem(["demo", "demo-finetuned"], "compare", Slice.parse("split=val label=bird"))
    'demo-vs-demo-finetuned_compare_class-bird'
    >>> file_stem(["demo"], "images", Slice.parse('correct=false q_score=..0.1 label="a b"'))
    'demo_images_class-a-b_correct-false_q_score-..0.1'
    """
    parts = ["-vs-".join(studies), table]
    if among:
        texts = [str(part) for part in among.parts() if part.split != "val"]
        parts += [text.replace("label=", "class-", 1) for text in texts]
    plain = [re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts]
    stem = "_".join(filter(None, plain))[:LONGEST]
    return stem.encode()[:MOST_BYTES].decode(errors="ignore")


@contextmanager
def complete_file(out: Path) -> Iterator[Path]:
    """Yield a temporary name for a chart or table as a file, renamed when complete, else gone.

    What a killed writer of the same file left goes.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot create the folder '{out.parent}': {error.strerror}") from error
    remove_leftovers_of(out)
    with replacing(out) as temporary:
        yield temporary
