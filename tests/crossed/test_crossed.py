"""The campaign in small: its table, its page, and how a reading is compared with a tool's own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.crossed.environments import all_tools
from tests.crossed.kit import Written, outputs, pictures, plain_pixels, trained
from tests.crossed.reading import OF_PIXELS, Reading, read, verdict
from tests.crossed.table import (
    DOCUMENT,
    NOTED,
    REFUSED,
    RIGHT,
    SKIPPED,
    VERDICTS,
    WRONG,
    Row,
    document,
    read_table,
    write_table,
)
from tests.encoders.planted import narrow_resnet

WRITERS = Path(__file__).parent / "writers"


def test_page__is_made_of_the_table():
    assert DOCUMENT.read_text(encoding="utf-8") == document(read_table()), (
        "run: python -m tests.crossed.table"
    )


def test_table__has_a_row_a_case_of_a_known_verdict():
    rows = read_table()
    assert len({row.key for row in rows}) == len(rows)
    assert {row.verdict for row in rows} <= set(VERDICTS)
    assert {row.tool for row in rows} <= {tool.distribution for tool in all_tools().values()}


def test_tools__are_pinned_and_have_a_writer():
    for tool in all_tools().values():
        assert all("==" in one for one in tool.requires) and (WRITERS / f"{tool.writer}.py").is_file(), tool


def test_table__is_written_as_it_is_read_and_counted_on_the_page(tmp_path: Path):
    rows = [
        Row("b", "2", "save", "x | y", "1.0e-07", "", RIGHT, ""),
        Row("a", "1", "save", "z", "", "", SKIPPED, "no such option"),
        Row("b", "2", "save", "w", "5.0e-01", "1.0e-03", WRONG, "logits .5 off"),
    ]
    write_table(rows, tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv") == [rows[1], rows[0], rows[2]]
    page = document(read_table(tmp_path / "t.csv"))
    assert "| [b](#b-2) | 2 | 2 | 1 | 0 | 0 | 1 | 0 |" in page and "x \\| y" in page


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Written]:
    """A small classifier as a file, and its numbers."""
    network, linear = narrow_resnet(), nn.Linear(64, 5)
    model = trained(nn.Sequential(network, linear))
    state = {f"backbone.{key}": one for key, one in network.state_dict().items()}
    state |= {f"fc.{key}": one for key, one in linear.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "net.pth")
    pixels = plain_pixels(32)
    options = {"input_size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    spec = "{folder}/net.pth"
    return tmp_path, Written(spec=spec, options=options, pixels=pixels, logits=outputs(model, pixels))


def judged(folder: Path, written: Written) -> str:
    written.store(folder)
    return verdict(*read(folder))[0]


def test_reading__compares_logits_names_and_whether_pixels_are_stated(case):
    folder, written = case
    assert judged(folder, written) in (RIGHT, NOTED)
    written.logits = written.logits * 1.01
    assert judged(folder, written) == WRONG
    written.logits, written.names = written.logits / 1.01, list("abcde")
    assert judged(folder, written) == WRONG
    written.names, written.stated = None, True
    assert judged(folder, written) == WRONG


def test_reading__of_a_file_that_is_refused_takes_the_way_out(case):
    folder, written = case
    written.spec, ours = "resnet18@{folder}/net.pth", written.spec
    assert judged(folder, written) == REFUSED
    written.then = (ours, written.options)
    assert judged(folder, written) == REFUSED
    written.then = ("timm:resnet10t@{folder}/net.pth", written.options)
    assert judged(folder, written) == WRONG
    assert judged(folder, Written(spec=ours, refused=True)) == WRONG


def test_reading__compares_pixels(case):
    folder, written = case
    whole = [np.asarray(one.crop((0, 0, 64, 64)).resize((32, 32)), np.float32) for one in pictures()]
    written.pixels = torch.from_numpy(np.stack(whole)).permute(0, 3, 1, 2) / 255
    written.logits, written.states_pixels = None, True
    written.store(folder)
    reading = read(folder)[1]
    assert reading.pixels is not None and reading.pixels > 10 * OF_PIXELS
    assert verdict(written, reading)[0] == WRONG


def test_verdict__a_note_excuses_only_what_it_names():
    far = Reading({"logits": 0.5}, notes=["pixels"])
    assert verdict(Written(), far)[0] == WRONG
    assert verdict(Written(excused=("pixels",)), far)[0] == NOTED
    assert verdict(Written(excused=("stride",)), far)[0] == WRONG
    assert verdict(Written(), Reading())[0] == WRONG  # nothing was compared
