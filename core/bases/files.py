"""Read a dictionary from a file or folder of another library, without running anything from it."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.bases.components import NEEDED, WRITE_SKLEARN
from core.bases.dictionary import Dictionary, folded
from core.bases.layouts import recognise_dictionary
from core.bases.origin import VectorOrigin, origin_of
from core.bases.reading import Reading, StatedSettings, UnknownLayout
from core.common.entries import Taken
from core.common.inside import parse_json, read_bounded
from core.common.records import Templates
from core.encoders.safe_load import IS_POINTER, POINTER, NoStateDict, read_after_header, read_checkpoint
from core.errors import CheckpointError

_say = Templates.beside(__file__)
WEIGHTS = (
    *("sae_weights.safetensors", "sae.safetensors", "sae.pt", "checkpoint/sae.pt", "ae.pt", "weights.pt"),
    *("model.safetensors", "model.pt", "params.npz"),
)
ENDINGS = (".pt", ".pth", ".safetensors", ".npz", ".npy")
NUMPY = (".npy", ".npz")
PICKLES = (".joblib", ".pkl", ".pickle", ".sav")
SETTINGS, MOST_SETTINGS = ("cfg.json", "config.json", "config.yaml", "config.yml"), 4 << 20
CHECKPOINT_FOLDERS = ("checkpoint", "checkpoints")  # folders whose settings lie one up
STATES = (
    "state_dict",
    "model_state_dict",
    "model",
    "sae",
    "autoencoder",
)  # of the weights among other things
INSIDE = ("cfg", "config", "settings", "hparams", "hyper_parameters", "args")  # of settings in the same file
PREFIXES = ("module.", "_orig_mod.")  # of any tensor
WRAPPERS = ("model.", "sae.", "ae.", "autoencoder.")  # of all of them, if of one
SCALER, WHITENING = "activation_scaler.json", "activation_whitening.safetensors"  # of SAELens in training
DECIDING = ("k", "top_k", "activation", "activation_fn", "activation_fn_str", "architecture", "dict_class")


@dataclass(frozen=True)
class ReadDictionary:
    """A dictionary that was read, and what it may be besides.

    Attributes:
        report: in a line what of the file was used. notes: what was assumed. otherwise: other dictionaries
            that the file may mean, by what they would be; reads_as: what `dictionary` is among them.
        origin: what the file says of its vectors. assumed_pre_bias: nobody says whether a bias is subtracted.
    """

    dictionary: Dictionary
    report: str
    notes: tuple[str, ...] = ()
    otherwise: Mapping[str, Dictionary] = field(default_factory=dict)
    reads_as: str = ""
    origin: VectorOrigin = field(default_factory=VectorOrigin)
    assumed_pre_bias: bool = False


def read_dictionary(path: str | Path, *, asked: StatedSettings | None = None) -> ReadDictionary:
    """Read the dictionary of a basis from a file or folder that another library, or this one, wrote.

    Args:
        path: the weights, or the folder in which they lie; settings are read beside them.
        asked: what the user says, where the file does not say it or says something else.
    Raises:
        CheckpointError: there is no dictionary, or reading it would run code.
    """
    file = weights_file(Path(path))
    reading = _reading(file, asked or StatedSettings())
    try:
        library, dictionary = recognise_dictionary(reading)
    except UnknownLayout as error:
        raise CheckpointError(f"'{file}': {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{file}' lacks what its library writes ({type(error).__name__}: {error})"
        ) from None
    origin = origin_of(reading.settings)
    report = _report(library, dictionary, origin)
    facts = {**dictionary.facts, "library": library, "report": report, "origin": origin.facts}
    otherwise = {name: replace(one, facts=facts) for name, one in reading.otherwise.items()}
    notes = tuple(reading.notes)
    return ReadDictionary(
        replace(dictionary, facts=facts),
        report,
        notes,
        otherwise,
        reading.reads_as,
        origin,
        reading.assumed_pre_bias,
    )


def _report(library: str, dictionary: Dictionary, origin: VectorOrigin) -> str:
    """In a line: what was used, and what the file says of its vectors."""
    activation = f"{dictionary.activation} with k {dictionary.k}" if dictionary.k else dictionary.activation
    steps = [activation]
    if dictionary.pre_bias.any():
        steps.append(_say("bias_first"))
    if dictionary.norm != "none":
        steps.append(_say("norm", what=dictionary.norm))
    kind = "read_of_layer" if origin.words else "read"
    return _say(kind, what=library, n=dictionary.facts["n_tensors"], names=tuple(steps), why=origin.words)


def _reading(file: Path, asked: StatedSettings) -> Reading:
    """Everything that a file and the settings beside it say."""
    stated = _settings(file)
    if file.suffix.lower() in NUMPY and file.is_file():
        tensors, inside = _numpy(file)
    elif _begins_with_header(file):
        inside, state = read_after_header(file)
        return Reading(Taken(_arrays(state), file.name), Taken(inside, "its header"), asked, has_header=True)
    else:
        _refuse_pickle(file)
        tensors, inside = _parted(_checkpoint(file))
    if inside and stated:
        _refuse_contradictions(inside, stated)
    source = "the file" if inside else stated.source
    tensors |= _beside(file, WHITENING)
    return Reading(Taken(tensors, file.name), Taken({**stated, **inside}, source), asked)


def _checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint; the error for a model without a state dict says what to save instead."""
    try:
        return read_checkpoint(file)
    except NoStateDict as error:
        raise CheckpointError(
            f"{error}, or where that holds no encoder: numpy.savez(PATH, kind=…, "
            f"components=model.get_dictionary(), …); an .npz with {NEEDED} is read"
        ) from None


def _refuse_contradictions(inside: Mapping[str, Any], stated: Taken) -> None:
    """Raise CheckpointError where settings in the file and beside it decide on codes differently."""
    for name in DECIDING:
        if name in inside and name in stated and inside[name] != stated.values_by_key[name]:
            raise CheckpointError(
                f"the file itself says {name} {inside[name]}, and {stated.source} beside it says "
                f"{stated.values_by_key[name]}: they are of two dictionaries; leave one of them away"
            )


def _refuse_pickle(file: Path) -> None:
    """Raise CheckpointError for what scikit-learn stores, with the line that writes its matrices."""
    if not file.is_file():
        return
    with file.open("rb") as opened:
        head = opened.read(4096)
    of_torch = head.startswith(b"PK")
    if file.suffix.lower() in PICKLES or (b"sklearn." in head and not of_torch):
        line = WRITE_SKLEARN.format(file=file.name)
        raise CheckpointError(
            f"'{file}' is a pickle, from which nothing is run. Where you trust it, write its matrices, "
            f"and load those: {line}"
        )


def weights_file(path: Path) -> Path:
    """The file of a dictionary's weights. Raises CheckpointError where a folder has none, or several."""
    if not path.is_dir():
        return path
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    weights = sorted(one for one in path.iterdir() if one.suffix in ENDINGS and one.name != WHITENING)
    if len(weights) == 1:
        return weights[0]
    names = ", ".join(weight.name for weight in weights[:5])
    raise CheckpointError(f"'{path}' holds {names or 'no weights'}: name the file of the dictionary")


