from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.common.threads import cached_property


class Half:
    """Its left side is computed from the other half, once both halves compute theirs."""

    other: Half
    begun = threading.Barrier(2, timeout=10)

    @cached_property
    def left(self) -> str:
        self.begun.wait()
        return f"left of {self.other.right}"

    @cached_property
    def right(self) -> str:
        return "right"


@pytest.mark.timeout(30)
def test_cached_property__two_threads_do_not_wait_for_each_other():
    """With a lock of the class the second thread would not begin, and the barrier would break."""
    one, other = Half(), Half()
    one.other, other.other = other, one
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(lambda half=half: half.left) for half in (one, other)]
        assert [each.result() for each in found] == ["left of right"] * 2
    assert one.left is one.left and "left" in vars(one)


def test_cached_property__of_a_class_is_itself_and_keeps_the_first_value():
    assert isinstance(Half.right, cached_property)
    half = Half()
    vars(half)["right"] = "kept"
    assert half.right == "kept"
