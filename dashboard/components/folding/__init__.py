"""On a narrow window the sidebar is a drawer: folded when a page opens, over the page while it is open.

Streamlit folds it only on a telephone. What a reader chose for wide windows is kept as it is.
"""

from dashboard.components.browser_half import browser_half

NARROW = 1000  # pixels of the window up to which the page needs the sidebar's room

_FOLDING = browser_half("folding", "")


def fold_when_narrow(page: str) -> None:
    """Fold the sidebar on a narrow window whenever another page opens."""
    _FOLDING(key="folding", data={"page": page, "narrow": NARROW}, height=1)
