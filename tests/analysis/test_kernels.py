"""Compiled loops: numba is loaded only when one is called."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_kernels__importing_the_steps_does_not_load_numba():
    code = "import sys, core.analysis.features_step, core.analysis.probe_step; print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
