"""Facets: lists of values with the number of images of each; a click on one puts it into the filter."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from dashboard.components.browser_half import browser_half, on_sent

FIRST = 6  # values of a facet that are in sight; "more" shows the others


@dataclass(frozen=True)
class Value:
    """A value of a facet. `id` is what `on_press` gets; pressed: the filter names it."""

    id: str
    name: str
    n: int
    pressed: bool = False


@dataclass(frozen=True)
class Facet:
    """One list. `left_out`: how many further values are not in it."""

    id: str
    title: str
    values: tuple[Value, ...]
    left_out: int = 0


_FACETS = browser_half("facets", '<div class="facets"></div>')


def facets(items: Sequence[Facet], *, key: str, on_press: Callable[[str, str], None]) -> None:
    """Draw the lists, one below the other.

    Args:
        key: unique on the page. on_press: gets the ids of the facet and of its value that was clicked; runs
            as a callback, before the next run.
    """

    _FACETS(
        key=key,
        data={"facets": [asdict(item) for item in items], "first": FIRST},
        on_pressed_change=on_sent(key, "pressed", on_press, str, str),
    )
