"""What is written for other tools, read by its written form; `make crossed` lets the tools read it."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.cli import main
from core.data.images import describe_images, open_images
from core.errors import SettingsError
from core.measures.slice import Slice
from core.publish.cvat import run_lengths
from core.publish.known_images import hot_region
from core.publish.label_studio import packed_runs
from core.publish.tool_exports import README, TOOLS, export_to_tool
from core.publish.tool_names import TOOL_NAMES
from core.store import Study, open_study
from core.study.writer import write_study
from tests.publish.handed_on import Expected, differences, expected_images, expected_maps, make_handed_on

PREFIX = "peregrine_"
PICTURES = {"heatmap": "heatmap", "mask_core": "core", "mask_spurious": "spurious"}
Read = Callable[[Path], dict[str, Expected]]


def ours(values: dict[str, Any]) -> dict[str, Any]:
    """Fields with the prefix, without it; no undefined ones."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in values.items()
        if name.startswith(PREFIX) and value not in (None, [])
    }


def tags_of(names: list[str]) -> set[str]:
    assert all(name.startswith(PREFIX) for name in names)
    return {name.removeprefix(PREFIX) for name in names}


def inflated(held: dict[str, Any]) -> np.ndarray:
    content = zlib.decompress(base64.b64decode(held["$binary"]["base64"]))
    return np.load(io.BytesIO(content), allow_pickle=False)


def of_fiftyone(folder: Path) -> dict[str, Expected]:
    made, ids = {}, []
    for sample in json.loads((folder / "samples.json").read_text())["samples"]:
        values = ours(sample)
        arrays = {"embedding": inflated(values.pop("embedding"))} if "embedding" in values else {}
        if "heatmap" in values:
            arrays["heatmap"] = inflated(values.pop("heatmap")["map"])
        for kind in ("core", "spurious"):
            if f"mask_{kind}" in values:
                arrays[kind] = inflated(values.pop(f"mask_{kind}")["mask"])
        for name, (label, number) in {
            "prediction": ("predicted", "confidence"),
            "suggestion": ("suggested", "suggested_confidence"),
        }.items():
            if name in values:
                said = values.pop(name)
                values |= {label: said["label"], number: said["confidence"]}
        made[sample["filepath"]] = Expected(values, tags_of(sample["tags"]), arrays)
        ids.append(sample["_id"]["$oid"])
    assert len(set(ids)) == len(ids) and all(len(one) == 24 for one in ids)
    return made


def of_datasets(folder: Path) -> dict[str, Expected]:
    made = {}
    for file in sorted((folder / "data").iterdir()):
        table = pq.read_table(file)
        described = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert list(described) == table.column_names
        for row in table.to_pylist():
            assert file.name.startswith("train-") == (row["peregrine_split"] == "train")
            assert row["label"] == row.get("peregrine_label") and row["file_name"] == row["image"]["path"]
            values = ours(row)
            arrays = (
                {"embedding": np.array(values.pop("embedding"), np.float32)} if "embedding" in values else {}
            )
            for column, name in {
                "heatmap": "heatmap",
                "mask_core": "core",
                "mask_spurious": "spurious",
            }.items():
                if column in values:
                    arrays[name] = np.asarray(Image.open(io.BytesIO(values.pop(column)["bytes"])))
            tags = tags_of(values.pop("tags", []))
            made[row["file_name"]] = Expected(values, tags, arrays)
            Image.open(io.BytesIO(row["image"]["bytes"])).verify()
    return made


def of_label_studio(folder: Path) -> dict[str, Expected]:
    names = {
        f"{PREFIX}hot_region": "heatmap",
        f"{PREFIX}mask_core": "core",
        f"{PREFIX}mask_spurious": "spurious",
    }
    interface = ElementTree.parse(folder / "labels.xml")
    choices = {one.get("value") for one in interface.iter("Choice")}
    brushes = {one.get("value") for one in interface.iter("Label")}
    made = {}
    for task in json.loads((folder / "tasks.json").read_text()):
        values = ours(task["data"])
        tags = tags_of(values.pop("tags", []))
        arrays = {}
        for prediction in task.get("predictions", []):
            for result in prediction["result"]:
                if result["type"] == "choices":
                    assert set(result["value"]["choices"]) <= choices
                    continue
                assert set(result["value"]["brushlabels"]) <= brushes
                shape = result["original_height"], result["original_width"], 4
                layers = unpacked_runs(result["value"]["rle"]).reshape(shape)
                arrays[names[result["id"]]] = layers[:, :, 3]
        if "predicted" in values:
            first = task["predictions"][0]
            assert first["score"] == values["confidence"] and first["model_version"] == "peregrine-probe"
            assert first["result"][0]["value"]["choices"] == [values["predicted"]]
        path = unquote(task["data"]["image"].removeprefix("/data/local-files/?d="))
        made[path] = Expected(values, tags, arrays)
    return made


