"""Several figures for a paper: documents that place them, and one .zip of all."""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.charts.figure_files import render_all
from core.charts.kept_figures import KeptFigure
from core.errors import SettingsError

# Documents in LaTeX and Typst that place figures at their own sizes, with their captions, and compile.


SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"}
SPECIAL |= {"−": "$-$", "→": r"$\rightarrow$", "≤": r"$\leq$", "≥": r"$\geq$", "×": r"$\times$"}
LAST_OF_LATIN = "\u017f"  # pdfTeX has the letters up to this one
WITHOUT_LETTER = frozenset("ĦħĸĿŀŉŦŧſ")  # but for these
KNOWN = frozenset("–—‘’“”„…•†‡€·")  # signs beyond them that it has too
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufeff]+")
PER_PAGE = 6  # figures between two page breaks, so that LaTeX never holds too many at once
LATEX_HEAD = r"""% Each figure has its own size. Copy its environment into a paper, or compile this file.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[margin=0.5in]{geometry}
\usepackage{graphicx}
\usepackage{textcomp}
"""
TYPST_HEAD = """// Each figure has its own size. Copy it into a paper, or compile this file (Typst 0.14 on).
#set page("us-letter", margin: 0.5in)
"""


@dataclass(frozen=True)
class Placed:
    """A figure of a document: its file, its width in inches and its caption."""

    file: str
    inches: float
    caption: str

    @property
    def label(self) -> str:
        """The name by which the text refers to it."""
        return f"fig:{self.file.rpartition('.')[0]}"


def latex(figures: Sequence[Placed]) -> str:
    """Return a LaTeX document with charts; what pdfTeX has no letter for is printed as its number."""
    parts = [LATEX_HEAD, _declared("".join(figure.caption for figure in figures)), "\\begin{document}\n"]
    for number, one in enumerate(figures):
        parts.append("\\clearpage\n" if number and number % PER_PAGE == 0 else "")
        parts.append(_latex_figure(one))
    return "".join([*parts, "\\end{document}\n"])


def _latex_figure(figure: Placed) -> str:
    r"""Return the LaTeX environment of one chart as a figure.

    >>> print(_latex_figure(Placed("a_roc.pdf", 3.5, "50 % of A_1")))
    \begin{figure}[htbp]
      \centering
      \includegraphics[width=3.5in,height=0.85\textheight,keepaspectratio]{a_roc.pdf}
      \caption{50 \% of A\_1}
      \label{fig:a_roc}
    \end{figure}
    <BLANKLINE>
    """
    size = rf"width={figure.inches:.4g}in,height=0.85\textheight,keepaspectratio"
    lines = [
        r"\begin{figure}[htbp]",
        r"  \centering",
        rf"  \includegraphics[{size}]{{{figure.file}}}",
        rf"  \caption{{{escaped(figure.caption)}}}",
        rf"  \label{{{figure.label}}}",
        r"\end{figure}",
        "",
    ]
    return "\n".join(lines)


def escaped(text: str) -> str:
    r"""Return the text of a chart's caption as LaTeX shows it.

    >>> print(escaped(r"50 % → 60 % of a_b\c"))
    50 \% $\rightarrow$ 60 \% of a\_b\textbackslash{}c
    """
    return re.sub("|".join(map(re.escape, SPECIAL)), lambda match: SPECIAL[match.group()], _plain(text))


def typst(figures: Sequence[Placed]) -> str:
    """Return a Typst document with charts."""
    return "\n".join([TYPST_HEAD, *map(_typst_figure, figures)])


def _typst_figure(figure: Placed) -> str:
    r"""Return the Typst code of one chart as a figure.

    >>> print(_typst_figure(Placed("a_roc.svg", 3.5, 'the "best" half')))
    #figure(
      image("a_roc.svg", width: 3.5in),
      caption: "the \"best\" half",
    ) <fig:a_roc>
    <BLANKLINE>
    """
    caption = _plain(figure.caption).replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        "#figure(",
        f'  image("{figure.file}", width: {figure.inches:.4g}in),',
        f'  caption: "{caption}",',
        f") <{figure.label}>",
        "",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text without characters that no document may hold."""
    return CONTROL.sub(" ", text).encode(errors="replace").decode()


def _declared(text: str) -> str:
    """Return what tells pdfTeX how to print characters that it does not know; other engines know them."""
    signs = sorted(set(_plain(text)) - SPECIAL.keys() - KNOWN)
    unknown = [sign for sign in signs if sign > LAST_OF_LATIN or sign in WITHOUT_LETTER]
    lines = [rf"\DeclareUnicodeCharacter{{{ord(sign):04X}}}{{[U+{ord(sign):04X}]}}" for sign in unknown]
    return "\n".join(["\\ifdefined\\pdftexversion", *lines, "\\fi", ""]) if lines else ""


# One .zip of several figures: vector files, numbers, captions, and the documents that place them.


LONGEST = 80  # characters of a file's name


def figures_zip(figures: Sequence[KeptFigure]) -> bytes:
    """Return an archive of charts: a .pdf and a .csv each, and `figures.tex` and `figures.typ`.

    Raises:
        SettingsError: no figure, or no browser that draws them.
    """
    if not figures:
        raise SettingsError("there is no figure to write")
    drawings = render_all([figure.figure for figure in figures], "pdf")
    return _zipped(archive_files(figures, drawings))


def archive_files(figures: Sequence[KeptFigure], drawings: Sequence[bytes]) -> dict[str, bytes]:
    """Return the files of an archive of charts by name; see `figures_zip`."""
    files: dict[str, bytes] = {}
    placed = []
    for number, (figure, drawing) in enumerate(zip(figures, drawings, strict=True), start=1):
        name = file_name(number, figure)
        files[f"{name}.pdf"] = drawing
        files[f"{name}.csv"] = figure.numbers.encode()
        placed.append(Placed(f"{name}.pdf", figure.inches, figure.caption))
    files["figures.tex"] = latex(placed).encode()
    files["figures.typ"] = typst(placed).encode()
    captions = (f"{figure.file}: {figure.caption}\n" for figure in placed)
    files["captions.txt"] = "\n".join(captions).encode(errors="replace")
    return files


def file_name(number: int, figure: KeptFigure) -> str:
    """Return the name of a chart's files in an archive: its number, and what of its name all can read.

    >>> file_name(2, KeptFigure("demo_errors_class-a.b", "", "", "", 1, 1))
    '2_demo_errors_class-a-b'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", figure.stem)[:LONGEST].strip("-")
    return f"{number}_{plain or 'figure'}"


def _zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()
