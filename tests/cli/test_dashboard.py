"""The command `dashboard`: what it starts, where, and what it refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import quote

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

    monkeypatch.setattr(dashboard, "_replace_process", replace)
    monkeypatch.setenv("PEREGRINE_STUDIES", "")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")
    for name in ("PEREGRINE_TOKEN", "PEREGRINE_GUEST_TOKEN", "PEREGRINE_HOSTS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("core.publish.server_token.machine_address", lambda: "10.0.0.7")
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


TOKEN = "correct horse/battery#staple"


def printed_links(capsys) -> dict[str, str]:
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "?enter#" in line]
    return {words[0]: words[-1] for words in lines}


def test_dashboard__makes_both_tokens_for_other_machines(started, capsys):
    assert main(["dashboard", "--host", "0.0.0.0"]) == 0
    tokens = [os.environ[name] for name in ("PEREGRINE_TOKEN", "PEREGRINE_GUEST_TOKEN")]
    assert len(set(tokens)) == 2 and all(len(token) > 30 for token in tokens)
    assert list(printed_links(capsys).values()) == [f"http://10.0.0.7:8501/?enter#{one}" for one in tokens]
    assert main(["dashboard", "--host", "0.0.0.0"]) == 0  # what is set stays
    assert [os.environ[name] for name in ("PEREGRINE_TOKEN", "PEREGRINE_GUEST_TOKEN")] == tokens


def test_dashboard__prints_two_links_where_a_token_is_set(started, monkeypatch, capsys):
    assert main(["dashboard"]) == 0 and printed_links(capsys) == {}
    assert not os.environ["PEREGRINE_TOKEN"]
    monkeypatch.setenv("PEREGRINE_TOKEN", TOKEN)
    assert main(["dashboard", "--port", "99", "--host", "0.0.0.0"]) == 0
    links = printed_links(capsys)
    guest_token = os.environ["PEREGRINE_GUEST_TOKEN"]
    assert links["full"] == f"http://10.0.0.7:99/?enter#{quote(TOKEN, safe='')}"
    assert links["read-only:"] == f"http://10.0.0.7:99/?enter#{guest_token}" and len(guest_token) > 30
    assert not any(TOKEN in word or guest_token in word for word in started[-1])  # other users see commands


def test_dashboard__links_lead_to_the_name_that_others_use(started, monkeypatch, capsys):
    monkeypatch.setenv("PEREGRINE_TOKEN", TOKEN)
    monkeypatch.setenv("PEREGRINE_GUEST_TOKEN", "a token that guests know")
    for hosts, origin in (
        ("lab.example, other", "lab.example:99"),
        ("lab.example:444", "lab.example:444"),
        ("[::1]", "[::1]:99"),
    ):
        monkeypatch.setenv("PEREGRINE_HOSTS", hosts)
        assert main(["dashboard", "--port", "99", "--host", "0.0.0.0"]) == 0
        guest_link = printed_links(capsys)["read-only:"]
        assert guest_link == f"http://{origin}/?enter#a%20token%20that%20guests%20know"


def test_dashboard__refuses_a_short_token_before_it_prints_a_link(started, monkeypatch, capsys):
    monkeypatch.setenv("PEREGRINE_TOKEN", "short")
    assert main(["dashboard"]) == 2 and not started
    said = capsys.readouterr()
    assert "PEREGRINE_TOKEN has 5 characters" in said.err and not said.out


def test_jobs__need_a_folder_to_cancel_something(capsys, tmp_path):
    assert main(["jobs", "--cancel"]) == 2
    assert "--cancel needs" in capsys.readouterr().err
    assert main(["jobs", str(tmp_path), "--cancel"]) == 2
    assert "no command runs" in capsys.readouterr().err
    assert main(["jobs", str(tmp_path)]) == 0
