"""Arrow keys that walk through images, also after a choice among several was clicked.

Such a choice takes the arrow keys for itself, which is right for a reader who came to it by keys, and wrong
for one who clicked it and goes on to the next image.
"""

from dashboard.components.browser_half import browser_half

_KEYS = browser_half("image_keys", "<span></span>")


def image_keys(previous: str, following: str) -> None:
    """Let the arrow keys press two buttons, named by their keys; there may be one on a page."""
    _KEYS(key="image_keys", data={"ArrowLeft": previous, "ArrowRight": following}, height=1, width=1)
