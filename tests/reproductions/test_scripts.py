"""Each script of `reproductions/` runs on a tiny case and writes the columns of the table beside it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "reproductions"
SHARED = {"__init__", "common"}
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_how_it_is_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(f"reproductions.{name}").main(["--help"])
    assert stopped.value.code == 0 and "--smoke" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.exhaustive("the methods that a script calls have tests of their own")
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_smoke_run_writes_the_columns_of_the_stored_table(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"reproductions.{name}")
    module.main(["--smoke", "-o", str(tmp_path)])
    written = pd.read_csv(tmp_path / f"{name}.csv")
    assert len(written) > 0
    stored = FOLDER / f"{name}.csv"
    if stored.exists():
        assert list(written.columns) == list(pd.read_csv(stored).columns)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_every_stored_table_is_drawn_by_its_script(path: Path, tmp_path: Path) -> None:
    (tmp_path / path.name).write_bytes(path.read_bytes())
    module = importlib.import_module(f"reproductions.{path.stem}")
    module.main(["--draw", "-o", str(tmp_path)])
    assert (tmp_path / f"{path.stem}.html").stat().st_size > 1000
