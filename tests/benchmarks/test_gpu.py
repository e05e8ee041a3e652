"""`python -m benchmarks.gpu` without a GPU: all of it at tiny sizes, stopped, resumed, packed, unpacked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import bench, timed, travel
from core.errors import PeregrineError
from core.training import files


def a_state(seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    method = {"weight": torch.randn(40, 50, generator=generator), "seen": torch.tensor(7)}
    momentum = {"state": {0: {"momentum_buffer": torch.ones(40, 50)}}, "param_groups": [{"lr": 0.1}]}
    return {"step": 12, "method": method, "optimiser": momentum, "rows": [{"epoch": 1}]}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The weights file of a training that was interrupted."""
    path = tmp_path / "here" / "encoder.safetensors"
    path.parent.mkdir()
    torch.save(a_state(), files.resume_path(path))
    return path


def test_lean__keeps_all_but_precision_and_momentum():
    whole, small = a_state(), travel.lean(a_state())
    torch.testing.assert_close(
        small["method"]["weight"].float(), whole["method"]["weight"], rtol=1e-3, atol=0
    )
    assert small["optimiser"] == {"state": {}, "param_groups": [{"lr": 0.1}]}
    assert {name: small[name] for name in ("step", "rows")} == {
        name: whole[name] for name in ("step", "rows")
    }


def test_pack__unpacks_elsewhere_to_a_state_that_is_read(output, tmp_path):
    pieces = travel.pack(output, tmp_path / "travel", 1 / 1024)
    assert len(pieces) > 2 and all(path.stat().st_size <= 1024 for path in pieces)
    there = tmp_path / "there" / output.name
    assert travel.unpack(tmp_path / "travel", there) == files.resume_path(there)
    state = files.read_state(files.resume_path(there))
    assert state is not None and state["step"] == 12
    assert torch.equal(state["method"]["weight"], a_state()["method"]["weight"].half())
    assert travel.unpack(tmp_path / "travel", there) is None  # what is there stays


def test_pack__of_a_finished_training_holds_its_weights(output, tmp_path):
    travel.pack(output, tmp_path / "travel", 1 / 1024)
    files.resume_path(output).unlink()
    assert travel.pack(output.with_name("other"), tmp_path / "none", 1) == []
    output.write_bytes(b"weights")
    assert len(travel.pack(output, tmp_path / "travel", 1)) == 1  # and no piece of the state is left
    there = tmp_path / "there" / output.name
    assert travel.unpack(tmp_path / "travel", there) == there and there.read_bytes() == b"weights"


def test_unpack__a_missing_piece_is_an_error(output, tmp_path):
    travel.pack(output, tmp_path / "travel", 1 / 1024)[1].unlink()
    with pytest.raises(PeregrineError, match="encoder.safetensors.resume.pt"):
        travel.unpack(tmp_path / "travel", tmp_path / "there" / output.name)


def test_run_within__done_failed_and_stopped(tmp_path):
    log = tmp_path / "log"
    assert timed.run_within(["-c", "print('hello')"], log, 60) == timed.DONE
    assert timed.run_within(["-c", "raise SystemExit(3)"], log, 60) == timed.FAILED
    waits = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('state saved')"
    assert timed.run_within(["-c", waits], log, 1) == timed.STOPPED
    assert timed.run_within(["-c", "print('never')"], log, 0) == timed.STOPPED
    said = log.read_text(encoding="utf-8").splitlines()
    assert "hello" in said and "state saved" in said and "never" not in said


def test_clock__ends_at_zero():
    assert 59 < timed.Clock(1).left <= 60 and timed.Clock(0).left == 0


@pytest.mark.slow
@pytest.mark.exhaustive("the tests above run its stages, those of core.training its training")
def test_dry_run__does_all_of_it_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "NAMES", ("training",))
    monkeypatch.setattr(gpu, "TESTS", gpu.TESTS[:1])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    words = ["--dry-run", "-o", str(tmp_path), "--pieces", "0.1"]
    gpu.main([*words, "--minutes", "0"])
    begun = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["stages"]
    assert {name: stage["state"] for name, stage in begun.items()} == dict.fromkeys(gpu.STAGES, timed.STOPPED)

    gpu.main([*words, "--minutes", "8"])
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["stages"]
    assert {name: stage["state"] for name, stage in found.items()} == dict.fromkeys(gpu.STAGES, timed.DONE)
    assert "passed" in found["tests"]["result"]
    assert [row["name"] for row in found["benchmarks"]["result"]["training"]]
    assert found["training"]["result"]["epochs"] == 2 and 0 <= found["study"]["result"]["top1"] <= 1
    assert {path.name.partition(".part")[0] for path in (tmp_path / "travel").glob("*.part*")} == {
        "simclr_cifar10.safetensors"
    }
    capsys.readouterr()
    gpu.main([*words, "--minutes", "8"])
    assert capsys.readouterr().out.count("done before") == len(gpu.STAGES)
