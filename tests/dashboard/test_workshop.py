"""Which commands a click may start, and where they run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import uploads
from core.errors import JobError
from core.jobs import Job, list_jobs
from core.store import open_study
from dashboard import workshop
from tests.dashboard.conftest import write_progress
from tests.manifests import edited_manifest


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], Path]]:
    """Commands that would have been started."""
    found: list[tuple[list[str], Path]] = []

    def start(arguments, *, folder):
        found.append((list(arguments), Path(folder)))
        return Job(folder=Path(folder), command=("python", "-m", "core", *arguments))

    monkeypatch.setattr(workshop, "start_job", start)
    return found


def test_step_command__a_step_of_a_served_study(studies):
    study = studies / "demo"
    command = f"python -m core heatmaps '{study}' --redo"
    assert workshop.step_command(command) == ["heatmaps", str(study), "--redo"]


@pytest.mark.parametrize(
    "command",
    [
        "python -m core overlap {demo} --masks DIR",
        "python -m core overlap {demo} --masks …",
        "python -m core analyze {demo} --images x",
        "python -m core train {demo}",
        "python -m core heatmaps {demo}/../../elsewhere",
        "python -m core heatmaps /etc",
        "python -m core heatmaps",
        "rm -rf {demo}",
        "python -m core heatmaps '{demo}",
    ],
)
def test_step_command__nothing_else(studies, command):
    assert workshop.step_command(command.format(demo=studies / "demo")) is None


def test_run_step__runs_in_the_study(studies, started):
    arguments = ["quality", str(studies / "demo")]
    assert workshop.run_step(arguments) is None
    assert started == [(arguments, studies / "demo")]


def test_run_step__not_beside_another_job(studies):
    write_progress(studies / "demo")
    reason = workshop.run_step(["quality", str(studies / "demo")])
    assert reason is not None and "runs in" in reason


def test_folder_of__same_words_same_folder(studies):
    first = workshop.folder_of("report", ["a", "b"])
    assert first == workshop.folder_of("report", ["a", "b"])
    assert first.parent == studies / ".jobs"
    assert len({first, workshop.folder_of("report", ["ab"]), workshop.folder_of("sheet", ["a", "b"])}) == 3


@pytest.mark.parametrize(
    "command",
    [
        ["analyze", "x", "--encoder", "python:evil:run"],
        ["analyze", "x", "--encoder=python:evil:run"],
        ["concepts", "x", "--captioner", "evil:run"],
        ["concepts", "x", "--captioner=evil:run"],
    ],
)
def test_go_on__no_code_named_in_a_study(studies, command, monkeypatch):
    monkeypatch.setattr(workshop, "resume", lambda job: pytest.fail("started"))
    write_progress(studies / "odd", state="failed", command=["python", "-m", "core", *command])
    (job,) = [job for job in list_jobs(studies) if job.folder.name == "odd"]
    assert "code of its own" in str(workshop.go_on(job))


def test_go_on__not_in_a_folder_with_code(studies, tmp_path, monkeypatch):
    monkeypatch.setattr(workshop, "resume", lambda job: pytest.fail("started"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "core.py").touch()
    write_progress(studies / "odd", state="failed", cwd=str(tmp_path / "foreign"))
    (job,) = [job for job in list_jobs(studies) if job.folder.name == "odd"]
    assert "holds code" in str(workshop.go_on(job))


def test_forget__only_folders_of_the_workshop(studies):
    workshop.forget(studies / "demo")
    assert (studies / "demo" / "manifest.json").exists()
    made = workshop.folder_of("check", ["x"])
    write_progress(made, state="done")
    assert json.loads((made / "progress.json").read_text())
    workshop.forget(made)
    assert not made.exists()


def test_all_jobs__running_first(studies):
    write_progress(studies / "old", state="done", updated=1.0)
    write_progress(studies / "now")
    write_progress(workshop.folder_of("report", ["x"]), state="failed", error="no browser", updated=5.0)
    assert [job.state for job in workshop.all_jobs()] == ["running", "failed", "done"]


def name_code(study: Path, step: str, setting: str, value: str) -> None:
    with edited_manifest(study) as manifest:
        manifest["steps"][step]["settings"][setting] = value


@pytest.mark.parametrize(
    ("step", "setting", "value"),
    [("embed", "encoder", "python:os:system?command='touch x'"), ("concepts", "captioner", "os:system")],
)
def test_study_that_names_code__no_click_starts_a_step_of_it(studies, step, setting, value, monkeypatch):
    monkeypatch.delenv("PEREGRINE_TRUST_STUDIES")
    study = studies / "demo"
    command = f"python -m core heatmaps '{study}'"
    assert workshop.step_command(command)
    name_code(study, step, setting, value)
    assert workshop.step_command(command) is None
    assert "code of its own" in str(
        workshop.go_on(Job(folder=study, command=("python", "-m", "core", "quality", str(study))))
    )
    with pytest.raises(JobError, match="code of its own"):
        uploads.start_image(open_study(study), "any")
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")
    assert workshop.step_command(command)
