"""The sheet, its index and what the catalogue promises."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from core.errors import ImageSourceError
from core.worlds import atlas as glyph_atlas
from core.worlds.atlas import load_atlas
from core.worlds.backgrounds import KINDS
from core.worlds.scenes import BACKGROUND_CUE


def test_atlas__every_glyph_is_in_the_sheet():
    atlas = load_atlas()
    assert 140 <= len(atlas.glyphs) <= 180
    for name, sprite in atlas.sprites.items():
        alpha = np.asarray(sprite.getchannel("a"))
        assert max(sprite.size) == glyph_atlas.CELL, name
        assert (alpha > 128).mean() > 0.08, name
        assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any(), name


def test_atlas__boxes_do_not_overlap():
    boxes = sorted(glyph.box for glyph in load_atlas().glyphs.values())
    cells = {(left // glyph_atlas.CELL, top // glyph_atlas.CELL) for left, top, _, _ in boxes}
    assert len(cells) == len(boxes)


def test_atlas__classes_have_glyphs_and_cues_of_their_own():
    atlas = load_atlas()
    assert len(atlas.class_names) == 20
    assert all(3 <= len(glyphs) <= 5 for glyphs in atlas.by_class.values())
    assert set(atlas.companion_of) == set(atlas.class_names) == set(BACKGROUND_CUE)
    assert len(set(atlas.companion_of.values())) == 20
    assert Counter(BACKGROUND_CUE.values()) == dict.fromkeys(KINDS, 2)
    nouns = {
        role: {g.noun for g in atlas.glyphs.values() if g.role == role}
        for role in ("class", "companion", "distractor")
    }
    assert not (nouns["companion"] | nouns["distractor"]) & (nouns["class"] | set(atlas.class_names))


def test_atlas__missing_files_are_one_clear_error(tmp_path):
    with pytest.raises(ImageSourceError, match=r"cannot read the Glyphworld atlas .* Restore"):
        load_atlas(tmp_path)


def test_atlas__build_needs_a_font_with_the_glyphs(tmp_path):
    with pytest.raises(ImageSourceError, match=r"none\.ttf'"):
        glyph_atlas.build_atlas(tmp_path / "none.ttf", tmp_path)
    plain: Any = ImageFont.load_default(size=20)
    with pytest.raises(ImageSourceError, match="no colour glyph for U\\+20"):
        glyph_atlas.draw_glyph("20", plain)
