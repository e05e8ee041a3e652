"""Compiled loops: numba is loaded only when one is called, and they run where no cache can be written."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from core.analysis.features import kernels


@pytest.mark.slow
def test_kernels__importing_the_steps_does_not_load_numba():
    code = "import sys, core.analysis.features.step, core.analysis.probe.step; print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.slow
def test_kernels__without_a_cache(monkeypatch):
    import numba

    real = numba.njit

    def njit(function, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(function, **options)

    monkeypatch.setattr(numba, "njit", njit)
    count = kernels._compile(lambda values: values.sum(), {})
    assert count(np.arange(4)) == 6
