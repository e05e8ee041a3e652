"""Costs of whole steps: every comparison runs at a tiny size, and ratios are within rounds of turns."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks import step_ratios
from benchmarks.step_ratios import (
    Size,
    attention,
    criteria,
    disentangled,
    full_graphs,
    in_turns,
    ranks,
    ratio,
)

TINY = Size(batch=8, side=32, arch="timm:test_resnet", rounds=2)


def test_in_turns__reverses_the_order_and_times_a_step_of_processor_time(monkeypatch):
    done: list[str] = []
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(step_ratios.time, "process_time", lambda: next(clock))
    times = in_turns({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, rounds=2, steps=2)
    assert "".join(done) == "ab" + "aabb" + "bbaa"  # the first of each is not timed
    assert {name: seconds.tolist() for name, seconds in times.items()} == {"a": [1, 1], "b": [1, 1]}


def test_in_turns__gives_the_threads_back():
    before = torch.get_num_threads()
    seen: list[int] = []
    in_turns({"work": lambda: seen.append(torch.get_num_threads())}, rounds=1)
    assert set(seen) == {1} and torch.get_num_threads() == before


def test_ratio__is_the_median_of_the_ratios_within_rounds():
    found = ratio("x", np.array([2.0, 40.0, 3.3]), np.array([2.0, 20.0, 3.0]), 1.05)
    assert found.value == pytest.approx(1.1) and not found.holds and "3000 ms a plain step" in found.detail


def test_full_graphs__fill_the_context_with_relations_of_two_objects():
    graphs = full_graphs(20, 24)
    assert (1 + graphs.n_nodes + graphs.n_predicates == 24).all() and len(graphs.triples) == sum(
        graphs.n_predicates
    )
    image, subject, other, predicate = graphs.triples.T
    assert (subject != other).all() and (np.maximum(subject, other) < graphs.n_nodes[image]).all()
    assert (predicate < graphs.n_predicates[image]).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", step_ratios.METHODS)
def test_disentangled__is_a_whole_step_of_each_side(method, monkeypatch):
    """The critic takes its step, the encoder moves, and the domains enter one side alone."""
    made = []
    real = step_ratios.training_step
    monkeypatch.setattr(
        step_ratios,
        "training_step",
        lambda *args, **settings: made.append(settings) or real(*args, **settings),
    )
    found = disentangled(method, "tiny", TINY)
    assert found.value > 0 and found.goal == 1.3 and method in found.name
    assert [one["method"] for one in made] == [method] * 2 and ["domains" in one for one in made] == [
        False,
        True,
    ]


def test_training_step__moves_the_encoder_and_the_critic(monkeypatch):
    from core.research.domains_disentangled import Disentangled
    from core.research.domains_labels import DomainLabels
    from core.training import setup

    made = []
    real = setup.start_method
    monkeypatch.setattr(setup, "start_method", lambda *args: made.append(real(*args)) or made[-1])
    labels = DomainLabels(np.arange(8) % 2, ("a", "b"))
    step = step_ratios.training_step(
        TINY, partial(Disentangled, labels=labels), domains={"labels": "column:domain"}
    )
    before = [weight.clone() for weight in made[0].backbone.parameters()]
    step()
    assert any(not torch.equal(a, b) for a, b in zip(before, made[0].backbone.parameters(), strict=True))
    assert int(made[0].critic.n_steps) == 1


@pytest.mark.slow
def test_criteria__compares_each_with_the_same_plain_step():
    found = list(criteria("tiny", TINY))
    assert [result.name for result in found] == [
        *("IFM default, tiny", "IFM norm, tiny", "IFM pre_norm, tiny", "hard negatives, tiny")
    ]
    assert all(result.value > 0 and result.goal == 1.05 for result in found)
    assert len({result.detail.rpartition(";")[2] for result in found}) == 1


@pytest.mark.slow
def test_ranks_and_attention__run_at_a_tiny_size():
    found = ranks(4, 12, rounds=2)
    assert found.unit == "ms" and found.value > 0 and found.name == "4 rank matrices of 12 tokens"
    found = attention(11, batch=4, rounds=2)
    assert found.value > 0 and found.goal == 1.1 and "11 tokens" in found.name
