"""The browser half of plotly, as the Python package brings it along, without what no chart here needs.

A browser that reads the whole file works for .9 s before the first chart. Most of it goes into 47 kinds of
marks, of which the charts use four, and into a text that is read three times, since it is a function that is
handed to another one. What is left takes a third of the time.
"""

import gzip
import re
from functools import cache
from pathlib import Path

import plotly

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
KINDS = ("bar", "heatmap")  # beside scatter, and scattergl, which does not say its kind
_BEGINS, _ENDS = '"use strict";var Plotly=(()=>{', "window.Plotly = Plotly;"
_REGISTERED = re.compile(r"\.register\(\[((?:[\w$]+\(\),)+[\w$]+\(\))\]\)")
_EXPORTED = re.compile(r"\.exports=([\w$]+)\(\)")
_KIND = re.compile(r'moduleType:"\w+",name:"(\w+)"')


@cache
def library(*, compressed: bool) -> bytes:
    """The script that sets `window.Plotly`, as it is or by gzip."""
    script = trimmed(PLOTLY.read_text(encoding="utf-8")).encode()
    return gzip.compress(script, 6, mtime=0) if compressed else script


def trimmed(script: str) -> str:
    """The script without the kinds of marks that say that they are none of KINDS, and without its wrapper; or
    as it is, where it is not built as those of plotly 6 and 7 are.
    """
    registered = _REGISTERED.search(script)
    begin, end = script.find(_BEGINS), script.rfind(_ENDS)
    if registered is None or begin < 0 or end < registered.end():
        return script
    calls = registered[1].split(",")
    needed = [call for call in calls if _kind(script, call.removesuffix("()")) in (None, *KINDS)]
    licence = script[: script.find("*/") + 2]
    return (
        f"{licence}{script[begin : registered.start(1)]}{','.join(needed)}{script[registered.end(1) : end]}"
    )


def _kind(script: str, module: str) -> str | None:
    """The kind of marks that a module of the script holds, or that the module holds which it hands on."""
    for _ in range(2):
        begin = script.find(f"var {module}=")
        text = script[begin : script.find('=>{"use strict"', begin + 40)]
        if kind := _KIND.search(text):
            return kind[1]
        if not (handed_on := _EXPORTED.search(text)):
            return None
        module = handed_on[1]
    return None
