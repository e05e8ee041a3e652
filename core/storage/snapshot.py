"""A study as its manifest said when it was opened; what has changed since is not read as if it had not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.common.inside import stamp_of
from core.errors import StudyError
from core.storage import layers
from core.storage.manifest import MANIFEST

Stamp = tuple[int, ...]


class Snapshot:
    """The items of a study, compared with its manifest whenever that has changed on the disk.

    A step takes its items out of the manifest before it replaces a file. So what was read is of this
    snapshot if the item still stands in the manifest afterwards.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], stamps: tuple[Stamp, ...]):
        """stamps: those of before the manifest was read."""
        self._folder, self._items = folder, manifest["items"]
        self._seen, self._latest = stamps, manifest["items"]

    def check(self, item: str) -> None:
        """Raise StudyError when an item is no longer the one that the snapshot names."""
        if (stamps := stamps_of(self._folder)) != self._seen:
            self._latest = layers.read_layered(self._folder)["items"]
            self._seen = stamps
        if self._latest is not self._items and _content(self._latest, item) != _content(self._items, item):
            raise StudyError(f"'{item}' of '{self._folder}' has changed since it was opened. Open it again")


def stamps_of(folder: Path) -> tuple[Stamp, ...]:
    """The stamps of the manifests that a study is read from."""
    places = (folder, layers.below(folder))
    return tuple(stamp_of(place / MANIFEST) for place in places if place is not None)


def _content(items: Mapping[str, Any], item: str) -> Any:
    """The checksums of an item; None where it is not there."""
    entry = items.get(item, {})
    return entry.get("sha256", entry.get("chunks"))
