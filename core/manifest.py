"""The manifest of a study: which step made which item, from what, with which settings and checksums."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from core.arrays import LEDGER, replace_file
from core.commands import command_line
from core.errors import StudyError

FORMAT = 1
MANIFEST = "manifest.json"
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
    """The study's manifest; errors say what the folder is instead, and what to do."""
    path = folder / MANIFEST
    command = f"{command_line('analyze', folder, images='DIR')} …"
    if not folder.is_dir():
        raise StudyError(f"no study at '{folder}'. Make one: {command}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"'{folder}' is no study yet (no {MANIFEST}). Run or resume: {command}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is damaged ({error}); restore it, or delete the study and rerun") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise StudyError(f"{path} is not a Peregrine manifest; name another folder")
    if manifest["format"] > FORMAT:
        raise StudyError(
            f"'{folder}' has study format {manifest['format']}, this version reads up to {FORMAT}. "
            "Update Peregrine to open it"
        )
    if not all(isinstance(manifest.get(part), dict) for part in ("steps", "items")):
        raise StudyError(f"{path} is damaged (no steps or items); restore it, or delete the study and rerun")
    return manifest


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
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=1)
    temporary.write_text(text + "\n", encoding="utf-8")
    replace_file(temporary, folder / MANIFEST)


def item_digest(item: dict[str, Any]) -> str:
    """One checksum for a whole table or array."""
    return digest({key: item.get(key) for key in ("kind", "shape", "dtype", "chunks", "sha256")})


def input_digests(manifest: dict[str, Any], inputs: tuple[str, ...]) -> dict[str, str | None]:
    """The present checksum of each named item, None for one that is absent."""
    items = manifest["items"]
    return {name: item_digest(items[name]) if name in items else None for name in inputs}


def step_state(manifest: dict[str, Any], step: str) -> str:
    """'done', 'stale' (made from inputs that have changed or are stale themselves) or 'missing'."""
    entry = manifest["steps"].get(step)
    if entry is None:
        return "missing"
    items = manifest["items"]
    for name, then in entry["inputs"].items():
        if name.startswith("@"):  # outside the study: images, checkpoint; compared when the step is run
            continue
        if (item_digest(items[name]) if name in items else None) != then:
            return "stale"
        if name in items and step_state(manifest, items[name]["step"]) != "done":
            return "stale"
    return "done"
