"""The state of a training in small files, for a machine that is given back after each loan.

The state that resumes a training to the bit holds the weights and the optimiser's momentum in single
precision: 90 MB for a ResNet-18. The one here holds the weights in half precision and no momentum, which SGD
regains in some tens of steps.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from core.common.inside import replacing
from core.errors import PeregrineError
from core.training.files import read_state, resume_path

MIB = 1024**2


def lean(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with half the precision and without the optimiser's; the trainer resumes from it too."""
    halved = {
        name: value.half() if value.is_floating_point() else value for name, value in state["method"].items()
    }
    return state | {"method": halved, "optimiser": state["optimiser"] | {"state": {}}}


def pack(output: Path, folder: Path, piece_mib: float) -> list[Path]:
    """Write what a training has reached to `folder` in pieces: its lean state, or else its finished weights.

    Args:
        output: the weights file of the training. piece_mib: most MiB of a piece.
    Returns:
        the pieces; none for a training that has not begun.
    """
    state, buffer = read_state(resume_path(output)), io.BytesIO()
    if state is not None:
        torch.save(lean(state), buffer)
    elif output.exists():
        buffer.write(output.read_bytes())
    else:
        return []
    name = resume_path(output).name if state is not None else output.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{output.name}*.part*"):
        old.unlink()
    whole, size = buffer.getvalue(), int(piece_mib * MIB)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    paths = [folder / f"{name}.part{number:02d}of{len(pieces):02d}" for number in range(1, len(pieces) + 1)]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    return paths


def unpack(folder: Path, output: Path) -> Path | None:
    """Join the pieces of `folder` to a training's state or weights, unless either is there.

    Raises:
        PeregrineError: a piece is missing.
    """
    pieces = sorted(folder.glob(f"{output.name}*.part*"))
    if not pieces or output.exists() or resume_path(output).exists():
        return None
    name, _, counted = pieces[0].name.rpartition(".part")
    n = int(counted.partition("of")[2])
    expected = [f"{name}.part{number:02d}of{n:02d}" for number in range(1, n + 1)]
    if [piece.name for piece in pieces] != expected:
        raise PeregrineError(f"{folder}: {len(pieces)} pieces of {name}, expected {n}. Bring all of them")
    target = output.with_name(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, parents=True) as temporary:
        temporary.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return target
