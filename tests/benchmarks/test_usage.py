import sys
import time
from pathlib import Path

import pytest

from benchmarks.usage import measured, running, so_far

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="processes of Linux"),
]
WORK = "import time\nheld = bytearray(96 << 20)\nwhile time.process_time() < 1: pass\nprint('done')"
# Starts a process that works and one that would stay, and ends before both.
LEAVES = """import subprocess, sys
subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
"""


def test_usage__counts_what_the_command_starts_and_ends_what_it_leaves():
    began = time.monotonic()
    used = measured([sys.executable, "-c", LEAVES, WORK], [0])
    assert used.output.strip() == "done"
    assert 1 <= used.processor < 3
    assert 96 <= used.peak_mib < 200
    assert used.wall <= time.monotonic() - began < 300  # what it left did not have to end by itself


def test_usage__of_a_command_that_fails_is_an_error_with_its_words():
    with pytest.raises(RuntimeError, match="no such thing"):
        measured([sys.executable, "-c", "raise SystemExit('no such thing')"], [0])


def test_usage__of_a_server_so_far():
    with running([sys.executable, "-c", f"{WORK}\nimport time; time.sleep(600)"]) as pid:
        deadline = time.monotonic() + 60
        while so_far(pid)[0] < 0.9 and time.monotonic() < deadline:
            time.sleep(0.05)
        seconds, mib = so_far(pid)
    assert 0.9 <= seconds < 3
    assert 96 <= mib < 200
    assert so_far(pid) == (0, 0)
