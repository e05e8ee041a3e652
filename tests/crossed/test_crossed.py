"""The campaign in small: its table, its page, and how a reading is compared with a tool's own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.crossed.data_kit import Picture, WrittenData, outlined, rgb, tree
from tests.crossed.data_reading import DataReading, data_verdict, read_data
from tests.crossed.environments import all_tools
from tests.crossed.exporting import EXPORTS as READ_BY
from tests.crossed.kit import Written, outputs, pictures, plain_pixels, trained
from tests.crossed.reading import OF_PIXELS, Reading, read, verdict
from tests.crossed.table import (
    DATA,
    DOCUMENT,
    EXPORTS,
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


def test_tools__are_pinned_and_have_a_writer_or_a_reader():
    for tool in all_tools().values():
        folder = WRITERS.with_name("readers") if tool.kind == EXPORTS else WRITERS
        assert all("==" in one for one in tool.requires) and (folder / f"{tool.writer}.py").is_file(), tool


def test_table__has_every_export_read_by_its_tool():
    rows = {(row.writer, row.option) for row in read_table() if row.kind == EXPORTS}
    assert rows == {
        (export.written_by, option) for cases in READ_BY.values() for option, export in cases.items()
    }


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


def test_table__holds_both_kinds_of_one_release_apart(tmp_path: Path):
    rows = [
        Row("b", "2", "load", "x", "", "", RIGHT, "", DATA),
        Row("b", "2", "save", "x", "", "", WRONG, ""),
    ]
    write_table(rows, tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv") == rows[::-1]
    page = document(read_table(tmp_path / "t.csv"))
    assert "[b](#b-2) | 2 | 1 | 0" in page and "[b](#data-b-2) | 2 | 1 | 1" in page


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


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, WrittenData]:
    """A tree of two classes and two splits, and what is in it."""
    pictures = []
    for at, split in enumerate(("train", "val")):
        places = tree(tmp_path / "data" / split, ["cat", "dog"], 2, first=10 * at)
        pictures += [Picture(rgb(one), one.parent.name, split, one.name) for one in places]
    return tmp_path, WrittenData(spec="{folder}/data", pictures=pictures)


def data_judged(folder: Path, written: WrittenData) -> str:
    written.store(folder)
    return data_verdict(*read_data(folder))[0]


def test_data__are_right_where_pictures_labels_and_splits_are_the_tools(data):
    folder, written = data
    assert data_judged(folder, written) == RIGHT
    written.spec, written.options = "{folder}/data/train", {"val": "{folder}/data/val"}
    assert data_judged(folder, written) in (RIGHT, NOTED)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "label", "owl"),
        lambda one: setattr(one, "label", None),
        lambda one: setattr(one, "split", "val"),
        lambda one: setattr(one, "file", "other.png"),
        lambda one: setattr(one, "text", "a cat"),
        lambda one: setattr(one, "pixels", one.pixels + 1),
        lambda one: setattr(one, "pixels", 255 - one.pixels),
    ],
)
def test_data__are_wrong_where_anything_of_one_picture_is_another(data, change):
    folder, written = data
    change(written.pictures[0])
    assert data_judged(folder, written) == WRONG


def test_data__are_wrong_where_a_picture_is_missing_or_one_too_many(data):
    folder, written = data
    whole = written.pictures
    written.pictures = whole[1:]
    assert data_judged(folder, written) == WRONG
    written.pictures = [*whole, Picture(255 - whole[0].pixels, "cat", "train")]
    assert data_judged(folder, written) == WRONG


def test_data__that_are_refused_need_a_way_out_or_must_be(data):
    folder, written = data
    written.spec, ours = "{folder}/nowhere", written.spec
    assert data_judged(folder, written) == WRONG
    assert data_judged(folder, WrittenData(spec=written.spec, refused=True)) == REFUSED
    written.then = (ours, {})
    assert data_judged(folder, written) == REFUSED
    for other in (f"{ours}/train", "{folder}/neither"):
        written.then = (other, {})
        assert data_judged(folder, written) == WRONG
    written.spec, written.then, written.refused = ours, None, True
    assert data_judged(folder, written) == WRONG


def test_data__masks_are_compared_by_their_overlap(data):
    folder, written = data
    for number, one in enumerate(written.pictures):
        one.mask = outlined(number)
        place = folder / "masks" / "core" / one.split / one.label / one.file
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one.mask * 255).save(place)
    written.masks = "{folder}/masks"
    assert data_judged(folder, written) in (RIGHT, NOTED)
    written.pictures[0].mask = 1 - written.pictures[0].mask
    assert data_judged(folder, written) == WRONG


def test_data__captions_are_compared_in_their_order(tmp_path: Path):
    (tmp_path / "c.txt").write_text("a cat\na dog on a mat\n")
    written = WrittenData(captions="{folder}/c.txt", texts=["a cat", "a dog on a mat"])
    assert data_judged(tmp_path, written) == RIGHT
    written.texts = ["a cat", "a dog"]
    assert data_judged(tmp_path, written) == WRONG


def test_data__a_note_excuses_what_it_names():
    far = DataReading({"labels": 0.5}, notes=["several labels: the first is taken"])
    assert data_verdict(WrittenData(), far)[0] == WRONG
    assert data_verdict(WrittenData(excused="several labels"), far)[0] == NOTED
    assert data_verdict(WrittenData(), DataReading())[0] == WRONG  # nothing was compared
