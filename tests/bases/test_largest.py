"""The k largest of every row: torch's, and the kernel of a GPU, here as Triton interprets it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from core.bases.dictionary import largest_of_rows

INTERPRETED = """
import sys
import torch
from core.bases.largest_on_gpu import select
values = torch.load(sys.argv[1])
torch.save([select(one, k) for one, k in values], sys.argv[2])
"""


def by_loop(values: torch.Tensor, k: int) -> np.ndarray:
    """Of equal numbers the one further left."""
    rows = [sorted(np.argsort(-row.astype(np.float64), kind="stable")[:k]) for row in values.numpy()]
    return np.array(rows)


def some_rows(rng: np.random.Generator) -> list[tuple[torch.Tensor, int]]:
    drawn = [
        (torch.from_numpy(rng.standard_normal((4, width)).astype(np.float32)), k)
        for width, k in ((1, 1), (40, 1), (40, 4), (64, 64), (300, 33))
    ]
    special = torch.tensor([[0, 0, 1, 1, -1, np.inf, -np.inf, -2], [-5, -3, -4, -3, -9, -3, -8, -7.0]])
    few_values = torch.from_numpy(rng.integers(-2, 3, (5, 50)).astype(np.float32))
    return [*drawn, *((special, k) for k in (1, 3, 5, 8)), (few_values, 7), (drawn[-1][0].T.clone().T, 5)]


def test_columns_ascend_and_are_those_of_a_loop(rng):
    for values, k in some_rows(rng)[:5]:
        np.testing.assert_array_equal(largest_of_rows(values, k).numpy(), by_loop(values, k))


@pytest.mark.slow
def test_the_kernel_of_a_gpu_finds_the_same_and_of_equal_ones_those_further_left(rng, tmp_path, monkeypatch):
    pytest.importorskip("triton")
    cases = some_rows(rng)
    torch.save(cases, tmp_path / "cases")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    words = [sys.executable, "-c", INTERPRETED, str(tmp_path / "cases"), str(tmp_path / "columns")]
    subprocess.run(words, check=True, timeout=200)
    for (values, k), columns in zip(cases, torch.load(tmp_path / "columns"), strict=True):
        np.testing.assert_array_equal(columns.numpy(), by_loop(values, k))
