"""Studies for tests that look at them, served from a folder whose path stays the same.

What pages have read of a study is cached by its path and manifest: a copy at a new path for each test would
be read, and its statistics computed, again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.publish.served import MANIFEST

SAME = "though its manifest says the same"
State = dict[str, tuple[int, ...]]


class Shelf:
    """A studies folder from which `clear` takes what a test has put and written there."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory):
        self._factory = tmp_path_factory
        self._base: Path | None = None
        self._aside: dict[tuple[str, Path], tuple[Path, State]] = {}
        self._served: set[tuple[str, Path]] = set()

    @property
    def folder(self) -> Path:
        """The studies folder; nothing else is beside it."""
        if self._base is None:
            self._base = self._factory.mktemp("shelf")
            (self._base / "studies").mkdir()
        return self._base / "studies"

    def serve(self, name: str, source: Path) -> Path:
        """Put a copy of a study into the folder, until `clear`: always the same copy."""
        place, one = self.folder / name, (name, source)
        if one in self._aside:
            self._aside[one][0].rename(place)
        else:
            shutil.copytree(source, place)
            self._aside[one] = self._factory.mktemp("aside") / name, _state(place)
        self._served.add(one)
        return place

    def clear(self) -> None:
        """Empty the folder.

        Raises:
            AssertionError: a test has damaged a study without its manifest saying so; it should ask for
                `unread`, as pages may have cached what the file held.
        """
        served, self._served = self._served, set()
        changes = {name: self._put_aside(name, source) for name, source in served}
        for path in [*self.folder.iterdir(), *self.folder.parent.iterdir()]:
            if path != self.folder:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if any(changes.values()):
            self._base = None
            self._aside.clear()
        damaged = {name: changed for name, changed in changes.items() if SAME in changed}
        assert not damaged, f"take `unread`: files were changed: {damaged}"

    def _put_aside(self, name: str, source: Path) -> set[str]:
        """Take a study away as it came; gives the files that were changed where that cannot be undone."""
        place, (aside, before) = self.folder / name, self._aside[name, source]
        if not place.is_dir():
            del self._aside[name, source]
            return set()
        now = _state(place)
        changed = {path for path in before if before[path] != now.get(path)}
        if changed - {MANIFEST}:
            alike = (place / MANIFEST).read_bytes() == (source / MANIFEST).read_bytes()
            return changed | ({SAME} if alike else set())
        for path in sorted(now.keys() - before.keys(), reverse=True):
            new = place / path
            new.rmdir() if new.is_dir() and not new.is_symlink() else new.unlink()
        if changed:
            shutil.copy2(source / MANIFEST, place / MANIFEST)
        place.rename(aside)
        self._aside[name, source] = aside, _state(aside)
        return set()


def _state(folder: Path) -> State:
    """Everything in a folder, and what a change of a file would change."""
    found = {}
    for path in folder.rglob("*"):
        of = path.lstat()
        found[str(path.relative_to(folder))] = (
            (of.st_mode,)
            if path.is_dir() and not path.is_symlink()
            else (of.st_mode, of.st_ino, of.st_size, of.st_mtime_ns)
        )
    return found
