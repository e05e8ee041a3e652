"""Decide whether code named in text (a `python:` encoder or a captioner) may run, and import it.

Studies, checkpoints, their sidecars and training configs are exchanged, so the names in them are not the
user's. Code runs only if the owner of this machine has named it: on the command line, in a call of the
library (`allowing`), or by PEREGRINE_TRUST_STUDIES=1, which declares every study and checkpoint in use as
the owner's. No torch.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from core.encoders.spec import Spec, parse_spec
from core.errors import CodeRefused, SettingsError

TRUST = "PEREGRINE_TRUST_STUDIES"
# Arguments of timm's factories that read a file, usually by unpickling, or download one.
READS_FILES = frozenset({"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "file"})
PLAIN_TEXT = re.compile(r"([A-Za-z0-9][\w.-]{0,63})?")  # a value such as avg or silu: no path or address

_named: list[str] = []  # names given by the owner, while `allowing` lasts


def studies_are_trusted() -> bool:
    """Return True when the owner declares all studies and checkpoints, and the code they name, as theirs."""
    return os.environ.get(TRUST) == "1"


@contextmanager
def allowing(*names: str | None) -> Iterator[None]:
    """Allow user code named by these SPECs of encoders (or captioners): the owner has named it."""
    named = [_canonical(name) for name in names if name]
    _named.extend(named)
    try:
        yield
    finally:
        for name in named:
            _named.remove(name)


def is_named_by_owner(name: str) -> bool:
    """Return True when `allowing` holds for exactly this SPEC or captioner."""
    return _canonical(name) in _named


def names_code(text: str) -> bool:
    """Return True when a SPEC, or anything that contains one, refers to user code."""
    return "python:" in text


def check_code(name: str, arguments: Mapping[str, Any] | None = None) -> None:
    """Refuse the user code of an encoder's SPEC that the owner has not named.

    Args:
        name: a `python:` SPEC without its checkpoint, or a captioner.
        arguments: of the factory. Texts are refused even in a trusted study: they may be commands.
    Raises:
        CodeRefused: one line with the code and what to do.
    """
    module = name.removeprefix("python:").partition(":")[0].partition(".")[0]
    if module in sys.stdlib_module_names:
        raise CodeRefused(f"'{name}' names a module of Python's library; name a factory in your own module")
    if is_named_by_owner(name):
        return
    if not studies_are_trusted():
        raise CodeRefused(
            f"'{name}' is code named by a file, not by you. If it is yours, add --trust '{name}' to the "
            f"command, or set {TRUST}=1 if all studies and checkpoints are yours"
        )
    if any(not isinstance(value, bool | int | float | None) for value in (arguments or {}).values()):
        raise CodeRefused(
            f"'{name}' passes text to code and is named by a file, not by you. If it is yours, add "
            f"--trust '{name}' to the command"
        )


def check_arguments(spec: Spec) -> None:
    """Refuse arguments of a model factory that name files or addresses, unless the owner has named them.

    Raises:
        CodeRefused: one line with the argument and what to do.
    """
    if "checkpoint_path" in spec.arguments:  # timm would unpickle it
        raise CodeRefused(f"'checkpoint_path' reads a file unsafely; write {spec.family}:{spec.name}@PATH")
    if spec.family in ("python", "") or is_named_by_owner(spec.arch) or studies_are_trusted():
        return
    if problem := argument_problem(spec):
        raise CodeRefused(
            f"{problem}, named by a file, not by you. If it is yours, add --trust '{spec.arch}' to the "
            f"command, or set {TRUST}=1 if all studies and checkpoints are yours"
        )


def argument_problem(spec: Spec) -> str | None:
    """Describe the part of a SPEC's architecture that reaches beyond its library; None without one."""
    if not spec.name or not PLAIN_TEXT.fullmatch(spec.name):
        return f"'{spec.name[:80]}' is not a plain architecture name"
    for key, value in spec.arguments.items():
        if key in READS_FILES or not _is_plain(value):
            return f"the argument '{key}' of {spec.name} may name a file or an address"
    return None


def _canonical(name: str) -> str:
    """Return the canonical SPEC: no checkpoint, sorted arguments. A captioner is returned unchanged."""
    text = name.strip()
    if text.partition(":")[0] not in ("python", "timm", "torchvision", "open_clip", "hf"):
        return text
    try:
        return parse_spec(text).arch
    except SettingsError:
        return text


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(one) for one in value)
    if isinstance(value, str):
        return PLAIN_TEXT.fullmatch(value) is not None
    return value is None or isinstance(value, bool | int | float)
