"""The .zip of several figures, and the documents in it that place them."""

from __future__ import annotations

import io
import re
import zipfile

import plotly.graph_objects as go
import pytest

from core.charts.documents import Placed, archive_files, escaped, figures_zip, latex, typst
from core.charts.kept_figures import KeptFigure, kept_figure
from core.errors import SettingsError

HOSTILE = '50 % of A_1 & B, $x$ #3 {y} ~ ^ \\input{/etc/passwd} “q” "q" <b> | é 中 😀 \x07\nend'
SPECIAL = re.compile(r"(?<!\\)[&#_^~%]|(?<!\\)\\(?=[^a-zA-Z&%$#_{}])")


def figure(stem: str = "demo_roc", caption: str = "A caption.") -> KeptFigure:
    drawn = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]), layout={"width": 336, "height": 242})
    return kept_figure(drawn, stem, caption, b"x,y\r\n1,3\r\n2,4\r\n")


def body(document: str) -> str:
    """What stands between \\begin{document} and \\end{document}."""
    found = re.search(r"\\begin\{document\}(.*)\\end\{document\}\n$", document, re.DOTALL)
    assert found is not None
    return found[1]


def well_formed(document: str) -> bool:
    """True where braces are balanced and every environment that begins ends, inside out."""
    bare = re.sub(r"\\[\\{}%&$#_]", "", re.sub(r"(?m)^%.*$", "", document))
    depth, open_ones = 0, []
    for token in re.findall(r"\\(?:begin|end)\{\w+\*?\}|[{}]", bare):
        name = token[token.find("{") + 1 : -1]
        if token.startswith("\\begin"):
            open_ones.append(name)
        elif token.startswith("\\end"):
            if not open_ones or open_ones.pop() != name:
                return False
        else:
            depth += 1 if token == "{" else -1
            if depth < 0:
                return False
    return depth == 0 and not open_ones


def test_well_formed__can_fail():
    assert well_formed(r"\begin{a}{\b}\end{a}")
    for bad in (r"\begin{a}", r"\begin{a}\begin{b}\end{a}\end{b}", "{", "}{", r"{\}"):
        assert not well_formed(bad)


@pytest.mark.parametrize("caption", ["Plain.", HOSTILE, "", "}", "\\"])
def test_latex__is_well_formed_and_no_caption_is_a_command(caption):
    document = latex([Placed("1_a.pdf", 3.5, caption), Placed("2_b.pdf", 7.25, "Other")])
    assert well_formed(document)
    text = body(document)
    assert text.count("\\begin{figure}") == text.count("\\includegraphics") == 2
    assert text.count("\\caption{") == text.count("\\label{fig:") == 2
    assert "width=3.5in" in text and "width=7.25in" in text
    assert "\\input" not in document
    captions = re.findall(r"\\caption\{(.*)\}\n", text)
    assert len(captions) == 2 and not SPECIAL.search(captions[0].replace(r"\^", ""))


def test_latex__every_letter_that_pdftex_lacks_is_declared():
    document = latex([Placed("1_a.pdf", 3.5, "é ħ 中 😀 → ½")])
    declared = re.findall(r"\\DeclareUnicodeCharacter\{(\w+)\}", document)
    assert [chr(int(one, 16)) for one in declared] == ["ħ", "中", "😀"]
    assert "DeclareUnicodeCharacter" not in latex([Placed("1_a.pdf", 3.5, "é “½” –")])


def test_latex__many_figures_have_page_breaks():
    assert latex([Placed(f"{n}.pdf", 3.5, "") for n in range(60)]).count("\\clearpage") == 9


def test_escaped__by_hand():
    assert escaped("a_b 5 % $ ^ ≤ \\") == r"a\_b 5 \% \$ \textasciicircum{} $\leq$ \textbackslash{}"


def test_typst__a_caption_is_one_string():
    document = typst([Placed("1_a.svg", 3.5, HOSTILE)])
    (caption,) = re.findall(r'caption: "((?:[^"\\]|\\.)*)",\n', document)
    assert caption.replace("\\\\", "\\").replace('\\"', '"').startswith(HOSTILE[:40])
    assert document.count("#figure(") == 1 and 'image("1_a.svg", width: 3.5in)' in document


def test_archive__every_file_that_a_document_names_is_there():
    figures = [figure(), figure(caption=HOSTILE), figure("…/../é b.c")]
    files = archive_files(figures, [b"one", b"two", b"three"])
    assert [files[name] for name in files if name.endswith(".pdf")] == [b"one", b"two", b"three"]
    tables = [content for name, content in files.items() if name.endswith(".csv")]
    assert tables == [one.numbers.encode() for one in figures]
    named = re.findall(r'image\("([^"]+)"', files["figures.typ"].decode())
    assert named == re.findall(r"\\includegraphics\[[^]]*\]\{([^}]+)\}", files["figures.tex"].decode())
    assert len(named) == 3 and set(named) <= set(files)
    assert all(re.fullmatch(r"[\w.-]+", name, re.ASCII) for name in files)


def test_zip__of_no_figure_is_refused():
    with pytest.raises(SettingsError):
        figures_zip([])


@pytest.mark.slow
def test_zip__holds_vectors_at_their_own_size():
    with zipfile.ZipFile(io.BytesIO(figures_zip([figure()]))) as archive:
        pdf = archive.read("1_demo_roc.pdf")
    (box,) = {tuple(map(float, one.split())) for one in re.findall(rb"/MediaBox \[([^]]+)\]", pdf)}
    assert box[2] - box[0] == pytest.approx(336 * 0.75, abs=1)
