"""Behaviour of the page for which Streamlit has no setting: history, lists that close, focus, percent signs;
and the chart library is asked for before the first chart.

history.js: one step of the browser's history for each action of the reader, so that the back button leads to
what was left. links_here.js: a link to the page itself changes its address.
close_after_choice.js: the list of a field closes after a choice. focus_field.js: a dialog
that asks for one thing begins in its field.
popover_focus.js: a popover opened by keys takes the focus and gives it back.
percent_signs.js: no line begins with a percent sign. roles.js: parts of Streamlit have names and roles.
save_by_keys.js: Ctrl+Enter saves a note. toasts.js: what was just done is said on its page alone.
keep_figures.js: my figures outlive a reload.
"""

from collections.abc import Callable, Sequence

from dashboard.components.browser_half import COMPONENTS, browser_half, on_sent
from dashboard.components.plot import LOAD_PLOTLY, library

KEY = "page_behaviour"
KEEP_FIGURES = COMPONENTS / "page_behaviour" / "keep_figures.js"

_BEHAVIOUR = browser_half(
    "page_behaviour",
    "<span></span>",
    LOAD_PLOTLY,
    "history.js",
    "links_here.js",
    "close_after_choice.js",
    "focus_field.js",
    "percent_signs.js",
    "popover_focus.js",
    "roles.js",
    "save_by_keys.js",
    "toasts.js",
    KEEP_FIGURES,
    "page_behaviour.js",
)


def page_behaviour(
    *,
    no_step: Sequence[str],
    closing: Sequence[str],
    asking: str,
    figures: str,
    on_figures: Callable[[str], None],
    query: str = "",
    charts: bool = False,
) -> None:
    """Draw nothing. Meant for the sidebar, which every page has.

    Args:
        no_step: parts of the address whose change alone is no step of the history.
        closing: keys of the fields for several choices whose list closes after each.
        asking: key of the field that has the focus when its dialog opens.
        figures: name of the folder of my figures, "" where this session knows none. on_figures: gets the one
            that the browser's tab knows from before it loaded the page again.
        query: what the browser goes to on this page, as a link would; "" for nothing.
        charts: whether it begins to load the library of charts.
    """
    data = {"kept": list(no_step), "closing": list(closing), "asking": asking, "query": query}
    data |= {"library": library() if charts else "", "figures": figures}
    sent = on_sent(KEY, "figures", on_figures, str)
    _BEHAVIOUR(key=KEY, data=data, height=1, width=1, on_figures_change=sent)
