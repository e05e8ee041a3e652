"""What left answers one line that names what to use instead, and no other command does."""

from __future__ import annotations

import pytest

from core.cli import left, main


@pytest.mark.parametrize("row", left.LEFT)
def test_what_left_is_refused_in_one_line(row: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, _, name = row.partition(" ")
    words = [command, "nowhere", *([name] if name else [])]
    words += ["-o", "table.csv"] if command == "export" else []
    try:
        code = main(words)
    except SystemExit as stopped:
        code = stopped.code
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1 and row in said and left.LEFT[row] in said


def test_a_command_that_stays_is_not_refused() -> None:
    assert left.left_command(["info", "nowhere"]) is None
    assert left.left_command([]) is None
    assert left.left_option("info", ["--jsom"]) is None
