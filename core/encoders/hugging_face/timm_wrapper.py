"""Networks of timm that `transformers` trained: config.json of its class TimmWrapper, beside weights below
`timm_model.`."""

from pathlib import Path

from core.encoders.hugging_face.classifiers import stated_labels
from core.encoders.hugging_face.hub import sidecar_of_timm
from core.encoders.hugging_face.settings import CONFIG, read_beside
from core.encoders.hugging_face.shards import WHOLE
from core.encoders.readout.class_names import names_in
from core.encoders.spec import Sidecar
from core.errors import CheckpointError

TYPE = "timm_wrapper"


def wrapper_sidecar(path: Path) -> Sidecar | None:
    """Return what the config.json of a TimmWrapper says of its network and its pixels; None for other files.

    Raises:
        CheckpointError: it names no network.
    """
    config = read_beside(path)
    if config.get("model_type") != TYPE or not (path.is_dir() or path.name in WHOLE):
        return None
    if not isinstance(config.get("architecture"), str):
        raise CheckpointError(
            f"{CONFIG} beside it is of a {TYPE} and names no 'architecture': restore the file"
        )
    return sidecar_of_timm(config, f"{CONFIG} of a {TYPE}")


def wrapper_names(path: Path) -> list[list[str]]:
    """The class names of a TimmWrapper, in the order of its outputs; none for other files."""
    config = read_beside(path)
    if config.get("model_type") != TYPE:
        return []
    return names_in({"classes": config.get("label_names")}) or stated_labels(path)
