"""A study of version 0.3 opens: what left is named in a line each, everything else is as without it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from core.bases.basis import LATENTS
from core.charts.catalogue import read_chart
from core.charts.chart import frame_of
from core.charts.options import FigureOptions
from core.charts.registry import CHARTS
from core.cli import main
from core.cli.left import LEFT
from core.errors import PeregrineError
from core.pipeline.verify import verify
from core.publish.basis_export import export_basis
from core.publish.export_files import COLUMNS, export_table
from core.publish.report_sections import command_lines
from core.publish.summary import info
from core.research.visual_tokens_beside_study import shown_tokens
from core.store import Study, open_study
from core.study.writer import write_study
from tests.contract.old_study import LEFT_ITEMS, MASK_STEP, OLD_SCORES, OWN, SHARED, SWAPS, make_both
from tests.shared import made_once

pytestmark = pytest.mark.usefixtures("trusted")
MADE_BY = ("concepts --twins", "mask-interventions", "basis --with", "compositionality")
OF_OLD = ("path", "bytes", "no_longer_shown", "settings")  # what `info` says of the old study alone


@pytest.fixture(scope="session")
def both_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the old study, and in `base` with the same one without what left."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
        return made_once(tmp_path_factory, "old", make_both)


@pytest.fixture
def old(both_studies: Path) -> Study:
    return open_study(both_studies / "old" / "study")


@pytest.fixture
def base(both_studies: Path) -> Study:
    return open_study(both_studies / "base" / "study")


@pytest.fixture
def changed(old: Study, tmp_path: Path) -> Path:
    """A copy of the old study, to write to."""
    return shutil.copytree(old.path, tmp_path / "study")


def test_info__names_what_is_no_longer_shown(old, base):
    named = info(old)["no_longer_shown"]
    assert tuple(one["made_by"] for one in named) == MADE_BY
    assert sorted(item for one in named for item in one["items"]) == sorted((*LEFT_ITEMS, SWAPS))
    assert not any("\n" in one["line"] for one in named)
    assert info(base)["no_longer_shown"] == []


def test_info__says_the_same_otherwise(old, base):
    told, expected = (
        {key: value for key, value in info(one).items() if key not in OF_OLD} for one in (old, base)
    )
    assert told == expected


@pytest.mark.parametrize("command", ["info", "verify"])
def test_commands__print_a_line_for_each(command, old, base, run):
    lines = [one["line"] for one in info(old)["no_longer_shown"]]
    said = run(command, old.path)
    assert said.code == 0 and all(said.out.count(line) == 1 for line in lines)
    assert not any(line in run(command, base.path).out for line in lines)


def test_what_is_no_longer_shown__has_a_line_for_whoever_still_types_it():
    assert set(MADE_BY) <= set(LEFT)


def test_verify__all_files_are_intact(old):
    assert verify(old) == []


def test_damage__of_what_nothing_reads_is_named_and_mends_itself(changed):
    (changed / "mask_groups.parquet").unlink()
    (changed / "mask_accuracy.parquet").write_bytes(b"")
    study = open_study(changed)
    study.set_damage_aside()
    assert study.damage == {} and study.missing() == {}
    problems = {one.file: one.remedy for one in verify(changed)}
    assert set(problems) == {"mask_groups.parquet", "mask_accuracy.parquet"}
    assert not any("Run:" in remedy for remedy in problems.values())


def test_steps__are_all_current_but_the_one_that_left(old, base):
    assert {step: old.state(step) for step in base.states} == base.states
    assert set(old.states) - set(base.states) == {MASK_STEP} and old.missing() == base.missing()


def test_settings__that_left_make_no_step_run_again(changed):
    with write_study(changed) as writer:
        given = {
            name: value for name, value in open_study(changed).settings("concepts").items() if name != "twins"
        }
        assert writer.is_current("concepts", given, ())
        assert not writer.is_current("concepts", {**given, "k": 7}, ())
    assert not any("twins" in line for line in command_lines(open_study(changed)))


def exported(study: Study, table: str, folder: Path) -> pd.DataFrame | str:
    """The rows of an exported table, or why there are none."""
    try:
        export_table(study, table, folder / "out.parquet")
    except PeregrineError as error:
        return str(error).replace(str(study.path), "")
    return pd.read_parquet(folder / "out.parquet")


def test_exports__are_those_without_what_left(old, base, tmp_path):
    n_written = 0
    for table in COLUMNS:
        found, expected = (exported(one, table, tmp_path) for one in (old, base))
        if isinstance(expected, str):
            assert found == expected
            continue
        assert isinstance(found, pd.DataFrame)
        pd.testing.assert_frame_equal(found, expected)
        n_written += 1
    assert n_written >= 15


def numbers_of(study: Study, name: str) -> pd.DataFrame | str | None:
    """The numbers of a chart, or why there are none."""
    chart = CHARTS[name]
    try:
        return frame_of(read_chart([study] * max(1, chart.studies[0]), chart, FigureOptions(device="cpu")))
    except PeregrineError as error:
        return str(error).replace(str(study.path), "")


def test_charts__are_those_without_what_left(old, base):
    n_drawn = 0
    for name in CHARTS:
        found, expected = (numbers_of(one, name) for one in (old, base))
        if isinstance(expected, pd.DataFrame):
            assert isinstance(found, pd.DataFrame), (name, found)
            pd.testing.assert_frame_equal(found, expected, obj=name)
            n_drawn += len(expected) > 0
        else:
            assert found == expected, name
    assert n_drawn >= 20


def test_scores_that_are_no_longer_computed__are_read(old, tmp_path):
    stored = pd.read_parquet(old.path / "quality.parquet")
    table, chart = exported(old, "quality", tmp_path), numbers_of(old, "baselines")
    assert isinstance(table, pd.DataFrame) and isinstance(chart, pd.DataFrame)
    for score in OLD_SCORES:
        assert_array_equal(table[score], stored[score])
        assert score in set(old.table("quality_metrics")["score"])
    low = (stored["combined"] < 0.5) & (stored["split"] == "val")
    assert 0 < low.sum() == old.where("combined=..0.5").n_chosen


def test_tokens_of_images__are_shown(old):
    row = int(np.flatnonzero(old.is_val)[0])
    shown = shown_tokens(old, row)
    assert shown.extracted is not None and [one.name for one in shown.extracted.nodes] == [
        "a disc",
        "a square",
    ]
    assert shown.attention["weight"].tolist() == [0.5]


@pytest.mark.parametrize("name", [OWN, SHARED])
def test_bases__of_one_encoder_and_of_two_are_read_alike(name, old, base, tmp_path):
    found, expected = (one.in_basis(name) for one in (old, base))
    assert list(old.bases) == list(base.bases) == [OWN, SHARED]
    codes = found.array("representations")[:]
    assert_array_equal(codes, expected.array("representations")[:])
    assert (np.count_nonzero(codes, axis=1) <= old.bases[name].card["k"]).all() and codes.any()
    assert_array_equal(found.vector("probe_weights"), expected.vector("probe_weights"))
    for table in ("features", "quality", "quality_metrics"):
        pd.testing.assert_frame_equal(found.table(table), expected.table(table))
    assert found.latents is not None and tuple(found.latents) == LATENTS
    assert info(found)["no_longer_shown"] == [] and verify(found) == []
    written = [_arrays(one, name, tmp_path / f"{at}.npz") for at, one in enumerate((old, base))]
    assert set(written[0]) == set(written[1])
    for part in set(written[0]) - {"card"}:  # as it was written
        assert_array_equal(written[0][part], written[1][part])


def _arrays(study: Study, name: str, path: Path) -> dict[str, Any]:
    export_basis(study, name, path)
    with np.load(path) as arrays:
        return dict(arrays)


def test_a_basis_of_two_encoders__can_be_removed_with_all_its_files(changed):
    assert main(["basis", str(changed), "--remove", SHARED]) == 0
    assert not list(changed.glob(f"basis_{SHARED}*")) and verify(changed) == []
    assert [one.made_by for one in open_study(changed).no_longer_shown] == [
        MADE_BY[0],
        MADE_BY[1],
        MADE_BY[3],
    ]
