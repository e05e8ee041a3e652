"""Overlays: how one is asked for in an address, and how it is drawn. No streamlit: the route uses it too.

`overlay/STUDY/ROW?features=3,98&combine=mean&opacity=0.55&colours=turbo&mask=core,spurious&side=320&v=…`
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from urllib.parse import urlencode

from PIL import Image

from core.errors import SettingsError, UnreadableImage
from core.heatmaps import overlay_image
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.parameters import share, whole

KINDS = ("core", "spurious")
TILE = 200  # pixels of the longer side up to which the stored thumbnail is drawn on, not the original
SIDES = (32, 1600)
MOST_FEATURES = 512  # of one overlay


@dataclass(frozen=True)
class Look:
    """How an overlay looks. No features: the firing discriminative ones of each image."""

    features: tuple[int, ...] = ()
    combine: str = "mean"
    opacity: float = 0.55
    colours: str = "turbo"
    masks: tuple[str, ...] = ()

    def query(self) -> dict[str, str]:
        """The part of an address that says what differs from the plain look."""
        plain = Look()
        said = {
            "features": ",".join(map(str, self.features)),
            "combine": self.combine if self.combine != plain.combine else "",
            "opacity": f"{self.opacity:g}" if self.opacity != plain.opacity else "",
            "colours": self.colours if self.colours != plain.colours else "",
            "mask": ",".join(self.masks),
        }
        return {name: text for name, text in said.items() if text}

    @property
    def identity(self) -> str:
        """The whole look in few characters that may stand in an HTTP header."""
        return sha256(repr(self).encode()).hexdigest()[:16]


def look_of(query: Mapping[str, str]) -> Look:
    """The look that a query string asks for.

    Raises:
        SettingsError: a part of it is no such thing.
    """
    look = Look(
        features=tuple(whole(part, "a feature") for part in _parts(query, "features")),
        combine=query.get("combine", "mean"),
        opacity=share(query["opacity"], "the opacity") if "opacity" in query else Look.opacity,
        colours=query.get("colours", Look.colours),
        masks=_parts(query, "mask"),
    )
    fine = (
        len(look.features) <= MOST_FEATURES
        and look.combine in overlay_image.COMBINATIONS
        and look.colours in overlay_image.COLOUR_MAPS
        and set(look.masks) <= set(KINDS)
    )
    if not fine:
        raise SettingsError("an overlay cannot be asked for in this way")
    return look


def side_of(query: Mapping[str, str]) -> int:
    """Pixels of the longer side that a query string asks for, within SIDES. Raises SettingsError."""
    wanted = whole(query["side"], "the side") if "side" in query else TILE
    return min(max(wanted, SIDES[0]), SIDES[1])


def overlay_urls(study: Study, rows: Sequence[int], looks: Sequence[Look], *, side: int = TILE) -> list[str]:
    """Addresses of the overlays of many rows, each with its own look, relative to the page."""
    pairs = zip(served_studies.picture_urls(study, rows, "overlay"), looks, strict=True)
    return [f"{url}&{urlencode(look.query() | {'side': str(side)}, safe=',')}" for url, look in pairs]


def draw(study: Study, row: int, look: Look, side: int) -> tuple[bytes, bool]:
    """An overlay as JPEG, its longer side `side` pixels, and whether it may be kept.

    Up to TILE pixels the stored thumbnail is drawn on, and also where the image cannot be read now.

    Raises:
        StudyError: no such row, heatmap or mask.
    """
    return _drawn(study, row, look, side)


@lru_cache(maxsize=768)
def _drawn(study: Study, row: int, look: Look, side: int) -> tuple[bytes, bool]:
    ground, lasting = _ground(study, row, side)
    picture = study.overlay(
        row,
        look.features or None,
        combine=look.combine,
        opacity=look.opacity,
        colour_map=look.colours,
        masks=look.masks[::-1],  # the core on top
        ground=ground,
    )
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue(), lasting


def _ground(study: Study, row: int, side: int) -> tuple[Image.Image, bool]:
    """What is drawn on, its longer side `side` pixels, and whether it will be the same tomorrow."""
    if side <= TILE:
        return _fitted(study.thumbnail_image(row), side), True
    try:
        return _fitted(study.image(row), side), True
    except (UnreadableImage, OSError, KeyError):
        return _fitted(study.thumbnail_image(row), side), False


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR)


def _parts(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part for part in query.get(name, "").split(",") if part)
