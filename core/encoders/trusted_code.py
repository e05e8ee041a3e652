"""Code that a text names: a `python:` encoder or a captioner. Who must have named it, and how it is imported.

Studies, checkpoints, their sidecars and training configs travel, so what they name is somebody else's word.
Code runs only where the owner of this machine has named it: on the command line, in a call of the library
(`allowing`), or by PEREGRINE_TRUST_STUDIES=1, which says that every study and checkpoint used is one's own.
No torch.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core.encoders.spec import Spec, parse_spec
from core.errors import CodeRefused, SettingsError

TRUST = "PEREGRINE_TRUST_STUDIES"
# Arguments of timm's factories that read a file, most of them by unpickling, or fetch one.
READS_FILES = frozenset({"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "file"})
PLAIN_TEXT = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")  # a value such as avg or silu: no path, no address

_named: list[str] = []  # what the owner has named, for as long as `allowing` lasts


def studies_are_trusted() -> bool:
    """Whether the owner says that every study and checkpoint used here is their own."""
    return os.environ.get(TRUST) == "1"


@contextmanager
def allowing(*names: str | None) -> Iterator[None]:
    """Let code run that these SPECs (or captioners, MODULE:FUNCTION) name: they are the owner's own words."""
    named = [_canonical(name) for name in names if name]
    _named.extend(named)
    try:
        yield
    finally:
        for name in named:
            _named.remove(name)


def is_named_by_owner(name: str) -> bool:
    """Whether `allowing` holds for exactly this SPEC or captioner."""
    return _canonical(name) in _named


def names_code(text: str) -> bool:
    """Whether a SPEC, or anything that holds one, asks for code of somebody's own."""
    return "python:" in text


def check_code(name: str, arguments: Mapping[str, Any] | None = None) -> None:
    """Refuse code that the owner has not named.

    Args:
        name: a `python:` SPEC without its checkpoint, or a captioner.
        arguments: of the factory. Texts among them are refused even of a trusted study: they may be commands.
    Raises:
        CodeRefused: one line that says what it is and what to do.
    """
    module = name.removeprefix("python:").partition(":")[0].partition(".")[0]
    if module in sys.stdlib_module_names:
        raise CodeRefused(f"'{name}' names a module of Python's library; name a factory of your own module")
    if is_named_by_owner(name):
        return
    if not studies_are_trusted():
        raise CodeRefused(
            f"'{name}' is code, and a file names it, not you. If it is yours, add --trust '{name}' to the "
            f"command, or set {TRUST}=1 if all studies and checkpoints are yours"
        )
    if any(_holds_text(value) for value in (arguments or {}).values()):
        raise CodeRefused(
            f"'{name}' passes a text to code, and a file names it, not you. If it is yours, add "
            f"--trust '{name}' to the command"
        )


def check_arguments(spec: Spec) -> None:
    """Refuse arguments of a model's factory that name files or addresses, unless the owner has named them.

    Raises:
        CodeRefused: one line that says which, and what to do.
    """
    if "checkpoint_path" in spec.arguments:  # timm would unpickle it
        raise CodeRefused(f"'checkpoint_path' reads a file unsafely; write {spec.family}:{spec.name}@PATH")
    if spec.family in ("python", "") or is_named_by_owner(spec.arch) or studies_are_trusted():
        return
    if problem := argument_problem(spec):
        raise CodeRefused(
            f"{problem}, and a file names it, not you. If it is yours, add --trust '{spec.arch}' to the "
            f"command, or set {TRUST}=1 if all studies and checkpoints are yours"
        )


def argument_problem(spec: Spec) -> str | None:
    """What in an architecture's name or arguments reaches beyond the library that makes it; None: nothing."""
    if not PLAIN_TEXT.fullmatch(spec.name):
        return f"'{spec.name[:80]}' is no plain name of an architecture"
    for key, value in spec.arguments.items():
        if key in READS_FILES or not _is_plain(value):
            return f"the argument '{key}' of {spec.name} may name a file or an address"
    return None


def _canonical(name: str) -> str:
    """One spelling of a SPEC: no checkpoint, arguments sorted. A captioner stands for itself."""
    text = name.strip()
    if text.partition(":")[0] not in ("python", "timm", "torchvision"):
        return text
    try:
        return parse_spec(text).arch
    except SettingsError:
        return text


def _holds_text(value: Any) -> bool:
    return not isinstance(value, bool | int | float | type(None))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(one) for one in value)
    if isinstance(value, str):
        return PLAIN_TEXT.fullmatch(value) is not None
    return value is None or isinstance(value, bool | int | float)
