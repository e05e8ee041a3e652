"""A button that copies the page's address: it holds the whole state of the page."""

from pathlib import Path

from streamlit.components.v2 import component

HERE = Path(__file__).parent

_BUTTON = component(
    "peregrine_copy_link",
    html='<div class="row"><button type="button" title="The link opens this page as it is now: study, '
    'filter, choices and the opened image">Copy link</button><span class="said" role="status"></span></div>',
    css=(HERE / "copy_link.css").read_text(encoding="utf-8"),
    js=(HERE / "copy_link.js").read_text(encoding="utf-8"),
)


def copy_link_button() -> None:
    """The button; there may be one on a page."""
    _BUTTON(key="copy_link", width="content")
