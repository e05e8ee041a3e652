"""Values of pixels read as a user says, by a source, its description, and the command line."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from core.config import EmbedConfig
from core.data.images import describe_images, open_images, reopen_images
from core.data.pixel_values import PixelReading, facts_of_pictures, reading_of
from core.errors import SettingsError
from core.pipeline.embed import open_source

DEEP = np.array([[0, 2048, 4095]], np.uint16)  # 12 bits in 16
CUT_OUT = np.array([[[10, 20, 30, 0], [40, 50, 60, 255]]], np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(DEEP).save(tmp_path / name / "deep.png")
        Image.fromarray(CUT_OUT).save(tmp_path / name / "cut.png")
    return tmp_path


@pytest.mark.parametrize(
    ("value_range", "expected"), [(None, [0, 8, 15]), ("0,4095", [0, 128, 255]), ("file", [0, 128, 255])]
)
def test_range__from_the_command_to_a_study_opened_again(folder, value_range, expected):
    source = open_source(EmbedConfig(images=str(folder), encoder="", range=value_range))
    again = reopen_images(describe_images(source))
    for opened in (source, again):
        assert np.asarray(opened.read_id("cat/deep.png"))[0, :, 0].tolist() == expected
        assert np.asarray(opened.read_id("cat/cut.png"))[0, 1].tolist() == [40, 50, 60]
    notes = {note.kind for note in facts_of_pictures([source.read_id("cat/deep.png")]).notes()}
    assert notes == (set() if value_range else {"narrow"})


def test_transparency__dropped_shows_the_colours_below(folder):
    source = open_images(folder, val=folder).read_as(reading_of(None, "drop"))  # a source of two sources
    assert_array_equal(source.read_id("train/cat/cut.png"), CUT_OUT[..., :3])
    assert PixelReading.from_dict(source.pixel_reading.to_dict()) == source.pixel_reading
    plain = open_images(folder)
    assert np.asarray(plain.read_id("cat/cut.png"))[0, 0].tolist() == [255, 255, 255]
    assert "pixels" not in describe_images(plain)


@pytest.mark.parametrize("text", ["1", "5,5", "a,b", "9,1", "nan,3", "1,2,3", ""])
def test_range__that_is_none(text):
    with pytest.raises(SettingsError, match="--range"):
        reading_of(text, None)
