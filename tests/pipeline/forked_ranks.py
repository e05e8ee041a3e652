"""Commands of ours in several processes, as torchrun starts them, forked from one that has imported all.

`python -m tests.pipeline.forked_ranks` reads runs from its input, each a line of JSON, [n, [word, …],
{environment}]. It forks n processes, waits for them, and prints a line of JSON: their exit codes, and what
each printed. One process is no fork: what it has compiled and loaded, later ones have, too.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import core.cli

SMALL = {  # chunks and batches of so few images that each process gets some
    "core.analysis.representations": {"CHUNK_ROWS": 32},
    "core.concepts.search_index": {"CHUNK_ROWS": 32},
    "core.analysis.heatmaps_step": {"CHUNK_IMAGES": 20},
    "core.analysis.overlap_measuring": {"BATCH_PIXELS": 1 << 14},
    "core.bases.encoding": {"IMAGES": 20},
    "core.concepts.crops": {"BATCH_IMAGES": 8, "CROPS_A_FILE": 60},
}
MOST_SECONDS = 900
KILLED, SLOW, BLIND, RESTARTED, SHORT = "KILLED", "SLOW", "BLIND", "RESTARTED", "SHORT"  # see `in_trouble`
RESTARTS = "RESTARTS"  # one process is torchrun's agent, which starts its two this often again
MOMENTS = (
    ("core.common.worker_group", "_send"),
    ("core.common.worker_group", "_receive"),
    ("core.study.chunked_array", "write_chunk"),
)


def make_chunks_small() -> None:
    for module, values in SMALL.items():
        for name, value in values.items():
            setattr(importlib.import_module(module), name, value)


def in_trouble(words: list[str]) -> list[str]:
    """What the environment asks for.

    A moment is a message between processes, or a chunk that is written. KILLED: "RANKS N": those processes
    ("2" or "2,3") end by SIGKILL at their Nth moment; torchrun counts restarts, and in the second try they
    live. SLOW: "RANK S": that process waits S seconds at each moment. BLIND: the folder that the second
    process has in place of --images. RESTARTED: torchrun has started the second process more often than the
    first, as on another machine. SHORT: `demo` runs the first two steps on few images.
    """
    rank, second = os.environ.get("RANK", "0"), os.environ.get("RANK") == "1"
    killed, moment = os.environ.get(KILLED, "none 0").split()
    slow, seconds = os.environ.get(SLOW, "none 0").split()
    if rank in killed.split(",") and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        _at_moments(lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == int(moment) else None)
    if slow == rank:
        _at_moments(lambda _: time.sleep(float(seconds)))
    if RESTARTED in os.environ and second:
        os.environ["TORCHELASTIC_RESTART_COUNT"] = "1"
    if BLIND in os.environ and second:
        words[words.index("--images") + 1] = os.environ[BLIND]
    if SHORT in os.environ:
        demo: Any = importlib.import_module("core.pipeline.run")
        pipeline: Any = importlib.import_module("core.pipeline.run")
        demo.SETTINGS["images"] = "glyphworld?train=64&val=32"
        pipeline.STEPS = dict([*pipeline.STEPS.items()][:2])
        pipeline.in_analysis = lambda: [*pipeline.STEPS]
    return words


def _at_moments(happens: Callable[[int], None]) -> None:
    """Call `happens` with 1, 2 … at each moment, before what is done there."""
    numbers = itertools.count(1)

    def later(work: Callable[..., Any], *args: Any) -> Any:
        happens(next(numbers))
        return work(*args)

    for name, function in MOMENTS:
        module = importlib.import_module(name)
        setattr(module, function, partial(later, getattr(module, function)))


def command(words: list[str]) -> int:
    """One process of a group, or the only one."""
    make_chunks_small()
    return core.cli.main(in_trouble(words))


def _fork(words: list[str], environment: dict[str, str], files: list[Path]) -> int:
    if pid := os.fork():
        return pid
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(environment)
    try:
        code = _launched(words) if RESTARTS in environment else command(words)
        atexit._run_exitfuncs()
        threads = [comm.read_text() for comm in Path("/proc/self/task").glob("*/comm")]
        assert not [name for name in threads if "gloo" in name]  # they abort a Python that ends
    except BaseException:
        code = 1
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)  # to free what it shares with the others would cost a second; torchrun's free it


def _launched(words: list[str]) -> int:
    from tests.launched import launch

    launch(command, words, max_restarts=int(os.environ[RESTARTS]))
    return 0


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def run_here(words: list[str]) -> dict[str, list[Any]]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command(words)
    return {"codes": [code], "out": [out.getvalue()], "err": [err.getvalue()]}


def run(n: int, words: list[str], environment: dict[str, str]) -> dict[str, list[Any]]:
    if n == 1 and RESTARTS not in environment:
        return run_here(words)
    folder = Path(tempfile.mkdtemp())
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(n)}
    group["LOCAL_WORLD_SIZE"] = str(n)
    pids, outputs = [], []
    for rank in range(n):
        own = {**group, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        files = [folder / f"{rank}.out", folder / f"{rank}.err"]
        pids.append(_fork(words, {**own, **environment}, files))
        outputs.append(files)
    codes, end = dict.fromkeys(pids), time.monotonic() + MOST_SECONDS
    while None in codes.values() and time.monotonic() < end:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in codes:
            codes[pid] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    for pid in (pid for pid, code in codes.items() if code is None):  # one that waits for ever
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    texts = [[file.read_text() for file in files] for files in outputs]
    return {"codes": [*codes.values()], "out": [out for out, _ in texts], "err": [err for _, err in texts]}


def main() -> None:
    make_chunks_small()  # imports what a step needs, once for all processes
    for name in ("pipeline.run", "concepts.concepts_step", "analysis.overlap_step", "bases.requests"):
        importlib.import_module(f"core.{name}")
    for line in sys.stdin:
        n, words, environment = json.loads(line)
        print(json.dumps(run(n, words, environment)), flush=True)


if __name__ == "__main__":
    main()
