"""On a narrow window the sidebar is a drawer: folded when a page opens, over the page while it is open.

Streamlit folds it only on a telephone. What a reader chose for wide windows is kept as it is.
"""

from dashboard.components.browser_half import browser_half

NARROW = 1000  # pixels of the window up to which the page needs the sidebar's room

_FOLDING = browser_half("folding", "")
# Below Streamlit's own limit of 768 pixels the sidebar is a drawer already. While it is folded, the bar with
# its button lies over the top of the page.
STYLE = """
@media (min-width: 769px) and (max-width: NARROWpx) {
  [data-testid=stSidebar] { position: fixed !important; top: 0; bottom: 0; left: 0 }
  [data-testid=stSidebar]:has([data-testid=stSidebarCollapseButton]) { box-shadow: 0 0 2rem #0008 }
}
@media (max-width: NARROWpx) {
  [data-testid=stMainBlockContainer][data-testid] { padding-top: 4.2rem }
  [class*=st-key-stacked_] { --stacked: 2 }
  [class*=st-key-stacked_] > [data-testid=stHorizontalBlock],
  [class*=st-key-stacked_] > * > [data-testid=stHorizontalBlock] { flex-wrap: wrap }
  [class*=st-key-stacked_] [data-testid=stColumn] { min-width: 100% }
}
:has(> header [data-testid=stExpandSidebarButton]) [data-testid=stMainBlockContainer] { padding-top: 4.2rem }
""".replace("NARROW", str(NARROW))


def fold_when_narrow(page: str) -> None:
    """Fold the sidebar on a narrow window whenever another page opens."""
    _FOLDING(key="folding", data={"page": page, "narrow": NARROW}, height=1)
