"""Slices saved in a study: by name, by many at once, and where the study cannot be written to."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.cli import main
from core.errors import DamagedSlices, SliceError, StudyError
from core.measures import saved_slices
from core.measures.finder import worst_slices
from core.measures.slice import Slice
from core.measures.slice_comparison import with_split
from core.publish.summary import verify
from core.store import Study, open_study
from tests import small

DOGS = Slice(labels=("dog",))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small.write_small_study(tmp_path / "study")


def test_save_get_rename_delete(study: Study) -> None:
    assert saved_slices.texts(study.path) == {}
    assert saved_slices.save(study.path, "  the   dogs ", DOGS) == "the dogs"
    saved_slices.save(study.path, "Bad cats", Slice(labels=("cat",), correct=False))
    assert list(saved_slices.texts(study.path)) == ["Bad cats", "the dogs"]
    assert Slice.parse(saved_slices.texts(study.path)["the dogs"]) == DOGS
    saved_slices.rename(study.path, "the dogs", "dogs")
    assert Slice.parse(saved_slices.texts(study.path)["dogs"]) == DOGS
    saved_slices.delete(study.path, "dogs")
    assert list(saved_slices.texts(study.path)) == ["Bad cats"]


def test_listed__counts_the_images_that_the_name_stands_for(study: Study) -> None:
    for name, text in (("dogs", "label=dog"), ("train dogs", "label=dog split=train")):
        saved_slices.save(study.path, name, Slice.parse(text))
    counts = {one["name"]: one["n_images"] for one in saved_slices.listed(study)}
    assert counts == {name: study.where(f'@"{name}"').n_chosen for name in counts}
    assert counts == {"dogs": 1, "train dogs": 2}


def test_nothing_of_the_study_changes(study: Study) -> None:
    before = {path: path.read_bytes() for path in study.path.rglob("*") if path.is_file()}
    saved_slices.save(study.path, "dogs", DOGS)
    assert open_study(study.path).key == study.key
    assert verify(study.path) == []
    new = {path.name for path in study.path.rglob("*") if path.is_file()} - {path.name for path in before}
    assert new <= {"slices.json", "slices.json.last", ".slices.lock"}
    assert all(path.read_bytes() == body for path, body in before.items())


@pytest.mark.parametrize("name", ["", "   ", "\x00", "a\x1bb", "n" * 61])
def test_name_that_is_none(study: Study, name: str) -> None:
    with pytest.raises(SliceError, match="name"):
        saved_slices.save(study.path, name, DOGS)
    assert saved_slices.texts(study.path) == {}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "<script>alert(1)</script>", 'a "b" >c', "犬", "@x", "a=b"]
)
def test_odd_names_are_names(study: Study, name: str) -> None:
    saved_slices.save(study.path, name, DOGS)
    wanted = Slice(saved=(name,), split="val")
    assert Slice.parse(str(wanted)) == wanted
    assert_array_equal(wanted.mask(study), Slice(labels=("dog",), split="val").mask(study))
    assert {path.name for path in study.path.parent.iterdir()} == {"study"}


def test_taken_name(study: Study) -> None:
    saved_slices.save(study.path, "dogs", DOGS)
    saved_slices.save(study.path, "dogs", DOGS)
    with pytest.raises(SliceError, match="already"):
        saved_slices.save(study.path, "dogs", Slice(labels=("cat",)))
    saved_slices.save(study.path, "cats", Slice(labels=("cat",)))
    with pytest.raises(SliceError, match="already"):
        saved_slices.rename(study.path, "dogs", "cats")
    assert Slice.parse(saved_slices.texts(study.path)["dogs"]) == DOGS


def test_unknown_name(study: Study) -> None:
    saved_slices.save(study.path, "worst dogs", DOGS)
    for act in (
        lambda: saved_slices.delete(study.path, "worst dog"),
        lambda: saved_slices.rename(study.path, "worst dog", "x"),
    ):
        with pytest.raises(SliceError, match="'worst dog'.*'worst dogs'"):
            act()


def test_masks_follow_what_is_saved(study: Study) -> None:
    saved_slices.save(study.path, "mine", DOGS)
    saved_slices.save(study.path, "held out", Slice(saved=("mine",), split="val"))
    assert np.flatnonzero(Slice.parse('@"held out"').mask(study)).tolist() == [5]
    saved_slices.rename(study.path, "mine", "dogs")
    assert saved_slices.texts(study.path)["held out"] == "split=val @dogs"
    assert np.flatnonzero(Slice.parse('@"held out" correct=true').mask(study)).tolist() == [5]


def test_slices_that_refer_to_each_other(study: Study) -> None:
    saved_slices.save(study.path, "a", Slice(saved=("b",)))
    saved_slices.save(study.path, "b", Slice(saved=("a",)))
    with pytest.raises(SliceError, match="each other"):
        Slice(saved=("a",)).mask(study)


@pytest.mark.parametrize(
    "held",
    [
        {f"{name}{n}": f"@a{n + 1} @b{n + 1}" for n in range(20) for name in "ab"}
        | {"a20": "split=val", "b20": "correct=true"},  # two to the power of 20 ways through it
        {f"a{n}": f"@a{n + 1}" for n in range(40)} | {"a40": "split=val"},
    ],
    ids=["fan", "chain"],
)
def test_slices_that_name_others__are_evaluated_once_each(
    study: Study, monkeypatch: pytest.MonkeyPatch, held: dict[str, str]
) -> None:
    (study.path / "slices.json").write_text(json.dumps({"slices": held}))
    read: list[str] = []
    parse = Slice.of_saved
    monkeypatch.setattr(Slice, "of_saved", staticmethod(lambda text: read.append(text) or parse(text)))
    expected = study.images["split"] == "val"
    if "b20" in held:
        expected &= Slice(correct=True).mask(study)
    assert_array_equal(Slice(saved=("a0",)).mask(study), expected)
    assert len(read) == len(set(held)) - ("b0" in held)
    assert with_split(study, Slice(saved=("a0",))) == Slice(saved=("a0",))  # it names a split


def test_slice_that_names_too_many__is_refused_in_a_line(study: Study) -> None:
    held = {f"a{n}": f"@a{n + 1}" for n in range(900)}
    (study.path / "slices.json").write_text(json.dumps({"slices": held}))
    for ask in (lambda one: one.mask(study), lambda one: with_split(study, one)):
        with pytest.raises(SliceError, match="50"):
            ask(Slice(saved=("a0",)))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({str(n): "split=val" for n in range(1001)}, "holds 1,001 slices; limit 1,000"),
        ({"n" * 61: "split=val"}, "cannot be the name of a slice"),
        ({"a\x1b[2Jb": "split=val"}, r"holds 'a\\x1b\[2Jb', which cannot be the name"),
    ],
    ids=["many", "long", "escape"],
)
def test_file_that_no_one_saved__is_damaged(study: Study, held: dict[str, str], says: str) -> None:
    (study.path / "slices.json").write_text(json.dumps({"slices": held}))
    with pytest.raises(DamagedSlices, match=says):
        saved_slices.texts(study.path)


def test_long_slice__longer_than_a_filter_is_read(study: Study) -> None:
    numbers = tuple(map(str, range(1000)))  # as a thousand marked images
    saved_slices.save(study.path, "marked", Slice(extras={"q_score": numbers}))
    assert len(saved_slices.texts(study.path)["marked"]) > 2000
    saved_slices.rename(study.path, "marked", "chosen")
    assert saved_slices.listed(study)[0]["n_images"] == study.where("@chosen").n_chosen == 0


def test_study_that_is_full_of_slices(study: Study) -> None:
    held = {str(n): "split=val" for n in range(1000)}
    (study.path / "slices.json").write_text(json.dumps({"slices": held}))
    saved_slices.save(study.path, "7", DOGS, overwrite=True)
    with pytest.raises(SliceError, match="1,000"):
        saved_slices.save(study.path, "another", DOGS)
    assert len(saved_slices.texts(study.path)) == 1000


@pytest.mark.slow
def test_many_at_once_lose_nothing(study: Study) -> None:
    """Threads of one server, and another process beside them."""
    script = (
        "import sys; from core.measures import saved_slices; from core.measures.slice import Slice\n"
        "for n in range(15): saved_slices.save(sys.argv[1], f'other {n}', Slice(fires=(n,)))"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(study.path)])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: saved_slices.save(study.path, f"mine {n}", Slice(fires=(n,))), range(40)))
    assert other.wait(60) == 0
    expected = {f"mine {n}" for n in range(40)} | {f"other {n}" for n in range(15)}
    assert set(saved_slices.texts(study.path)) == expected


@pytest.mark.parametrize("body", ["", "{", "[]", '{"slices": 3}', '{"other": {}}'])
def test_damaged_file_is_named_and_kept(study: Study, body: str) -> None:
    path = study.path / "slices.json"
    path.write_text(body)
    for act in (lambda: saved_slices.texts(study.path), lambda: saved_slices.save(study.path, "dogs", DOGS)):
        with pytest.raises(SliceError, match=r"slices\.json"):
            act()
    assert path.read_text() == body


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "Permission denied. Is the study read-only"),
        (errno.ENOSPC, "No space left on device. Free up space$"),
    ],
)
def test_study_that_cannot_be_written_to(
    study: Study, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("core.common.inside.os.replace", refuse)
    with pytest.raises(StudyError, match=f"{says}"):
        saved_slices.save(study.path, "dogs", DOGS)
    assert saved_slices.texts(study.path) == {}
    assert not list(study.path.glob("*.tmp")) + list(study.path.glob(".*.tmp"))


def test_study_that_is_gone__is_not_made_again(study: Study, tmp_path: Path) -> None:
    study.path.rename(tmp_path / "renamed")
    with pytest.raises(StudyError):
        saved_slices.save(study.path, "dogs", DOGS)
    assert not study.path.exists()


def test_command_lists_and_exports(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved_slices.save(study.path, "my dogs", DOGS)
    (study.path / "slices.json").write_text(
        json.dumps({"slices": {"my dogs": "label=dog", "old": "label=wolf"}}), encoding="utf-8"
    )
    assert main(["slices", str(study.path)]) == 0
    said = capsys.readouterr().out
    assert "@my dogs  1 image  label=dog" in said
    assert "@old  cannot be read  no label 'wolf'" in said
    out = tmp_path / "dogs.csv"
    assert main(["export", str(study.path), "images", "-o", str(out), "--slice", '@"my dogs" split=val']) == 0
    assert len(out.read_text().splitlines()) == 2
    capsys.readouterr()
    assert main(["export", str(study.path), "images", "-o", str(out), "--slice", "@nobody"]) == 2
    assert "'nobody'" in capsys.readouterr().err


@pytest.mark.slow
def test_command_worst(study_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = study_path(n_train=60, n_val=80, pictures=False)
    assert main(["slices", str(path), "--worst", "3", "--min-images", "5", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["slices"]
    study = open_study(path)
    assert len(rows) == 3
    for row in rows:
        inside = Slice.parse(row["where"]).mask(study)
        assert row["n"] == inside.sum() >= 5
    assert main(["slices", str(path), "--worst", "500", "--min-images", "5", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["slices"]
    table = worst_slices(study, limit=500, min_images=5)
    assert len(rows) == (table["error_rate"] > table["rest"]).sum() < len(table)
    assert all(row["error_rate"] > row["rest"] for row in rows)


def test_a_flipped_bit_is_noticed_by_readers_writers_and_verify(study: Study) -> None:
    saved_slices.save(study.path, "dogs", DOGS)
    path = study.path / "slices.json"
    path.with_name("slices.json.last").unlink()
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(DamagedSlices):
            saved_slices.texts(study.path)
        if place % 20 == 0:
            assert [problem.file for problem in verify(study)] == ["slices.json"]
            with pytest.raises(DamagedSlices):
                saved_slices.save(study.path, "cats", DOGS)
            assert path.read_bytes() == changed  # left for the user to repair
    path.write_bytes(whole)
    assert verify(study) == [] and list(saved_slices.texts(study.path)) == ["dogs"]


def test_slices_written_by_hand_are_read(study: Study) -> None:
    (study.path / "slices.json").write_text(json.dumps({"version": 1, "slices": {"dogs": str(DOGS)}}))
    assert Slice.parse(saved_slices.texts(study.path)["dogs"]) == DOGS and verify(study) == []
