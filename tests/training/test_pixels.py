"""The cache of decoded images: an interrupted writer leaves nothing that is taken for whole."""

from __future__ import annotations

import numpy as np
import pytest

from core.research.shortcuts_trifeature import Trifeature
from core.training import pixels
from core.training.pixels import load_pixels


class Bar:
    """Adds up what it is told."""

    n = 0

    def update(self, n: int) -> None:
        self.n += n


@pytest.fixture
def source() -> Trifeature:
    return Trifeature.from_spec("trifeature?train=6&val=2&size=16")


def test_load_pixels__a_second_time_from_the_cache_and_counted_alike(tmp_path, source, monkeypatch):
    first, again = Bar(), Bar()
    decoded = load_pixels(source, 16, cache=str(tmp_path), workers=1, progress=first)
    monkeypatch.setattr(pixels, "_decode", lambda *rest: pytest.fail("decoded again"))
    read = load_pixels(source, 16, cache=str(tmp_path), workers=1, progress=again)
    assert (first.n, again.n) == (8, 8)
    np.testing.assert_array_equal(read["train"].images, decoded["train"].images)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("step", ["save", "replace"])
def test_load_pixels__an_interrupted_writer_is_no_cache(tmp_path, source, monkeypatch, step):
    expected = load_pixels(source, 16, cache=str(tmp_path / "whole"), workers=1)["train"].images
    real, calls = np.save, []

    def half(file, array) -> None:
        real(file, array)
        file.truncate(file.tell() - 3)
        raise KeyboardInterrupt

    def stopped(one, other) -> None:
        calls.append(other)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        if step == "save":
            patched.setattr(pixels.np, "save", half)
        else:
            patched.setattr(pixels.os, "replace", stopped)
        load_pixels(source, 16, cache=str(tmp_path / "cut"), workers=1)
    images = load_pixels(source, 16, cache=str(tmp_path / "cut"), workers=1)["train"].images
    np.testing.assert_array_equal(images, expected)
