"""The process of the server loads little before it answers."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import runpy, sys
sys.argv = ["start", "version"]
try:
    runpy.run_module("dashboard.server.start", run_name="__main__")
except SystemExit as end:
    assert not end.code
import dashboard.app
print(*sorted({"numpy", "pandas", "plotly.graph_objects", "streamlit"} & set(sys.modules)))
import plotly.graph_objects
"""


def test_start_and_app__load_neither_numpy_nor_pandas_nor_plotly_which_stays_loadable():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "streamlit"
