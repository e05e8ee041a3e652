"""A folder of 1,000 photographs to embeddings on disk: Peregrine's `embed` and four others, end to end.

ResNet-50 with the same random weights and the same view of a picture on all sides, each in a process and an
environment of its own (build/peers), pinned to one core and on two, in turns. Compared are processor seconds
of all its processes, from the start of the interpreter to its end, with what it starts (databases).
Thumbnails and columns of pictures are part of `embed`, and of no other side; so are the maps that it keeps
for `heatmaps`, which `--no-maps` leaves out. Photographs: PEREGRINE_PHOTOGRAPHS.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks import photographs
from benchmarks.peers import environment
from benchmarks.peers.environment import EMBEDDING_ATLAS, FIFTYONE, LIGHTLY_STUDIO, Peer
from benchmarks.results import Absent, Result
from benchmarks.studies import FOLDER
from benchmarks.usage import Usage, measured
from core.store import Study

N_IMAGES, NETWORK = 1000, "ResNet-50"
CORES = ((0,), (0, 1))
GOALS = {"float32": 1.9, "bfloat16": 4.0}  # the fastest other side over ours
MAPS = {"with maps": (), "without maps": ("--no-maps",)}
SETTINGS = "settings: "  # how the line of a side begins that says them
SAME = 1e-4  # relative difference of embeddings
TORCHVISION = Peer("a plain loop of torchvision", "torchvision", ours=True)
SIDES = {
    "plain_loop": TORCHVISION,
    "fiftyone_side": FIFTYONE,
    "lightly_studio_side": LIGHTLY_STUDIO,
    "embedding_atlas_side": EMBEDDING_ATLAS,
}


@dataclass(frozen=True)
class Side:
    """A side that ran: what it took, and (n, 2048) what it wrote."""

    name: str
    used: Usage
    embeddings: np.ndarray


def run() -> Iterator[Result | Absent]:
    pictures = photographs.folder_of(N_IMAGES)
    if isinstance(pictures, str):
        yield Absent("photographs to embeddings", pictures)
        return
    pythons: dict[str, str] = {}
    for module, peer in SIDES.items():
        try:
            pythons[module] = environment.python_for(peer)
        except environment.PeerAbsent as reason:
            yield Absent(peer.name, str(reason))
    for cores in CORES:
        others = [theirs(module, python, pictures, cores) for module, python in pythons.items()]
        for (precision, goal), (maps, options) in product(GOALS.items(), MAPS.items()):
            where = f"{precision} {maps}, {len(cores)} core{'s' * (len(cores) > 1)}"
            try:
                own = ours(pictures, cores, "--precision", precision, *options)
            except RuntimeError as error:  # such as bfloat16 where the processor does not multiply it
                yield Absent(where, str(error).splitlines()[-1])
                continue
            yield compared(own, others, where, goal)
            if precision == "float32":
                apart = max(difference(own.embeddings, side.embeddings) for side in others)
                yield Result(f"{where}: embeddings apart", apart, "", SAME, False, "largest, over their norm")


def theirs(module: str, python: str, pictures: Path, cores: tuple[int, ...]) -> Side:
    out = (FOLDER / f"{module}.npy").resolve()
    weights = str(photographs.weights_of(NETWORK))
    words = [python, "-m", f"benchmarks.peers.folder.{module}", str(pictures), weights, str(out)]
    env = {"PYTHONPATH": str(Path.cwd()), "LIGHTLY_STUDIO_ANALYTICS_ENABLED": "false"}
    with tempfile.TemporaryDirectory() as place:  # LightlyStudio makes its database in the current folder
        used = measured(words, cores, cwd=Path(place), env=env)
    settings = next(line for line in used.output.splitlines() if line.startswith(SETTINGS))
    print(f"  {SIDES[module].name}, {settings}", flush=True)
    return Side(SIDES[module].name, used, np.load(out))


def ours(pictures: Path, cores: tuple[int, ...], *options: str) -> Side:
    study = FOLDER / "folder"
    shutil.rmtree(study, ignore_errors=True)
    given = ["--images", str(pictures), "--encoder", photographs.spec_of(NETWORK)]
    words = [sys.executable, "-m", "core", "embed", str(study), *given, *options]
    return Side("ours", measured(words, cores), np.asarray(Study(study).array("representations")))


def compared(own: Side, others: list[Side], where: str, goal: float) -> Result:
    each = ", ".join(
        f"{side.name} {side.used.processor:.0f} s ({side.used.wall:.0f} s, {side.used.peak_mib:.0f} MiB)"
        for side in (own, *others)
    )
    fastest = min(others, key=lambda side: side.used.processor)
    ratio = fastest.used.processor / own.used.processor
    detail = f"processor time (time, peak memory): {each}"
    return Result(f"{where}: fastest peer / ours", ratio, "x", goal, True, detail)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest distance of an image's embeddings, over their norm."""
    lengths = np.linalg.norm(other, axis=1)
    return float((np.linalg.norm(one - other, axis=1) / lengths).max())
