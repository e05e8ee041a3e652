"""Commands in messages: a shell runs them as they stand, whatever a study is called."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from core.common.command_line import PREFIX, command_line
from core.store import open_study
from core.study.commands import MakeReport
from tests.command_line import Command, Said, contents, info_of, runner
from tests.sampling import sample
from tests.small import write_small_study

ROOT = Path(__file__).resolve().parents[2]
PREFIX_TEXT = "python -m core"
NAMES = ['-d  "$HOME" `id`; #\\', "it's a --captioner os:getcwd", "my study"]


@pytest.fixture
def run(capsys) -> Command:
    return runner(capsys)


def in_shell(command: str, folder: Path) -> Said:
    """Paste a printed command into a shell whose `python` is this one."""
    bin_folder = folder.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    launcher = bin_folder / "python"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    launcher.chmod(0o755)
    path = os.pathsep.join([str(bin_folder), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return Said(ended.returncode, ended.stdout, ended.stderr)


def test_command_line__names_what_lies_below_the_working_directory_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    below, beside = tmp_path / "studies" / "demo", tmp_path.parent / "other"
    assert command_line("info", below) == "python -m core info studies/demo"
    assert command_line("info", tmp_path / "-d") == "python -m core info ./-d"
    assert command_line("heatmaps", "a", masks=below) == "python -m core heatmaps a --masks studies/demo"
    assert command_line("info", beside) == f"python -m core info {beside}"


def test_command_line__names_no_home_folder_and_runs_all_the_same(tmp_path, monkeypatch):
    home, here = tmp_path / "home" / "jo doe", tmp_path / "here"
    study = home / "my studies" / "-it's ~ $HOME"
    study.mkdir(parents=True)
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    command = command_line("info", study, masks=home / "masks", clip="~/literal")
    assert "jo doe" not in command
    said = in_shell(command.replace(PREFIX_TEXT, "printf '%s\\n'", 1), here)
    assert said.out.splitlines() == [
        *("info", str(study), "--masks", str(home / "masks"), "--clip", "~/literal")
    ]
    job = MakeReport(study=study, output=home / "report.html")
    assert "jo doe" not in job.shell and str(study) in job.words


def named(message: str) -> str:
    """The command at the end of a message."""
    return message.partition("Run: ")[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(NAMES, 1))
def test_printed_commands__run_in_a_shell(run, tmp_path, monkeypatch, name):
    folder = tmp_path / "studies"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_small_study(Path(name), features=False)
    missing = info_of(run, Path(f"./{name}"))["missing"]
    command = named(missing["neighbours"])
    assert shlex.split(command)[:4] == [*PREFIX, "neighbours"]
    outcome = in_shell(f"{command} --k 2", folder)
    assert outcome.code == 0, outcome.err
    assert open_study(name).state("neighbours") == "done"


@pytest.mark.parametrize("name", NAMES)
def test_verify_and_export__name_commands_that_a_shell_takes(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    study = write_small_study(Path(name), features=False)
    before = contents(study.path)
    (study.path / "images.parquet").write_bytes(b"cut")
    outcome = run("verify", f"./{name}")
    assert outcome.code == 1
    command = named(next(line for line in outcome.out.splitlines() if line.startswith("images.parquet")))
    assert shlex.split(command)[:4] == [*PREFIX, "embed"]
    assert Path(shlex.split(command)[4]).resolve() == study.path.resolve()
    (study.path / "images.parquet").write_bytes(before["images.parquet"])
    error = run("export", f"./{name}", "quality", "-o", "q.csv").error
    words = shlex.split(named(error))
    assert words[:4] == [*PREFIX, "quality"] and Path(words[4]).resolve() == study.path.resolve()


@pytest.mark.parametrize("name", NAMES)
def test_no_study__its_command_is_quoted(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    error = run("info", f"./{name}").error
    words = shlex.split(error.partition("Make one: ")[2])
    assert words[:4] == [*PREFIX, "analyze"] and Path(words[4]) == Path(name)


def test_command_line__gives_back_its_words():
    words = ["a b", "it's", '"', "$(id)", "é", "*", "~"]
    assert shlex.split(command_line("info", *words)) == [*PREFIX, "info", *words]


def test_command_line__dashes_are_no_options():
    command = command_line("heatmaps", "--x", image="--y.png", feature=3, redo=True, clip=None, tta=False)
    assert shlex.split(command)[3:] == ["heatmaps", "./--x", "--image=--y.png", "--feature", "3", "--redo"]


def test_no_other_file_puts_a_command_together():
    """A name set into a text of its own would not be quoted."""
    may = ("commands.py", "options.py")  # the second prints examples of the help
    by_file = {
        path.relative_to(ROOT).as_posix(): lines
        for path in sorted(ROOT.glob("core/**/*.py"))
        if path.name not in may and (lines := commands_in(path.read_text(encoding="utf-8")))
    }
    assert by_file == {}


def commands_in(source: str) -> list[int]:
    """The lines of f-strings in which something is set into a command."""
    lines = []
    for node in ast.walk(ast.parse(source)) if PREFIX_TEXT in source else ():
        if isinstance(node, ast.JoinedStr):
            texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            at = next((n for n, text in enumerate(texts) if PREFIX_TEXT in str(text)), None)
            after = node.values[node.values.index(_constant(node, texts[at])) + 1 :] if at is not None else []
            if any(isinstance(part, ast.FormattedValue) for part in after):
                lines.append(node.lineno)
    return lines


def test_commands_in__finds_what_is_set_into_one():
    lines = ['f"{a} python -m core"', 'f"python -m core info {study}"', '"python -m core {study}"']
    assert commands_in("\n".join(lines)) == [2]


def _constant(node: ast.JoinedStr, value: object) -> ast.expr:
    return next(part for part in node.values if isinstance(part, ast.Constant) and part.value == value)
