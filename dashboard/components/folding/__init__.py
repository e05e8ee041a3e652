"""On a narrow window the sidebar is a drawer: folded when a page opens, over the page while it is open.

Streamlit folds it only on a telephone. What a reader chose for wide windows is kept as it is.
"""

from __future__ import annotations

from pathlib import Path

from streamlit.components.v2 import component

NARROW = 1000  # pixels of the window up to which the page needs the sidebar's room

_FOLDING = component(
    "peregrine_folding", html="", js=(Path(__file__).parent / "folding.js").read_text(encoding="utf-8")
)
# Below Streamlit's own limit of 768 pixels the sidebar is a drawer already.
STYLE = f"""@media (min-width: 769px) and (max-width: {NARROW}px) {{
  [data-testid=stSidebar] {{ position: fixed !important; top: 0; bottom: 0; left: 0 }}
  [data-testid=stSidebar]:has([data-testid=stSidebarCollapseButton]) {{ box-shadow: 0 0 2rem rgba(0, 0, 0, .45) }}
}}
[data-testid=stAppViewContainer]:has([data-testid=stExpandSidebarButton]) [data-testid=stMainBlockContainer] {{ ROOM }}
@media (max-width: {NARROW}px) {{ [data-testid=stMainBlockContainer][data-testid] {{ ROOM }} }}""".replace(
    "ROOM",
    "padding-top: 4.2rem",  # the bar with the button that opens it, which lies over the page
)


def fold_when_narrow(page: str) -> None:
    """Fold the sidebar on a narrow window whenever another page opens."""
    _FOLDING(key="folding", data={"page": page, "narrow": NARROW}, height=1)
