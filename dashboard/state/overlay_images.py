"""Overlays: how one is asked for in an address, and how it is drawn. No streamlit: the route uses it too.

`overlay/STUDY/ROW?features=3,98&combine=mean&opacity=0.55&colours=viridis&mask=core,spurious&masks_as=region&side=320&v=…`
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from urllib.parse import urlencode

from PIL import Image

from core.common.picture_bytes import image_file
from core.data.picture_limits import wanted
from core.errors import DecoderBusy, SettingsError, UnreadableImage
from core.store import Study
from core.study.heatmaps import COMBINATIONS
from core.study.overlay_image import COLOUR_MAPS, MASK_STYLES, OverlayStyle, overlay_image
from dashboard.state import served_studies
from dashboard.state.served_studies import share, whole

KINDS = ("core", "spurious")
TILE = 200  # pixels of the longer side up to which the stored thumbnail is drawn on, not the original
SIDES = (32, 1600)
MOST_FEATURES = 512  # of one overlay


def query_of(style: OverlayStyle) -> dict[str, str]:
    """Return the part of an address that says what differs from the plain style."""
    plain = OverlayStyle()
    opacity = f"{style.opacity:g}" if style.opacity != plain.opacity else ""
    colours = style.colour_map if style.colour_map != plain.colour_map else ""
    parts = {
        "features": ",".join(map(str, style.features)),
        "combine": style.combine if style.combine != plain.combine else "",
        "opacity": opacity,
        "colours": colours,
        "mask": ",".join(style.masks),
        "masks_as": style.mask_style if style.masks else "",
        "crop": "1" if style.crop else "",
    }
    return {name: text for name, text in parts.items() if text}


def identity_of(style: OverlayStyle) -> str:
    """Return a style in few characters that may stand in an HTTP header."""
    return sha256(repr(style).encode()).hexdigest()[:16]


def style_of(query: Mapping[str, str]) -> OverlayStyle:
    """Read the style that a query string asks for.

    Raises:
        SettingsError: a part of it is no such thing.
    """
    plain = OverlayStyle()
    features = [whole(part, "a feature") for part in _parts(query, "features")]
    opacity = share(query["opacity"], "the opacity") if "opacity" in query else plain.opacity
    style = OverlayStyle(
        features=tuple(features),
        combine=query.get("combine", plain.combine),
        opacity=opacity,
        colour_map=query.get("colours", plain.colour_map),
        masks=_parts(query, "mask"),
        mask_style=query.get("masks_as", plain.mask_style),
        crop=query.get("crop") == "1",
    )
    fine = (
        len(style.features) <= MOST_FEATURES
        and style.combine in COMBINATIONS
        and style.colour_map in COLOUR_MAPS
        and set(style.masks) <= set(KINDS)
        and style.mask_style in MASK_STYLES
    )
    if not fine:
        raise SettingsError("an overlay cannot be asked for in this way")
    return style


def side_of(query: Mapping[str, str]) -> int:
    """Pixels of the longer side that a query string asks for, within SIDES. Raises SettingsError."""
    side = whole(query["side"], "the side") if "side" in query else TILE
    return min(max(side, SIDES[0]), SIDES[1])


def overlay_urls(
    study: Study, rows: Sequence[int], styles: Sequence[OverlayStyle], *, side: int = TILE
) -> list[str]:
    """Return the addresses of the overlays of many rows, each in a style, relative to the page."""
    pairs = zip(served_studies.picture_urls(study, rows, "overlay"), styles, strict=True)
    return [f"{url}&{urlencode(query_of(style) | {'side': str(side)}, safe=',')}" for url, style in pairs]


def reads_original(side: int) -> bool:
    """Return True for a side at which the stored thumbnail would be blurred."""
    return side > TILE


def draw(study: Study, row: int, style: OverlayStyle, side: int) -> tuple[bytes, bool]:
    """Draw an overlay as JPEG, its longer side `side` pixels, and whether it may be kept.

    Up to TILE pixels the stored thumbnail is drawn on, and also where the image cannot be read now.

    Raises:
        StudyError: no such row, heatmap or mask. DecoderBusy: no turn to decode the image.
    """
    try:
        return _drawn(study, row, style, side), True
    except DecoderBusy:
        raise
    except (UnreadableImage, OSError, KeyError):
        if not reads_original(side):
            raise
    return _on(study.thumbnail_image(row), study, row, style, side), False


@lru_cache(maxsize=768)
def _drawn(study: Study, row: int, style: OverlayStyle, side: int) -> bytes:
    if not reads_original(side):
        return _on(study.thumbnail_image(row), study, row, style, side)
    with wanted(side=side):
        ground = study.image(row)
    return _on(ground, study, row, style, side)


def _on(ground: Image.Image, study: Study, row: int, style: OverlayStyle, side: int) -> bytes:
    upward = replace(style, masks=style.masks[::-1])  # the outline of the core on top
    return image_file(overlay_image(study, row, upward, ground=_fitted(ground, side)), quality=88)


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR)


def _parts(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part for part in query.get(name, "").split(",") if part)
