"""A button that copies the page's address: it holds the whole state of the page."""

from dashboard.components.browser_half import browser_half

_BUTTON = browser_half(
    "copy_link",
    '<div class="row"><button type="button" title="The link opens this page as it is now: study, '
    'filter, choices and the opened image">Copy link</button><span class="said" role="status"></span></div>',
)


def copy_link_button() -> None:
    """The button; there may be one on a page."""
    _BUTTON(key="copy_link", width="content")
