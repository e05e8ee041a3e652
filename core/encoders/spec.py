"""Parse the SPEC of an encoder. No torch."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.common.remote.addresses import SCHEMES, is_url
from core.errors import SettingsError, did_you_mean

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
    """Split a SPEC into architecture, arguments and checkpoint.

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
