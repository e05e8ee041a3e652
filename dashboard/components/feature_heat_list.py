"""Features with what each adds to an answer, and a picture that shows where each looks."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from core.common.captions import with_class_names
from dashboard.components.browser_half import browser_half, on_sent

# A picture, and beside it what is drawn over it; a list of features shows there where one of them looks.


_VIEWS = browser_half("heat_views", '<div class="views"></div>')


def heat_views(*, key: str, picture: str, overlay: str, name: str, overlay_text: str) -> None:
    """Draw the picture and its heatmap.

    Args:
        key: by which a `feature_heat_list` names them. picture, overlay: addresses of the image and of its
            heatmap as a whole; an empty one is left out.
        name: the image, for a screen reader. overlay_text: what the whole heatmap is of.
    """
    data = {"views": key, "picture": picture, "overlay": overlay, "name": name, "said": overlay_text}
    _VIEWS(key=key, data=data)


# Features and what each adds to an answer; hovering over one shows in `heat_views` where it looks.


@dataclass(frozen=True)
class Row:
    """One feature of the list. `id` is what `on_open` gets, `href` the page that it opens.

    push: in [-1, 1], the length and the side of its bar; None for no bar. text: the push in words.
    src: address of the picture with its heatmap; empty where none is stored. off: whether the feature is
    switched off; None: it has no switch. examples: addresses of pictures of what it looks at.
    """

    id: str
    title: str
    note: str
    href: str
    push: float | None
    text: str
    src: str
    marked: bool = False
    off: bool | None = None
    examples: tuple[str, ...] = ()


_LOOKING = browser_half(
    "feature_heat_list", '<div class="feature-heat-list"><p class="ends"></p><ol class="rows"></ol></div>'
)


def feature_heat_list(
    rows: Sequence[Row],
    *,
    key: str,
    views: str,
    ends: tuple[str, str],
    on_open: Callable[[str], None],
    on_switch: Callable[[str], None] | None = None,
) -> None:
    """Draw the list.

    Args:
        views: key of the `heat_views` that show where a feature looks.
        ends: what a push to the left and to the right speaks for; empty texts for no pushes.
        on_open: gets the id of the row that was clicked, on_switch that of the row whose switch was; both run
            as callbacks, before the next run.
    """

    ends_in_words = [with_class_names(end) for end in ends]
    data = {"rows": [asdict(row) for row in rows], "views": views, "ends": ends_in_words}
    opened, switched = on_sent(key, "opened", on_open, str), on_sent(key, "switched", on_switch, str)
    _LOOKING(key=key, data=data, on_opened_change=opened, on_switched_change=switched)
