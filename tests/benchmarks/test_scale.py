"""docs/scale.md holds the tables that its constants give, and simulated manifests are opened as real ones."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.scale import CHUNK_ROWS, SIZES, Constants, cost, opens, simulated, table
from core.errors import StudyError
from core.study import manifest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


def written() -> Constants:
    values = re.findall(r"^\| `(\w+)` \| (\S+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _ in values] == [field.name for field in fields(Constants)]
    return Constants(**{name: float(value) for name, value in values})


def test_tables__follow_from_the_constants():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in table(written()) if line not in lines] == []


def test_cost__by_hand():
    one = Constants(10, 2, 30, 6, 100, 20, 1000, 3, 1e9, 0.1, 2)
    found = cost(1000, one, n_val=100)
    assert found.core_hours == (1000 * 10 + 100 * 20) / 3.6e6
    assert found.alone_hours == (1000 * 38 + 100 * 100) / 3.6e6
    assert found.hours(2) == (1.25 * found.core_hours + found.alone_hours) / 2
    sizes = found.disk_tb, found.memory_gb, found.manifest_mb
    assert sizes == pytest.approx((1e-6, 1 + 3e-6, 3e-4))


def test_simulated_manifest__is_opened_up_to_its_largest_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"representations": CHUNK_ROWS}
    assert opens(rows, SIZES[0] + 1)
    half = simulated(rows, SIZES[1]).stat().st_size  # of 10^8 images
    monkeypatch.setattr(manifest, "MOST_BYTES", 2 * half)
    assert opens(rows, round(1.9 * SIZES[1]))
    with pytest.raises(StudyError, match="manifest.json"):
        simulated(rows, round(2.1 * SIZES[1]))
