"""What `test_processes.py` runs in two processes: python -m tests.training.worker FOLDER CASE …"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from core.study.progress import Progress
from core.training import methods, setup
from core.training.config import TrainConfig, from_dict
from core.training.methods import METHODS
from core.training.trainer import TrainingRun, train
from tests.launched import launch
from tests.sampling import sample
from tests.training.conftest import TinySource

OBJECTIVE = {"queue": 24, "queue_from": 0.0, "prototypes": 8, "local_crops": 2, "bottleneck": 6}


EVERY_CASE: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS} | {
    "harder": {"method": "simclr", "objective": {"ifm_epsilon": 0.1}},
    "small": {"method": "simclr", "objective": {"local_pairs": 2}},
    "domains": {"method": "dino", "domains": {"labels": "column:light", "critic_hidden": 8}},
    "clusters": {
        "method": "simclr",
        "domains": {"labels": "cluster", "n_domains": 2, "warmup": 0.0, "every": 1.0, "critic_hidden": 8},
    },
    "lasso": {"method": "simsiam", "regularizer": {"kind": "lasso", "weight": 0.5}},
}
# First one of each way in which processes share: gathered rows, queues, statistics, means, groups of images.
FIRST = ("simsiam", "lasso", "swav", "simclr", "barlow", "clusters")
CASES = {
    name: EVERY_CASE[name] for name in sample((*FIRST, *sorted(EVERY_CASE.keys() - set(FIRST))), len(FIRST))
}


def settings(folder: Path, case: str, **changes: Any) -> TrainConfig:
    """One step of SGD on the tiny world: after more, rounding would be amplified."""
    changes = {**EVERY_CASE[case], **changes}
    objective = {**OBJECTIVE, **changes.pop("objective", {})}
    values = {"epochs": 1, "batch_size": 64, "optimizer": "sgd", "lr": 0.02, "warmup_epochs": 0.0}
    values |= {"head_hidden": 16, "head_out": 12, "image_size": 24, "crop_size": 16, "monitor_every": 1}
    values |= {"device": "cpu", "workers": 1, "half": False, "cache": str(folder / "cache"), **changes}
    values |= {"images": "tiny", "arch": "timm:test_resnet", "objective": objective}
    return from_dict({**values, "output": str(folder / f"{case}.safetensors")})


def use_tiny_world() -> TinySource:
    """Also without MoCo's shuffling, which is drawn for each process by itself."""
    source = TinySource()
    setup.open_training_images = lambda config: source
    methods.in_shuffled_halves = lambda network, views: network(views)
    return source


def fingerprint(run: TrainingRun) -> str:
    """Of everything that a later sitting would need: the same in every process."""
    tensors = [*run.method.state_dict().values(), torch.get_rng_state(), torch.tensor(run.losses)]
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


@contextmanager
def double_precision() -> Iterator[None]:
    """Networks that are made here compute in float64: what differs then is no rounding."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def note_threads(folder: Path) -> None:
    """What still runs beside Python when it ends: a thread of gloo could abort the process (Linux only)."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(names))


def main(folder: Path, cases: list[str]) -> None:
    atexit.register(note_threads, folder)  # what is registered first runs last
    source = use_tiny_world()
    with double_precision():
        for case in cases:
            train(settings(folder, case))
    run = TrainingRun(
        settings(folder, "swav", batch_size=32, accumulate=2, epochs=4), source, Progress.silent()
    )
    for _ in range(3):
        run.train_step()
    run.save()
    prints: list[Any] = [None] * run.fabric.world_size
    torch.distributed.all_gather_object(prints, fingerprint(run))
    if run.fabric.is_global_zero:
        (folder / "fingerprints.json").write_text(json.dumps(prints))


if __name__ == "__main__":
    for name in ("lightning_fabric", "sklearn.cluster"):  # once for both processes
        importlib.import_module(name)
    launch(main, Path(sys.argv[1]), sys.argv[2:])
