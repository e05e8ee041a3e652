"""What mkdocs does not do by itself: pages from outside docs/, formulas as MathML, pages of docstrings."""

from __future__ import annotations

import ast
import html
import os
import posixpath
import re
from doctest import DocTestParser
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)#:\s]+)([)#])")
# In a table's cell or a sentence GitHub reads $`…`$ like $…$; here only the second is known.
BACKTICKED = re.compile(r"\$`([^`]+)`\$")
# Few systems have a font for formulas; this package brings one.
FONT = Path(str(files("ziamath"))) / "fonts" / "STIXTwoMath-Regular.ttf"
STYLE = f"""@font-face {{ font-family: formulas; src: url({FONT.name}); }}
math {{ font-family: formulas, math; font-size: 1.15em; }}
"""
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


@cache
def outside() -> dict[str, str]:
    """Map the documents outside docs/ to their place in the site; README is its first page."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("reproductions/*.md"), *ROOT.glob("benchmarks/*.md")]
    names = [path.relative_to(ROOT).as_posix() for path in found]
    return {name: "index.md" if name == "README.md" else name for name in names}


def documented() -> dict[str, dict[str, list[str]]]:
    """Map each room to its modules that docs/api.md imports from, with the names it imports."""
    rooms: dict[str, dict[str, list[str]]] = {}
    for example in DocTestParser().get_examples((ROOT / "docs" / "api.md").read_text(encoding="utf-8")):
        for node in ast.parse(example.source).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("core"):
                modules = rooms.setdefault(".".join(node.module.split(".")[:2]), {})
                modules.setdefault(node.module, []).extend(alias.name for alias in node.names)
    return rooms


class Examples(Preprocessor):
    """Fence what follows a prompt in a docstring, which Markdown would take for a quotation."""

    def run(self, lines: list[str]) -> list[str]:
        fenced, example, written = False, False, []
        for line in lines:
            fenced ^= line.startswith("```")
            if not fenced and not example and line.startswith(">>> "):
                example, written = True, [*written, "```python"]
            elif example and not line.strip():
                example, written = False, [*written, "```"]
            written.append(line)
        return [*written, "```"] if example else written


class ExamplesExtension(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(Examples(md), "examples", 28)  # before fences are read


def on_config(config: Any) -> Any:
    """List the pages of docstrings below the reference."""
    pages = [{room: f"reference/{room}.md"} for room in sorted(documented())]
    reference = next(section["Reference"] for section in config.nav if "Reference" in section)
    reference.append({"Docstrings": pages})
    config.markdown_extensions.append(ExamplesExtension())
    config.extra_css.append("formulas/formulas.css")
    return config


def on_files(pages: Files, config: Any) -> Files:
    """Add the documents outside docs/, a page of docstrings for each room, and the font of formulas."""
    pages.append(File.generated(config, f"formulas/{FONT.name}", abs_src_path=str(FONT)))
    pages.append(File.generated(config, "formulas/formulas.css", content=STYLE))
    for name, place in outside().items():
        pages.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    for room, modules in documented().items():
        parts = [_directive(module, names) for module, names in modules.items()]
        content = "\n".join([f"# {room}\n", *parts])
        pages.append(File.generated(config, f"reference/{room}.md", content=content))
    return pages


def _directive(module: str, names: list[str]) -> str:
    members = "".join(f"\n        - {name}" for name in dict.fromkeys(names))
    return f"::: {module}\n    options:\n      members:{members}\n"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links between docs/ and the folders above to where the site has these documents."""
    here = page.file.src_uri
    source = next((name for name, place in outside().items() if place == here), f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        place = outside().get(target, os.path.relpath(target, "docs"))
        return match[1] + posixpath.relpath(place, posixpath.dirname(here) or ".") + match[3]

    return BACKTICKED.sub(r"$\1$", LINK.sub(moved, markdown))


def on_page_content(content: str, **_: Any) -> str:
    """Convert formulas to MathML, which browsers show without a script."""

    def formula(match: re.Match[str]) -> str:
        return convert(html.unescape(match[2]), display="block" if match[1] == "div" else "inline")

    return FORMULA.sub(formula, content)
