"""The projection head that a training writes beside its encoder: what the method's loss compares.

FILE.head.safetensors holds the weights; which head it is follows from the settings in FILE.json.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.common.inside import read_json_file
from core.errors import CheckpointError, PeregrineError
from core.training import files
from core.training.config import TrainConfig, from_dict
from core.training.methods.registry import build_method
from core.training.regularizers.penalty import head_of


def recorded_config(checkpoint: Path) -> TrainConfig | None:
    """Return the settings of the training that wrote a checkpoint; None without a readable sidecar."""
    try:
        sidecar = read_json_file(files.sidecar_path(checkpoint))
        settings = sidecar["settings"]
        present_settings = {
            name: value for name, value in settings.items() if name in TrainConfig.__dataclass_fields__
        }
        return from_dict({**present_settings, "images": sidecar.get("images", ""), "output": str(checkpoint)})
    except (OSError, ValueError, KeyError, TypeError, PeregrineError):
        return None


def load_head(checkpoint: Path, *, device: str | torch.device = "cpu") -> nn.Module | None:
    """Rebuild the head of a trained encoder, in eval mode; None where the training wrote none.

    Raises:
        CheckpointError: the file cannot be read, or is not the head of this training.
    """
    path, config = files.head_path(checkpoint), recorded_config(checkpoint)
    if not path.exists() or config is None:
        return None
    try:
        weights = load_file(path)
        with safe_open(path, framework="pt") as file:
            n_features = int(file.metadata()["n_features"])
        head = head_of(build_method(config.method, nn.Identity(), n_features, config))
        assert head is not None
        head.load_state_dict(weights)
    except (PeregrineError, SafetensorError, AssertionError, LookupError, TypeError, RuntimeError) as error:
        kind = type(error).__name__
        raise CheckpointError(f"'{path}' is not the head of this training ({kind}). Train it again") from None
    return head.eval().requires_grad_(False).to(device)


@torch.no_grad()
def unit_outputs(head: nn.Module | None, raw: Tensor, *, at_once: int = 4096) -> Tensor:
    """Outputs of the head, scaled to length 1; without a head, the raw rows themselves are scaled.

    Args:
        raw: (n, n_features) float.
    Returns:
        (n, d) float32 on the CPU; a row of length 0 stays 0.
    """
    device = torch.device("cpu") if head is None else next(head.parameters()).device
    parts = [part.to(device).float() for part in raw.split(at_once)]
    return torch.cat([normalize(part if head is None else head(part), dim=1).cpu() for part in parts])
