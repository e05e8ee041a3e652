"""Other encoders on the same images: what may be written, the names, and the commands that are started."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.encoders.spec import parse_spec
from core.errors import JobError, SettingsError
from core.store import open_study
from core.study.commands import Analyze, CompareEncoders
from dashboard.jobs import further_studies, launcher


@pytest.fixture
def checkpoint(studies: Path) -> Path:
    path = studies / "mine.ckpt"
    path.write_bytes(b"")
    return path


def test_read_encoders__knows_libraries_and_files(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEREGRINE_ROOTS", str(checkpoint.parent))
    text = (
        f"torchvision:resnet18\n timm:resnet10t ; {checkpoint}\nresnet18@{checkpoint}\n\ntorchvision:resnet18"
    )
    assert further_studies.read_encoders(text) == [
        "torchvision:resnet18",
        "timm:resnet10t?pretrained=true",
        str(checkpoint),
        f"resnet18@{checkpoint}",
    ]
    assert further_studies.read_encoders("timm:resnet10t?pretrained=false") == [
        "timm:resnet10t?pretrained=false"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "timm:resnet10t?checkpoint_path=/etc/passwd",
        "timm:resnet10t?pretrained=true&features_only=true",
        "python:os:system",
        "python:os:system@mine.ckpt",
        "torchvision:../resnet18",
        "/etc/passwd",
        "hf:somebody/something",
    ],
)
def test_read_encoders__refuses_what_reads_files_or_runs_code(studies: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        further_studies.read_encoders(text)


def test_study_names__are_new(studies: Path) -> None:
    study = open_study(studies / "demo")
    names = further_studies.study_names(
        study, ["timm:resnet10t", "torchvision:resnet10t", "asset:simclr_cifar10"]
    )
    assert len(set(names)) == 3 and all(name.startswith("demo-") for name in names)
    (studies / names[0]).mkdir()
    again = further_studies.study_names(study, ["timm:resnet10t"])
    assert again[0] not in names


def test_start_all__each_waits_for_the_one_before(studies: Path, started, monkeypatch) -> None:
    study = open_study(studies / "demo")
    monkeypatch.setattr(further_studies, "why_no_other_encoder", lambda _: None)
    monkeypatch.setattr(launcher, "trust", lambda *_: None)  # its images lie elsewhere
    encoders = ["asset:simclr_cifar10", "timm:resnet10t?pretrained=true", "torchvision:resnet18"]
    further_studies.start_all(study, encoders)
    commands = [command for command, _ in started]
    assert all(isinstance(command, Analyze) for command in commands)
    assert [command.settings["encoder"] for command in commands] == encoders
    folders = [folder for _, folder in started]
    assert [command.after for command in commands] == [(), (folders[0],), (folders[1],)]
    for command in commands:
        assert command.settings["images"] == study.settings("embed")["images"]
        assert "representations" not in command.settings
        assert command.settings.get("epsilon") == "auto", "the same options"
        assert parse_spec(command.settings["encoder"])


def test_start_all__says_why_not(studies: Path, started, monkeypatch) -> None:
    study = open_study(studies / "demo")
    with pytest.raises(JobError, match="ready representations|PEREGRINE"):
        further_studies.start_all(study, ["torchvision:resnet18"])
    monkeypatch.setattr(further_studies, "why_no_other_encoder", lambda _: None)
    with pytest.raises(JobError, match="choose an encoder"):
        further_studies.start_all(study, [])
    with pytest.raises(JobError, match="at most"):
        further_studies.start_all(study, [f"torchvision:resnet{number}" for number in range(9)])
    assert not started


def test_a_leaderboard__is_of_served_studies_alone(
    studies: Path, second: Path, started, tmp_path: Path
) -> None:
    command = CompareEncoders((studies / "demo", second))
    assert launcher.refusal(command) is None
    launcher.start(command)
    assert started and started[0][0].words[-2:] == ["--leaderboard", "--json"]
    with pytest.raises(JobError, match="served"):
        launcher.start(CompareEncoders((studies / "demo", tmp_path / "elsewhere")))


def test_a_study__waits_for_none_outside_the_folder(studies: Path, tmp_path: Path) -> None:
    command = Analyze(studies / "new", (("images", "glyphworld"),), after=(tmp_path / "elsewhere",))
    assert "does not lie" in (launcher.refusal(command) or "")
