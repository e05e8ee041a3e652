"""Changing a study's manifest by hand, to make cases: the new one carries the right checksum again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.storage.manifest import read_manifest, write_manifest


@contextmanager
def edited_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """The manifest of a study, which is written when the block ends."""
    manifest = read_manifest(folder)
    yield manifest
    write_manifest(folder, manifest)
