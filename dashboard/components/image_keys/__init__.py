"""Arrow keys that walk through images, also after a choice among several was clicked.

Such a choice takes the arrow keys for itself, which is right for a reader who came to it by keys, and wrong
for one who clicked it and goes on to the next image.
"""

from dashboard.components.browser_half import browser_half

_KEYS = browser_half("image_keys", "<span></span>")


def image_keys(previous: str, following: str, row: int) -> None:
    """Let the arrow keys press two buttons, named by their keys; there may be one on a page.

    row: of the image that is shown. The gallery gives the focus to its tile when the dialog is closed.
    """
    keys = {"ArrowLeft": previous, "ArrowRight": following}
    _KEYS(key="image_keys", data={**keys, "row": row}, height=1, width=1)