def _begins_with_header(file: Path) -> bool:
    """Whether a file begins with a line of JSON, behind which there is something else, as saev writes it."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(1 << 20)
    line, end, rest = head.partition(b"\n")
    return line.startswith(b"{") and bool(end) and re.match(rb"PK|\x80", rest) is not None


def _settings(file: Path) -> Taken:
    """The settings beside the weights, or one folder up of a checkpoint; empty where there are none."""
    folders = [file.parent, *([file.parent.parent] if file.parent.name in CHECKPOINT_FOLDERS else [])]
    scaler = _settings_file(file.with_name(SCALER))
    more = {"activation_scaler": scaler} if scaler else {}
    for folder in folders:
        for name in SETTINGS:
            settings = _settings_file(folder / name)
            if settings is not None:
                return Taken({**settings, **more}, name)
    return Taken(more, "settings")


def _settings_file(path: Path) -> dict[str, Any] | None:
    """An object of JSON or YAML; None without a file, empty where it holds something else."""
    if not path.is_file():
        return None
    try:
        text = read_bounded(path, MOST_SETTINGS)
        if text.startswith(POINTER):
            raise CheckpointError(f"'{path}' {IS_POINTER}")
        settings = _parse_yaml(text) if path.suffix != ".json" else parse_json(text)
    except (ValueError, OSError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise CheckpointError(f"'{path}' cannot be read as {kind}: {error}") from None
    return settings if isinstance(settings, dict) else {}


def _parse_yaml(text: bytes) -> Any:
    """Parse YAML of plain values. Raises ValueError."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _parted(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors of a file, and the settings among them."""
    nested = next((state[name] for name in STATES if isinstance(state.get(name), dict)), None)
    inside: dict[str, Any] = {}
    for part in (state, nested or {}):
        inside |= {name: one for name, one in part.items() if isinstance(one, bool | int | float | str)}
    for name in INSIDE:
        one = state.get(name)
        inside |= one if isinstance(one, dict) else {}
    of_activation = (nested or state).get("activation_state_dict")
    inside |= {"activation_state_dict": of_activation} if isinstance(of_activation, dict) else {}
    return _arrays(state if nested is None else nested), inside


def _arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a file as arrays: float32, or whole numbers."""
    named = {_bare(str(name)): _array(one) for name, one in state.items() if isinstance(one, torch.Tensor)}
    for wrapper in WRAPPERS:
        if named and all(name.startswith(wrapper) for name in named):
            named = {name.removeprefix(wrapper): one for name, one in named.items()}
    return named


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _array(tensor: torch.Tensor) -> np.ndarray:
    plain = tensor.detach()
    return (plain.float() if plain.is_floating_point() else plain).numpy()


def _beside(file: Path, name: str) -> dict[str, np.ndarray]:
    """The tensors of another file beside the weights, by its name and theirs."""
    path = file.with_name(name)
    if not path.is_file() or path == file:
        return {}
    return {f"{path.stem}.{key}": array for key, array in _arrays(read_checkpoint(path)).items()}


def _numpy(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of an .npy or .npz, and the texts and single flags among them. Nothing is unpickled."""
    try:
        opened = np.load(file, allow_pickle=False)
        stored = {"matrix": opened} if isinstance(opened, np.ndarray) else dict(opened)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"'{file}' cannot be read as arrays of NumPy: {reason}") from None
    texts = {}
    for name, array in stored.items():
        if array.dtype.kind in "US" and array.size == 1:
            texts[name] = str(array)
    arrays = {name: _plain(one) for name, one in stored.items() if one.dtype.kind in "fiub"}
    return arrays, texts


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def normalised(
    dictionary: Dictionary, normalisation: str | None, mean: np.ndarray, lengths: float
) -> Dictionary:
    """The dictionary with another normalisation of the vectors before it encodes them.

    Args:
        normalisation: one of NORMALISATIONS in core/config/bases.py; None: that of the file.
        mean: (r,) the mean vector. lengths: the mean length of the vectors.
    """
    width = dictionary.width
    if normalisation is None:
        return dictionary
    if normalisation == "mean_norm":
        return folded(replace(dictionary, norm="none"), np.zeros(width), width**0.5 / lengths)
    if normalisation == "centred":
        return folded(replace(dictionary, norm="none"), mean, width**0.5 / lengths)
    return replace(dictionary, norm=normalisation)
