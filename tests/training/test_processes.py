"""Two real processes under torchrun's agent, against one that does the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.errors import SettingsError
from core.study.progress import Progress
from core.training import files, methods, process_group
from core.training.setup import start_method
from core.training.trainer import TrainingRun, parts_of_batch, train
from tests.training import worker

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# The two processes add the same float64 numbers in another order. A sum of n terms is then off by at most
# n eps of the terms' absolute sum: n = 64 images x 2 views x 16 x 16 pixels, eps = 2.2e-16, in each of some
# thirty layers forth and back, 5e-10. (In float32 it would be 0.2, and no tolerance would tell a defect.)
ROUNDING = 5e-10


@pytest.fixture(scope="module")
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what two processes wrote: all cases, or only those that are asked for."""
    items = [item for item in request.session.items if item.path == request.path]
    asked = [item.callspec.params.get("case") if hasattr(item, "callspec") else None for item in items]  # pyright: ignore
    cases = [str(case) for case in asked] if all(asked) else list(worker.CASES)
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.training.worker", str(folder), *cases]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=300)
    return folder


@pytest.mark.parametrize("case", worker.CASES)
def test_two_processes__make_the_step_of_one(two, tmp_path, monkeypatch, case):
    source = worker.TinySource()
    monkeypatch.setattr("core.training.setup.open_training_images", lambda config: source)
    monkeypatch.setattr(methods, "in_shuffled_halves", lambda network, views: network(views))
    with worker.double_precision():
        alone = load_file(train(worker.settings(tmp_path, case)))
        torch.manual_seed(0)
        begun = start_method(worker.settings(tmp_path, case)).backbone.state_dict()
    together = load_file(two / f"{case}.safetensors")
    for name, tensor in alone.items():
        step = (tensor.double() - begun[name].double()).norm()
        apart = (tensor.double() - together[name].double()).norm()
        assert apart <= ROUNDING * tensor.double().norm() + 1e-12, name
        assert step > 1e4 * apart or step < 1e-12, name  # so a step that differs is no rounding
    rows = [files.log_path(folder / f"{case}.safetensors").read_text() for folder in (tmp_path, two)]
    first, second = (float(row.splitlines()[1].split(",")[1]) for row in rows)
    assert first == pytest.approx(second, abs=2e-5)


def test_two_processes__hold_the_same_state_and_one_goes_on_with_it(two, tmp_path):
    first, second = json.loads((two / "fingerprints.json").read_text())
    assert first == second
    run = TrainingRun(
        worker.settings(two, "swav", batch_size=32, accumulate=2, epochs=4),
        worker.TinySource(),
        Progress.silent(),
    )
    run.resume()
    method: Any = run.method
    assert run.step == 3 and int(method.n_queued) == 96 and method.queue.abs().sum() > 0
    run.train_step()


def test_two_processes__leave_files_of_one(two):
    names = {path.name for path in two.iterdir() if path.is_file()}
    split = {"domains", "clusters"} & worker.CASES.keys()  # a log of steps, and no head
    weights = {f"{name}.safetensors{end}" for name in worker.CASES for end in ("", ".json", ".csv")}
    weights |= {f"{name}.safetensors.head.safetensors" for name in worker.CASES if name not in split}
    weights |= {f"{name}.safetensors.steps.csv" for name in split}
    assert names == weights | {"swav.safetensors.resume.pt", "fingerprints.json", "rank0.json", "rank1.json"}


@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes__wait_for_the_threads_of_their_group(two, rank):
    threads = json.loads((two / f"rank{rank}.json").read_text())
    assert not [name for name in threads if "gloo" in name]


def test_parts_of_batch__cover_the_batch_once(tiny_config):
    config = tiny_config(batch_size=48, accumulate=3)
    taken = [slice_ for rank in range(4) for slice_ in parts_of_batch(config, rank, 4)]
    assert sorted(row for part in taken for row in range(48)[part]) == list(range(48))
    for part in range(3):  # a micro-batch of all processes is that of one, in the order of the processes
        rows = [row for rank in range(4) for row in range(48)[parts_of_batch(config, rank, 4)[part]]]
        assert rows == list(range(48)[parts_of_batch(config, 0, 1)[part]])
        assert {row // 12 for row in rows} == {0, 1, 2, 3}  # listed by class: each has all
    with pytest.raises(SettingsError, match=r"batch_size.*48.*15.*\(5"):
        parts_of_batch(config, 0, 5)


def test_check_share__one_device_is_not_for_several(monkeypatch):
    with pytest.raises(SettingsError, match="'cuda:1'.*2"):
        process_group.check_share(torch.device("cuda", 1), 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingsError, match="2.*processes.*1"):
        process_group.check_share(torch.device("cuda"), 2)
    process_group.check_share(torch.device("cpu"), 2)


def test_synchronised_norm__is_batch_norm(monkeypatch, rng):
    """Alone, the layer must be torch's: outputs, gradients, running statistics."""
    plain = torch.nn.BatchNorm2d(3)
    ours = torch.nn.BatchNorm2d(3)
    ours.__class__ = type("BatchNorm2d", (process_group._SynchronisedNorm, torch.nn.BatchNorm2d), {})
    images = torch.from_numpy(rng.normal(2.0, 3.0, (5, 3, 4, 4))).float()
    monkeypatch.setattr(process_group, "_summed", lambda values: values)
    for layer in (plain, ours):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
    for momentum in (0.1, None):
        plain.momentum = ours.momentum = momentum
        inputs = [images.clone().requires_grad_() for _ in range(2)]
        outputs = [layer(x) for layer, x in zip((plain, ours), inputs, strict=True)]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            (output.square() * output).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(dict(plain.state_dict()), dict(ours.state_dict()))
    plain.eval()
    ours.eval()
    torch.testing.assert_close(plain(images), ours(images))
