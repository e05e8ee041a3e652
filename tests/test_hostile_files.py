"""Files of strangers, generated: each is read, or refused with one line; none ends in another exception."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.concepts.caption_bank import open_bank
from core.data.decode import decode
from core.data.torchvision_sets import TorchvisionSource
from core.encoders.safe_load import read_checkpoint
from core.encoders.spec import read_sidecar
from core.errors import (
    CaptionError,
    CheckpointError,
    ImageSourceError,
    MaskError,
    PeregrineError,
    SettingsError,
    SliceError,
    StudyError,
    UnreadableImage,
)
from core.measures import saved_slices
from core.measures.slice import Slice
from core.research.salient_imagenet_masks import read_classes, read_judgements
from core.store import open_study
from core.study import seals
from core.study.manifest import empty_manifest, read_manifest, write_manifest
from core.study.traces import read_traces
from core.training.config import read_config

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["format", "steps", "items", "arch", "arguments", "images", "start", "0", "1"])
NEARLY = st.dictionaries(NAMES, JSON, max_size=6)  # the right names with anything behind them
CODE = [b"{0: __import__('os').mkdir('x')}", b"{0: 9" + b"*9" * 40 + b"}", b"(" * 500]
HEADS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0", b"BM"]
BYTES = st.binary(max_size=300) | st.text(max_size=200).map(str.encode)


def one_line(error: BaseException) -> None:
    assert str(error) and len(str(error)) < 2000


def assert_answered(read: Any, *refusals: type[PeregrineError]) -> Any:
    """What was read, or None where it was refused in the right way."""
    try:
        return read()
    except refusals as error:
        one_line(error)
        return None


@given(content=JSON | NEARLY)
@example(content={"format": 1, "steps": [], "items": {}})
@example(content={"format": 1, "steps": {"embed": 3}, "items": {"images": None}})
@example(content={"format": True, "steps": {}, "items": {"../x": {}}})
def test_manifest(tmp_path: Path, content: Any) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    assert_answered(lambda: read_manifest(tmp_path), StudyError)
    study = assert_answered(lambda: open_study(tmp_path), StudyError)
    if study is not None:
        assert_answered(lambda: study.set_damage_aside(), StudyError)
        assert_answered(lambda: study.images, StudyError)


ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["table", "array", "other"]) | JSON,
        "step": st.sampled_from(["embed", "features"]) | JSON,
        "shape": st.lists(st.integers(-1, 2**70) | st.none(), max_size=3) | JSON,
        "dtype": st.sampled_from(["float32", "object", "<U9", "V10000000000", "datetime64"]) | JSON,
        "chunks": st.lists(st.fixed_dictionaries({"rows": st.integers(-5, 2**70) | JSON}), max_size=3) | JSON,
        "columns": JSON,
        "sha256": JSON,
    },
)
STEP = st.fixed_dictionaries(
    {}, optional={name: JSON for name in ("settings", "inputs", "outside", "outputs", "summary")}
)


@given(
    items=st.dictionaries(st.sampled_from(["images", "features", "probe"]), ENTRY, max_size=3),
    steps=st.dictionaries(st.sampled_from(["embed", "features", "probe"]), STEP | JSON, max_size=3),
)
def test_manifest__entries_of_other_kinds(tmp_path: Path, items: dict, steps: dict) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "items": items, "steps": steps}))
    study = assert_answered(lambda: open_study(tmp_path), StudyError)
    if study is None:
        return
    assert_answered(lambda: study.set_damage_aside(), StudyError)
    for item in items:
        assert_answered(lambda item=item: study.table(item), StudyError)
        assert_answered(lambda item=item: study.array(item)[:2], StudyError)
    assert_answered(lambda: study.missing(), StudyError)


@given(content=JSON | NEARLY)
def test_sidecar(tmp_path: Path, content: Any) -> None:
    (tmp_path / "w.json").write_text(json.dumps(content))
    sidecar = assert_answered(lambda: read_sidecar(tmp_path / "w"), CheckpointError)
    if sidecar is not None and sidecar.arch:
        assert_answered(lambda: sidecar.spec, SettingsError)


@given(
    text=st.text(max_size=80) | st.from_regex(r"[a-z_]{1,8}(=|!=|\.\.)[-0-9.einf\"' ]{0,12}", fullmatch=True)
)
@example(text="label=\0")
@example(text="q_score=nan..inf")
def test_slice_text(text: str) -> None:
    chosen = assert_answered(lambda: Slice.parse(text), SliceError)
    if chosen is not None:
        assert Slice.parse(str(chosen)) == chosen


@given(content=JSON | st.dictionaries(st.text(max_size=9), st.text(max_size=30), max_size=4))
def test_saved_slices(tmp_path: Path, content: Any) -> None:
    (tmp_path / "slices.json").write_text(json.dumps(content))
    names = assert_answered(lambda: saved_slices.texts(tmp_path), SliceError, StudyError)
    for name in names or {}:
        assert_answered(
            lambda name=name: Slice.parse(saved_slices.texts(tmp_path)[name]), SliceError, StudyError
        )


CAPTION_FILES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt.gz")
DELIMITED = st.text(alphabet="ab,\t|;\n\"'[]{}:1. ", max_size=200).map(str.encode)


@given(
    content=BYTES | DELIMITED | JSON.map(json.dumps).map(str.encode), ending=st.sampled_from(CAPTION_FILES)
)
def test_captions(tmp_path: Path, content: bytes, ending: str) -> None:
    (tmp_path / f"c{ending}").write_bytes(content)
    assert_answered(lambda: open_bank(tmp_path / f"c{ending}"), CaptionError)


@given(
    content=BYTES
    | st.sampled_from([b"{0: __import__('os').mkdir('x')}", b"{0: 9" + b"*9" * 40 + b"}", b"(" * 500])
)
def test_salient_classes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wordnet_dict.py").write_bytes(content)
    assert_answered(lambda: read_classes(tmp_path / "wordnet_dict.py"), MaskError)


@given(content=BYTES | st.text(alphabet=",;\n\"'0123456789abn_", max_size=200).map(str.encode))
def test_salient_answers(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answers.csv").write_bytes(content)
    assert_answered(lambda: read_judgements(tmp_path / "answers.csv", {0: "n01440764"}), MaskError)


@given(
    content=BYTES,
    head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0", b"BM"]),
)
def test_masks_and_images(content: bytes, head: bytes) -> None:
    assert_answered(lambda: decode(head + content), UnreadableImage)


@given(
    content=st.dictionaries(
        st.sampled_from(["images", "output", "method", "arch", "epochs", "augment", "regularizer", "start"]),
        JSON,
        max_size=6,
    )
)
def test_training_config(tmp_path: Path, content: dict) -> None:
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert_answered(lambda: read_config(tmp_path / "c.json"), SettingsError)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "name", ["w.json", "c.json", "c.toml", "w.safetensors", "traces.json", "manifest.json"]
)
def test_lists_in_lists__are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    """They end in a RecursionError, which is no error of a value."""
    path = tmp_path / name
    if name == "w.safetensors":
        path.write_bytes(struct.pack("<Q", len(DEEP)) + DEEP.encode())
    else:
        path.write_text(DEEP if name != "c.toml" else f"images = {DEEP}")
    read = {
        "w.json": lambda: read_sidecar(tmp_path / "w"),
        "w.safetensors": lambda: read_checkpoint(path),
        "traces.json": lambda: read_traces(tmp_path),
        "manifest.json": lambda: read_manifest(tmp_path),
    }.get(name, lambda: read_config(path))
    with pytest.raises(PeregrineError, match="(nested|read|JSON)") as caught:
        read()
    one_line(caught.value)


HUGE = {
    "manifest.json": lambda folder: read_manifest(folder),
    "traces.json": lambda folder: read_traces(folder),
    "slices.json": lambda folder: saved_slices.texts(folder),
    "w.json": lambda folder: read_sidecar(folder / "w"),
    "c.toml": lambda folder: read_config(folder / "c.toml"),
}


@pytest.mark.parametrize("name", HUGE)
def test_file_of_a_gigabyte__is_refused_by_its_size(tmp_path: Path, name: str) -> None:
    """A sparse one: it takes no disk, and its zeros would be read into memory."""
    with open(tmp_path / name, "wb") as file:
        file.truncate(10**9)
    tracemalloc.start()
    with pytest.raises(PeregrineError, match="1,000 MB.*(8|537) MB"):
        HUGE[name](tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_manifest__that_was_refused_is_not_read_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, parsed = tmp_path / "manifest.json", []
    path.write_text('{"a": [' + "[]," * 10**5 + "[]]}")
    monkeypatch.setattr(seals, "parse_json", lambda text: parsed.append(1) or json.loads(text))
    for _ in range(3):
        with pytest.raises(StudyError, match="'a'"):
            read_manifest(tmp_path)
    assert len(parsed) == 1
    write_manifest(tmp_path, empty_manifest())
    assert read_manifest(tmp_path)["format"] == 1


@given(content=BYTES)
def test_training_config__any_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    assert_answered(lambda: read_config(tmp_path / "c.toml"), SettingsError)


def test_torchvision_source__of_a_study_fetches_and_unpickles_nothing() -> None:
    about = {"name": "CIFAR10", "options": {"root": "/nowhere", "download": True}, "seed": 0}
    assert "download" not in TorchvisionSource.reopen(about).options
    with pytest.raises(ImageSourceError, match="unpickles"):
        TorchvisionSource.reopen({"name": "LSUN", "options": {"root": "x"}, "seed": 0})


def test_these_files_are_real() -> None:
    """The generators reach the readers: what is right is read."""
    assert Slice.parse("split=val") == Slice(split="val")
