"""The manifest of a study: which step made which item, from what, with which settings and checksums.

It carries a checksum of itself, which finds damage and is no signature: who edits a manifest on purpose can
give it a new one (`write_manifest` does).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from core.common.command_line import command_line
from core.common.inside import inside
from core.errors import DamagedManifest, StudyError
from core.storage import seals
from core.storage.chunked_array import LEDGER, replace_file
from core.storage.manifest_check import entry_fault

FORMAT = 1
MANIFEST = "manifest.json"
PARTS = ("format", "steps", "items")
STEPS = (
    "embed",
    "features",
    "neighbours",
    "probe",
    "quality",
    "map",
    "heatmaps",
    "overlap",
    "concepts",
    "failures",
)


def canonical(value: Any) -> str:
    """JSON with sorted keys: the same text for the same content."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def empty_manifest() -> dict[str, Any]:
    return {"format": FORMAT, "steps": {}, "items": {}}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The study's manifest; errors say what the folder is instead, and what to do.

    Raises:
        DamagedManifest: it is not as it was written. One from before manifests had checksums is accepted.
        StudyError: there is none, or it is of a newer format.
    """
    if not folder.is_dir():
        raise StudyError(
            f"no study at '{folder}'. Make one: {command_line('analyze', folder, images='DIR')} …"
        )
    try:
        content = inside(folder, MANIFEST).read_bytes()
    except FileNotFoundError:
        raise StudyError(
            f"'{folder}' is no study yet (no {MANIFEST}). "
            f"Run or resume: {command_line('analyze', folder, images='DIR')} …"
        ) from None
    except OSError as error:
        raise StudyError(f"cannot read {folder / MANIFEST}: {error.strerror}") from error
    _refuse_newer(folder, content)
    try:
        manifest = seals.read_json(content, PARTS)
    except seals.Damaged as error:
        raise _damaged(folder, str(error)) from None
    if not isinstance(manifest.get("format"), int):
        raise StudyError(f"{folder / MANIFEST} is not a Peregrine manifest; name another folder")
    if not all(isinstance(manifest.get(part), dict) for part in ("steps", "items")):
        raise _damaged(folder, "is damaged (no steps or items)")
    if (fault := entry_fault(manifest)) is not None:
        raise _damaged(folder, fault)
    return manifest


def _refuse_newer(folder: Path, content: bytes) -> None:
    """Raise StudyError for a format of the future, unless it carries our checksum and that does not fit."""
    try:
        version = json.loads(content)["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if isinstance(version, int) and version > FORMAT and seals.checksum_fits(content) is not False:
        raise StudyError(
            f"'{folder}' has study format {version}, this version reads up to {FORMAT}. "
            "Update Peregrine to open it"
        )


def _damaged(folder: Path, what: str) -> DamagedManifest:
    command = command_line("analyze", folder, images="DIR")
    remedy = f"Restore it from a copy; or delete it, and Run: {command} …"
    return DamagedManifest(folder / MANIFEST, what, remedy)


def refuse_foreign_folder(folder: Path) -> None:
    """Keep a user's own folder (of photographs, say) from being turned into a study.

    Raises:
        StudyError: it holds files, and nothing that a study or the start of one would hold.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    marks = (MANIFEST, ".lock", "log.txt")
    begun = any((folder / mark).exists() for mark in marks) or any(folder.glob(f"*/{LEDGER}"))
    if not begun and any(path.name != "progress.json" for path in folder.iterdir()):
        raise StudyError(f"'{folder}' holds other files and no study; name a new folder for the study")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    temporary = folder / f".{MANIFEST}.{os.getpid()}.tmp"
    try:
        temporary.write_bytes(seals.sealed_json(manifest))
        replace_file(temporary, folder / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)


def item_digest(item: dict[str, Any]) -> str:
    """One checksum for a whole table or array."""
    return digest({key: item.get(key) for key in ("kind", "shape", "dtype", "chunks", "sha256")})


def input_digests(manifest: dict[str, Any], inputs: tuple[str, ...]) -> dict[str, str | None]:
    """The present checksum of each named item, None for one that is absent."""
    items = manifest["items"]
    return {name: item_digest(items[name]) if name in items else None for name in inputs}


def step_state(manifest: dict[str, Any], step: str) -> str:
    """'done', 'stale' (made from inputs that have changed or are stale themselves) or 'missing'."""
    return _state(manifest, step, ())


def _state(manifest: dict[str, Any], step: str, above: tuple[str, ...]) -> str:
    entry = manifest["steps"].get(step)
    if entry is None:
        return "missing"
    if step in above:  # no step is made from what it makes
        return "stale"
    items = manifest["items"]
    for name, then in entry["inputs"].items():
        if name.startswith("@"):  # outside the study: images, checkpoint; compared when the step is run
            continue
        if (item_digest(items[name]) if name in items else None) != then:
            return "stale"
        if name in items and _state(manifest, items[name]["step"], (*above, step)) != "done":
            return "stale"
    return "done"
