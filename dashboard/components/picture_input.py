"""Pictures that are dropped or pasted, boxes drawn on them, and places that are clicked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.components.browser_half import browser_half, on_sent

# Pictures that are pasted, or dropped anywhere on the page, go to the page's file field.


_PICTURE_INPUT = browser_half("picture_input", "<span hidden></span>")


def paste_and_drop(uploader: str) -> None:
    """Hand what is pasted or dropped to the file field whose key begins so."""
    _PICTURE_INPUT(key=f"{uploader}_anywhere", data={"uploader": uploader}, height=1, width=1)


# A picture on which boxes are drawn: one to crop it to, others that cover parts of it.


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


# A picture with a grid of places, of which one is chosen: by a click, or with the arrow keys and Enter.


_GRID = browser_half(
    "position_grid", '<div class="stage"><img alt=""><div class="places" role="group"></div></div>'
)


def position_grid(
    picture: str,
    grid: tuple[int, int],
    box: Sequence[float],
    chosen: int | None,
    *,
    key: str,
    name: str,
    on_choose: Callable[[int], None],
) -> None:
    """Draw the picture.

    Args:
        picture: its address. grid: rows and columns. box: left, top, right, bottom of what the grid covers,
            as shares of the picture's sides; it may reach out of it. chosen: a place, row by row.
        name: of the picture, for a screen reader. on_choose: gets a place; runs as a callback, before the
            next run.
    """

    data: dict[str, Any] = {"picture": picture, "grid": grid, "box": box, "chosen": chosen, "name": name}
    _GRID(key=key, data=data, on_chosen_change=on_sent(key, "chosen", on_choose, int))
