"""FiftyOne reads its own form as a new data set, and merges it into one that is there."""

from __future__ import annotations

import atexit
import importlib.util
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PLACE = "MONGOD_PLACE"  # a folder of a database that is kept
PATIENCE = 500  # seconds until the database answers: FiftyOne's own is too short for a busy machine


def start_database() -> str:
    """Start the MongoDB of FiftyOne's package, which ends with this process; return its address."""
    package = importlib.util.find_spec("fiftyone")
    assert package is not None and package.origin is not None
    program = Path(package.origin).parent / "db" / "bin" / "mongod"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = os.environ.get(PLACE) or tempfile.mkdtemp(prefix="mongod")
    words = [str(program), "--dbpath", place, "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    atexit.register(server.terminate)
    end = time.monotonic() + PATIENCE
    while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < end:
        time.sleep(0.5)
    return f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS={PATIENCE * 1000}"


os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
os.environ["FIFTYONE_DATABASE_URI"] = start_database()

import fiftyone as fo

from tests.crossed.reading_back import ReadImage, tags_of

USUAL = {"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"}


def new_dataset(out: Path, images: Path) -> list[ReadImage]:
    data = fo.Dataset.from_dir(str(out), fo.types.FiftyOneDataset, rel_dir=str(images))
    return [image_of(sample, images) for sample in data]


def merged(out: Path, images: Path) -> list[ReadImage]:
    """Merge into a data set of the same files, whose own fields, tags and facts must stay as they are."""
    data = fo.Dataset()
    for path in sorted(images.rglob("*.png")):
        sample = fo.Sample(filepath=str(path), tags=["mine"])
        sample["ground_truth"] = fo.Classification(label="mine", confidence=0.125)
        sample["q_score"], sample["predicted"] = 7.0, "mine"
        data.add_sample(sample)
    extra = fo.Sample(filepath=str(images / "elsewhere.jpg"), tags=["mine"])
    data.add_sample(extra)
    data.info["note"] = "mine"
    data.save()
    before = {sample.id: sample.filepath for sample in data}
    data.merge_dir(str(out), fo.types.FiftyOneDataset, rel_dir=str(images), insert_new=False)
    assert {sample.id: sample.filepath for sample in data} == before and data.info["note"] == "mine"
    read = []
    for sample in data:
        assert "mine" in sample.tags
        if sample.id == extra.id:
            assert not [name for name in sample.field_names if name not in USUAL and sample[name] is not None]
            continue
        assert (sample["ground_truth"].label, sample["ground_truth"].confidence) == ("mine", 0.125)
        assert (sample["q_score"], sample["predicted"]) == (7.0, "mine")
        read.append(image_of(sample, images))
    return read


def image_of(sample: Any, images: Path) -> ReadImage:
    names = [name for name in sample.field_names if name.startswith("peregrine_")]
    values = {name.removeprefix("peregrine_"): sample[name] for name in names if sample[name] is not None}
    read = ReadImage(str(Path(sample.filepath).relative_to(images)), tags=tags_of(sample.tags))
    read.arrays["embedding"] = values.pop("embedding")
    heat = values.pop("heatmap")
    assert heat.range == [0, 255]
    read.arrays["heatmap"] = heat.get_map()
    for kind in ("core", "spurious"):
        if f"mask_{kind}" in values:
            read.arrays[kind] = values.pop(f"mask_{kind}").get_mask()
    pairs = {"prediction": ("predicted", "confidence"), "suggestion": ("suggested", "suggested_confidence")}
    for name, (label, number) in pairs.items():
        if name in values:
            one = values.pop(name)
            values |= {label: one.label, number: one.confidence}
    read.fields = {name: plain(value) for name, value in values.items()}
    return read


def plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else list(value)


READERS = {"Dataset.from_dir": new_dataset, "merge_dir into a data set": merged}
