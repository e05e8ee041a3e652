"""A picture with a grid of places, of which one is chosen: by a click, or with the arrow keys and Enter."""

from collections.abc import Callable, Sequence
from typing import Any

from dashboard.components.browser_half import browser_half, on_sent

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
