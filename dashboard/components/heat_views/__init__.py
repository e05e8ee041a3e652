"""A picture, and beside it what is drawn over it; a list of features shows there where one of them looks."""

from dashboard.components.browser_half import browser_half

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
