"""The rules of the tree as Markdown, for ARCHITECTURE.md: `python -m tests.rules` writes them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.test_architecture import CORE_FOR_DASHBOARD, ONLY_IN, RESEARCH_FOR_DASHBOARD

DOCUMENT = Path(__file__).resolve().parents[1] / "ARCHITECTURE.md"
BEGIN, END = "<!-- rules: written by `python -m tests.rules` -->", "<!-- end of rules -->"


def listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def homes(only_in: Mapping[str, Sequence[str]]) -> str:
    places = [f"`{package}` in {listed(where)}" for package, where in only_in.items()]
    return f"* **One home each**: {'; '.join(places)}."


def rules() -> str:
    """The block between BEGIN and END."""
    return "\n".join(
        [
            BEGIN,
            f"* **What the dashboard may import of core**: {listed(CORE_FOR_DASHBOARD)}.",
            f"* **What `dashboard/research` may import besides**: {listed(RESEARCH_FOR_DASHBOARD)}.",
            homes(ONLY_IN),
            END,
        ]
    )


def replaced(text: str) -> str:
    """A document with the block as it should be. Raises ValueError where it has none."""
    start, stop = text.index(BEGIN), text.index(END) + len(END)
    return text[:start] + rules() + text[stop:]


if __name__ == "__main__":
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
