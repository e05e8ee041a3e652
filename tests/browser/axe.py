"""axe-core, the accessibility checker, inside a page. It comes with the package axe-playwright-python."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser.harness import REQUIRED

RUN = """async (rules) => {
  const only = rules ? {runOnly: rules} : {};
  const found = await axe.run(document, {resultTypes: ['violations'], preload: false, ...only});
  return found.violations.map(one => [one.impact, one.id, one.nodes.slice(0, 3).map(node => node.html)]);
}"""


def script() -> str:
    """The checker's source. Without it the test skips, or fails where browsers are required."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        message = "axe-core is not installed: pip install -r requirements-dev.txt"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(message)
        pytest.skip(message)
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def violations(page: Any, rules: list[str] | None = None) -> list[tuple[str, str, list[str]]]:
    """(impact, rule, some elements) of every violation of all rules, good practice included, or of some."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(script())
    return [tuple(one) for one in page.evaluate(RUN, rules)]
