"""The LaTeX that places a figure sheet in a paper: its width, a caption of every panel, and a label."""

import re
from collections.abc import Sequence

from core.figures.cells import CellRequest, usual_caption
from core.figures.sheet_layout import BOTH_COLUMNS, PAGE_WIDTH, SheetGrid, letter_of

FILE = "sheet"  # its name without extension, until it has another
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"−": "$-$", "→": r"$\rightarrow$"}


def latex(cells: Sequence[CellRequest], grid: SheetGrid) -> str:
    r"""Return a figure environment; it takes both columns where the page does.

    >>> print(latex([CellRequest("roc", caption="50 % of A_1")], SheetGrid("icml-column", letters=False)))
    \begin{figure}[t]
      \centering
      \includegraphics[width=3.25in]{sheet.pdf}
      \caption{50 \% of A\_1.}
      \label{fig:sheet}
    \end{figure}
    """
    captions = [escaped(cell.caption or usual_caption(cell)).rstrip(".") + "." for cell in cells]
    if grid.letters:
        captions = [rf"\textbf{{({letter_of(number)})}} {text}" for number, text in enumerate(captions)]
    environment = "figure*" if grid.page in BOTH_COLUMNS else "figure"
    return "\n".join(
        [
            rf"\begin{{{environment}}}[t]",
            r"  \centering",
            rf"  \includegraphics[width={PAGE_WIDTH[grid.page] / 96:.4g}in]{{{FILE}.pdf}}",
            rf"  \caption{{{' '.join(captions)}}}",
            rf"  \label{{fig:{FILE}}}",
            rf"\end{{{environment}}}",
        ]
    )


def escaped(text: str) -> str:
    r"""Return a text as LaTeX shows it.

    >>> print(escaped(r"50 % → 60 % of a_b\c"))
    50 \% $\rightarrow$ 60 \% of a\_b\textbackslash{}c
    """
    return re.sub("|".join(map(re.escape, SPECIAL)), lambda match: SPECIAL[match.group()], text)
