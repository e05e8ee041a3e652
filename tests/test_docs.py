"""The documents say what the code does: citations exist, examples run, lists are those of the tests."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "docs" / "method.md"
SECTION = re.compile(r"^(#{2,3}) (\d+(?:\.\d+)?)\.? \S.*$", re.MULTILINE)
NUMBERS = r"\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)*"  # 6.2, or 6.11, 8
CITATION = re.compile(rf"docs/method\.md ({NUMBERS})")
# Books that are not in the repository: `METHOD 2`, `METHOD section 2`, `see METHOD`, `DESIGN.md`.
ELSEWHERE = re.compile(r"\bMETHOD(?:\.md|_[A-Z]+|'s|\s+(?:section\s+)?\d)|\bsee METHOD\b|\bDESIGN(?:\.md)?\b")
TEXTS = {".py", ".md", ".txt", ".toml", ".js", ".css", ".html", ".sh", ".yml"}
API = ROOT / "docs" / "api.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
PATH = re.compile(r"`((?:core|dashboard|tests|docs|assets|configs|benchmarks)/[\w./-]*)`")
ROOM = re.compile(r"^\| `((?:core|dashboard)\.\w+)` \| \S", re.MULTILINE)
# Modules of pure functions, each of which docs/api.md shows with an example.
PURE = (
    *("core.analysis.definitions", "core.analysis.scores", "core.analysis.iou"),
    *("core.study.heatmaps", "core.concepts.falcon", "core.concepts.groups"),
    *("core.research.transfer", "core.training.losses", "core.research.shortcuts_losses"),
    "core.measures.saved_slices",
)
HELPERS = {  # public for their neighbours in the package; the functions shown call them
    *("check_combination", "mask_preference", "best_by_word", "largest_k", "confidence_of", "pack_pairs"),
    *("check_rows", "agreement", "jaccard"),
    *("reading_weights", "stamp", "mixed_info_nce", "check_hardness", "paired", "crossed"),
}


@cache
def texts() -> dict[str, str]:
    """The text files of the repository by their path, without this one."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.splitlines() if Path(name).suffix in TEXTS]
    here = Path(__file__).resolve()
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file() and path != here
    }


@cache
def sections() -> list[str]:
    """The numbers of the sections of docs/method.md, in order."""
    return [number for _, number in SECTION.findall(BOOK.read_text(encoding="utf-8"))]


def test_sections_are_numbered_in_order_and_have_anchors():
    book = BOOK.read_text(encoding="utf-8")
    assert re.findall(r'^<a id="([\d.]+)"></a>$', book, re.MULTILINE) == sections()
    expected, main, sub = [], 0, 0
    for level, _ in SECTION.findall(book):
        main, sub = (main + 1, 0) if level == "##" else (main, sub + 1)
        expected.append(f"{main}.{sub}" if sub else str(main))
    assert sections() == expected
    assert len([number for number in sections() if "." not in number]) >= 13


def test_every_citation_of_the_book_names_a_section():
    cited = {
        (name, number)
        for name, text in texts().items()
        for numbers in CITATION.findall(re.sub(r"\s+#?\s*", " ", text))
        for number in numbers.split(", ")
    }
    assert len(cited) > 40
    assert {(name, number) for name, number in cited if number not in sections()} == set()


def test_sections_cited_within_the_book_exist():
    """As in "(6.11)", "(2.5, 13)", and in the first column of the known differences."""
    book = BOOK.read_text(encoding="utf-8")
    cited = [
        number for group in re.findall(rf"(?<=\()({NUMBERS})(?=\))", book) for number in group.split(", ")
    ]
    listed = re.findall(r"^\| (\d+\.\d+) \|", book[book.index('<a id="13">') :], re.MULTILINE)
    assert len(cited) > 10  # the differences may get fewer
    assert {*cited, *listed} <= set(sections())


def test_no_file_cites_a_book_that_is_not_here():
    found = {name: match.group() for name, text in texts().items() if (match := ELSEWHERE.search(text))}
    assert found == {}


@pytest.mark.parametrize("cited", ["METHOD 2", "METHOD section 4", "see METHOD", "DESIGN.md", "METHOD.md"])
def test_the_pattern_finds_such_citations(cited):
    assert ELSEWHERE.search(f"as {cited} says")


def test_tooltips_name_a_source_that_a_user_can_find():
    from dashboard.components.tooltips import TEXTS as TOOLTIPS

    for key, text in TOOLTIPS.items():
        assert "METHOD" not in text.what + text.source, key


