"""The command `dashboard`: what it starts, where, and what it refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from core.cli import dashboard, main
from core.common.command_line import python_module

ROOT = Path(__file__).parents[2]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have replaced this process, in a folder that is no checkout."""
    commands: list[list[str]] = []

    def replace(command: list[str]) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(dashboard, "replace_process", replace)
    monkeypatch.setenv("PEREGRINE_STUDIES", "")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")
    monkeypatch.chdir(tmp_path)
    return commands


SERVER = [sys.executable, "-P", "-m", "dashboard.server.start", "run", str(ROOT / "dashboard" / "app.py")]


def test_dashboard__serves_studies_of_the_working_directory(started, tmp_path, capsys):
    assert main(["dashboard"]) == 0
    assert started == [[*SERVER, "--server.port=8501"]]
    assert os.environ["PEREGRINE_STUDIES"] == str(tmp_path / "studies")
    assert f"http://localhost:8501   (studies in {tmp_path / 'studies'}" in capsys.readouterr().out


def test_dashboard__takes_folder_port_and_host(started, tmp_path, capsys):
    assert main(["dashboard", "--studies", "mine", "--port", "99", "--host", "0.0.0.0"]) == 0
    assert started == [[*SERVER, "--server.port=99", "--server.address=0.0.0.0"]]
    assert os.environ["PEREGRINE_STUDIES"] == str(tmp_path / "mine")
    assert "http://0.0.0.0:99" in capsys.readouterr().out


def test_dashboard__believes_only_a_proxy_that_its_owner_names(started, monkeypatch):
    """By itself, uvicorn takes every program of this machine for one, and whatever address it claims."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    assert main(["dashboard"]) == 0 and os.environ["FORWARDED_ALLOW_IPS"] == ""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.2")
    assert main(["dashboard"]) == 0 and os.environ["FORWARDED_ALLOW_IPS"] == "10.0.0.2"


def test_dashboard__takes_the_folder_of_the_environment(started, tmp_path, monkeypatch):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "theirs"))
    main(["dashboard"])
    assert os.environ["PEREGRINE_STUDIES"] == str(tmp_path / "theirs")
    main(["dashboard", "--studies", str(tmp_path / "ours")])
    assert os.environ["PEREGRINE_STUDIES"] == str(tmp_path / "ours")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "8501.5", "x", "²", ""])
def test_dashboard__refuses_what_is_no_port(text, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["dashboard", f"--port={text}"])
    assert ended.value.code == 2
    assert "1 to 65535" in capsys.readouterr().err


def test_dashboard__refuses_a_file_and_a_missing_installation(started, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    assert main(["dashboard", "--studies", "file"]) == 2
    assert "is a file" in capsys.readouterr().err
    monkeypatch.setattr(dashboard, "APP", tmp_path / "dashboard" / "app.py")
    assert main(["dashboard"]) == 2
    assert "the dashboard is not installed" in capsys.readouterr().err
    assert started == []


def test_python_module__keeps_the_working_directory_only_in_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert python_module("core", "info") == [sys.executable, "-P", "-m", "core", "info"]
    monkeypatch.chdir(ROOT)
    assert python_module("core") == [sys.executable, "-m", "core"]
