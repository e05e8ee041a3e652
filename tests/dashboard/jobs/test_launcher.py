"""Which commands a click may start, where they run, and that nothing of a study becomes a command."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from core.cli import build_parser
from core.errors import JobError
from core.study import uploads
from core.study.commands import (
    COMMANDS,
    AddAnswer,
    Analyze,
    BuildDemo,
    Command,
    CompareEncoders,
    DecomposeImage,
    ExplainError,
    FitBasis,
    MakeReport,
    PublishStudy,
    RemoveBasis,
    RequestHeatmaps,
    Resume,
    RunStep,
    command_of,
    typed,
)
from core.study.jobs import list_jobs, read_job
from core.study.write_access import READ_ONLY
from dashboard.jobs import launcher
from tests.dashboard.conftest import remember, stored_job, write_progress

ODD = "--json $(touch x); 'q' \"d\" \\ ü"


def every_command(study: Path) -> list[Command]:
    return [
        Analyze.of(
            study,
            images="data/a b",
            encoder="asset:simclr_glyphworld",
            pool="top4",
            masks="-m",
            clip="ViT-B-32@openai",
        ),
        Analyze.of(study, images="glyphworld", encoder="timm:resnet18?pretrained=true", dry_run=True),
        RunStep("features", study, (("epsilon", "2.5"),)),
        RunStep("overlap", study, (("masks", ODD),), redo=True),
        RunStep("concepts", study, (("captions", "glyphworld"), ("k", "3"), ("min_images", "2"))),
        Resume(study, typed(epsilon="2.5")),
        RequestHeatmaps(study, ODD, (3, 98)),
        RunStep("search", study, (("clip", ODD),)),
        DecomposeImage(study, ODD, study / "out.json", "knn"),
        MakeReport(study, study / "report.html", "knn"),
        PublishStudy(study, study / "site.zip"),
        BuildDemo(study, typed(pool="max"), fresh=True),
        FitBasis(study, "sae", typed(kind="topk", size=64, k=8, seeds=2, on="positions"), resume=True),
        RemoveBasis(study, "sae"),
        AddAnswer(study),
        ExplainError(study, ODD, "knn"),
        CompareEncoders((study, study / "other")),
        Analyze(study, (("images", "glyphworld"),), after=(study / "first", study / "second")),
    ]


@pytest.mark.parametrize("number", range(18))
def test_command__its_words_are_parsed_as_its_parts(tmp_path, number):
    command = every_command(tmp_path / "--study ; x")[number]
    parsed = vars(build_parser().parse_args(command.words))
    parts = [value if isinstance(value, list | tuple) else [value] for value in parsed.values()]
    held = [str(value) for part in parts for value in part]
    if command.target is not None:
        assert str(command.target) in held
    for part in dataclasses.fields(command):
        value = getattr(command, part.name)
        if isinstance(value, str) and value and part.name != "step":
            assert value in held
    assert shlex.split(command.shell)[3:] == command.words


@pytest.mark.parametrize("number", range(18))
def test_command__goes_through_its_record(tmp_path, number):
    command = every_command(tmp_path)[number]
    assert command_of(json.loads(json.dumps(command.record()))) == command
    assert {type(one).__name__ for one in every_command(tmp_path)} == set(COMMANDS)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "Command"},
        {"kind": ["RunStep"]},
        {"kind": "RunStep", "study": "s"},
        {"kind": "RunStep", "step": "train", "study": "s"},
        {"kind": "RunStep", "step": "features", "study": 3},
        {"kind": "RunStep", "step": "features", "study": "s", "options": [["captioner", "os:system"]]},
        {"kind": "RunStep", "step": "features", "study": "s", "options": [["epsilon"]]},
        {"kind": "RunStep", "step": "features", "study": "s", "options": {"epsilon": "3"}},
        {"kind": "RunStep", "step": "features", "study": "s", "redo": "yes"},
        {"kind": "RunStep", "step": "search", "study": "s", "options": [["clip", "a\0b"]]},
        {"kind": "RunStep", "step": "search", "study": "s", "options": [["clip", "x" * 5000]]},
        {"kind": "RequestHeatmaps", "study": "s", "image": "i", "features": [True]},
        {"kind": "RequestHeatmaps", "study": "s", "image": "i", "features": [10**30]},
        {"kind": "RequestHeatmaps", "study": "s", "image": "i", "features": list(range(500))},
        {"kind": "MakeSheet", "study": "s", "cells": ["roc"]},
        {"kind": "RemoveBasis", "study": "s", "of": "../units"},
        {"kind": "FitBasis", "study": "s", "of": "units", "options": [["kind", "topk"]]},
        {"kind": "FitBasis", "study": "s", "of": "sae", "options": [["kind", "file"]]},
        {"kind": "FitBasis", "study": "s", "of": "sae", "options": [["kind", "topk"], ["k", "0"]]},
        {"kind": "FitBasis", "study": "s", "of": "sae", "options": [["size", "8"]]},
        {"kind": "Resume", "study": "s", "options": [["clip", "asset:glyphworld"]]},
        {"kind": "Resume", "study": "s", "options": [["epsilon", "much"]]},
        {"kind": "Resume", "study": "s", "words": ["rm"]},
        {"kind": "AddAnswer", "study": "s", "add": "/etc/passwd"},
    ],
)
def test_command_of__refuses_other_records(record):
    with pytest.raises(JobError):
        command_of(record)


def test_start__a_step_runs_in_its_study(studies, started):
    command = RunStep("quality", studies / "demo")
    launcher.start(command)
    assert started == [(command, studies / "demo")]


def test_start__not_beside_another_job(studies):
    write_progress(studies / "demo")
    with pytest.raises(JobError, match="runs in"):
        launcher.start(RunStep("quality", studies / "demo"))


@pytest.mark.parametrize("place", ["/etc", "{studies}/none", "{studies}/../studies/demo/..", "{studies}"])
def test_start__only_in_served_studies(studies, started, place):
    with pytest.raises(JobError, match="not a study that is served here"):
        launcher.start(RunStep("quality", Path(place.format(studies=studies))))
    assert started == []


def test_folder_of__same_command_same_folder_outside_of_the_studies(studies):
    study = studies / "demo"
    first = launcher.folder_of(MakeReport(study), "1")
    assert first == launcher.folder_of(MakeReport(study, Path("elsewhere")), "1")
    others = {launcher.folder_of(MakeReport(study), "2"), launcher.folder_of(PublishStudy(study))}
    assert first not in others and not first.is_relative_to(studies)
    assert launcher.folder_of(Resume(study)) == study


def test_start__of_an_image_has_a_folder_of_its_own(studies, started, trusted, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(uploads, "wait_for_page", lambda folder: None)
    image = DecomposeImage(studies / "demo", "a", Path("/somewhere/else.json"))
    folders = [launcher.start(image).folder for _ in range(2)]
    assert started == [(dataclasses.replace(image, output=one / uploads.RESULT), one) for one in folders]
    assert {one.parent for one in folders} == {uploads.uploads_folder()} and len(set(folders)) == 2


def test_outputs__go_into_the_jobs_own_folder(studies, started, trusted):
    launcher.start(MakeReport(studies / "demo", Path("/somewhere/else.html")))
    launcher.start(PublishStudy(studies / "demo", Path("/somewhere/else.zip")))
    for command, folder in started:
        assert folder.parent == launcher.home()
        files = [part for part in command.words if part.startswith("--output=")]
        assert files and all(Path(part.removeprefix("--output=")).parent == folder for part in files)


def test_resume__what_was_started_here(studies, started):
    command = RunStep("features", studies / "demo", (("epsilon", "3"),))
    remember(studies / "demo", command)
    write_progress(studies / "demo", state="failed", command=["python", "-m", "core", "info", "x"])
    assert launcher.resume_command(stored_job(studies / "demo")) == command


OF_0_3 = [
    {"kind": "FitBasis", "study": "{}", "of": "sae", "method": "topk", "size": 8, "k": 2, "on": "pooled"},
    {"kind": "Resume", "study": "{}", "epsilon": "2.5"},
    {"kind": "BuildDemo", "studies": "{}", "fresh": True, "pool": "max", "single": False},
]


@pytest.mark.parametrize("record", OF_0_3, ids=lambda record: record["kind"])
def test_resume__of_a_record_of_0_3_that_cannot_be_read_is_known_to_nobody(studies, record, monkeypatch):
    study = studies / "demo"
    monkeypatch.setattr(
        Resume, "record", lambda command: json.loads(json.dumps(record).replace("{}", str(study)))
    )
    remember(study, Resume(study))
    write_progress(study, state="failed", offer={"epsilon": 2.5})
    job = stored_job(study)
    assert launcher.resume_command(job) is launcher.offered(job) is None  # the study lacks nothing


def test_resume__of_a_study_begun_elsewhere_runs_what_it_lacks(studies, started):
    from tests.dashboard.conftest import forget

    forget(studies / "demo", "neighbours", "probe", "quality")
    write_progress(studies / "demo", state="interrupted")
    assert launcher.resume_command(stored_job(studies / "demo")) == Resume(studies / "demo")


def test_offer__another_epsilon_of_the_same_command(studies, started):
    analyze = Analyze.of(studies / "new", images="glyphworld", encoder="asset:simclr_glyphworld", epsilon="4")
    remember(studies / "new", analyze)
    write_progress(studies / "new", state="failed", offer={"epsilon": 2.5})
    job = stored_job(studies / "new")
    offered: Any = launcher.offered(job)
    assert dict(offered.options) == dict(analyze.options) | {"epsilon": "2.5"}
    write_progress(studies / "new", state="failed", offer={"epsilon": -1.0})
    assert launcher.offered(stored_job(studies / "new")) is None
    write_progress(studies / "new", state="failed")
    assert launcher.offered(stored_job(studies / "new")) is None


def test_remove__only_folders_of_the_dashboard(studies):
    launcher.remove(studies / "demo")
    assert (studies / "demo" / "manifest.json").exists()
    made = launcher.folder_of(MakeReport(studies / "demo"))
    write_progress(made, state="done")
    launcher.remove(made)
    assert not made.exists()


def test_remove__of_a_study_takes_the_failed_command_alone(studies):
    write_progress(studies / "demo")
    assert not launcher.can_remove(stored_job(studies / "demo"))
    write_progress(studies / "demo", state="failed", error="no answer 'probe'")
    assert launcher.can_remove(stored_job(studies / "demo"))
    launcher.remove(studies / "demo")
    assert read_job(studies / "demo") is None and (studies / "demo" / "manifest.json").exists()
    write_progress(studies / "begun", state="failed")
    assert not launcher.can_remove(stored_job(studies / "begun"))


def test_all_jobs__running_first(studies):
    write_progress(studies / "old", state="done", updated=1.0)
    write_progress(studies / "now")
    write_progress(launcher.home() / "report-x", state="failed", error="no browser", updated=5.0)
    assert [job.state for job in launcher.all_jobs()] == ["running", "failed", "done"]
    assert {job.folder for job in list_jobs(studies)} == {studies / "old", studies / "now"}


@pytest.fixture
def of_browser(studies, monkeypatch):
    """A job of this process that the browser "a" began; asking as another one; who has left."""
    asking, left = ["a"], set()
    monkeypatch.setattr("core.study.write_access._browser", lambda: asking[0])
    monkeypatch.setattr(launcher.PRESENCE, "has_left", lambda name: name in left)
    monkeypatch.setattr(launcher, "cancel", lambda job, patience: job)
    folder = studies / "demo"
    write_progress(folder)
    remember(folder, RunStep("quality", folder), os.getpid(), browser="a")
    return stored_job(folder), asking, left


def test_stop__by_the_browser_that_began_it_and_by_anybody_once_it_has_left(of_browser):
    job, asking, left = of_browser
    assert launcher.can_stop(job) and launcher.stop(job) is None
    for other in ("b", ""):
        asking[0] = other
        assert not launcher.can_stop(job) and launcher.stop(job) == launcher.OF_ANOTHER
    left.add("a")
    assert launcher.can_stop(job) and launcher.stop(job) is None


def test_stop__never_by_a_guest(of_browser, monkeypatch):
    job, asking, left = of_browser
    monkeypatch.setattr("core.study.write_access._is_guest", lambda: True)
    left.add("a")
    for one in ("a", "b", ""):  # the guest's browser may have begun it, as it brought the other token then
        asking[0] = one
        assert not launcher.can_stop(job) and launcher.stop(job) == READ_ONLY


def test_stop__of_what_a_terminal_began(studies, monkeypatch):
    monkeypatch.setattr(launcher, "cancel", lambda job, patience: job)
    write_progress(studies / "demo")
    remember(studies / "demo", RunStep("quality", studies / "demo"), os.getpid())
    assert launcher.can_stop(stored_job(studies / "demo"))
