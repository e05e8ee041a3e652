"""Small files that say they are gigabytes are refused before the memory is taken, whichever way they come."""

from __future__ import annotations

import gc
import re
import struct
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.analysis.representations import open_ready_representations
from core.common import parquet_footer
from core.common.parquet_footer import check_study_table
from core.concepts.caption_files import read_captions
from core.data.decode import decode
from core.data.images import open_images
from core.data.mask_source import read_mask
from core.data.picture_limits import wanted
from core.errors import PeregrineError, ShapeError, UnreadableImage
from core.publish.streaming import stream_table
from core.store import open_study
from core.study.chunked_array import file_sha256
from core.study.manifest import read_manifest, write_manifest
from core.study.table_files import type_names
from core.study.writer import write_study
from tests.command_line import SMALL, info_of
from tests.data.pictures import encoded, make_tar, picture

SIDE = 22_000  # 484 million pixels, of which half a gigabyte would be decoded at least
MOST = 250e6  # bytes that this process may take, and what it imports
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]
REFUSED = r"^too large: 484 million pixels; the limit is 100 million pixels"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """A black and white PNG of 59 kB."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + SIDE // 8)
    body = b"".join(packer.compress(row) for _ in range(SIDE)) + packer.flush()
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    assert len(data) < 100_000
    return data


def in_memory(what: str) -> float:
    """Bytes that this process holds ("VmRSS"), or held at most ("VmHWM")."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return 1024 * float(found[1])


def refusals(read: Callable[[Any], object], *arguments: object) -> tuple[list[str], float]:
    """What `read` raises for each argument that it refuses, and the most bytes that it took meanwhile."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins again
    before, said = in_memory("VmRSS"), []
    for argument in arguments:
        try:
            read(argument)
        except PeregrineError as error:
            said.append(str(error))
    return said, in_memory("VmHWM") - before


def read_all(spec: object) -> None:
    """Read each image of a source; raises at the end what the last one that is refused raises."""
    source, refused = open_images(str(spec)), None
    for row in range(len(source.table)):
        try:
            source.read(row)
        except UnreadableImage as error:
            refused = error
    if refused:
        raise refused


def test_every_source__refuses_by_the_header(tmp_path, bomb):
    folder = tmp_path / "folder"
    for name, data in {"cat/a.png": picture(), "cat/b.png": bomb, "dog/c.png": picture(1)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    make_tar(tmp_path / "s.tar", {"a.png": picture(), "a.cls": "cat", "b.png": bomb, "b.cls": "cat"})
    (tmp_path / "table.csv").write_text("path,label\nfolder/cat/a.png,cat\nfolder/cat/b.png,cat\n")
    pd.DataFrame({"path": ["folder/cat/b.png"]}).to_parquet(tmp_path / "table.parquet")
    specs = [folder, tmp_path / "s.tar", tmp_path / "table.csv", tmp_path / "table.parquet"]
    specs.append(f"torchvision:ImageFolder?root={folder}")
    lines, taken = refusals(read_all, *specs)
    assert len(lines) == 5 and all(re.match(REFUSED, line) for line in lines)
    assert taken < MOST


def test_masks_and_uploads__refuse_by_the_header(tmp_path, bomb):
    (tmp_path / "mask.png").write_bytes(bomb)
    for read in (read_mask, decode):
        lines, taken = refusals(read, str(tmp_path / "mask.png"))
        assert len(lines) == 1 and re.match(REFUSED, lines[0]) and taken < MOST


def test_embed__lists_it_as_skipped_and_an_original_that_grew_since_is_refused(tmp_path, run, bomb):
    folder = tmp_path / "photos"
    for number in range(12):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (folder / "ab"[number % 2] / f"{number}.png").write_bytes(picture(number))
    (folder / "a" / "bomb.png").write_bytes(bomb)
    outcome = run("embed", tmp_path / "study", "--images", folder, *SMALL, "--workers", 0)
    assert outcome.code == 0, outcome.err
    study = open_study(tmp_path / "study")
    assert study.n_images == 12 and info_of(run, study.path)["n_skipped"] == 1
    path, reason = study.table("skipped").iloc[0]
    assert path.endswith("bomb.png") and reason.endswith("or set PEREGRINE_MAX_PIXELS")
    (folder / "a" / "0.png").write_bytes(bomb)
    with pytest.raises(UnreadableImage, match=REFUSED):
        open_study(study.path).image("a/0.png")


def test_upload__is_refused_in_one_line(tmp_path, run, begun, bomb):
    (tmp_path / "mine.png").write_bytes(bomb)
    error = run("decompose", begun, "--file", tmp_path / "mine.png", "-o", tmp_path / "r.json").error
    assert "484" in error


def test_deep_picture_at_the_limit__takes_little_more_than_its_pixels(tmp_path):
    """16 bits a pixel become 8 in strips: in double precision they would take 16 bytes each, and more."""
    Image.fromarray(np.zeros((5_000, 5_000), np.uint16)).save(tmp_path / "deep.png")
    lines, taken = refusals(decode, str(tmp_path / "deep.png"))
    assert lines == [] and taken < 14 * 25e6


def test_tiff__a_tile_larger_than_the_picture():
    """One tile is decoded at a time, whole: the picture's own size says nothing about it."""
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (277, 1), (322, 65_520), (323, 65_520)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    entries += struct.pack("<HHII", 324, 4, 1, 200) + struct.pack("<HHII", 325, 4, 1, 64)
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags) + 2) + entries + b"\0" * 4
    with pytest.raises(UnreadableImage, match="65520.*65520"):
        decode(data.ljust(300, b"\0"))


