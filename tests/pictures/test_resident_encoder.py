"""The process that keeps an encoder loaded: a real one; what it is given by strangers; what it answers."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.heatmaps_on_demand import study_encoder
from core.errors import EncoderError, PeregrineError, UnreadableImage
from core.pictures.look import decide, heat_of
from core.pictures.resident_encoder import see
from core.pictures.seen import Alteration, how_to_see, samples
from core.store import open_study
from core.study import resident
from dashboard.jobs import resident_models
from tests.analysis.heatmap_studies import make, make_images
from tests.command_line import contents

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    resident.end_all()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"0"))
        + chunk(b"IEND", b"")
    )


def test_study__what_the_process_sees_and_what_it_refuses(tmp_path, monkeypatch):
    """At the end also: of a study whose encoder is another one by now."""
    path = make(tmp_path / "studies" / "mine", make_images(tmp_path / "images"))
    monkeypatch.setenv("PEREGRINE_STUDIES", str(path.parent))
    study, before = open_study(path), contents(path)
    file = io.BytesIO()
    study.image(3).save(file, "PNG")
    alteration = Alteration((0.0, 0.1, 0.9, 1.0), ((0.2, 0.2, 0.5, 0.5),))
    seen = resident_models.see(study, file.getvalue(), alteration)
    here = see(study_encoder(study), study.image(3), alteration, **how_to_see(study))
    for name, array in here.arrays.items():
        assert_allclose(np.asarray(getattr(seen, name), float), np.asarray(array, float), atol=1e-4)
    assert resident_models.prepare_encoder(study).name == "ready"

    hostile = {
        "empty": b"",
        "an SVG drawing": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
        "an HTML page": b"<html><script>alert(1)</script></html>",
        "not a picture": b"\0" * 2000,
        "an archive": b"PK\x03\x04" + bytes(100),
    }
    for why, data in hostile.items():
        with pytest.raises(UnreadableImage, match=why):
            resident_models.see(study, data, Alteration())
    for why, data in {"too large": bomb(20_000, 20_000), "truncated|corrupt": file.getvalue()[:60]}.items():
        with pytest.raises(EncoderError, match=why) as caught:
            resident_models.see(study, data, Alteration())
        assert "\n" not in str(caught.value)
    assert resident_models.prepare_encoder(study).name == "ready"  # none of it has ended the process
    assert contents(path) == before  # and nothing of it is in the study
    study.manifest["steps"]["embed"]["summary"]["encoder"]["fingerprint"] = "another"
    with pytest.raises(EncoderError):
        resident_models.see(study, file.getvalue(), Alteration())


def test_no_study__the_packaged_encoder_answers_by_name():
    asked = resident_models.packaged_predictor()
    assert len(asked.names) == 1000
    seen = resident_models.see(None, samples()["flower"].path.read_bytes(), Alteration())
    made = decide(asked, seen)
    assert made.answer == "daisy"
    first = int(made.features["feature"].iat[0])
    off = decide(asked, seen, off=[first]).classes.set_index("spoken")["after"]
    assert off.loc["daisy"] != pytest.approx(made.classes["after"].iat[0], abs=1e-3)
    heat = heat_of(seen, [first])
    assert heat is not None and heat.shape == (224, 224)


def test_answers__that_are_no_arrays_are_one_line_and_take_no_memory():
    huge = b'{"arrays": {"raw": ["<f4", [99999, 99999]]}}\n'
    wrong = b'{"arrays": {"raw": ["|O", [1]]}}\n'
    nonsense = {"error": "its process gave no sensible answer"}
    for line in (huge, wrong, b"[1]\n", b'{"arrays": 3}\n', b'{"arrays": {"raw": ["<f4", [4]]}}\n'):
        assert resident._answer(line, io.BytesIO(b"\0" * 8)) == nonsense


def test_boxes__that_the_browser_makes_up_are_refused():
    with pytest.raises(PeregrineError, match="limit is 20"):
        Alteration(None, ((0.0, 0.0, 0.1, 0.1),) * 21)
