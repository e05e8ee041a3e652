"""Files that are no checkpoints are named for what they are; none of them runs code."""

from __future__ import annotations

import argparse
import os
import pathlib
import pickle
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core.encoders.safe_load import read_checkpoint
from core.errors import CheckpointError

WEIGHTS = {"conv1.weight": torch.arange(6.0).reshape(2, 3)}


class Malicious:
    """Pickles as a call of os.system that would leave a file."""

    def __init__(self, target, how=os.system):
        self.target, self.how = target, how

    def __reduce__(self):
        return self.how, (f"touch {self.target}",)


def run_python(text):
    raise AssertionError(f"it was executed: {text}")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("how", [os.system, eval, run_python], ids=["os.system", "eval", "own function"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, zipped, how):
    target, path = tmp_path / "executed", tmp_path / "bad.ckpt"
    file = {"state_dict": WEIGHTS, "config": Malicious(target, how)}
    torch.save(file, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="bad.ckpt'") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_plain_pickle_that_would_run_code_is_refused(tmp_path, protocol):
    target, path = tmp_path / "executed", tmp_path / "bad.ckpt"
    path.write_bytes(pickle.dumps(Malicious(target), protocol=protocol))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_the_stand_in_for_settings_objects_runs_nothing(tmp_path):
    """A framework's settings are skipped, even where their names hide a call."""
    module = types.ModuleType("omegaconf")
    executed = []

    def run(text):
        executed.append(text)

    run.__module__, run.__qualname__ = "omegaconf", "run"
    module.__dict__["run"] = run
    sys.modules["omegaconf"] = module
    try:
        torch.save({"state_dict": WEIGHTS, "cfg": Malicious("x", run)}, tmp_path / "a.ckpt")
    finally:
        del sys.modules["omegaconf"]
    assert torch.equal(
        read_checkpoint(tmp_path / "a.ckpt")["state_dict"]["conv1.weight"], WEIGHTS["conv1.weight"]
    )
    assert executed == [] and "omegaconf" not in sys.modules


def test_a_whole_model_is_refused_with_what_to_do(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"torch.nn.modules.linear.Linear.*state_dict\(\)"):
        read_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_harmless_things_beside_the_weights_are_read(tmp_path, zipped):
    file = {
        "state_dict": OrderedDict(WEIGHTS),
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
        "best": np.float64(0.5),
        "history": np.arange(3),
        "counts": defaultdict(list, a=[1]),
    }
    torch.save(file, tmp_path / "a.pth.tar", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "a.pth.tar")
    assert torch.equal(read["state_dict"]["conv1.weight"], WEIGHTS["conv1.weight"])
    assert read["args"].lr == 0.1 and read["best"] == 0.5


def test_safetensors_whatever_their_name(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "a.ckpt")
    assert torch.equal(read_checkpoint(tmp_path / "a.ckpt")["conv1.weight"], WEIGHTS["conv1.weight"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty \\(0 bytes\\); download"),
        (b"<!DOCTYPE html><html>", "is a web page, not a checkpoint.*download the file itself"),
        (b"\n\n  <HTML>\n", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n",
            "git-lfs pointer.*git lfs pull",
        ),
        (b'{"error": "rate limit exceeded"}', "is a JSON text"),
        (b'{"metadata": {}, "weight_map": {"a": "b"}}', "index of a checkpoint in several files; name it"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0", "is an ONNX model.*--representations"),
        (b"\x1c\x00\x00\x00TFL3" + b"\x00" * 40, "TensorFlow Lite model"),
        (b"\x1f\x8b" + b"0" * 40, "gzip archive; unpack it first"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\x93NUMPY123", "NumPy array"),
        (b"GGUF\x03\x00\x00\x00\x01", "GGUF"),
        (b"\x81\xa6params\x81\xa4conv\x81\xa6kernel", "Flax"),
        (b"\x80\x02 and then nonsense", "not a readable PyTorch checkpoint|cannot be read as plain weights"),
        (b"hello world, these are no weights", "is not a checkpoint: it begins with b'hello world,'"),
        (b"\x00\x01\x02\x03" * 50, "is not a checkpoint: it begins with"),
    ],
    ids=(
        *("empty", "html", "html 2", "lfs", "json", "index", "onnx", "tflite"),
        *("gzip", "hdf5", "npy", "gguf", "flax", "pickle", "text", "noise"),
    ),
)
def test_what_is_no_checkpoint(tmp_path, content, message):
    path = tmp_path / "weights.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    assert "weights.ckpt" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["zip.ckpt", "legacy.ckpt", "tensors.safetensors"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_off_file(tmp_path, name, share):
    path, weights = tmp_path / name, {"a": torch.randn(2000), "b": torch.randn(2000)}
    if name == "tensors.safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=name == "zip.ckpt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="again") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["metadata.json", "config.json", "model.weights.h5"], "Keras"),
        (["a/data/weights/weight_0", "a/models/model.json", "a/data/sample_inputs/model.pt"], "torch.export"),
        (["readme.txt"], "zip archive without"),
    ],
)
def test_an_archive_of_something_else__is_named(tmp_path, members, message):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for member in members:
            archive.writestr(member, "{}")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "a.pt")


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(CheckpointError, match="checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(CheckpointError, match="checkpoint"):
        read_checkpoint(tmp_path)
    save_file({"a": torch.ones(2)}, tmp_path / "model-00001-of-00001.safetensors")
    assert list(read_checkpoint(tmp_path / "model-00001-of-00001.safetensors")) == ["a"]
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="dictionary"):
        read_checkpoint(tmp_path / "list.pt")
