"""Run the campaign and print its table.

python -m tests.campaign [--seed 0] [--share 1.0] [--only kills,bits] [-o FILE.md]

Ends with 1 where anything was lost, wrong, or refused in more than one line. About an hour of two cores.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.__main__ import machine
from tests.campaign import (
    agents,
    browsers,
    calls,
    changing,
    disks,
    fuzzing,
    killed,
    partners,
    reading,
    rights,
    strangers,
    visitors,
    writing,
)
from tests.campaign.outcome import Outcome, Row

ROWS: dict[str, tuple[str, int, Row]] = {  # name: (fault, how many, what tries it)
    "kills": ("kill -9 at random moments of `analyze`", 100, writing.kills),
    "full_disks": ("full disk: no file beyond a random size", 15, writing.full_disks),
    "two_writers": ("two writers of one study", 8, writing.two_writers),
    "readers_beside": ("all of a study read beside its writer", 30, writing.readers_beside),
    "clocks": ("files of another year", 6, writing.clocks),
    "killed_resume": ("kill -9 of `resume`, up to three in a row", 30, killed.killed_resume),
    "killed_positions": ("kill -9 of `basis --on positions --resume`", 30, killed.killed_positions),
    "changing_images": ("a picture changed, gone, new, cut during `embed`", 40, changing.changing_images),
    "jumping_clock": ("a clock that jumps by hours or years during a command", 24, changing.jumping_clock),
    "clock_of_jobs": ("a clock that jumps between a job's record and a look", 200, changing.clock_of_jobs),
    "read_only": ("a study on a read-only disk", 8, disks.read_only),
    "quotas": ("no room after a random number of bytes in all", 15, disks.quotas),
    "failing_reads": ("every Nth read fails (EIO)", 24, disks.failing_reads),
    "slow_reads": ("1 to 20 ms a read, and kill -9", 8, disks.slow_reads),
    "failing_calls": ("one call to the system fails once, in any command", 600, calls.failing_calls),
    "no_permission": ("an ordinary user who may not read, or not write", 52, rights.no_permission),
    "power": ("the power goes: what was not synced is lost", 30, disks.power),
    "power_words": ("the power goes while notes and slices are saved", 20, disks.power_words),
    "bits": ("one bit flipped, every kind of file", 400, reading.bits),
    "deleted": ("a file deleted under a viewer", 60, reading.deleted),
    "inputs": ("malformed inputs, so many for each of 17 readers", 60, reading.inputs),
    "shards": ("WebDataset shards of strangers", 200, strangers.shards),
    "predictions": ("predictions of strangers", 170, strangers.predictions),
    "fuzz": ("inputs guided by coverage, so many seconds for each of 17 readers", 60, fuzzing.fuzz),
    "addresses": ("hostile addresses of the dashboard", 1000, reading.addresses),
    "agents": ("calls over MCP by HTTP, with and without the token", 200, agents.agents),
    "partners": ("a hostile study as the partner in Compare", 60, partners.partners),
    "exported_runs": ("a hostile study written to trackers", 40, partners.exported_runs),
    "writers": ("four who write on one image or feature at once", 200, browsers.writers),
    "browsers": ("two browsers that write on one image or feature", 24, browsers.browsers),
    "drops": ("drops of up to 100,000 small files", 40, visitors.drops),
}
HEAD = "| fault | tried | refused | lost | wrong | more than one line | seconds | of |"


def line(title: str, found: Outcome, seconds: float) -> str:
    counts = (found.tried, found.refused, found.lost, found.wrong, found.lines, round(seconds))
    return f"| {title} | {' | '.join(f'{count:,}' for count in counts)} | {found.note} |"


def tried(name: str, seed: int, share: float) -> tuple[Outcome, float]:
    """One row of the table, in a folder of its own that goes afterwards."""
    _, n, row = ROWS[name]
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    begin = time.monotonic()
    try:
        return row(np.random.default_rng(seed), max(1, round(n * share)), folder), time.monotonic() - begin
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers of faults")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ROWS))
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args(argv)
    lines = [f"Seed {args.seed}. {machine()}", "", HEAD, f"|{'---|' * 8}"]
    print("\n".join(lines), flush=True)
    holds = True
    for name in args.only:
        module = sys.modules[ROWS[name][2].__module__]
        if not getattr(module, "IS_POSSIBLE", True):
            print(f"{name}: not tried, it needs {module.NEEDS}", file=sys.stderr, flush=True)
            continue
        found, seconds = tried(name, args.seed, args.share)
        lines.append(line(ROWS[name][0], found, seconds))
        print(lines[-1], flush=True)
        holds &= found.holds
        for example in found.examples[:10]:
            print(f"  {name}: {example}", file=sys.stderr, flush=True)
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
