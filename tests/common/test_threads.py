"""Work in threads: results in order, few of them at once, and errors as they are raised."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from core.common import threads
from core.common.threads import map_in_order


@pytest.mark.parametrize("n_threads", [1, 4])
def test_map_in_order__yields_in_order_and_asks_for_few_items_ahead(monkeypatch, n_threads):
    monkeypatch.setattr(threads, "own_threads", lambda: n_threads)
    asked: list[int] = []

    def items() -> Iterator[tuple[int, int]]:
        for number in range(20):
            asked.append(number)
            yield number, 1

    def work(number: int, more: int) -> int:
        time.sleep(0.002 * (number % 3))  # later items may be ready first
        assert torch.get_num_threads() == 1
        return number + more

    results = map_in_order(work, items())
    assert next(results) == 1 and len(asked) <= n_threads + 1
    assert list(results) == list(range(2, 21))


@pytest.mark.parametrize("n_threads", [1, 4])
def test_map_in_order__raises_the_error_of_an_item_after_the_results_before_it(monkeypatch, n_threads):
    monkeypatch.setattr(threads, "own_threads", lambda: n_threads)
    before = torch.get_num_threads()
    results = map_in_order(lambda number: 12 // number, ((number,) for number in (3, 2, 0, 1)))
    assert [next(results), next(results)] == [4, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert torch.get_num_threads() == before
