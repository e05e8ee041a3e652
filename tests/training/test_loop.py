"""The outer loop: what is saved when, and what Ctrl-C does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from core.study.progress import Progress
from core.training import loop
from core.training.loop import GracefulInterrupt, ResumableRun, run_steps


class Counting(ResumableRun):
    """A training that only counts; `at` maps a step to what happens in it."""

    def __init__(self, at=None, step: int = 0):
        super().__init__(Progress.silent(), Path("state.pt"), {})
        self.step, self.at = step, at or {}
        self.saves: list[int] = []
        self.reviews: list[int] = []

    def advance(self) -> None:
        happens = self.at.get(self.step, lambda run: None)
        if happens is not torn_apart:
            happens(self)
        self.torn = True
        if happens is torn_apart:
            happens(self)
        self.step += 1
        self.torn = False

    def review(self) -> None:
        self.reviews.append(self.step)

    def save(self) -> None:
        self.saves.append(self.step)


def interrupt(run: Counting) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def torn_apart(run: Counting) -> None:
    interrupt(run)
    interrupt(run)


def test_run_steps__reviews_each_step_and_goes_on_from_where_it_was():
    run = Counting(step=2)
    run_steps(run, 5, Progress.silent(), save_every=60)
    assert run.step == 5 and run.reviews == [3, 4, 5] and run.saves == [] and run.seconds > 0


def test_run_steps__saves_now_and_then():
    run = Counting()
    run_steps(run, 3, Progress.silent(), save_every=0)
    assert run.saves == [1, 2, 3]


def test_run_steps__an_interrupt_waits_for_the_end_of_the_step():
    run = Counting({1: interrupt})
    with pytest.raises(KeyboardInterrupt):
        run_steps(run, 5, Progress.silent(), save_every=60)
    assert run.saves == [2] and run.reviews == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_run_steps__one_interrupt_may_arrive_twice():
    run = Counting({1: torn_apart})
    with pytest.raises(KeyboardInterrupt):
        run_steps(run, 5, Progress.silent(), save_every=60)
    assert run.saves == [2] and not run.torn


def test_run_steps__half_a_step_is_never_saved(monkeypatch):
    monkeypatch.setattr(loop, "SAME", -1.0)
    run = Counting({1: torn_apart})
    with pytest.raises(KeyboardInterrupt):
        run_steps(run, 5, Progress.silent(), save_every=60)
    assert run.torn and run.saves == []


def test_wish__leaves_a_handler_of_others_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with GracefulInterrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert heard == [1] and not interrupt.to_stop
    finally:
        signal.signal(signal.SIGINT, before)
