"""Single flipped bits in the files of a study, and all that the pages read of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core.concepts import search
from core.errors import PeregrineError
from core.measures import finder as slice_finder
from core.measures import saved_slices
from core.measures.slice import Slice
from core.measures.traits import count_traits, tokens_of
from core.pictures import decomposition
from core.publish.export_files import read_table
from core.publish.streaming import stream_table, tables_of
from core.store import Study, open_study
from core.study import seals
from core.study.stored_heatmaps import add_requested, pack_maps, requested_path

UNCHECKED = {"progress.json", "log.txt", ".lock", ".slices.lock"}  # no part of a study


def files_of(study: Path) -> list[Path]:
    """Every file of a study that may not change unnoticed."""
    return sorted(path for path in study.rglob("*") if path.is_file() and path.name not in UNCHECKED)


@contextmanager
def one_bit_flipped(path: Path, offset: int, bit: int) -> Iterator[None]:
    """The file with one bit changed, while the block lasts."""
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[offset] ^= 1 << bit
    path.write_bytes(changed)
    try:
        yield
    finally:
        path.write_bytes(whole)


def one_of_each_kind(study: Path) -> list[Path]:
    """A table of rows, an array and its ledger, a thumbnail …: of files that are read alike, one."""
    kinds = {(path.parent.relative_to(study).parts[:1], path.suffix): path for path in files_of(study)}
    return sorted(kinds.values())


def flips(rng: np.random.Generator, files: list[Path], n: int) -> Iterator[tuple[Path, int, int]]:
    """`n` bits: each file in turn, the place by chance."""
    files = [path for path in files if path.stat().st_size]
    for number in range(n):
        path = files[number % len(files)]
        yield path, int(rng.integers(path.stat().st_size)), int(rng.integers(8))


def add_beside(folder: Path) -> None:
    """Give a study what lies beside its steps: a saved slice, and one file in each kind of cache."""
    study = open_study(folder)
    saved_slices.save(folder, "doubtful", Slice.parse("q_score=0..0.2 split=val"))
    add_requested(requested_path(study, 1), pack_maps(np.array([2, 3]), np.ones((2, 4, 4))))
    for name, write in (("searches/a.npy", None), ("concept_cache/k/000000.npz", {"rows": np.arange(3)})):
        path = folder / name
        path.parent.mkdir(parents=True)
        seals.write_array(path, np.arange(3.0)) if write is None else seals.write_arrays(path, write)


def readings(study: Study) -> list[Callable[[], object]]:
    """What pages and commands read of a study, each on its own."""
    some, everything = range(0, study.n_images, 7), np.ones(study.n_images, bool)
    items = study.manifest["items"].items()
    half = np.arange(study.n_images) % 2 == 0
    slice_texts = ("fires=3", "q_score=0..", "correct=false", 'concept="sky"', "label=bee", '@"doubtful"')
    single = (
        *(lambda row=row: study.thumbnail_image(row) for row in some),
        *(lambda row=row: _stored_heatmap(study, row) for row in some),
        *(lambda row=row: study.overlay(row) for row in some[:3]),
        *(lambda row=row: decomposition.stored(study, row) for row in some[:3]),
        *(lambda row=row: search.like_image(study, row, 5) for row in some[:3]),
        *(lambda where=where: Slice.parse(where).mask(study) for where in slice_texts),
    )
    return [
        *(lambda name=name: study.table(name) for name, item in items if item["kind"] == "table"),
        *(lambda name=name: study.vector(name) for name, item in items if item["kind"] == "array"),
        *single,
        lambda: tokens_of(study, everything),
        lambda: count_traits(study, [half, ~half]),
        lambda: slice_finder.judged(study),
        lambda: read_table(study, "neighbours"),
        *(lambda name=one.name: list(stream_table(study, name, "csv")) for one in tables_of(study)),
    ]


def _stored_heatmap(study: Study, row: int) -> None:
    features = study.heatmap_reader.features_of(row)[:3]
    if len(features):
        study.heatmap(row, features.tolist())


def read_all(folder: Path) -> int:
    """Open a study as the dashboard does and read it; how many readings said that something is wrong.

    Any other exception than one with a message for the user goes through.
    """
    n_complaints = 0
    try:
        study = open_study(folder)
        study.set_damage_aside()
        study.table("images")  # without it nothing is shown
        readers = readings(study)
    except PeregrineError:
        return 1
    for read in readers:
        try:
            read()
        except PeregrineError:
            n_complaints += 1
    return n_complaints
