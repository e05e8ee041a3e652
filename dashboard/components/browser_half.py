"""The browser half of a component: the style sheet and the scripts in the folder of its module."""

from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

COMPONENTS = Path(__file__).parent


def browser_half(name: str, html: str, *scripts: str) -> Any:
    """Register the component in the folder `name`, and return what draws it: see `streamlit.components.v2`.

    Args:
        scripts: files of the folder, run in this order; by default the one called as the folder.
    """
    folder = COMPONENTS / name
    style = folder / f"{name}.css"
    return component(
        f"peregrine_{name}",
        html=html,
        css=style.read_text(encoding="utf-8") if style.is_file() else None,
        js="\n".join((folder / one).read_text(encoding="utf-8") for one in scripts or (f"{name}.js",)),
    )
