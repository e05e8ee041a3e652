"""Read what is recorded beside the weights of a study's encoder. No torch."""

from pathlib import Path
from typing import Any

from core.common.assets import asset
from core.common.inside import read_json_file
from core.encoders.spec import parse_spec
from core.errors import PeregrineError

LARGEST = 1 << 20  # bytes of a sidecar; ours have 4 kB


def sidecar_settings(spec: str) -> dict[str, Any]:
    """Return the training settings in the sidecar of a SPEC's checkpoint; empty if there are none.

    The SPEC may come from a foreign study: only a small regular JSON file is read.
    """
    try:
        parsed = parse_spec(spec)
        shipped = asset(f"encoders/{Path(parsed.name).name}.safetensors")
        path = shipped if parsed.family == "asset" else parsed.checkpoint
        if path is None or parsed.family == "python":
            return {}
        sidecar = path.with_name(path.name + ".json")
        if not sidecar.is_file():
            return {}
        settings = read_json_file(sidecar, LARGEST)["settings"]
    except (PeregrineError, OSError, ValueError, KeyError, TypeError):
        return {}
    return settings if isinstance(settings, dict) else {}
