"""A leaderboard as a table in LaTeX."""

from core.comparison.leaderboard import Leaderboard, leaderboard_finding
from core.comparison.leaderboard_text import LEGEND, leaderboard_cells
from core.figures.documents import escaped


def leaderboard_latex(board: Leaderboard) -> str:
    r"""Return an environment `table*`, to be put into a paper with \input; it needs no package."""
    head, *rows = leaderboard_cells(board)
    caption = escaped(f"{leaderboard_finding(board)}. {LEGEND}")
    columns = "l" * 3 + "r" * (len(head) - 3)
    lines = [
        r"\begin{table*}[htbp]",
        r"  \centering\footnotesize",
        rf"  \caption{{{caption}}}",
        r"  \label{tab:leaderboard}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \hline",
        _row(head),
        r"    \hline",
    ]
    lines += [*map(_row, rows), r"    \hline", r"  \end{tabular}", r"\end{table*}", ""]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return rf"    {' & '.join(map(escaped, cells))} \\"
