"""A switch between the light and the dark theme, or the one of the system. The browser keeps the choice.

Streamlit keeps a theme for each address in the browser's own storage, and reads it when a page is loaded. The
switch writes it for every page, and loads the page once more, which its address holds as it is. When the
system changes its theme under an open page, the page is run again: its charts are drawn in the new colours.
"""

from dashboard.addresses.pages import PAGES
from dashboard.components.browser_half import browser_half

CHOICES = {"Light": "Light", "Dark": "Dark", "System": "Auto"}
BUTTONS = "".join(
    f'<button type="button" role="radio" data-theme="{theme}" title="{title}">{label}</button>'
    for (theme, label), title in zip(
        CHOICES.items(), ("Light theme", "Dark theme", "Light or dark as the system"), strict=True
    )
)

_SWITCH = browser_half(
    "theme_switch", f'<div class="themes" role="radiogroup" aria-label="Theme">{BUTTONS}</div>'
)


def theme_switch() -> None:
    """The switch; there may be one on a page."""
    _SWITCH(key="theme_switch", data={"pages": list(PAGES)}, width="content", on_system_change=lambda: None)