def test_several_frames__the_first_counts_and_the_others_do_not(monkeypatch):
    monkeypatch.setenv("PEREGRINE_MAX_PIXELS", "300")
    small, large = Image.new("RGB", (10, 10)), Image.new("RGB", (20, 20))
    assert decode(encoded(small, "TIFF", save_all=True, append_images=[large])).size == (10, 10)
    for kind in ("TIFF", "GIF", "PNG"):
        with pytest.raises(UnreadableImage, match="20.*20.*pixels"):
            decode(encoded(large, kind, save_all=True, append_images=[small]))
    with wanted(side=2), pytest.raises(UnreadableImage, match="20.*20.*pixels"):
        decode(encoded(large, "JPEG"))  # a progressive one is held whole even so


@pytest.mark.parametrize("shape", [(10**12, 2048), (2**62, 2**62), (-1, 4)], ids=str)
def test_npy__hostile_shape(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(118 - 1) + b"\n"
    (tmp_path / "raw.npy").write_bytes(
        b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(64)
    )
    (line,), taken = refusals(open_ready_representations, str(tmp_path / "raw.npy"))
    assert line.startswith("cannot read representations") and taken < MOST


def test_npy__objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "raw.npy", np.array([[print]], dtype=object))
    with pytest.raises(ShapeError, match="representations"):
        open_ready_representations(str(tmp_path / "raw.npy"))


def long_table(path: Path, column: str, n_rows: int = 30_000_000) -> Path:
    """One text again and again, in one row group: 160 kB."""
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int8)), pa.array(["a/b.png"]))
    pq.write_table(pa.table({column: values}), path, row_group_size=n_rows, store_schema=False)
    assert path.stat().st_size < 500_000
    return path


OPENS: dict[str, Callable[[Path], object]] = {
    "path": lambda path: open_images(str(path)),
    "caption": read_captions,
}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("path", "it has 30,000,000 rows; a study may have at most 10,000,000 images"),
        ("caption", "it has 30,000,000 rows in [0-9,]+ bytes, so nearly all captions are the same"),
    ],
)
def test_parquet__many_rows_in_few_bytes(tmp_path, column, reason):
    path = long_table(tmp_path / "t.parquet", column)
    (line,), taken = refusals(OPENS[column], path)
    assert re.search(reason, line) and taken < MOST


