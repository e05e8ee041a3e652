"""A picture on which boxes are drawn: one to crop it to, others that cover parts of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.components.browser_half import browser_half

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the sides


@dataclass(frozen=True)
class Boxes:
    """What is drawn on a picture."""

    crop: Box | None = None
    covered: tuple[Box, ...] = ()


_MARKS = browser_half(
    "picture_marks",
    '<div class="tools" role="toolbar" aria-label="Change the picture"></div>'
    '<div class="stage"><img alt="" draggable="false"><div class="shade"></div><div class="seen"></div></div>'
    '<p class="hint" aria-live="polite"></p>',
)


def picture_marks(
    picture: str, boxes: Boxes, *, seen: Box, key: str, name: str, on_change: Callable[[Any], None]
) -> None:
    """Draw the picture with its boxes.

    Args:
        picture: its address. seen: the part that the encoder sees of it as it is now. name: for a screen
            reader. on_change: gets {"crop": box or None, "covered": boxes} as the browser sends it; runs as a
            callback, before the next run.
    """

    turn = f"{key}_turn"  # how often the browser has sent boxes

    def changed() -> None:
        if (sent := st.session_state[key].changed) is not None:
            st.session_state[turn] = int(sent["turn"])
            on_change(sent)

    data: dict[str, Any] = {"picture": picture, "name": name, "crop": boxes.crop, "covered": boxes.covered}
    data |= {"seen": seen, "turn": st.session_state.get(turn, 0)}
    _MARKS(key=key, data=data, on_changed_change=changed)
