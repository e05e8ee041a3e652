"""Parse the SPEC of an encoder. No torch."""

import ast
import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.common.addresses import SCHEMES, is_url
from core.common.inside import read_json_file
from core.errors import CheckpointError, SettingsError, did_you_mean

FORMS = (
    "torchvision:resnet50, timm:NAME?output_stride=16&pretrained=true, open_clip:NAME?pretrained=TAG, "
    "resnet18@PATH, timm:NAME@PATH, hf:ORG/NAME, asset:NAME, python:package.module:factory, or the path of "
    "a checkpoint"
)
FAMILIES = ("torchvision", "timm", "open_clip", "python", "asset", "hf")
BRANCHES = {
    **dict.fromkeys(("student", "online", "query", "raw"), "online"),
    **dict.fromkeys(("teacher", "momentum", "target", "key", "ema"), "momentum"),
}
ADDRESS = re.compile(rf"^({'|'.join((*SCHEMES, 'file'))}):/+(?=.)")
WORDS = {"true": True, "false": False, "none": None, "null": None}
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
class Spec:
    """A parsed SPEC. `family`: one of FAMILIES, resnet, or "" (a checkpoint)."""

    family: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    branch: str | None = None  # "online" or "momentum", if a checkpoint holds both
    prefix: str | None = None  # key prefix, if a checkpoint holds several encoders

    @property
    def arch(self) -> str:
        """Return the architecture alone, in canonical spelling: no checkpoint, sorted arguments."""
        scheme = f"{self.family}:" if self.family in FAMILIES else ""
        arguments = "&".join(f"{key}={value}" for key, value in sorted(self.arguments.items()))
        return f"{scheme}{self.name}" + (f"?{arguments}" if arguments else "")

    @property
    def address(self) -> str | None:
        """Return the checkpoint's address, where it is not a file here; Path writes `//` as `/`."""
        url = ADDRESS.sub(r"\1://", str(self.checkpoint or ""))
        return url if is_url(url) else None

    @property
    def short_name(self) -> str:
        """Return a short display name: the checkpoint's file name, else the architecture."""
        return self.checkpoint.name if self.checkpoint else self.arch


def parse_spec(text: str) -> Spec:
    """Split an encoder's SPEC into architecture, arguments and checkpoint.

    >>> parse_spec("timm:resnet18?output_stride=16@runs/last.ckpt").arguments
    {'output_stride': 16}
    >>> parse_spec("runs/last.ckpt?branch=teacher").branch
    'momentum'

    Raises:
        SettingsError: it has none of the known forms.
    """
    text = str(text).strip()
    if not text:
        raise SettingsError(f"the encoder is empty; use {FORMS}")
    family, colon, rest = text.partition(":")
    if colon and family in FAMILIES:
        return _with_architecture(family, rest)
    if Path(text).exists():
        return Spec("", "", checkpoint=Path(text))
    if re.match(r"\w+(\?[^@/]*)?@.", text):
        return _with_architecture("resnet", text)
    if re.fullmatch(r"\w+", text):
        raise SettingsError(
            f"encoder '{text}': no such file, and an architecture needs weights. "
            f"Use {text}@PATH, torchvision:{text} or timm:{text}?pretrained=true"
        )
    if colon and re.fullmatch(r"[a-z_]+", family) and "/" not in rest:
        raise SettingsError(
            f"unknown kind of encoder '{family}:'; use {FORMS}.{did_you_mean(family, FAMILIES)}"
        )
    path, _, query = text.partition("?")
    return _with_options(Spec("", "", checkpoint=Path(path)), _arguments(query))


def _with_architecture(family: str, text: str) -> Spec:
    architecture, at, path = text.partition("@")
    name, _, query = architecture.partition("?")
    if not name or (at and not path):
        raise SettingsError(f"cannot read the encoder '{family}:{text}'; use {FORMS}")
    spec = Spec(family, name, checkpoint=Path(path) if at else None)
    return _with_options(spec, _arguments(query))


def _with_options(spec: Spec, arguments: dict[str, Any]) -> Spec:
    branch, prefix = arguments.pop("branch", None), arguments.pop("prefix", None)
    if branch is not None and branch not in BRANCHES:
        raise SettingsError(f"unknown branch '{branch}'; use {' or '.join(('student', 'teacher'))}")
    if arguments and not spec.family:
        raise SettingsError(
            f"'{next(iter(arguments))}' does not apply to a checkpoint alone; name the architecture: "
            f"timm:NAME?{next(iter(arguments))}=…@{spec.checkpoint}"
        )
    return Spec(
        spec.family, spec.name, arguments, spec.checkpoint, BRANCHES[branch] if branch else None, prefix
    )


def _arguments(query: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier():
            raise SettingsError(f"cannot read '{part}' in the encoder; write NAME?key=value&key=value")
        arguments[key] = _value(value)
    return arguments


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


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
    timm_geometry: dict[str, Any] = field(default_factory=dict)  # in timm's words: input_size, crop_pct …
    output_stride: int | None = None  # of an encoder that segmentation_models_pytorch dilated; None: 32
    states_pixels: bool = False  # the pixels are those that timm resolves for its network and timm_geometry
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