def links(text: str) -> set[str]:
    """Files that a Markdown document links to."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return {link for link in found if "://" not in link}


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_links_between_documents_lead_to_files(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert [link for link in links(text) if not (ROOT / "docs" / link).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_of_the_root_documents_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [link for link in links(text) if not (ROOT / link).exists()] == []


def test_every_page_stands_with_the_question_that_it_answers():
    from dashboard.state.pages import PAGES

    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    rows = {name: f"| *{page.title}* | {page.question} |" for name, page in PAGES.items()}
    assert [name for name, row in rows.items() if row not in text] == []


def test_every_module_that_a_text_runs_exists():
    told = {
        (path, name)
        for path, text in texts().items()
        for name in re.findall(
            r"python -m ((?:core|benchmarks|examples|reproductions|tests)(?:\.\w+)*)", text
        )
        if path != "CHANGELOG.md" and not name.endswith(".NAME")
    }
    assert len(told) > 60
    assert [one for one in sorted(told) if not importlib.util.find_spec(one[1])] == []


def public_functions(module: str) -> set[str]:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name for name in names if not name.startswith("_")}


def examples() -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", API.read_text(encoding="utf-8"), re.DOTALL))


def test_the_examples_of_the_api_run(tmp_path, monkeypatch):
    from tests.documented import write_documented_studies

    write_documented_studies(tmp_path)
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    report: list[str] = []
    text = re.sub(r"^```.*$", "", API.read_text(encoding="utf-8"), flags=re.MULTILINE)  # keeps line numbers
    parsed = doctest.DocTestParser().get_doctest(text, {}, API.name, str(API), 0)
    assert len(parsed.examples) > 120
    failed, _ = doctest.DocTestRunner(optionflags=flags).run(parsed, out=report.append)
    assert failed == 0, "".join(report)


def modules_with_examples() -> list[str]:
    """The modules in whose docstrings something follows a prompt."""
    paths = sorted(path for path in ROOT.glob("core/**/*.py") if ">>> " in path.read_text(encoding="utf-8"))
    return [path.relative_to(ROOT).as_posix().removesuffix(".py").replace("/", ".") for path in paths]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_docstrings_run(name):
    report: list[str] = []
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(example, out=report.append)
    assert runner.tries > 0 and runner.failures == 0, "".join(report)


def test_the_api_shows_everything_that_a_study_can_do():
    from core.store import Study
    from core.study.reader import StudyReader

    unshown = {"path", "manifest", "states", "damaged", "why_missing"}  # `missing` is made of the last two
    attributes = {
        name
        for name in (*vars(StudyReader), *vars(Study), "key", "name", "damage")
        if not name.startswith("_")
    }
    assert len(attributes) > 25
    shown = set(re.findall(r"\bstudy(?:_with_damage)?\.(\w+)", examples()))
    assert attributes - shown - unshown == set()


@pytest.mark.parametrize("module", PURE)
def test_the_api_shows_every_pure_function(module):
    shown = set(re.findall(r"\w+", examples()))
    assert public_functions(module) - shown - HELPERS == set()


def test_the_helpers_that_the_api_leaves_out_exist():
    assert set().union(*map(public_functions, PURE)) >= HELPERS


def test_the_rooms_of_the_architecture_are_the_folders_each_below_those_that_import_from_it():
    from tests.test_architecture import imported_rooms

    rooms = imported_rooms()
    told = ROOM.findall(ARCHITECTURE.read_text(encoding="utf-8"))
    at_the_root = {"core", "dashboard", "core.__main__", "dashboard.main", "dashboard.app"}
    assert sorted(told) == sorted(rooms.keys() - at_the_root)
    for place, room in enumerate(told):
        above = {other for other in told[place:] if other.split(".")[0] == room.split(".")[0]}
        assert not rooms[room] & above, room


def test_the_rules_of_the_architecture_are_those_of_the_tests():
    from tests.rules import replaced

    text = ARCHITECTURE.read_text(encoding="utf-8")
    assert text == replaced(text), "run: python -m tests.rules"


def test_every_path_in_the_architecture_exists():
    paths = PATH.findall(ARCHITECTURE.read_text(encoding="utf-8"))
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_dependency_has_one_line():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    table = text[text.index("## Dependencies") : text.index("## Rules")]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])]
    assert len(named) > 20
    assert sorted(named) == sorted(set(named))
    assert all(row.rstrip(" |").split("|")[-1].strip() for row in rows)
