"""One step of the browser's history for each action of the reader: the back button leads to what was left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamlit.components.v2 import component

HERE = Path(__file__).parent

_HISTORY = component(
    "peregrine_browser_history",
    html="<span></span>",
    js=(HERE / "browser_history.js").read_text(encoding="utf-8"),
)


def one_step_per_action(kept: Sequence[str]) -> None:
    """Draw nothing; `kept` are parts of the address whose change alone is no step."""
    _HISTORY(key="browser_history", data={"kept": list(kept)}, height=1, width=1)