def unpacked_runs(packed: list[int]) -> np.ndarray:
    """A slow twin: the head, then run by run, read bit by bit."""
    bits = "".join(f"{one:08b}" for one in packed)
    at = 0

    def take(n: int) -> int:
        nonlocal at
        at += n
        return int(bits[at - n : at], 2)

    n, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < n:
        is_run = take(1)
        length = take(sizes[take(2)]) + 1
        values += [take(word)] * length if is_run else [take(word) for _ in range(length)]
    return np.array(values, np.uint8)


def of_cvat(folder: Path) -> dict[str, Expected]:
    root = ElementTree.parse(folder / "annotations.xml").getroot()
    declared = {one.findtext("name"): one for one in root.iter("label")}
    listed = json.loads((folder / "labels.json").read_text())
    assert [one["name"] for one in listed] == list(declared)
    masks = {
        f"{PREFIX}hot_region": "heatmap",
        f"{PREFIX}mask_core": "core",
        f"{PREFIX}mask_spurious": "spurious",
    }
    made = {}
    for image in root.iter("image"):
        size = int(image.get("height") or 0), int(image.get("width") or 0)
        one = Expected()
        for tag in image.iter("tag"):
            assert tag.get("label") in declared
            if tag.get("label") == "peregrine":
                texts = {str(item.get("name")): item.text or "" for item in tag.iter("attribute")}
                names = {item.findtext("name") for item in declared["peregrine"].iter("attribute")}
                assert texts.keys() <= names
                one.fields = {name: typed(name, text) for name, text in ours(texts).items()}
            else:
                one.tags |= tags_of([str(tag.get("label"))])
        for mask in image.iter("mask"):
            runs = [int(text) for text in str(mask.get("rle")).split(",")]
            left, top, width, height = (
                int(mask.get(name) or 0) for name in ("left", "top", "width", "height")
            )
            values = np.concatenate([np.full(n, 255 * (at % 2), np.uint8) for at, n in enumerate(runs)])
            whole = np.zeros(size, np.uint8)
            whole[top : top + height, left : left + width] = values.reshape(height, width)
            one.arrays[masks[str(mask.get("label"))]] = whole
        made[str(image.get("name"))] = one
    return made


def typed(name: str, text: str) -> Any:
    """An attribute, which is a text, as what it is."""
    if name in ("causes", "slices"):
        return text.split(", ")
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


READERS: dict[str, tuple[Read, bool]] = {  # by tool: and whether it takes regions for heat, and no embedding
    "fiftyone": (of_fiftyone, False),
    "datasets": (of_datasets, False),
    "label-studio": (of_label_studio, True),
    "cvat": (of_cvat, True),
}


def of_regions(expected: dict[str, Expected]) -> dict[str, Expected]:
    """The same for a tool that has regions and no vectors; an empty region is none."""
    for one in expected.values():
        del one.arrays["embedding"]
        if "heatmap" in one.arrays:
            one.arrays["heatmap"] = hot_region(one.arrays["heatmap"])
        one.arrays = {name: values for name, values in one.arrays.items() if values.any()}
    return expected


@pytest.fixture(scope="module")
def handed_on(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_handed_on(tmp_path_factory.mktemp("handed_on"))


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOL_NAMES)
def test_each_form__has_the_values_of_the_study(handed_on, tool, tmp_path):
    written = export_to_tool(handed_on, tool, tmp_path / "out")
    read, is_of_regions = READERS[tool]
    expected = expected_images(handed_on)
    assert written.n == 64 == len(expected)
    assert {"heatmap", "core"} <= set(next(iter(expected.values())).arrays)
    assert any(one.fields.get("causes") == ["crop", "feature"] for one in expected.values())
    assert sum("slice_hard ones" in one.tags for one in expected.values()) > 0
    expected = of_regions(expected) if is_of_regions else expected
    assert differences(expected, read(tmp_path / "out")) == ""
    text = "".join(one.read_text() for one in (tmp_path / "out").glob("*.*") if one.suffix != ".parquet")
    assert str(handed_on.path.parent) not in text  # no folder of this machine
    kinds = {note.kind for note in written.notes}
    assert kinds == {"of_train"} | ({"no_place"} if is_of_regions else set())


