"""Read a checkpoint file without running any code from it."""

import argparse
import collections
import contextlib
import io
import pathlib
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.common.inside import parse_json
from core.encoders.hugging_face_files import weight_files
from core.errors import CheckpointError

RESAVE = "re-save the weights alone where you trust the file: torch.save(model.state_dict(), PATH)"
# Settings objects that training frameworks store beside the weights. They are never imported: an inert
# stand-in replaces them.
INERT_PACKAGES = (
    "omegaconf", "pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "mmcv",
    "mmengine", "vissl", "classy_vision", "fvcore", "yacs", "addict", "typing",
)  # fmt: skip
OTHER_LIBRARY = (
    "name a PyTorch checkpoint of the same network, or compute representations with it and give them to "
    "--representations"
)
# How files begin that hold no state dict: from which byte, with what; what they are and what to do.
BEGINNINGS = (
    (0, b"\x1f\x8b", "a gzip archive; unpack it first"),
    (0, b"BZh", "a bzip2 archive; unpack it first"),
    (0, b"\xfd7zXZ", "an xz archive; unpack it first"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"\x89HDF", f"an HDF5 (Keras) file; {OTHER_LIBRARY}"),
    (0, b"\x93NUMPY", "a NumPy array; representations go to --representations"),
    (4, b"TFL3", f"a TensorFlow Lite model; {OTHER_LIBRARY}"),
    (0, b"GGUF", f"a GGUF file of llama.cpp; {OTHER_LIBRARY}"),
    (1, b"\xa6params", f"Flax weights (msgpack); {OTHER_LIBRARY}"),
    (1, b"\xa5model", f"Flax weights (msgpack); {OTHER_LIBRARY}"),
)
# Members of zip archives that are no checkpoint of torch.save.
MEMBERS = {
    "constants.pkl": f"a TorchScript archive, which is a program; {RESAVE.replace('model.', 'scripted.')}",
    "models/model.json": (
        "a program of torch.export; where you trust it: "
        "torch.save(torch.export.load(PATH).state_dict, WEIGHTS), and name those"
    ),
    "model.weights.h5": f"a Keras model; {OTHER_LIBRARY}",
}
MAX_INERT = 64
MOST_HEADER = 1 << 20  # bytes of a line before a checkpoint


class NoStateDict(CheckpointError):
    """A file of something else than weights by their names; the message says how those are written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; {RESAVE}")


class Inert:
    """Stand-in for an unneeded object of a framework: it accepts anything and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


POINTER = b"version https://git-lfs"
IS_POINTER = "is a git-lfs pointer, not the file itself; run `git lfs pull` in its repository"


def _plain_dict(*_factory: Any) -> dict[Any, Any]:
    """Replace a defaultdict, whose items torch's reader only writes into a plain dictionary."""
    return {}


