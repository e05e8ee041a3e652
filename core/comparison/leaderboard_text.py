"""A leaderboard as text: for the terminal and the page, as Markdown and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.common.formatting import number, percent, signed, signed_interval
from core.comparison.leaderboard import MEASURED, Leaderboard, leaderboard_finding, notes_of
from core.comparison.text import columns_text, markdown_table

TITLES = {
    "letters": "Group",
    "study": "Study",
    "encoder": "Encoder",
    "accuracy": "Accuracy",
    "knn": "k-NN",
    "q_auroc": "AUROC of Q",
    "confidence_auroc": "AUROC of confidence",
    "worst_class": "Worst class",
    "worst_slice": "Worst slice",
    "milliseconds": "ms a picture",
    "parameters": "Parameters",
}
SHARES = ("accuracy", "knn", "worst_class", "worst_slice")
NOTHING = "–"
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
LEGEND = (
    "Ranges are 95 % intervals. Encoders that share a letter cannot be told apart in accuracy (paired "
    "bootstrap over units of data, Holm over all pairs at .05)."
)


def leaderboard_cells(board: Leaderboard) -> list[list[str]]:
    """Return the titles, and a row of texts for each encoder, best first."""
    rows = [list(TITLES.values())]
    for letters, study, encoder in board.frame[["letters", "study", "encoder"]].itertuples(index=False):
        numbers = number_cells(board, study)
        rows.append([letters, study, encoder, *(numbers[name].line for name in TITLES if name in numbers)])
    return rows


@dataclass(frozen=True)
class Cell:
    """A number of an encoder as text, its interval, and the part of the images that it is of."""

    value: str
    interval: str = ""
    of: str = ""

    @property
    def line(self) -> str:
        """All of it in one line: "57.1 % (36.5 to 75.5) dog"."""
        return " ".join(filter(None, [self.value, self.interval and f"({self.interval})", self.of]))


def number_cells(board: Leaderboard, study: str) -> dict[str, Cell]:
    """Return the numbers of an encoder by the columns of TITLES, but for who it is."""
    rows = board.frame.loc[board.frame["study"] == study].to_dict("records")
    row = {str(name): value for name, value in rows[0].items()}
    cells = {}
    for name in MEASURED:
        cell = measured_cell(board.value(name, study), name)
        cells[name] = replace(cell, of=row.get(f"{name}_name", ""))
    cells["milliseconds"] = Cell(number(row["milliseconds"], 1, undefined=NOTHING))
    cells["parameters"] = Cell(size_text(row["parameters"]))
    return cells


def measured_cell(row: Mapping[str, Any], measure: str) -> Cell:
    """Return a number with its interval."""
    value, low, high = (float(row.get(key, np.nan)) for key in ("value", "low", "high"))
    if not np.isfinite(value):
        return Cell(NOTHING)
    scale, digits = (100, 1) if measure in SHARES else (1, 3)
    text = percent(value) if measure in SHARES else number(value, digits)
    has_ends = np.isfinite([low, high]).all()
    return Cell(text, f"{scale * low:.{digits}f} to {scale * high:.{digits}f}" if has_ends else "")


def size_text(n: float) -> str:
    """
    >>> size_text(4_652_008), size_text(950), size_text(float("nan"))
    ('4.7 M', '950', '–')
    """
    if not np.isfinite(n):
        return NOTHING
    for unit, letter in UNITS:
        if n >= unit:
            return f"{n / unit:.1f} {letter}"
    return f"{n:.0f}"


def pair_cells(board: Leaderboard) -> list[list[str]]:
    """Return the titles, and a row of texts for each pair of encoders."""
    rows = [["First", "Second", "Difference", "Images apart", "p", "p after Holm", "Told apart"]]
    for pair in board.pairs.to_dict("records"):
        gap, low, high = (100 * pair[name] for name in ("difference", "low", "high"))
        change = signed(gap, 1) if pair["few"] else signed_interval(gap, low, high, digits=1)
        tests = ["too few", "", ""]
        if not pair["few"]:
            tests = [number(pair["p"], 4), number(pair["adjusted"], 4), "yes" if pair["apart"] else "no"]
        rows.append([pair["first"], pair["second"], f"{change} points", f"{pair['n_apart']:,}", *tests])
    return rows


def leaderboard_text(board: Leaderboard, *, as_markdown: bool = False) -> str:
    """Return what `compare --leaderboard` prints, or the same as Markdown."""
    tables = [leaderboard_cells(board), pair_cells(board)]
    shown = ["\n".join(markdown_table(one)) if as_markdown else columns_text(one) for one in tables]
    notes = [f"{'* ' * as_markdown}note: {note}" for note in notes_of(board)]
    head = f"{'# ' * as_markdown}{leaderboard_finding(board)}"
    parts = [head, *(["", *notes] if notes else []), "", shown[0], "", LEGEND, "", shown[1]]
    return "\n".join(parts)


def leaderboard_report(board: Leaderboard) -> dict[str, Any]:
    """Return a leaderboard as a JSON-able dict."""
    notes = list(map(str, notes_of(board)))
    finding = str(leaderboard_finding(board))
    return {
        "leaderboard": board.frame.to_dict("records"),
        "measures": board.measures.to_dict("records"),
        "pairs": board.pairs.to_dict("records"),
        "finding": finding,
        "notes": notes,
    }
