"""Whole studies renamed, copied and deleted: what is done, and what is left alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time

import pytest
from filelock import FileLock

from core.common.assets import make_private, state_folder
from core.common.processes import host_name, process_started
from core.errors import SettingsError, StudyBusy, StudyError
from core.store import open_study
from core.study import runner
from core.study.jobs import read_job
from core.study.manifest import read_manifest, write_manifest
from core.study.runner import Started, forget
from core.study.study_folders import copy_study, remove_study, rename_study
from core.study.writer import write_study
from tests.small import write_small_study

ACTS = [
    lambda root, folder: rename_study(root, folder, "other"),
    lambda root, folder: copy_study(root, folder, "other"),
    remove_study,
]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "studies"
    write_small_study(folder / "mine")
    (folder / "mine" / "log.txt").write_text("said")
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def progress(folder, **values):
    record = {"command": ["python", "-m", "core", "analyze"], "state": "failed", "updated": time.time()}
    (folder / "progress.json").write_text(json.dumps(record | values))


def test_rename__moves_everything(root):
    before = contents(root / "mine")
    target = rename_study(root, root / "mine", "  My study 2 ")
    assert target == root / "My study 2" and not (root / "mine").exists()
    assert contents(target) | {".lock": b""} == before | {".lock": b""}
    assert open_study(target).n_images


def test_copy__has_the_same_results_and_no_job(root):
    progress(root / "mine")
    target = copy_study(root, root / "mine", "copy")
    assert open_study(target).digest == open_study(root / "mine").digest
    assert contents(root / "mine").keys() - contents(target).keys() <= {".lock", "log.txt", "progress.json"}
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_remove__leaves_nothing_and_no_other_study(root):
    copy_study(root, root / "mine", "other")
    before = contents(root / "other")
    remove_study(root, root / "mine")
    assert [path.name for path in root.iterdir()] == ["other"] and contents(root / "other") == before


def test_remove__a_failed_study_that_holds_nothing_yet(root):
    (root / "failed").mkdir()
    progress(root / "failed", error="no images")
    with pytest.raises(StudyError, match="nothing yet"):
        copy_study(root, root / "failed", "other")
    remove_study(root, root / "failed")
    assert not (root / "failed").exists()


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "a\0", "-x", "x" * 61, "_x", "end."])
def test_names__that_could_lead_elsewhere_are_refused(root, name):
    before = contents(root)
    for act in (rename_study, copy_study):
        with pytest.raises(SettingsError, match="cannot"):
            act(root, root / "mine", name)
    assert contents(root).keys() - {"mine/.lock"} == before.keys() - {"mine/.lock"}


def test_names__that_are_taken_are_refused(root, tmp_path):
    (root / "link").symlink_to(tmp_path / "nowhere")
    for name in ("mine", "link"):
        with pytest.raises(SettingsError, match="already"):
            rename_study(root, root / "mine", name)


@pytest.mark.parametrize("act", ACTS)
def test_a_study_that_a_job_writes_is_left_alone(root, act):
    mine = (root / "mine").resolve()
    make_private(state_folder())
    make_private(runner._memory())
    runner._remember(Started(mine, {}, os.getpid(), process_started(os.getpid()), host_name()))
    before = contents(root)
    with pytest.raises(StudyBusy, match="writes"):
        act(root, root / "mine")
    forget(mine)
    with FileLock(root / "mine" / ".lock"), pytest.raises(StudyBusy, match="command"):
        act(root, root / "mine")
    assert contents(root).keys() >= before.keys()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    "forged",
    [
        {"host": "elsewhere", "pid": 1, "updated": 4.1e9},
        {"pid": 1},
        {"pid": 1, "pid_started": process_started(1)},
        {"updated": 4.1e9},
    ],
    ids=str,
)
def test_a_study_that_says_of_itself_that_it_is_written__is_not_believed(root, act, forged):
    progress(root / "mine", **{"command": ["a"], "state": "running", "stages_done": [], **forged})
    before = {folder.name for folder in root.iterdir()}
    act(root, root / "mine")
    assert {folder.name for folder in root.iterdir()} != before  # renamed, copied or deleted


def test_job__of_another_machine_that_reports_from_the_future_is_not_running(root):
    progress(root / "mine", state="running", host="elsewhere", pid=1, updated=4.1e9)
    job = read_job(root / "mine")
    assert job is not None and not job.running


@pytest.mark.parametrize("precious", [".ssh/id", ".git/config", "Documents/letter.txt", "thesis", "probe",
                                      "images/one.jpg", "probe_weights/a/b.npy", "visual_tokens/thesis.docx",
                                      "concept_cache/.git/config", "mine.parquet/x.txt"])  # fmt: skip
def test_remove__whatever_a_manifest_lists_files_of_somebody_stay(root, precious):
    manifest = read_manifest(root / "mine")
    for name in ("Documents", "thesis", "mine"):
        manifest["items"][name] = manifest["items"]["representations"]
    write_manifest(root / "mine", manifest)
    path = root / "mine" / precious
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("precious")
    with pytest.raises(StudyError, match="which"):
        remove_study(root, root / "mine")
    assert path.read_text() == "precious"


def test_remove__what_a_killed_command_left_goes_too(root):
    mine = root / "mine"
    for name in (".lock", ".slices.lock", ".manifest.json.7.tmp", ".DS_Store", "unfinished/00000.npy",
                 "unfinished/ledger.jsonl", "unfinished/.00001.npy.7.tmp", "concept_cache/ab12/000000.npz",
                 "requested_heatmaps/3.npz", "searches/ab12.npy", "visual_tokens/objects.parquet",
                 "traces.json", "traces.json.last", "slices.json.damaged"):  # fmt: skip
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text("")
    remove_study(root, mine)
    assert not mine.exists()


def test_lock__that_is_a_link_is_not_followed(root, tmp_path):
    (tmp_path / "target").write_text("precious")
    (root / "mine" / ".lock").unlink(missing_ok=True)
    (root / "mine" / ".lock").symlink_to(tmp_path / "target")
    with pytest.raises(StudyError, match="changed"):
        rename_study(root, root / "mine", "other")
    with pytest.raises(StudyError, match="cannot lock"), write_study(root / "mine"):
        pass
    assert (tmp_path / "target").read_text() == "precious"


def test_copy__that_does_not_fit_is_not_begun(root):
    with open(root / "mine" / "hole.npz", "wb") as file:
        file.truncate(10**13)
    with pytest.raises(StudyError, match="'mine'"):
        copy_study(root, root / "mine", "copy")
    assert not (root / "copy").exists() and not [path for path in root.iterdir() if path.name[0] == "."]


def test_copy__that_fails_says_why_in_a_line(root, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copytree.__defaults__", (False, None, full, False, False))
    with pytest.raises(StudyError, match="'mine'"):
        copy_study(root, root / "mine", "copy")


@pytest.mark.parametrize("act", ACTS)
def test_what_a_link_leads_to_is_left_alone(root, tmp_path, act):
    shutil.move(root / "mine", tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    (root / "mine").symlink_to(tmp_path / "elsewhere")
    (root / "above").symlink_to(tmp_path)
    for folder in (
        root / "mine",
        root / "above" / "elsewhere",
        tmp_path / "elsewhere",
        root,
        root / ".." / "x",
    ):
        with pytest.raises(StudyError, match="left alone"):
            act(root, folder)
    assert contents(tmp_path / "elsewhere") == before


def test_remove__a_link_in_a_study_goes_and_its_target_stays(root, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_text("mine")
    (root / "mine" / "concept_cache").symlink_to(tmp_path / "photos")
    remove_study(root, root / "mine")
    assert (tmp_path / "photos" / "one.png").read_text() == "mine"


@pytest.mark.parametrize("study", ["mine", "photos"])
def test_remove__files_that_are_not_a_studys_are_not_deleted(root, study):
    (root / study).mkdir(exist_ok=True)
    if study == "photos":
        progress(root / study, error="holds other files and no study")
    (root / study / "holiday.jpg").write_text("precious")
    with pytest.raises(StudyError, match="holiday.jpg"):
        remove_study(root, root / study)
    assert (root / study / "holiday.jpg").read_text() == "precious"


def test_remove__a_study_with_a_damaged_manifest(root):
    (root / "mine" / "manifest.json").write_text("{")
    remove_study(root, root / "mine")
    assert not (root / "mine").exists()
