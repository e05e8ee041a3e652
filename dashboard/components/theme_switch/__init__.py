"""A switch between the light and the dark theme, or the one of the system. The browser keeps the choice.

Streamlit keeps a theme for each address in the browser's own storage, and reads it when a page is loaded. The
switch writes it for every page, and loads the page once more, which its address holds as it is. When the
system changes its theme under an open page, the page is run again: its charts are drawn in the new colours.
"""

from pathlib import Path

from streamlit.components.v2 import component

from dashboard.addresses.pages import PAGES

HERE = Path(__file__).parent
CHOICES = {"Light": "Light", "Dark": "Dark", "System": "Auto"}
BUTTONS = "".join(
    f'<button type="button" role="radio" data-theme="{theme}" title="{title}">{label}</button>'
    for (theme, label), title in zip(
        CHOICES.items(), ("Light theme", "Dark theme", "Light or dark as the system"), strict=True
    )
)

_SWITCH = component(
    "peregrine_theme_switch",
    html=f'<div class="themes" role="radiogroup" aria-label="Theme">{BUTTONS}</div>',
    css=(HERE / "theme_switch.css").read_text(encoding="utf-8"),
    js=(HERE / "theme_switch.js").read_text(encoding="utf-8"),
)


def theme_switch() -> None:
    """The switch; there may be one on a page."""
    _SWITCH(key="theme_switch", data={"pages": list(PAGES)}, width="content", on_system_change=lambda: None)
