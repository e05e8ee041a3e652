"""Arrow keys that walk through images, also after a choice among several was clicked.

Such a choice takes the arrow keys for itself, which is right for a reader who came to it by keys, and wrong
for one who clicked it and goes on to the next image.
"""

from pathlib import Path

from streamlit.components.v2 import component

HERE = Path(__file__).parent

_KEYS = component(
    "peregrine_image_keys", html="<span></span>", js=(HERE / "image_keys.js").read_text(encoding="utf-8")
)


def image_keys(previous: str, following: str) -> None:
    """Let the arrow keys press two buttons, named by their keys; there may be one on a page."""
    _KEYS(key="image_keys", data={"ArrowLeft": previous, "ArrowRight": following}, height=1, width=1)
