"""The campaign in small: a fault or two of each kind that no other test tries, and what its table says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.campaign import __main__ as campaign
from tests.campaign import agents, disks, fuzzing, writing
from tests.campaign.outcome import Outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inputs", "addresses"])
def test_faults_of_what_is_read__lose_nothing_and_show_nothing(name: str) -> None:
    found, _ = campaign.tried(name, seed=1, share=0.02)
    assert found.holds and found.tried >= 13 and found.refused, found


@pytest.mark.slow
def test_faults_of_what_is_sent__lose_nothing() -> None:
    found, _ = campaign.tried("drops", seed=1, share=0.05)
    assert found.holds and found.tried and found.refused, found


@pytest.mark.parametrize("name", ["clock_of_jobs", "shards"])
def test_faults_of_clocks_and_shards__give_no_wrong_answer(name: str) -> None:
    found, _ = campaign.tried(name, seed=1, share=0.03)
    assert found.holds and found.tried == 6, found


@pytest.mark.slow
@pytest.mark.exhaustive("tests of traces, answers, MCP, Compare and trackers meet the same by hand")
@pytest.mark.parametrize(
    "name", ["writers", "browsers", "agents", "predictions", "partners", "exported_runs"]
)
def test_faults_of_people_and_strangers__lose_nothing(name: str) -> None:
    if name == "agents" and not agents.IS_POSSIBLE:
        pytest.skip(f"needs {agents.NEEDS}")
    found, _ = campaign.tried(name, seed=1, share=0.1)
    assert found.holds and found.tried, found


@pytest.mark.slow
@pytest.mark.exhaustive("tests/study and tests/pipeline kill, fill and share in the same way")
@pytest.mark.parametrize("name", ["kills", "full_disks", "two_writers", "readers_beside", "clocks"])
def test_faults_of_what_is_written__lose_nothing(name: str) -> None:
    found, _ = campaign.tried(name, seed=1, share=0.03)
    assert found.holds and found.tried, found


@pytest.mark.slow
@pytest.mark.exhaustive("test_disks.py meets the same faults by a small program")
@pytest.mark.skipif(not disks.IS_POSSIBLE, reason="needs Linux and a C compiler")
@pytest.mark.parametrize(
    "name",
    [
        *("read_only", "quotas", "failing_reads", "slow_reads", "power", "power_words"),
        *("killed_resume", "killed_positions", "changing_images", "jumping_clock"),
    ],
)
def test_faults_of_disks__lose_nothing(name: str) -> None:
    found, _ = campaign.tried(name, seed=1, share=0.1)
    assert found.holds and found.tried, found


@pytest.mark.slow
@pytest.mark.skipif(not fuzzing.IS_POSSIBLE, reason=f"needs {fuzzing.NEEDS}")
def test_inputs_guided_by_coverage__lose_nothing_and_show_nothing() -> None:
    found, _ = campaign.tried("fuzz", seed=1, share=0.1)
    assert found.holds and found.tried > 17 and found.refused, found


def test_table__ends_with_1_where_something_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def losing(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
        return Outcome(tried=n, lost=n - 3, examples=["the third"])

    monkeypatch.setitem(campaign.ROWS, "kills", ("a fault", 4, losing))
    assert campaign.main(["--only", "kills", "-o", str(tmp_path / "t.md")]) == 1
    printed = capsys.readouterr()
    assert "| a fault | 4 | 0 | 1 | 0 | 0 |" in printed.out and "third" in printed.err
    assert (tmp_path / "t.md").read_text() == printed.out
    assert campaign.main(["--only", "kills", "--share", "0.75"]) == 0


def test_a_study_that_differs_is_lost_and_two_lines_are_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, study = Outcome(), tmp_path / "study"
    study.mkdir()
    (study / "a").write_text("1")
    monkeypatch.setattr(writing, "ended", lambda words: "")
    monkeypatch.setattr(writing, "verify", lambda folder: [])
    writing.compare(outcome, study, {"a": b"1"}, [], "same")
    assert outcome.lost == 0
    writing.compare(outcome, study, {"a": b"2"}, [], "other")
    assert outcome.lost == 1
    outcome.said("note: x\nerror: one line\n", "one")
    assert (outcome.refused, outcome.lines) == (1, 0)
    outcome.said("Traceback …\nerror: one\n", "two")
    outcome.said("error: OSError: no (this is a bug; details in x)\n", "three")
    assert outcome.lines == 2 and not outcome.holds
