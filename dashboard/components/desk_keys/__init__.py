"""Keys of the label desk: each presses a button of the page, on the image that is shown, once.

A button's own `shortcut` knows no "/", presses beside it the button that was clicked last on Enter, and acts
again before the next image is there.
"""

from collections.abc import Mapping

from dashboard.components.browser_half import browser_half

_KEYS = browser_half("desk_keys", "<span></span>")


def desk_keys(buttons: Mapping[str, str], *, desk: str, field: str, turn: int, ahead: str = "") -> None:
    """Let keys press buttons, named by their keys; there may be one on a page.

    buttons: by the key as the browser calls it (`Enter`, ` `, `1`, `n`). desk: key of the container whose
    first caption is another one for each image. field: key of the container whose field takes the focus on
    "/". turn: how often a button was pressed; until it changes, keys wait. ahead: the address of the picture
    that is likely to come next.
    """
    data = {"buttons": dict(buttons), "desk": desk, "field": field, "turn": turn, "ahead": ahead}
    _KEYS(key="desk_keys", data=data, height=1, width=1)