def _allowed() -> list[Any]:
    # the functions behind pickled numpy scalars and arrays, wherever this numpy version keeps them
    scalar, rebuild = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    numpy: list[Any] = [np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdUSO"}]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        numpy += [(scalar, f"{module}.scalar"), (rebuild, f"{module}._reconstruct")]
    paths = [
        (pathlib.PurePosixPath, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    ]
    plain = [dict, list, tuple, int, float, bool, str, (_plain_dict, "collections.defaultdict")]
    return [argparse.Namespace, collections.OrderedDict, *plain, *numpy, *paths]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read the dictionary in a checkpoint (.safetensors, .pth, .pt, .ckpt …) without running its code.

    A checkpoint in several files is read by its index or its folder.

    Raises:
        CheckpointError: the file is missing, is something else (a web page, a git-lfs pointer, a truncated
            download, TorchScript …), or reading it would run code. Nothing in it is executed.
    """
    files = weight_files(Path(path))
    if list(files.values()) == [None]:
        return _read_file(next(iter(files)))
    parts: dict[str, Any] = {}
    for file, keys in files.items():
        part = _read_file(file)
        if lacking := next((key for key in keys or () if key not in part), None):
            raise CheckpointError(f"'{file}' lacks '{lacking}', which its index promises; download it again")
        parts |= {key: part[key] for key in keys or ()}
    return parts


def _read_file(path: Path) -> dict[str, Any]:
    kind = _kind(path)
    loaded = _read_safetensors(path) if kind == "safetensors" else _read_torch(path, zipped=kind == "zip")
    if isinstance(loaded, torch.nn.Module) or not isinstance(loaded, dict):
        raise NoStateDict(f"'{path}' holds a {type(loaded).__name__}, not a dictionary")
    return loaded


def read_after_header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a checkpoint without running code that it names, behind a line of JSON (saev): two dictionaries.

    Raises:
        CheckpointError: as `read_checkpoint`, or the line is no JSON object.
    """
    with path.open("rb") as file:
        line = file.readline(MOST_HEADER)
        behind = io.BytesIO(file.read())
    try:
        header = parse_json(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise CheckpointError(f"'{path}' does not begin with a line of JSON; download or copy it again")
    state = _read_torch(path, zipped=behind.getvalue()[:2] == b"PK", content=behind)
    if not isinstance(state, dict):
        raise NoStateDict(f"'{path}' holds a {type(state).__name__}, not a dictionary")
    return header, state


def _kind(path: Path) -> str:
    if not path.exists():
        raise CheckpointError(f"no checkpoint at '{path}'")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from error
    problem = _not_a_checkpoint(head, path.suffix.lower())
    if problem:
        raise CheckpointError(f"'{path}' {problem}")
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"PK"):
        return "zip"
    if head[0] != 0x80:  # torch has always written binary pickles
        raise CheckpointError(
            f"'{path}' is not a checkpoint: it begins with {head[:12]!r}; name the weights file"
        )
    return "pickle"


def _not_a_checkpoint(head: bytes, suffix: str = "") -> str | None:
    """Describe what a file is if it is not a checkpoint, and what to do; None if it may be one."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty (0 bytes); download or copy it again"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        return "is a web page, not a checkpoint: the page of the link was saved; download the file itself"
    if text.startswith(POINTER):
        return IS_POINTER
    if text.startswith(b"{") and b"weight_map" in head:
        return "is the index of a checkpoint in several files; name it NAME.index.json, beside them"
    if text.startswith((b"{", b"[")) and head[8:9] != b"{":
        return "is a JSON text, not a checkpoint; name the weights file"
    for start, begins, what in BEGINNINGS:
        if head[start:].startswith(begins):
            return f"is {what}"
    if suffix == ".onnx" or re.match(rb"\x08[\x01-\x20]\x12.(pytorch|tf2onnx|onnx|skl2onnx)", head):
        return (
            "is an ONNX model, which holds no state dict; name the checkpoint that it was exported from, or "
            "compute representations with it and give them to --representations"
        )
    return None


def _read_safetensors(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = file.read(min(length, 100_000_000))
    try:
        names = parse_json(header)
        end = max(
            (entry["data_offsets"][1] for key, entry in names.items() if key != "__metadata__"), default=0
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"'{path}' is not a safetensors file (its header cannot be read)") from None
    if path.stat().st_size < 8 + length + end:
        raise CheckpointError(f"'{path}' is truncated; download or copy it again")
    try:
        return dict(load_file(path, device="cpu"))
    except SafetensorError as error:
        raise CheckpointError(f"'{path}' is not a readable safetensors file: {_first_line(error)}") from error


def _read_torch(path: Path, *, zipped: bool, content: io.BytesIO | None = None) -> Any:
    if zipped and content is None:
        _refuse_other_archives(path)
    stubs: list[Any] = []
    while True:
        try:
            if content is not None:
                content.seek(0)
            return _load(content or path, stubs, mmap=zipped and content is None)
        except pickle.UnpicklingError as error:
            refused_name = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", str(error))
            global_name = refused_name[1] if refused_name else None
            if (
                global_name is None
                or global_name.split(".")[0] not in INERT_PACKAGES
                or len(stubs) == MAX_INERT
            ):
                raise _refusal(path, global_name, str(error)) from None
            stubs.append((type("Inert", (Inert,), {}), global_name))
        except OSError as error:
            raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from error
        except Exception as error:  # torch raises any kind of error on a damaged pickle
            raise CheckpointError(
                f"'{path}' is not a readable PyTorch checkpoint: it is truncated or has another format "
                f"({type(error).__name__}: {_first_line(error)[:120]}); download or copy it again"
            ) from None


def _load(path: Path | io.BytesIO, stubs: list[Any], *, mmap: bool) -> Any:
    with torch.serialization.safe_globals([*_allowed(), *stubs]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unusual pickle protocol does not concern the user
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def _refuse_other_archives(path: Path) -> None:
    names: list[str] = []
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if not names:
        raise CheckpointError(f"'{path}' is truncated; download or copy it again")
    for member, what in MEMBERS.items():
        if any(name.endswith(member) for name in names):
            raise CheckpointError(f"'{path}' is {what}")
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(f"'{path}' is a zip archive without a PyTorch checkpoint; unpack it first")


def _refusal(path: Path, global_name: str | None, message: str) -> CheckpointError:
    if global_name is None and re.search(
        r"Unsupported class|Trying to (instantiate|call)|not allowed", message
    ):
        global_name = "an object outside the allowlist"
    if global_name is None:
        return NoStateDict(
            f"'{path}' is refused: its pickle cannot be read as plain weights ({_first_line(message)[:120]})"
        )
    if global_name.split(".")[0] == "torchao":
        return CheckpointError(
            f"'{path}' is quantised by torchao; save the weights before they are quantised"
        )
    if global_name.split(".")[0] in ("jax", "jaxlib", "haiku", "flax"):
        return CheckpointError(
            f"'{path}' is a JAX pickle; convert it to a PyTorch state dict first, it is not unpickled here"
        )
    return NoStateDict(f"'{path}' is refused: its pickle asks for {global_name}, which could run code")


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Weights only load", "Please file"))] or lines
    return lines[0] if lines else type(error).__name__
