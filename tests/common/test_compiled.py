"""Compiled loops where no cache of them can be written."""

from __future__ import annotations

import numpy as np
import pytest

from core.common import compiled


@pytest.mark.slow
def test_compiled__without_a_cache(monkeypatch):
    import numba

    real = numba.njit

    def njit(function, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(function, **options)

    monkeypatch.setattr(numba, "njit", njit)
    count = compiled._compile(lambda values: values.sum(), {})
    assert count(np.arange(4)) == 6
