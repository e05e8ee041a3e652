"""The textures."""

from __future__ import annotations

import numpy as np
import pytest

from core.worlds.backgrounds import COLOUR_WORDS, KINDS, PAINTERS, TILE, VARIANTS, texture


@pytest.mark.slow
def test_backgrounds__kinds_look_different_and_are_drawn_alike():
    tiles = {
        (kind, variant): np.asarray(texture(kind, variant))
        for kind in PAINTERS
        for variant in range(VARIANTS)
    }
    assert all(tile.shape == (TILE, TILE, 3) and tile.std() > 2 for tile in tiles.values())
    assert len({tile.tobytes() for tile in tiles.values()}) == len(tiles)
    again = texture.__wrapped__("forest", 2)
    assert np.array_equal(np.asarray(again), tiles["forest", 2])
    assert set(COLOUR_WORDS) == set(KINDS)
