"""What an analysis loads before its first step begins: what is wrong with a command is said without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import ROOT

# Libraries that take more than a tenth of a second to load, beside numpy, pandas and pyarrow.
HEAVY = {
    *("torch", "torchvision", "timm", "numba", "scipy", "sklearn", "umap", "cv2", "lightly"),
    *("open_clip", "pytorch_grad_cam", "plotly", "matplotlib", "streamlit"),
}
CODE = """
import sys

from core.cli import main
from core.study.progress import Progress

def stop(progress, name):
    print("BEFORE", name, *{module.partition(".")[0] for module in sys.modules})
    sys.exit()

Progress.step = stop
main(["analyze", *sys.argv[1:], "--encoder", "asset:efficientnet_lite0", "--device", "cpu"])
"""


@pytest.mark.slow
def test_analyze_loads_no_heavy_library_before_embed(tmp_path: Path):
    words = [str(tmp_path / "study"), "--images", str(tmp_path)]
    printed = subprocess.check_output([sys.executable, "-c", CODE, *words], text=True, cwd=ROOT)
    step, *loaded = printed.partition("BEFORE ")[2].split()
    assert step == "embed" and "pandas" in loaded and not HEAVY & set(loaded)
