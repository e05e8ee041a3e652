"""Single flipped bits anywhere in a study: each is named by verify, and readers raise no exception."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.concepts.crop_store import CropBatch, CropStore
from core.errors import StudyError
from core.measures.slice import Slice
from core.pipeline.verify import verify
from core.publish.streaming import stream_table
from core.store import open_study
from core.study import seals
from core.study.stored_heatmaps import add_requested, pack_maps, read_requested
from core.study.table_files import COUNTS, INDICES, POINTERS
from tests.concepts.worded import make_worded
from tests.sampling import EVERYTHING
from tests.study.flips import add_beside, files_of, flips, one_bit_flipped, one_of_each_kind, read_all
from tests.synthetic import make_seen_study

pytestmark = pytest.mark.slow

N_FLIPS = 240  # with PEREGRINE_TESTS=all; otherwise one in every fourth of the folders and kinds of files


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with every kind of file."""
    folder = make_worded(make_seen_study(tmp_path_factory.mktemp("flips") / "study"))
    add_beside(folder)
    return folder


def test_any_flipped_bit__is_named_by_verify_and_is_no_exception(whole, rng):
    assert verify(whole) == [] and read_all(whole) == 0
    files = files_of(whole) if EVERYTHING else one_of_each_kind(whole)[::4]
    n_flips = N_FLIPS if EVERYTHING else len(files)
    tried, noticed = set(), 0
    for path, offset, bit in flips(rng, files, n_flips):
        with one_bit_flipped(path, offset, bit):
            name = path.relative_to(whole).as_posix()
            assert name in [problem.file for problem in verify(whole)], (name, offset, bit)
            noticed += read_all(whole) > 0
            tried.add(name)
    assert tried == {path.relative_to(whole).as_posix() for path in files}
    assert noticed > n_flips / 4  # the others only change a number, which reading cannot tell
    assert verify(whole) == []


@pytest.mark.parametrize("name", [*INDICES, *COUNTS, *POINTERS])
@pytest.mark.parametrize("value", [-2, 2**20, 2**30])
def test_wild_index__is_damage_with_the_command_to_run(whole, tmp_path, name, value):
    folder = shutil.copytree(whole, tmp_path / "study")
    path = folder / name / "00000.npy"
    values = np.load(path)
    values.flat[len(values.ravel()) // 2] = value
    np.save(path, values)
    study = open_study(folder)
    study.set_damage_aside()
    assert study.has(name)  # its size tells nothing
    with pytest.raises(StudyError, match=rf"'{name}' in .* is damaged: {name} .*core \w+ {folder} --redo"):
        study.vector(name)
    assert not study.has(name) and name in study.damage
    step = study.manifest["items"][name]["step"]
    assert study.missing()[step].reason.startswith(f"damaged: {name} ")


def test_wild_index__is_found_in_the_slice_that_is_read(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "study")
    path = folder / "firing_by_feature_rows" / "00000.npy"
    pointers = open_study(folder).vector("firing_by_feature_ptr")
    fired = np.flatnonzero(np.diff(pointers) > 0)
    values = np.load(path)
    values[pointers[fired[1]]] |= 1 << 20
    np.save(path, values)
    study = open_study(folder)
    assert Slice.parse(f"fires={fired[0]}").mask(study).any()  # another part of the file
    with pytest.raises(StudyError, match="firing_by_feature_rows.*104"):
        Slice.parse(f"fires={fired[1]}").mask(study)


@pytest.mark.parametrize(
    "change", [lambda v: v.astype(np.float32), lambda v: v.astype(">i4"), lambda v: v[:-1]]
)
def test_another_type_or_length_than_the_manifest_says(whole, tmp_path, change):
    folder = shutil.copytree(whole, tmp_path / "study")
    path = folder / "heatmap_rows" / "00000.npy"
    np.save(path, change(np.load(path)))
    with pytest.raises(StudyError, match="heatmap_rows/00000.npy"):
        open_study(folder).vector("heatmap_rows")


def test_requested_maps__damaged_are_as_if_they_were_not_there(tmp_path, rng):
    path, maps = tmp_path / "requested" / "1.npz", pack_maps(np.array([3]), rng.random((1, 4, 4)))
    add_requested(path, maps)
    held = read_requested(path)
    assert held is not None and held.features.tolist() == [3]
    for offset in range(0, path.stat().st_size, 3):
        with one_bit_flipped(path, offset, offset % 8):
            assert read_requested(path) is None
    np.savez(path, **maps._asdict())  # without a checksum
    assert read_requested(path) is None


def test_crops__damaged_are_dropped_and_made_again(tmp_path, rng):
    store = CropStore(tmp_path / "crops")
    batch = CropBatch(
        np.array([4]), np.array(["3"]), np.zeros((1, 4), np.int32), np.array([True]),
        rng.random((1, 8)).astype(np.float32), np.empty((1, 0), "<U1"), np.empty((1, 0), np.float32),
    )  # fmt: skip
    store.put(batch)
    path = store.files()[0]
    assert store.locate(batch.rows, batch.units).there.all()
    content = bytearray(path.read_bytes())
    content[path.read_bytes().index(batch.embeddings.tobytes()) + 5] ^= 1  # what `locate` does not look at
    path.write_bytes(content)
    assert not store.locate(batch.rows, batch.units).there.any() and store.files() == []
    store.put(batch)
    seals.check_arrays(store.files()[0])


def test_table__text_that_became_bytes_is_damage(whole, tmp_path):
    """As one flipped bit in a Parquet footer makes it: no page has changed, so no page's checksum differs."""
    folder = shutil.copytree(whole, tmp_path / "study")
    path = folder / "images.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("label")
    assert str(table.schema.field(at).type) in ("string", "large_string")
    pq.write_table(table.set_column(at, "label", table["label"].cast(pa.binary())), path)
    study = open_study(folder)
    with pytest.raises(StudyError, match="damaged"):
        study.table("images")
    with pytest.raises(StudyError, match=r"images\.parquet"):
        list(stream_table(open_study(folder), "images", "csv"))
