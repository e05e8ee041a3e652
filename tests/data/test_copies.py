"""Copies of one photograph, known by file names, are on one side of a drawn split."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.common.records import Record
from core.data.copies import base_name, photographs
from core.data.images import open_images, reopen_images
from core.data.source import ImageSource, seeded_split

CLASSES, N_EACH = ("ant", "bee", "cat"), 8
Name = Callable[[str, int, int], str]


def smooth(rng: np.random.Generator) -> np.ndarray:
    return np.kron(rng.integers(0, 200, (4, 4, 3)), np.ones((4, 4, 1)))


def write(root: Path, name: Name, n_copies: int, *, copied: bool = True) -> Path:
    """`n_copies` noisy copies of each photograph, or as many different ones by the same names."""
    rng = np.random.default_rng(0)
    for label in CLASSES:
        for number in range(N_EACH):
            ground = smooth(rng)
            for copy in range(n_copies):
                ground = ground if copied else smooth(rng)
                pixels = np.clip(ground + rng.normal(0, 20, ground.shape), 0, 255).astype(np.uint8)
                path = root / name(label, number, copy)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return root


def corrupted(label: str, number: int, copy: int) -> str:
    return f"{('fog', 'frost', 'snow')[copy]}/{label}/{number:04d}.png"


def severity(label: str, number: int, copy: int) -> str:
    return f"fog/{copy + 1}/{label}/ILSVRC2012_val_{number:08d}.png"


def augmented(label: str, number: int, copy: int) -> str:
    return f"{label}/{label}{number}{('', '_aug1', '_flip_rot90')[copy]}.png"


def roboflow(label: str, number: int, copy: int) -> str:
    return f"{label}/IMG_{number:04d}_jpg.rf.{100 * number + copy:032x}.png"


def separated(source: ImageSource) -> int:
    assert source.extras is not None and source.group is not None
    sides = source.table["split"].groupby(source.extras[source.group].to_numpy()).nunique()
    return int((sides.to_numpy() > 1).sum())


def copies_note(source: ImageSource) -> Record:
    (note,) = [one for one in source.notes if isinstance(one, Record) and one.kind == "copies"]
    return note


@pytest.mark.parametrize(
    ("name", "level"),
    [(corrupted, 2), (severity, 3), (augmented, None), (roboflow, None)],
    ids=["corruptions", "severities", "augmented", "roboflow"],
)
def test_copies__are_one_group(tmp_path, name, level):
    source = open_images(write(tmp_path, name, 3), class_level=level)
    note = copies_note(source)
    assert (source.group, note.n, note.of) == ("photograph", 72, 24)
    assert separated(source) == 0 and (source.table["split"] == "val").sum() == 18  # 2 of 8 a class
    again = reopen_images(source.describe())
    assert again.fingerprint() == source.fingerprint()


def clip(label: str, number: int, copy: int) -> str:
    return f"{label}/v_{label}_g{number:02d}/frame{copy:04d}.png"


def track(label: str, number: int, copy: int) -> str:
    return f"{label}/{number:05d}_{copy:05d}.png"


@pytest.mark.parametrize("name", [clip, track])
def test_frames_of_one_clip__are_one_group(tmp_path, name):
    source = open_images(write(tmp_path, name, 3))
    (note,) = [one for one in source.notes if isinstance(one, Record) and one.kind == "frames"]
    assert (source.group, note.n, note.of) == ("sequence", 72, 24) and separated(source) == 0
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize("name", [clip, track])
def test_frames__different_pictures_by_such_names_are_none(tmp_path, name):
    assert open_images(write(tmp_path, name, 3, copied=False)).group is None


def test_frames__of_a_table(tmp_path):
    root = write(tmp_path, track, 3)
    lines = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.glob("*/*.png"))]
    (root / "list.csv").write_text("\n".join(["path,label", *lines]))
    source = open_images(root / "list.csv")
    assert source.group == "sequence" and separated(source) == 0
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


def test_frames__of_a_table_with_patients_are_split_by_these(tmp_path):
    root = write(tmp_path, track, 3)
    paths = sorted(root.glob("*/*.png"))
    lines = [f"{path.relative_to(root)},{path.parent.name},p{n % 9}" for n, path in enumerate(paths)]
    (root / "list.csv").write_text("\n".join(["path,label,patient_id", *lines]))
    assert open_images(root / "list.csv").group == "patient_id"


def stereo(label: str, number: int, copy: int) -> str:
    return f"image_{copy + 2}/{label}{number:06d}.png"


def test_copies__of_images_without_labels(tmp_path):
    source = open_images(write(tmp_path, stereo, 2))
    assert not source.labelled and source.group == "photograph" and separated(source) == 0


def masked(label: str, number: int, copy: int) -> str:
    return f"{('color', 'segmented')[copy]}/{label}/{number}{('', '_final_masked')[copy]}.png"


def test_copies__of_which_one_has_a_suffix(tmp_path):
    source = open_images(write(tmp_path, masked, 2))
    assert source.group == "photograph" and separated(source) == 0


def test_domains_command__knows_copies_too(tmp_path):
    source = open_images(f"domains?root={write(tmp_path, corrupted, 3)}")
    assert source.group == "photograph" and separated(source) == 0


def test_none__takes_each_image_for_itself(tmp_path):
    source = open_images(f"{write(tmp_path, corrupted, 3)}?group=none", class_level=2)
    ids, labels = list(source.table["image_id"]), list(source.table["label"])
    assert source.group is None and "copies" not in [getattr(note, "kind", "") for note in source.notes]
    assert (source.table["split"] == "val").tolist() == seeded_split(ids, labels, seed=0)[0].tolist()


def test_accidental_names__are_no_copies(tmp_path):
    """PACS numbers the pictures of each domain: namesakes show different things."""
    assert open_images(write(tmp_path, corrupted, 3, copied=False), class_level=2).group is None


def numbered(label: str, number: int, copy: int) -> str:
    return f"{label}/{number:04d}.png"  # the same names in every class


def enumerated(label: str, number: int, copy: int) -> str:
    return f"{label}/{label}_crop_{number}.png"  # the word is part of every name


def parts(label: str, number: int, copy: int) -> str:
    return f"{label}/{('a', 'b', 'c')[copy]}/{number}.png"  # below the class


def given(label: str, number: int, copy: int) -> str:
    return f"{('train', 'val')[copy]}/{label}/{number}.png"


@pytest.mark.parametrize(("name", "n"), [(numbered, 1), (enumerated, 1), (parts, 3), (given, 2)])
def test_names__across_classes_or_of_every_image_or_of_a_given_split_are_no_evidence(tmp_path, name, n):
    assert open_images(write(tmp_path, name, n)).group is None


def test_few_or_unreadable_pictures__are_no_evidence(tmp_path):
    root = write(tmp_path, corrupted, 3)
    for path in root.glob("*/*/*.png"):
        if path.stem > "0002":
            path.unlink()
    assert open_images(root, class_level=2).group is None  # nine photographs: not enough to tell


def test_base_name__of_hostile_names_is_found_at_once():
    began = time.perf_counter()
    for stem in ("x_aug" + "1" * 5000 + "!", "x" + "_aug" * 5000, "x_aug" + "_1" * 5000 + "!"):
        base_name(stem)
    assert time.perf_counter() - began < 1.0


def never(row: int) -> Image.Image:
    raise AssertionError(f"row {row} is looked at")


def test_photographs__of_many_plain_names_are_not_looked_at():
    ids = [f"c{number % 100}/{number}.jpg" for number in range(200_000)]
    began = time.process_time()
    assert photographs(ids, [one.split("/")[0] for one in ids], never) is None
    assert time.process_time() - began < 0.2


SYSTEMS = (
    "x0 - Copy.png",
    "x0 - Copy (2).png",
    "x1 copy 2.png",
    "Copy of x2.png",
    "x3 - Kopie.png",
    "x4 (1).png",
)


def test_copies_that_a_system_named__are_of_one_photograph_each(tmp_path):
    rng = np.random.default_rng(0)
    grounds = {f"x{n}.png": smooth(rng) for n in range(8)}
    for name in SYSTEMS:
        grounds[name] = grounds[
            re.sub("^Copy of | - .*| copy.*| \\(.*", "", name.removesuffix(".png")) + ".png"
        ]
    for name, ground in grounds.items():
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(ground.astype(np.uint8)).save(tmp_path / "a" / name)
    source = open_images(tmp_path)
    assert source.extras is not None and source.group == "photograph" and separated(source) == 0
    units = dict(zip(source.table["image_id"], source.extras["photograph"], strict=True))
    assert set(units.values()) == {f"a/x{n}" for n in range(8)}
    assert units["a/x0 - Copy (2).png"] == "a/x0" and units["a/Copy of x2.png"] == "a/x2"
    assert reopen_images(source.describe()).table.equals(source.table)


def test_numbers_in_brackets__of_other_pictures_are_no_copies(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("x", "x (1)", "x (2)", "y (1)", "y (2)", "z"):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(smooth(rng).astype(np.uint8)).save(tmp_path / "a" / f"{name}.png")
    assert open_images(tmp_path).group is None


def test_images_named_after_one_in_the_folder_beside__are_of_one_photograph(tmp_path):
    """Folders Original and Augmented, as many sets on Mendeley Data have them."""
    rng = np.random.default_rng(0)
    for label in ("healthy", "rust"):
        for number in range(N_EACH):
            ground = smooth(rng)
            names = [f"Original/{label}/{label}_{number}.png"]
            names += [f"Augmented/{label}/{label}_{number}_{copy}.png" for copy in range(3)]
            for name in names:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                pixels = np.clip(ground + rng.normal(0, 15, ground.shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / name)
    source = open_images(tmp_path)
    assert source.extras is not None and source.group == "photograph" and separated(source) == 0
    assert source.extras["photograph"].nunique() == 2 * N_EACH
