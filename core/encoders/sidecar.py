"""Read the sidecar PATH.json of a checkpoint: metadata written by its trainer. No torch."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.common.inside import read_json_file
from core.encoders.spec import Spec, parse_spec
from core.errors import CheckpointError

SIDECAR = {
    "arch": str,
    "arguments": dict,
    "transform": dict,
    "method": str,
    "stem": str,
    "stem_padding": int,
    "prefix": int,
}


@dataclass(frozen=True)
class Sidecar:
    """The content of PATH.json beside a checkpoint: metadata written by its trainer."""

    arch: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    transform: dict[str, Any] = field(default_factory=dict)
    method: str | None = None
    stem: str | None = None
    stem_padding: int | None = None
    prefix: int | None = None  # features of a domain prefix, the first of the representation
    source: str = "the sidecar"  # where this stands

    @property
    def spec(self) -> Spec:
        """Return its architecture with arguments; the checkpoint in it is ignored. Raises SettingsError."""
        text = self.arch or ""
        plain = parse_spec(text if ":" in text else f"{text}@sidecar")
        return dataclasses.replace(plain, arguments=plain.arguments | self.arguments)


def read_sidecar(path: str | Path) -> Sidecar:
    """Read the sidecar PATH.json of a checkpoint; an empty one if there is none.

    Raises:
        CheckpointError: it is not a JSON object, or holds a value of the wrong type.
    """
    file = Path(f"{path}.json")
    if not file.is_file():
        return Sidecar()
    try:
        values = read_json_file(file)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"cannot read the sidecar '{file}': {error}; correct or remove it") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"the sidecar '{file}' must be a JSON object; correct or remove it")
    settings = {key: values[key] for key in SIDECAR if values.get(key) is not None}
    for key, value in settings.items():
        if not isinstance(value, SIDECAR[key]):
            raise CheckpointError(
                f"'{key}' in the sidecar '{file}' must be a {SIDECAR[key].__name__}, got {value!r}"
            )
    return Sidecar(**settings, source=f"the sidecar {file.name}")


def domain_prefix(spec: str) -> int | None:
    """Return how many features of a SPEC's checkpoint are a domain prefix; None if there is none.

    Raises:
        CheckpointError: the sidecar cannot be read.
    """
    checkpoint = parse_spec(spec).checkpoint
    return None if checkpoint is None else read_sidecar(checkpoint).prefix
