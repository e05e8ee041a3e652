"""Files of a training: resume state, weights, sidecar, log. Each is written aside and then renamed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.common.csv_text import harmless
from core.common.inside import read_json_file, replacing
from core.errors import CheckpointError, SettingsError
from core.training.config import TrainConfig, fixed

COMPANIONS = ("frequency",)  # networks that a method may write beside its backbone


def _beside(ending: str) -> Callable[[Path], Path]:
    """Return the function that names the file of this ending beside the weights."""
    return lambda output: output.with_name(output.name + ending)


resume_path, sidecar_path = _beside(".resume.pt"), _beside(".json")
log_path, steps_path = _beside(".csv"), _beside(".steps.csv")
head_path = _beside(".head.safetensors")


def companion_path(output: Path, name: str) -> Path:
    """Return the path of a further network that a method of training writes beside the encoder."""
    return output.with_name(f"{output.name}.{name}.safetensors")


def kept_path(output: Path, epoch: int) -> Path:
    """Return the path of the weights that are kept after an epoch: encoder-epoch10.safetensors."""
    return output.with_name(f"{output.stem}-epoch{epoch}{output.suffix}")


def all_paths(output: Path) -> tuple[Path, ...]:
    """Return the paths of a finished training's weights and of the files that may lie beside them."""
    beside = (sidecar_path(output), log_path(output), steps_path(output), head_path(output))
    return output, *beside, *(companion_path(output, name) for name in COMPANIONS)


def make_folder(output: Path) -> None:
    """Make the folder of the weights file of a training. Raises SettingsError."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"cannot make the folder '{output.parent}': {error.strerror}. Choose another -o"
        ) from error


def read_state(path: Path) -> dict[str, Any] | None:
    """Read the saved state of a training; None if there is none. Raises CheckpointError."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as reason:
        kind = type(reason).__name__
        raise CheckpointError(f"Cannot read '{path}' ({kind}). Start over with --fresh.") from None


def refuse_other_settings(path: Path, stored: dict[str, Any], requested: dict[str, Any]) -> None:
    """Raise SettingsError where a saved state cannot be resumed with the requested settings."""
    if not set(requested) <= set(stored):
        raise SettingsError(f"'{path}' is of another version of Peregrine. Start over with --fresh.")
    if changed := setting_changes(stored, requested):
        raise SettingsError(
            f"'{path}' was started with other settings ({'; '.join(changed)}). "
            "Change them back, or start over with --fresh."
        )


def setting_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """List the differences between settings of a training: "lr 0.5 -> 0.3"."""
    old, new = _one_level(old), _one_level(new)
    changed = [key for key, value in new.items() if old.get(key) != value]
    return [f"{key} {old.get(key)} -> {new[key]}" for key in changed]


def _one_level(settings: dict[str, Any]) -> dict[str, Any]:
    """Flatten {"augment": {"blur": 0}} to {"augment.blur": 0}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = _one_level(value) if isinstance(value, dict) else None
        flat |= {key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()}
    return flat


def is_complete(output: Path, config: TrainConfig) -> bool:
    """Return True if `output` is the finished training of these settings; other weights are an error.

    Weights of an earlier epoch, whose state could not be saved, are not finished.
    """
    if not output.exists() or resume_path(output).exists():
        return False
    try:
        sidecar = read_json_file(sidecar_path(output))
        settings, n_epochs = sidecar["settings"], int(sidecar["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        settings, n_epochs = {}, 0
    if setting_changes(settings, fixed(config)) or settings.get("epochs") != config.epochs:
        raise SettingsError(
            f"'{output}' exists and holds another training. Choose another -o, or pass --fresh."
        )
    return n_epochs >= config.epochs


def save_weights(tensors: dict[str, Any], path: Path, about: dict[str, str] | None = None) -> None:
    """Write the tensors of a training to a new file that is as readable as any other."""
    path.touch()
    mode = path.stat().st_mode & 0o777
    save_file(tensors, path, metadata=about or {"format": "pt"})
    path.chmod(mode)


def export(
    output: Path, backbone: nn.Module, sidecar: dict[str, Any], *, half: bool, head: nn.Module | None = None
) -> None:
    """Write a trained encoder's bare weights, the sidecar to rebuild it, and the head's weights."""
    if head is not None:
        with replacing(head_path(output), parents=True) as temporary:
            tensors = {name: _storable(tensor, half=False) for name, tensor in head.state_dict().items()}
            first = next(layer for layer in head.modules() if isinstance(layer, nn.Linear))
            about = {"format": "pt", "n_features": str(first.in_features)}
            save_weights(tensors, temporary, about)
    tensors = {name: _storable(tensor, half) for name, tensor in backbone.state_dict().items()}
    with replacing(output, parents=True) as temporary:
        save_weights(tensors, temporary)
    with replacing(sidecar_path(output), parents=True) as temporary:
        temporary.write_text(json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export_companions(output: Path, networks: dict[str, nn.Module], *, half: bool) -> None:
    """Write further networks of a training's method, without sidecar: no study can be made with them."""
    for name, network in networks.items():
        tensors = {key: _storable(tensor, half) for key, tensor in network.state_dict().items()}
        with replacing(companion_path(output, name), parents=True) as temporary:
            save_weights(tensors, temporary)


def write_log(output: Path, rows: list[dict[str, Any]]) -> None:
    """Write the log of a training, one line per epoch; columns that an epoch lacks are empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (
        replacing(log_path(output), parents=True) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: harmless(value) for key, value in row.items()} for row in rows)


def _storable(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor
