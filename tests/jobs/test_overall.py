"""How far a job is as a whole, and what is said of the time that is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.jobs.jobs import Job
from core.jobs.overall import UNFINISHED, Overall, overall
from core.jobs.progress import Progress, read_record
from core.steps import STEPS, in_analysis, of_basis

WEIGHTS = {name: STEPS[name].weight for name in in_analysis()}
ANALYZE = ("python", "-m", "core", "analyze", "studies/mine")
FIRST = Job(Path("mine"), ANALYZE, stage="embed", done=300, total=1200, eta_s=90.0, step_s=30.0)


def overall_of(job: Job) -> Overall:
    whole = overall(job)
    assert whole is not None
    return whole


def test_overall__of_the_first_step_from_its_own_rate():
    whole = overall_of(FIRST)
    total = sum(WEIGHTS.values())
    assert (whole.number, whole.of, whole.step) == (1, len(in_analysis()), "embed")
    assert whole.fraction == pytest.approx(0.25 * WEIGHTS["embed"] / total)
    assert whole.seconds_left == pytest.approx(90 + 120 * (total - WEIGHTS["embed"]) / WEIGHTS["embed"])


def test_overall__of_a_later_step_from_what_the_finished_ones_took():
    job = replace(
        FIRST, stage="quality", detail="parts", done=2, total=4, eta_s=1.0, step_s=2.0,
        stages_done=("embed", "features", "neighbours", "probe", "answers", "crossfit"),
        seconds={"embed": 60.0, "features": 2.0, "neighbours": 2.0, "probe": 3.0, "answers": 2.0}
        | {"crossfit": 9.0},
    )  # fmt: skip
    scale = 78 / sum(WEIGHTS[name] for name in job.stages_done)
    later = in_analysis()[7:]
    expected = WEIGHTS["quality"] * scale
    whole = overall_of(job)
    assert whole.number == 7
    assert whole.seconds_left == pytest.approx(expected - 2.0 + scale * sum(WEIGHTS[name] for name in later))
    before = sum(WEIGHTS[name] for name in job.stages_done)
    assert whole.fraction == pytest.approx(
        (before + 2.0 / expected * WEIGHTS["quality"]) / sum(WEIGHTS.values())
    )


def test_overall__steps_that_were_up_to_date_tell_nothing_of_the_speed():
    job = replace(FIRST, stage="heatmaps", stages_done=("embed", "map"), seconds={"embed": 0.1, "map": 0.0})
    scale = 120 / WEIGHTS["heatmaps"]
    after = sum(WEIGHTS[name] for name in ("overlap", "concepts", "failures", "search"))
    assert overall_of(job).seconds_left == pytest.approx(90 + after * scale)


def test_overall__nothing_is_known_before_the_first_rate():
    whole = overall_of(replace(FIRST, done=0, total=None, eta_s=None))
    assert whole.seconds_left is None and whole.fraction == 0


def test_overall__a_step_that_takes_longer_than_thought_is_never_done_early():
    job = replace(
        FIRST, stage="map", detail="umap", total=None, eta_s=None, step_s=1e6,
        stages_done=("embed",), seconds={"embed": 30.0},
    )  # fmt: skip
    before = sum(WEIGHTS[name] for name in list(STEPS)[:7])
    assert overall_of(job).fraction == pytest.approx(
        (before + UNFINISHED * WEIGHTS["map"]) / sum(WEIGHTS.values())
    )
    left = overall_of(job).seconds_left
    assert left is not None and left > 0


@pytest.mark.parametrize(
    "job",
    [
        replace(FIRST, command=("python", "-m", "core", "features", "studies/mine")),
        replace(FIRST, stage="starting"),
        replace(FIRST, stage=None),
        replace(FIRST, command=()),
    ],
    ids=["one step", "starting", "no stage", "no command"],
)
def test_overall__only_of_runs_of_all_steps(job):
    assert overall(job) is None


@pytest.mark.parametrize("words", ["basis studies/mine --resume", "resume studies/mine --basis=sae"])
def test_overall__in_a_basis_of_the_steps_of_a_basis(words):
    job = replace(FIRST, command=("python", "-m", "core", *words.split()))
    assert overall(replace(job, stage="basis")) is None and overall(job) is None
    first = overall_of(replace(job, stage="features", detail="scan"))
    assert (first.number, first.of) == (1, len(of_basis())) and first.fraction == 0


def test_overall__a_forged_record_does_no_harm():
    job = replace(FIRST, seconds={"embed": -5.0, "nonsense": 1e15}, stages_done=("embed", "x"), step_s=-1e15)
    whole = overall_of(replace(job, detail="x"))
    assert 0 <= whole.fraction <= 1 and whole.seconds_left is None


def test_progress__records_what_each_step_took(tmp_path):
    with Progress(tmp_path / "progress.json", terminal=False) as progress, progress.step("embed"):
        record = read_record(tmp_path / "progress.json")
        assert record is not None
        assert record["stage"] == "embed" and record["step_s"] >= 0
    record = read_record(tmp_path / "progress.json")
    assert record is not None
    assert set(record["seconds"]) == {"embed"} and record["seconds"]["embed"] >= 0
