"""Behaviour of the page for which Streamlit has no setting: keys, theme, copied links, folding, history."""

from collections.abc import Callable, Mapping, Sequence

from dashboard.components.browser_half import COMPONENTS, browser_half, on_sent
from dashboard.components.plot import LOAD_PLOTLY, library
from dashboard.state.pages import PAGES

# Arrow keys that walk through images, also after a choice among several was clicked.
#
# Such a choice takes the arrow keys for itself, which is right for a reader who came to it by keys, and
# wrong for one who clicked it and goes on to the next image.


_IMAGE_KEYS = browser_half("image_keys", "<span></span>")


def image_keys(previous: str, following: str, row: int) -> None:
    """Let the arrow keys press two buttons, named by their keys; there may be one on a page.

    row: of the image that is shown. The gallery gives the focus to its tile when the dialog is closed.
    """
    keys = {"ArrowLeft": previous, "ArrowRight": following}
    _IMAGE_KEYS(key="image_keys", data={**keys, "row": row}, height=1, width=1)


# Keys of the label desk: each presses a button of the page, on the image that is shown, once.
#
# A button's own `shortcut` knows no "/", presses beside it the button that was clicked last on Enter, and
# acts again before the next image is there.


_DESK_KEYS = browser_half("desk_keys", "<span></span>")


def desk_keys(buttons: Mapping[str, str], *, desk: str, field: str, turn: int, ahead: str = "") -> None:
    """Let keys press buttons, named by their keys; there may be one on a page.

    buttons: by the key as the browser calls it (`Enter`, ` `, `1`, `n`). desk: key of the container whose
    first caption is another one for each image. field: key of the container whose field takes the focus on
    "/". turn: how often a button was pressed; until it changes, keys wait. ahead: the address of the picture
    that is likely to come next.
    """
    data = {"buttons": dict(buttons), "desk": desk, "field": field, "turn": turn, "ahead": ahead}
    _DESK_KEYS(key="desk_keys", data=data, height=1, width=1)


# A switch between the light and the dark theme, or the one of the system. The browser keeps the choice.
#
# Streamlit keeps a theme for each address in the browser's own storage, and reads it when a page is loaded.
# The switch writes it for every page, and loads the page once more, which its address holds as it is. When
# the system changes its theme under an open page, the page is run again: its charts are drawn in the new
# colours.


THEMES = {"Light": "Light", "Dark": "Dark", "System": "Auto"}
THEME_BUTTONS = "".join(
    f'<button type="button" role="radio" data-theme="{theme}" title="{title}">{label}</button>'
    for (theme, label), title in zip(
        THEMES.items(), ("Light theme", "Dark theme", "Light or dark as the system"), strict=True
    )
)

_SWITCH = browser_half(
    "theme_switch", f'<div class="themes" role="radiogroup" aria-label="Theme">{THEME_BUTTONS}</div>'
)


def theme_switch() -> None:
    """The switch; there may be one on a page."""
    _SWITCH(key="theme_switch", data={"pages": list(PAGES)}, width="content", on_system_change=lambda: None)


# A button that copies the page's address: it holds the whole state of the page.


_COPY_BUTTON = browser_half(
    "copy_link",
    '<div class="row"><button type="button" title="The link opens this page as it is now: study, '
    'filter, choices and the opened image">Copy link</button><span class="said" role="status"></span></div>',
)


def copy_link_button() -> None:
    """The button; there may be one on a page."""
    _COPY_BUTTON(key="copy_link", width="content")


# On a narrow window the sidebar is a drawer: folded when a page opens, over the page while it is open.
#
# Streamlit folds it only on a telephone. What a reader chose for wide windows is kept as it is.


NARROW = 1000  # pixels of the window up to which the page needs the sidebar's room

_FOLDING = browser_half("folding", "")


def fold_when_narrow(page: str) -> None:
    """Fold the sidebar on a narrow window whenever another page opens."""
    _FOLDING(key="folding", data={"page": page, "narrow": NARROW}, height=1)


# The button that folds the strip below a page, where a job reports. The browser keeps its state.


_FOLD_BUTTON = browser_half(
    "job_strip",
    '<button type="button" aria-controls="peregrine-job"><span class="share"></span><span class="mark">'
    "</span></button>",
)


def fold_button(share: str) -> None:
    """Draw the button. share: how far the job is, shown while the strip is folded."""
    _FOLD_BUTTON(key="job_strip", data={"share": share}, width="content")


# Behaviour of the page for which Streamlit has no setting: history, lists that close, focus, percent signs;
# and the chart library is asked for before the first chart.
#
# history.js: one step of the browser's history for each action of the reader, so that the back button leads
# to what was left. links_here.js: a link to the page itself changes its address. close_after_choice.js: the
# list of a field closes after a choice. dialog_keys.js: Tab reaches the pictures of a dialog, arrow keys stay
# in it. find_option.js: where one goes to things by name, a text is found and not added. focus_field.js: a
# dialog that asks for one thing begins in its field. popover_focus.js: a popover opened by keys takes the
# focus and gives it back, and a figure that keys move keeps it. percent_signs.js: no line begins with a
# percent sign. roles.js: parts of Streamlit have names and roles. save_by_keys.js: Ctrl+Enter saves a note.
# toasts.js: what was just done is said on its page alone. keep_figures.js: my figures outlive a reload.


BEHAVIOUR_KEY = "page_behaviour"
KEEP_FIGURES = COMPONENTS / "keep_figures.js"

_BEHAVIOUR = browser_half(
    "page_behaviour",
    "<span></span>",
    LOAD_PLOTLY,
    "history.js",
    "links_here.js",
    "close_after_choice.js",
    "dialog_keys.js",
    "find_option.js",
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
    sent = on_sent(BEHAVIOUR_KEY, "figures", on_figures, str)
    _BEHAVIOUR(key=BEHAVIOUR_KEY, data=data, height=1, width=1, on_figures_change=sent)
