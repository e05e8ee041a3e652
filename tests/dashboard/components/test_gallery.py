"""Pictures of a page as a figure: what they are of, what frames mean and the scale of heat stand below."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.charts.theme import layout_of, paper
from core.study.overlay_image import colour_table
from dashboard.components import gallery
from dashboard.components.gallery import Shown, Tile, picture_figure
from tests.charts.test_panels import decoded


@pytest.fixture(autouse=True)
def grey(monkeypatch):
    monkeypatch.setattr(gallery, "picture_at", lambda address: Image.new("RGB", (8, 8), (9, 9, 9)))


def notes(fig) -> str:
    return " ".join(note.text for note in layout_of(fig).annotations).replace("<br>", " ")


def test_legend__of_heat_and_frames_and_the_name():
    address = "overlay/demo/3?features=11&colours=viridis&side=320&v=1"
    tiles = [Tile(3, address, "hat", verdict="wrong"), Tile(4, "thumb/demo/4", "hat")]
    fig = picture_figure([Shown("images", tiles)], paper(), about="Images of Feature 11 (<b>brick</b>)")
    assert "Feature 11" in notes(fig) and "<b>brick" not in notes(fig)
    assert gallery._say("frames") in notes(fig)
    *pictures, bar = layout_of(fig).images
    assert len(pictures) == 2
    left, right = (decoded(bar.source).getpixel((x, 8)) for x in (0, 255))
    ends = colour_table("viridis")[[0, -1]]
    assert np.abs(np.array([left, right]) - ends).max() < 12  # a JPEG


def test_legend__says_nothing_of_what_is_not_there():
    fig = picture_figure([Shown("images", [Tile(4, "overlay/demo/4?mask=core", "hat")])], paper())
    assert len(layout_of(fig).images) == 1 and not notes(fig).strip()
