"""The browser half of a component: the style sheet and the scripts beside its module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

COMPONENTS = Path(__file__).parent


def browser_half(
    name: str, html: str, *scripts: str | Path, style: str = "", isolate_styles: bool = True
) -> Any:
    """Register the component `name`, and return what draws it: see `streamlit.components.v2`.

    Args:
        scripts: files beside the modules, or paths of others, run in this order; by default the one called as
            the component. Before them all stands `shared.js`.
        style: rules that stand before those of its style sheet. isolate_styles: False: they hold everywhere.
    """
    sheet = COMPONENTS / f"{name}.css"
    paths = (COMPONENTS / "shared.js", *(COMPONENTS / script for script in scripts or (f"{name}.js",)))
    parts = (path.read_text(encoding="utf-8") for path in paths)
    return component(
        f"peregrine_{name}",
        html=html,
        css=style + sheet.read_text(encoding="utf-8") if sheet.is_file() else None,
        js="\n".join(part.replace("export async function", "async function") for part in parts),
        isolate_styles=isolate_styles,
    )


def on_sent(
    key: str, part: str, act: Callable[..., object] | None, *reads: Callable[[Any], Any]
) -> Callable[[], None]:
    """Return a callback that calls `act` with what the browser sent as `part`; it does nothing where that is
    nothing, or where `act` is None.

    Args:
        reads: makes the argument of what was sent; several make one each of the values of a list.
    """

    def changed() -> None:
        value = getattr(st.session_state[key], part)
        if act is not None and value is not None:
            values = value if len(reads) > 1 else (value,)
            act(*(read(one) for read, one in zip(reads, values, strict=True)))

    return changed
