"""A study in an object store says and shows what the same study in a folder does, and is never written to."""

from __future__ import annotations

import json
import re
import shutil
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from core.common.remote import objects, place
from core.errors import AddressRefused, RemoteError, StudyError
from core.served import studies as served
from core.slices import saved_slices
from core.slices.slice import Slice
from core.storage import bounds
from core.store import Study, open_study
from tests.manifests import edited_manifest
from tests.object_server import s3_client, upload
from tests.test_store import make

pytestmark = pytest.mark.slow


@pytest.fixture
def far(bucket, shared_study) -> str:
    upload(shared_study, f"{bucket}/studies/shared")
    return f"{bucket}/studies/shared"


@pytest.fixture
def granted(far, monkeypatch) -> str:
    monkeypatch.setenv("PEREGRINE_URLS", "s3://bucket/studies")
    return far


def later() -> None:
    """As if FRESH seconds had passed."""
    for known in (place._asked, place._folders):
        known.clear()
    place._listed.update({folder: (0.0, names) for folder, (_, names) in place._listed.items()})


COMMANDS = {
    "info": ["info", "STUDY", "--json"],
    "inspect": ["inspect", "STUDY", "--where", "correct=false", "--json"],
    "quality": ["export", "STUDY", "quality", "-o", "FILE.csv"],
    "of a slice": ["export", "STUDY", "metrics", "-o", "FILE.csv", "--where", "correct=false"],
    "representations": ["export", "STUDY", "representations", "-o", "FILE.npy"],
    "figure": ["figure", "STUDY", "roc", "-o", "FILE.json"],
    "publish": ["publish", "STUDY", "-o", "FILE.zip"],
    "compare": ["compare", "STUDY", "OTHER", "-o", "FILE.json"],
    "verify": ["verify", "STUDY", "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands__as_on_disk(far, shared_study, tmp_path, run, command):
    other = shutil.copytree(shared_study, tmp_path / "other")
    made = []
    for number, study in enumerate((shared_study, far)):
        out = tmp_path / f"out{number}"
        words = {"STUDY": study, "OTHER": other}
        typed = [words.get(word, word.replace("FILE", str(out))) for word in COMMANDS[command]]
        said = run(*typed)
        assert said.code == 0, said.err
        files = [file.read_bytes() for file in sorted(tmp_path.glob(f"out{number}*")) if file.is_file()]
        made.append([*files, said.out.replace(str(out), "OUT").encode()])
    near, here = ([without_places(content, shared_study, far) for content in one] for one in made)
    assert near == here


def without_places(content: bytes, folder: Path, address: str) -> object:
    """The bytes without where the study lies, commands that would write to it, and charts with random ids."""
    if content[:2] == b"PK":
        pages = zipfile.ZipFile(BytesIO(content))
        return {name: without_places(pages.read(name), folder, address) for name in pages.namelist()}
    text = content.decode("latin-1").replace(str(folder), "STUDY").replace(address, "STUDY")
    return re.sub(r"\.? Run: [^\"<]*|data:image/svg[^\"]*", "", text).encode("latin-1")


def test_it_is_listed_once_and_each_file_is_fetched_once(granted, caplog):
    study = open_study(granted)
    study.table("quality")
    study.table("quality", ["q_score"])
    study.array("representations")[:5]
    asked = [str(record.args) for record in caplog.records if "/bucket/studies" in str(record.args)]
    assert_array_equal(open_study(granted).vector("top_images"), study.vector("top_images"))
    assert len([one for one in asked if "HEAD" in one]) == 0
    assert len(asked) == len(set(asked)), asked


def test_small_files_are_fetched_at_once_before_a_page_asks_for_them(bucket, tmp_path, monkeypatch, caplog):
    """Each round of requests that waits for another costs the way to the store and back."""
    near = make(tmp_path / "near")
    upload(near, f"{bucket}/studies/far")
    monkeypatch.setenv("PEREGRINE_STUDIES", f"{bucket}/studies")
    folder, before = served.studies_folder(), len(caplog.records)
    assert len(served.study_entries(folder)) == 1
    study = served.open_current(served.resolve(folder, "far"))
    for thread in threading.enumerate():
        if thread.name == place.AHEAD:
            thread.join()
    asked = [str(record.args) for record in caplog.records[before:]]
    assert len(asked) == len(set(asked)) and len([one for one in asked if "manifest.json" in one]) == 2, asked
    names = [path.relative_to(near).as_posix() for path in near.rglob("*.npy")]
    assert "representations/00001.npy" in names
    assert [name for name in names if not any(f"/far/{name} " in one for one in asked)] == []
    before = len(caplog.records)
    assert_array_equal(study.array("representations")[:], open_study(near).array("representations")[:])
    assert len(caplog.records) == before


def test_a_study_that_changes_in_the_store_is_noticed(granted, shared_study, tmp_path, monkeypatch):
    monkeypatch.setenv("PEREGRINE_STUDIES", "s3://bucket/studies")
    folder = served.studies_folder()
    assert [entry.name for entry in served.study_entries(folder)] == ["shared"]
    before = served.open_current(served.resolve(folder, "shared"))
    changed = shutil.copytree(shared_study, tmp_path / "changed")
    with edited_manifest(changed) as manifest:
        manifest["steps"]["features"]["summary"]["epsilon"] = 3.25
    client = s3_client()
    client.put_file(str(changed / "manifest.json"), f"{granted}/manifest.json")
    assert served.open_current(served.resolve(folder, "shared")) is before  # it is not asked all the time
    later()
    after = served.open_current(served.resolve(folder, "shared"))
    assert after.summary("features")["epsilon"] == 3.25 and after.key != before.key
    client.rm(granted, recursive=True)
    later()
    assert served.study_entries(folder) == []
    with pytest.raises(StudyError, match="no study 'shared'"):
        served.resolve(folder, "shared")


def test_half_a_study_shows_what_is_there(granted, shared_study):
    client = s3_client()
    client.rm(f"{granted}/quality.parquet")
    client.pipe_file(f"{granted}/probe.parquet", (shared_study / "probe.parquet").read_bytes()[:-1] + b"x")
    client.pipe_file(f"{granted}/probe_bias/00000.npy", (shared_study / "top_images/00000.npy").read_bytes())
    served.forget_studies()
    study = served.open_current(place.as_path(granted))
    assert study.missing()["quality"].reason == "damaged: quality.parquet is missing"
    assert "probe_bias" in study.damage
    with pytest.raises(StudyError, match=r"probe.parquet has changed since it was written") as error:
        study.table("probe")
    assert "Run:" not in str(error.value)
    assert len(study.images) == 120


def test_a_chunk_of_another_run_is_not_taken_for_numbers(granted, shared_study):
    data = bytearray((shared_study / "representations/00000.npy").read_bytes())
    data[-2] ^= 1
    s3_client().pipe_file(f"{granted}/representations/00000.npy", bytes(data))
    with pytest.raises(StudyError, match="checksum differs"):
        open_study(granted).array("representations")[0]


def test_bad_addresses_in_one_line(granted, shared_study, run, monkeypatch):
    client, info = s3_client(), lambda address: run("info", address).error
    assert info("s3://bucket/studies/none") == (
        "no study at 's3://bucket/studies/none' (no manifest.json). Check the address"
    )
    assert "'s3://bucket/studies' is not a study yet (no manifest.json)" in info("s3://bucket/studies")
    assert "no study at 's3://nowhere/x'" in info("s3://nowhere/x")
    client.pipe_file("s3://bucket/newer/manifest.json", json.dumps({"format": 99}).encode())
    assert "has study format 99" in info("s3://bucket/newer")
    client.pipe_file("s3://bucket/cut/manifest.json", (shared_study / "manifest.json").read_bytes()[:-9])
    assert "has changed since it was written" in info("s3://bucket/cut")
    for address in ("ftp://host/x", "s3://me:secret@bucket/x", "https://host/x?Signature=secret"):
        with pytest.raises(SystemExit):
            run("info", address)
    with pytest.raises(AddressRefused, match="PEREGRINE_URLS"):
        Study("s3://elsewhere/study").table("images")


def test_a_store_that_goes_away_in_the_middle(granted, monkeypatch):
    study = open_study(granted)
    monkeypatch.setattr(objects, "FIRST_WAIT", 0.001)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    objects._opened.cache_clear()
    with pytest.raises(
        RemoteError, match=r"cannot read 's3://bucket/studies/shared/quality.parquet'"
    ) as error:
        study.table("quality")
    assert "\n" not in str(error.value)
    assert not study.damage  # it is not the study's fault


@pytest.mark.parametrize(
    "words",
    [
        ("features", "STUDY"),
        ("analyze", "STUDY", "--images", "x", "--encoder", "resnet18"),
        ("answers", "STUDY", "--add", "knn"),
        ("heatmaps", "STUDY", "--image", "0", "--feature", "1"),
    ],
)
def test_commands_that_would_write_say_that_they_cannot(far, run, words):
    before = s3_client().find("s3://bucket")
    error = run(*[far if word == "STUDY" else word for word in words]).error
    assert f"'{far}' is read by its address, and nothing is written there" in error
    assert s3_client().find("s3://bucket") == before


def test_slices_and_notes_are_read_and_not_written(granted, shared_study, tmp_path):
    near = shutil.copytree(shared_study, tmp_path / "near")
    saved_slices.save(near, "wrong", Slice.parse("correct=false"))
    study = open_study(granted)
    assert saved_slices.listed(study) == []
    with pytest.raises(StudyError, match="nothing is written there"):
        saved_slices.save(study.path, "wrong", Slice.parse("correct=false"))
    s3_client().put_file(str(near / "slices.json"), f"{granted}/slices.json")
    later()
    assert [one["name"] for one in saved_slices.listed(study)] == ["wrong"]
    assert study.where("@wrong").n_chosen == open_study(near).where("@wrong").n_chosen > 0


def test_a_few_rows_of_a_large_chunk_are_read_alone(granted, shared_study, monkeypatch, caplog):
    monkeypatch.setattr(bounds, "LARGE", 1)
    monkeypatch.setattr(place, "PART", 64)
    near, study = open_study(shared_study), open_study(granted)
    array, same = study.array("representations"), near.array("representations")
    for rows in ([5], [5], [-1], slice(7, 8)):
        assert_array_equal(array[rows], same[rows])
    assert study.thumbnail(3) == near.thumbnail(3)
    parts = [str(record.args) for record in caplog.records if "representations" in str(record.args)]
    assert len(parts) > 3 and all("206" in one for one in parts)
    for row in range(bounds.MOST_PARTS + 1):
        assert_array_equal(array[row], same[row])
    assert_array_equal(array[::2], same[::2])
    whole = [str(record.args) for record in caplog.records if "representations" in str(record.args)]
    assert sum("200" in one for one in whole) == 1
