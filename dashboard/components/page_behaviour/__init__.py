"""Behaviour of the page for which Streamlit has no setting: history, lists that close, focus, percent signs;
and the chart library is asked for before the first chart.

history.js: one step of the browser's history for each action of the reader, so that the back button leads to
what was left. links_here.js: a link to the page itself changes its address.
close_after_choice.js: the list of a field closes after a choice. focus_field.js: a dialog
that asks for one thing begins in its field.
percent_signs.js: no line begins with a percent sign. roles.js: parts of Streamlit have names and roles.
keep_sheets.js: what is on the figure sheets outlives a reload.
"""

from collections.abc import Callable, Mapping, Sequence

from dashboard.components.browser_half import COMPONENTS, browser_half, on_sent
from dashboard.components.plot import LOAD_PLOTLY, library

KEY = "page_behaviour"
KEEP_SHEETS = COMPONENTS / "page_behaviour" / "keep_sheets.js"

_BEHAVIOUR = browser_half(
    "page_behaviour",
    "<span></span>",
    LOAD_PLOTLY,
    "history.js",
    "links_here.js",
    "close_after_choice.js",
    "focus_field.js",
    "percent_signs.js",
    "roles.js",
    KEEP_SHEETS,
    "page_behaviour.js",
)


def page_behaviour(
    *,
    no_step: Sequence[str],
    closing: Sequence[str],
    asking: str,
    sheets: Mapping[str, str],
    on_sheets: Callable[[dict[str, str]], None],
    query: str = "",
    charts: bool = False,
) -> None:
    """Draw nothing. Meant for the sidebar, which every page has.

    Args:
        no_step: parts of the address whose change alone is no step of the history.
        closing: keys of the fields for several choices whose list closes after each.
        asking: key of the field that has the focus when its dialog opens.
        sheets: text of the figure sheet by study, as this session knows it. on_sheets: gets those that the
            browser's tab knows besides, from before it loaded the page again.
        query: what the browser goes to on this page, as a link would; "" for nothing.
        charts: whether it begins to load the library of charts.
    """
    data = {"kept": list(no_step), "closing": list(closing), "asking": asking, "query": query}
    data |= {"library": library() if charts else "", "sheets": dict(sheets)}
    sent = on_sent(KEY, "sheets", on_sheets, dict)
    _BEHAVIOUR(key=KEY, data=data, height=1, width=1, on_sheets_change=sent)
