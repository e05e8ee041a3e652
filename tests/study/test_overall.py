"""How far a job is as a whole, and what is said of the time that is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.study.jobs import UNFINISHED, Heights, Job, Overall, overall, read_job, share_of_step
from core.study.progress import Progress, read_record
from core.study.steps import STEPS, in_analysis, of_basis

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
    job = replace(
        FIRST, stage="heatmaps", stages_done=("embed", "probe"), seconds={"embed": 0.1, "probe": 0.0}
    )
    scale = 120 / WEIGHTS["heatmaps"]
    after = sum(WEIGHTS[name] for name in ("overlap", "concepts", "failures", "search", "map"))
    assert overall_of(job).seconds_left == pytest.approx(90 + after * scale)


def test_overall__steps_with_nothing_to_do_take_no_time_and_tell_no_speed():
    done = dict.fromkeys(("embed", "features", "neighbours", "probe", "answers", "crossfit", "quality"), 2.0)
    job = replace(FIRST, stage="heatmaps", stages_done=tuple(done), seconds=done)
    idle = ("overlap", "concepts")
    left, of_idle = overall_of(job), overall_of(replace(job, idle=idle))
    scale = 14 / sum(WEIGHTS[name] for name in done)
    assert left.seconds_left is not None and of_idle.seconds_left is not None
    assert left.seconds_left - of_idle.seconds_left == pytest.approx(
        scale * sum(WEIGHTS[one] for one in idle)
    )
    assert of_idle.number == left.number and of_idle.of == left.of and of_idle.fraction > left.fraction
    at_idle = replace(
        job, stage="overlap", idle=idle, stages_done=(*done, "heatmaps"), total=None, eta_s=None
    )
    later = scale * sum(WEIGHTS[one] for one in ("failures", "search", "map"))
    at_idle = replace(at_idle, seconds=done | {"heatmaps": WEIGHTS["heatmaps"] * scale})
    assert overall_of(at_idle).seconds_left == pytest.approx(later)


def test_overall__nothing_is_known_before_the_first_rate():
    whole = overall_of(replace(FIRST, done=0, total=None, eta_s=None))
    assert whole.seconds_left is None and whole.fraction == 0


def test_overall__a_step_that_takes_longer_than_thought_is_never_done_early():
    job = replace(
        FIRST, stage="map", detail="umap", total=None, eta_s=None, step_s=1e6,
        stages_done=("embed",), seconds={"embed": 30.0},
    )  # fmt: skip
    before = sum(WEIGHTS[name] for name in in_analysis()[: in_analysis().index("map")])
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


def job_of(words: str, **parts: Any) -> Job:
    return replace(FIRST, command=("python", "-m", "core", *words.split()), **parts)


def test_overall__in_a_basis_of_the_steps_of_a_basis():
    job = job_of("resume studies/mine --basis=sae")
    assert overall(replace(job, stage="basis")) is None and overall(job) is None
    first = overall_of(replace(job, stage="features", done=0))
    assert (first.number, first.of) == (1, len(of_basis())) and first.fraction == 0
    learning = overall_of(job_of("basis studies/mine --resume", stage="basis", done=0))
    assert (learning.number, learning.of, learning.fraction) == (1, 1 + len(of_basis()), 0)
    then = overall_of(job_of("basis studies/mine --resume", stage="features", done=0))
    assert then.number == 2 and then.fraction > 0
    alone = overall_of(job_of("basis studies/mine", stage="basis", done=300, total=1000, step_s=30.0))
    assert (alone.number, alone.of) == (1, 1)
    assert alone.fraction == pytest.approx(0.3) and alone.seconds_left == pytest.approx(70)


def test_overall__of_runs_only_rises(tmp_path):
    """Two runs of 10 steps each, and encoding after them: each count begins again, the bar does not."""
    seen = []

    def look() -> None:
        job = read_job(tmp_path)
        assert job is not None
        seen.append((overall_of(job).fraction, job.run, job.runs))

    command = ["python", "-m", "core", "basis", "studies/mine", "--kind=topk"]
    reports = Progress(tmp_path / "progress.json", terminal=False, command=command)
    with reports as progress, progress.step("basis"):
        for run in (1, 2):
            begin, end = 0.45 * (run - 1), 0.45 * run
            with (
                progress.part(begin, end, run=run, of=2),
                progress.stage("topk", total=10, unit="steps") as bar,
            ):
                for _ in range(10):
                    bar.update()
                    progress._write(bar, now=True)
                    look()
        with progress.part(0.9, 1.0), progress.stage("encode", total=4, unit="images"):
            look()
    fractions = [fraction for fraction, _, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[4] == pytest.approx(0.45 * 0.5) and fractions[14] == pytest.approx(0.45 * 1.5)
    assert fractions[-1] == pytest.approx(0.9)
    assert seen[0][1:] == (1, 2) and seen[12][1:] == (2, 2)


def test_share_of_step__rises_with_each_further_stage():
    """How many stages a step has is not known: each further one does half of what is left."""
    stages = [(1, 0), (1, 900), (2, 0), (2, 900), (3, 0), (60, 900)]
    shares = [
        share_of_step(replace(FIRST, detail="x", n_stages=n, done=done, total=1000)) for n, done in stages
    ]
    assert shares == sorted(shares) and shares[0] == 0 and shares[2] == 0.5 and shares[-1] < 1


def test_heights__a_bar_never_falls_and_belongs_to_its_process():
    heights = Heights()
    assert [heights.reached(FIRST, one) for one in (0.2, 0.5, 0.1)] == [0.2, 0.5, 0.5]
    assert heights.reached(replace(FIRST, pid=7), 0.1) == 0.1


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


def test_progress__what_an_inner_step_took_stays_until_it_is_made_again(tmp_path):
    path = tmp_path / "progress.json"

    def took_after(**kept: float | None) -> dict[str, float]:
        with Progress(path, terminal=False) as progress, progress.step("basis"):
            for name, seconds in kept.items():
                progress.keep_seconds(name, seconds)
        record = read_record(path)
        assert record is not None
        return record["took"]

    assert took_after(sae=12.345) == {"sae": 12.35}  # also less than is counted of a step
    assert took_after(nmf=0.2) == {"sae": 12.35, "nmf": 0.2}
    assert took_after(sae=None) == {"nmf": 0.2}
