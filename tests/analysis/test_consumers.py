"""Passes of an encoder are bounded by bytes, and so is what waits in the queue of decoded pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from core.analysis.representations import Representations
from core.data.images import open_images
from core.encoders import passes as bounds
from core.encoders.passes import MOST_WAITING, pictures_in, waiting_batches
from core.encoders.registry import load_encoder


@pytest.mark.parametrize(("n_bytes", "each", "expected"), [(100, 30, 3), (100, 101, 1), (100, 0, 100)])
def test_pictures_in(n_bytes, each, expected):
    assert pictures_in(n_bytes, each) == expected


def test_waiting_batches__as_many_as_fit_into_the_queue(monkeypatch):
    monkeypatch.setattr(bounds, "QUEUE_BYTES", 1000)
    assert [waiting_batches(workers, 100) for workers in (1, 3, 5, 50)] == [MOST_WAITING, 3, 2, 1]
    assert waiting_batches(4, 0) == MOST_WAITING


def test_representations__of_a_batch_are_read_in_bounded_passes(monkeypatch):
    encoder = load_encoder("timm:test_resnet", device="cpu", input_size=32)
    source = open_images("glyphworld?train=4&val=3")
    reader = Representations(encoder, None, source)
    pixels = torch.from_numpy(np.stack([reader.look(source.read(row)) for row in range(7)]))
    passes, whole = [], reader.rows(pixels, range(7))
    read = reader._read
    monkeypatch.setattr(reader, "_read", lambda part: (passes.append(len(part)), read(part))[1])
    monkeypatch.setattr(bounds, "PASS_BYTES", 3 * 4 * 32 * 32 * 3)  # three float32 pictures
    parts = reader.rows(pixels, range(7))
    assert passes == [3, 3, 1] and set(parts) == set(whole)
    for name, rows in whole.items():
        assert_allclose(parts[name], rows, atol=1e-5)
