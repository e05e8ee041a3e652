"""What numba compiles of other packages is kept on disk, a folder for each set of their versions."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PACKAGE = """
import numba

@numba.njit(fastmath=True)
def doubled(x):
    return 2 * x
"""
SCRIPT = """
import json, numba
from core.common.compiled import compiled_on_disk

plain, usual = numba.njit, numba.config.CACHE_DIR
with compiled_on_disk("scipy"):
    import of_others
of_others.doubled(3.0)
stats = of_others.doubled.stats
restored = numba.njit is plain and numba.config.CACHE_DIR == usual
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), restored]))
"""


@pytest.mark.slow
def test_the_second_process_compiles_nothing(tmp_path):
    (tmp_path / "of_others.py").write_text(PACKAGE)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())])
    environment = {**os.environ, "PYTHONPATH": paths, "PEREGRINE_CACHE": str(tmp_path / "cache")}

    def run() -> list[object]:
        made = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(made.stdout)

    assert run() == [0, 1, True]
    assert len(list((tmp_path / "cache").glob("numba-*"))) == 1
    assert run() == [1, 0, True]
