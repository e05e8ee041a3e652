"""The chart library that browsers get: what the charts need of plotly, and nothing else."""

from __future__ import annotations

import gzip
import re

import pytest

from dashboard.server import chart_library
from dashboard.server.chart_library import KINDS, PLOTLY
from tests.browser.harness import ROOT

ALWAYS = ("scatter", "scattergl")
NOT_MARKS = ("figure", "layout")


def test_charts_use_no_other_kind_of_marks():
    sources = [*(ROOT / "core/charts").rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")]
    used = {
        kind.lower()
        for path in sources
        for kind in re.findall(r"\bgo\.([A-Z]\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert used - {*KINDS, *ALWAYS, *NOT_MARKS} == set()


def test_it_registers_a_few_of_the_kinds_and_is_not_handed_to_another_function():
    script = PLOTLY.read_text(encoding="utf-8")
    trimmed = chart_library.trimmed(script)
    before, after = (
        len(re.findall(r"\w\(\)", re.search(r"\.register\(\[(.*?)\]\)", text)[1]))  # pyright: ignore[reportOptionalSubscript]
        for text in (script, trimmed)
    )
    assert before > 40
    assert after < 10
    assert trimmed.partition("*/")[2].startswith('"use strict";var Plotly=')
    assert "Licensed under the MIT license" in trimmed.partition("*/")[0]


@pytest.mark.parametrize("script", ["", "window.Plotly = Plotly;", '"use strict";var Plotly=(()=>{})();'])
def test_a_script_that_is_built_otherwise_stays_as_it_is(script: str):
    assert chart_library.trimmed(script) == script


def test_a_browser_that_reads_gzip_gets_the_same():
    plain = chart_library.library(compressed=False)
    assert gzip.decompress(chart_library.library(compressed=True)) == plain