@pytest.fixture(scope="module")
def gigabytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of images and captions that is 500 MB when unpacked."""
    path = tmp_path_factory.mktemp("gigabytes") / "t.parquet"
    texts = pa.array(["x" * 100_000_000], pa.large_string())
    table = pa.table({"path": ["a.png"], "caption": texts})
    with pq.ParquetWriter(path, table.schema, compression="zstd", write_statistics=False) as file:
        for _ in range(5):
            file.write_table(table)
    return path


@pytest.mark.parametrize("column", ["path", "caption"])
def test_parquet__more_text_than_the_limit(gigabytes, column, monkeypatch):
    assert parquet_footer.MOST_UNPACKED == 4e9
    monkeypatch.setattr(parquet_footer, "MOST_UNPACKED", 400_000_000)
    (line,), taken = refusals(OPENS[column], gigabytes)
    assert re.search(r"\b5\d\d MB .*\b400 MB", line) and taken < MOST


N_LONG = 11_000
FEW_LONG = 2_000


def one_long_text(wrap: Callable[[pa.Array], pa.Array] = lambda texts: texts) -> pa.Table:
    """The same text of 100,000 characters in each row: 1.1 GB in a file of a few kilobytes."""
    rows = pa.array(np.zeros(N_LONG, np.int32))
    return pa.table({"image_id": wrap(pa.DictionaryArray.from_arrays(rows, pa.array(["x" * 100_000])))})


UNPACKING: dict[str, Callable[[], pa.Table]] = {
    "dictionary": one_long_text,
    "nested": lambda: one_long_text(lambda texts: pa.StructArray.from_arrays([texts], ["a"])),
    "list": lambda: one_long_text(lambda texts: pa.ListArray.from_arrays(np.arange(N_LONG + 1), texts)),
    "prefixes": lambda: pa.table({"image_id": pa.array(["x" * 100_000] * FEW_LONG, pa.large_string())}),
    "numbers": lambda: pa.table({"image_id": pa.array(np.zeros(130_000_000))}),
}
PREFIXES = {"use_dictionary": False, "column_encoding": {"image_id": "DELTA_BYTE_ARRAY"}}


@pytest.mark.parametrize("kind", UNPACKING)
def test_table_of_a_study__that_unpacks_to_gigabytes_is_refused(tmp_path, kind, monkeypatch):
    """The sizes and types in the manifest and in the file fit: whoever makes such a file sees to that."""
    if kind == "prefixes":  # which take long to write
        monkeypatch.setattr(parquet_footer, "STUDY_BYTES", 100_000_000)
    table = UNPACKING[kind]()
    for name in ("split", "label"):
        table = table.append_column(name, pa.nulls(len(table)))
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        step.table("images", pd.DataFrame({"image_id": ["a"], "split": ["val"], "label": ["x"]}))
    path = tmp_path / "study" / "images.parquet"
    options: Any = PREFIXES if kind == "prefixes" else {}
    pq.write_table(table, path, row_group_size=len(table), store_schema=False, compression="zstd", **options)
    assert path.stat().st_size < 1_200_000
    manifest = read_manifest(tmp_path / "study")
    entry = {"shape": [len(table), 3], "types": type_names(pq.read_schema(path)), "sha256": file_sha256(path)}
    manifest["items"]["images"].update(entry)
    write_manifest(tmp_path / "study", manifest)
    del table
    study = open_study(tmp_path / "study")
    for read in (lambda _: next(stream_table(study, "images", "csv")), lambda _: study.images):
        (line,), taken = refusals(read, None)
        assert "when unpacked" in line and taken < MOST


def test_table_of_a_study__of_many_images_of_imagenet_is_read(tmp_path):
    """As written, sorted by class: most columns take a thousandth of their size on disk."""
    n_images = 200_000
    number = np.arange(n_images)
    texts = {f"n{10**7 + code:08d}": code for code in range(1000)}
    label = pd.Categorical.from_codes(number * 1000 // n_images, list(texts)).astype("str")
    path = pd.Series(label).str.cat(pd.Series(number).astype("str"), sep="/ILSVRC2012_train_")
    note = pd.Series(label) + " is a long word for what can be seen in a picture of this class"
    frame = pd.DataFrame({"image_id": path, "path": path, "label": label, "split": "train", "note": note})
    frame.loc[7, "note"] = "x" * 10_000  # the longest text, times the rows, would be 2 GB
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        step.table("images", frame)
    check_study_table(tmp_path / "study" / "images.parquet")
    assert open_study(tmp_path / "study").images.equals(frame)


def test_tar__member_that_says_it_is_a_petabyte(tmp_path):
    path = make_tar(tmp_path / "s.tar", {"a.png": picture(), "a.cls": "cat", "b.png": picture(1)})
    with tarfile.open(path) as tar:
        offset = next(member.offset for member in tar if member.name == "b.png")
    data = bytearray(path.read_bytes())
    data[offset + 124 : offset + 136] = b"\x80\0\0\0" + (10**15).to_bytes(8, "big")
    data[offset + 148 : offset + 156] = b" " * 8
    data[offset + 148 : offset + 156] = b"%06o\0 " % sum(data[offset : offset + 512])
    path.write_bytes(data)
    source = open_images(str(path))
    assert list(source.table["image_id"]) == ["s/a"]
    assert any("is damaged" in note for note in source.notes)


def test_tar__encoded_picture_larger_than_pixels_can_need(tmp_path):
    """A sparse file takes no disk, and would be read into memory whole."""
    path, size = tmp_path / "s.tar", 10**10
    info = tarfile.TarInfo("a.png")
    info.size = size
    with open(path, "wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + size + 1024)
    lines, taken = refusals(read_all, path)
    assert lines == [
        "too large: 10,000 MB; the limit is 100 million pixels. Make it smaller, or set PEREGRINE_MAX_PIXELS"
    ]
    assert taken < MOST
