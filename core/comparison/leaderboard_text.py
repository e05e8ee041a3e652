"""A leaderboard as text: for the terminal and the page, as Markdown and JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.common.formatting import number, percent
from core.comparison.leaderboard import MEASURED, Leaderboard, leaderboard_finding
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
    "In brackets 95 % intervals. Encoders that share a letter cannot be told apart in accuracy (paired "
    "bootstrap over units of data, Holm over all pairs at .05)."
)


def leaderboard_cells(board: Leaderboard) -> list[list[str]]:
    """Return the titles, and a row of texts for each encoder, best first."""
    rows = [list(TITLES.values())]
    for row in board.frame.to_dict("records"):
        rows.append([_cell(board, {str(key): value for key, value in row.items()}, name) for name in TITLES])
    return rows


def _cell(board: Leaderboard, row: Mapping[str, Any], name: str) -> str:
    if name in MEASURED:
        text = measured_text(board.value(name, row["study"]), name)
        part = row.get(f"{name}_name", "")
        return f"{text} {part}".strip()
    if name == "milliseconds":
        return number(row[name], 1, undefined=NOTHING)
    return size_text(row[name]) if name == "parameters" else str(row[name])


def measured_text(row: Mapping[str, Any], measure: str) -> str:
    """Return a number with its interval: "88.4 % (85.3 to 90.9)"."""
    value, low, high = (float(row.get(key, np.nan)) for key in ("value", "low", "high"))
    if not np.isfinite(value):
        return NOTHING
    is_share = measure in SHARES
    scale, digits = (100, 1) if is_share else (1, 3)
    text = percent(value) if is_share else number(value, digits)
    ends = (
        f" ({scale * low:.{digits}f} to {scale * high:.{digits}f})" if np.isfinite([low, high]).all() else ""
    )
    return text + ends


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
    for pair in board.pairs.itertuples():
        ends = "" if pair.few else f" ({100 * float(pair.low):+.1f} to {100 * float(pair.high):+.1f})"
        tests = ["too few", "", ""]
        if not pair.few:
            tests = [number(pair.p, 4), number(pair.adjusted, 4), "yes" if pair.apart else "no"]
        change = f"{100 * float(pair.difference):+.1f} points{ends}"
        rows.append([str(pair.first), str(pair.second), change, f"{pair.n_apart:,}", *tests])
    return rows


def leaderboard_text(board: Leaderboard, *, as_markdown: bool = False) -> str:
    """Return what `compare --leaderboard` prints, or the same as Markdown."""
    tables = [leaderboard_cells(board), pair_cells(board)]
    shown = ["\n".join(markdown_table(one)) if as_markdown else columns_text(one) for one in tables]
    notes = [f"{'* ' * as_markdown}note: {note}" for note in board.notes]
    head = f"{'# ' * as_markdown}{leaderboard_finding(board)}"
    parts = [head, *(["", *notes] if notes else []), "", shown[0], "", LEGEND, "", shown[1]]
    return "\n".join(parts)


def leaderboard_report(board: Leaderboard) -> dict[str, Any]:
    """Return a leaderboard as a JSON-able dict."""
    return {
        "leaderboard": board.frame.to_dict("records"),
        "measures": board.measures.to_dict("records"),
        "pairs": board.pairs.to_dict("records"),
        "finding": str(leaderboard_finding(board)),
        "notes": list(map(str, board.notes)),
    }
