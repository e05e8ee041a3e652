"""Views that a GPU makes of JPEG files are those of the encoder's transform; without one they are absent."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import bench_decoding
from benchmarks.gpu import bench
from core.encoders.transform import Transform


@pytest.fixture
def files(tmp_path):
    return bench_decoding.write_photographs(tmp_path / "images", 3, 2)


def test_views__are_those_of_the_transform(files):
    transform = Transform()
    made = bench_decoding.views(
        [bench_decoding.read_bytes(path) for path in files], transform, torch.device("cpu")
    )
    pillow = np.stack([transform.pixels(Image.open(path).convert("RGB")) for path in files])
    assert made.shape == (3, 224, 224, 3) and made.dtype == torch.uint8
    assert np.abs(made.numpy().astype(int) - pillow).mean() < 1  # of 255: the decoders round otherwise
    assert torch.equal(made[0], made[2]) and not torch.equal(made[0], made[1])  # two pictures, three files


def test_represent_files__are_in_order_whatever_the_batch(files, monkeypatch):
    class Mean:
        transform, device = Transform(), torch.device("cpu")

        def represent(self, pixels):
            return pixels.float().mean((1, 2))

    whole = bench_decoding.represent_files(files, Mean())  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(bench_decoding, "BATCH", 2)
    parts = bench_decoding.represent_files(files, Mean())  # pyright: ignore[reportArgumentType]
    assert torch.equal(whole, parts) and torch.equal(whole[0], whole[2])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_row__is_absent_without_a_gpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "decoding", str(tmp_path / "rows.json"), "--tiny"])
    for name, value in {"FOLDER": bench_decoding.FOLDER, "N_IMAGES": 8192, "N_DRAWN": 256}.items():
        monkeypatch.setattr(bench_decoding, name, value)  # which the tiny sizes change
    bench.main()
    (row,) = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert row["value"] is None and "CUDA" in row["detail"] and "absent" in capsys.readouterr().out