@pytest.mark.slow
def test_masks__cover_what_the_users_own_masks_cover(handed_on):
    seen = open_images(handed_on.path.with_name("study.input") / "masks" / "core")
    for row in (0, 5, 9):
        theirs = np.asarray(seen.read(row).convert("L")) >= 128
        ours_ = expected_maps(handed_on, row)["core"] > 0
        box = handed_on.transform.box(64, 48)
        theirs[:, : int(box[0])] = theirs[:, int(np.ceil(box[2])) :] = False
        assert (theirs & ours_).sum() / (theirs | ours_).sum() > 0.9


@pytest.mark.slow
def test_a_slice__is_all_that_is_written(handed_on, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["export", str(handed_on.path), "cvat", "-o", out, "--where", "correct=false"]) == 0
    said = capsys.readouterr().out
    among = Slice.parse("split=val correct=false").mask(handed_on)
    assert f"{among.sum()} images" in said and "annotations.xml" in said
    assert set(of_cvat(tmp_path / "out")) == set(handed_on.images["image_id"][among])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Six pictures of a data set without files: two repeat another one, of which one is an evaluation image.

    No labels, no answer, no features, no maps.
    """
    folder = tmp_path_factory.mktemp("drawn")
    source = open_images("glyphworld?train=4&val=2&size=32")
    ids = source.table["image_id"].tolist()
    repeats = pd.DataFrame({"image_id": ids, "width": 32.0, "height": 32.0})
    repeats["duplicate_of"] = pd.array([None, ids[0], None, None, ids[2], None], dtype="str")
    repeats["near_duplicate_of"] = repeats["duplicate_of"]
    with write_study(folder / "study") as writer, writer.step("embed", {}) as step:
        step.table("images", source.table.assign(label=pd.array([None] * 6, dtype="str")))
        step.table("pictures", repeats)
        writer_of = step.array("representations")
        writer_of.put(0, np.arange(12, dtype=np.float32).reshape(6, 2))
        step.finish_array("representations", 1)
        step.summary = {"n_images": 6, "source": describe_images(source)}
    return open_study(folder / "study")


@pytest.mark.parametrize("tool", TOOL_NAMES)
def test_pictures_of_no_file__are_written_too(drawn, tool, tmp_path):
    written = export_to_tool(drawn, tool, tmp_path / "out")
    read = READERS[tool][0](tmp_path / "out")
    ids = drawn.images["image_id"].tolist()
    by_id = {one.fields["image_id"]: (path, one) for path, one in read.items()}
    assert list(by_id) == ids and {note.kind for note in written.notes} >= {"no_files", "no_heatmap"}
    assert by_id[ids[1]][1].tags == {"duplicate", "near_duplicate"}
    assert by_id[ids[4]][1].tags == {"duplicate", "near_duplicate", "leak"}
    assert by_id[ids[4]][1].fields["duplicate_of"] == ids[2] and not by_id[ids[0]][1].tags
    if tool != "datasets":  # which holds them in its rows
        sub = {"cvat": "images/"}.get(tool, "")
        for row, path in enumerate(read):
            picture = np.asarray(Image.open(tmp_path / "out" / f"{sub}{path}"))
            assert np.array_equal(picture, np.asarray(drawn.image(row)))


def test_a_folder_that_holds_something__is_left_alone(drawn, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(SettingsError, match="there already"):
        export_to_tool(drawn, "cvat", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(SettingsError, match="fiftyone"):
        export_to_tool(drawn, "fiftyeone", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_in_a_command__is_one_line(drawn, tmp_path, capsys):
    command = ["export", str(drawn.path), "cvat", "-o", str(tmp_path / "out")]
    for more in (["--corrected"], ["--image", "a"], ["--where", "a", "--slice", "b"]):
        assert main([*command, *more]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_tools__have_a_reader_each_and_a_page_that_says_what_fields_mean(drawn, tmp_path):
    assert set(READERS) == set(TOOLS) == set(TOOL_NAMES)
    export_to_tool(drawn, "datasets", tmp_path / "out")
    lines = (tmp_path / "out" / README).read_text().splitlines()
    rows = [line.split("|")[1:3] for line in lines if line.startswith(f"| {PREFIX}")]
    assert rows and all(meaning.strip() for _, meaning in rows)


@pytest.mark.parametrize("seed", range(3))
def test_runs__are_what_they_were(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.choice([1, 2, 8, 9, 16, 17, 256, 257, 70_000], 12)
    values = np.repeat(np.arange(12) % 2 * 255, lengths).astype(np.uint8)
    assert np.array_equal(unpacked_runs(packed_runs(values)), values)
    mask = rng.random((5, 7)) < 0.5
    runs = run_lengths(mask)
    assert np.array_equal(np.repeat(np.arange(len(runs)) % 2 == 1, runs), mask.reshape(-1))
