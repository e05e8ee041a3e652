"""Pictures that are pasted, or dropped anywhere on the page, go to the page's file field."""

from pathlib import Path

from streamlit.components.v2 import component

HERE = Path(__file__).parent

_INPUT = component(
    "peregrine_picture_input",
    html="<span hidden></span>",
    js=(HERE / "picture_input.js").read_text(encoding="utf-8"),
)


def paste_and_drop(uploader: str) -> None:
    """Hand what is pasted or dropped to the file field with this key."""
    _INPUT(key=f"{uploader}_anywhere", data={"uploader": uploader}, height=1, width=1)
