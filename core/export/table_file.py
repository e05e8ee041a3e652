"""A table as a file that is downloaded: its name, and its text with numbers as numbers.

Every such file is called STUDY_TABLE_SLICE, and says in columns which study, answer and slice it is of.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from core.common.csv_text import csv_text
from core.slices.slice import Slice

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

    def content(self) -> bytes:
        """Return the table as CSV, with columns `study`, `answer` and `slice` where it has none."""
        frame = self.frame() if callable(self.frame) else self.frame.copy()
        answers = {"answer": " / ".join(self.answers)} if self.answers else {}
        facts = {"study": " / ".join(self.studies), **answers, "slice": str(self.among) if self.among else ""}
        for name, value in facts.items():
            if name not in frame:
                frame[name] = value
        return csv_text(frame).encode()


def file_stem(studies: Sequence[str], table: str, among: Slice | None = None) -> str:
    """Name a file after the studies, what it shows, and the images that it is of.

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
