"""Write to a study: one writer at a time, and every item is durable before the manifest names it.

with write_study("studies/mine") as writer:
    with writer.step("features", settings, inputs=("representations",)) as step:
        step.table("features", frame)
        step.vector("top_images", rows)
        step.summary = {"epsilon": 4.0}

A step that has a result is made again in a folder of its own, `.STEP.redo`, and takes the place of that
result when it is whole: until then readers see what was there. A run that ended early goes on in that folder.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from core.common.inside import make_durable_folder, replacing, sync_folder
from core.common.worker_group import ALONE, Ranks
from core.config import RunOptions
from core.errors import PeregrineError, SettingsError, StudyBusy, StudyError
from core.study import layers
from core.study import manifest as manifests
from core.study.chunked_array import ArrayWriter, file_sha256, write_whole
from core.study.inside import inside
from core.study.leftovers import folder_of_redo, is_begun_again, remove_leftovers
from core.study.no_longer_shown import SETTINGS
from core.study.progress import Progress
from core.study.table_files import type_names


@dataclass(frozen=True)
class StepRun:
    """How a step is run; never part of its result.

    Attributes:
        device: a torch device, or its name.
    """

    progress: Progress
    device: Any = "cpu"
    options: RunOptions = RunOptions()


class _LeftToFirst(Exception):
    """Another process than the first has done its share of a step, and leaves it."""


class StepWriter:
    """Collect the items of one step; they enter the manifest together when the step ends.

    Args:
        folder: of the study, or the one in which a step is made again.
        before_first: called once, before the first file of an earlier run is replaced.
        ranks: the processes that write chunks of the same arrays.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        *,
        before_first: Callable[[], None] = lambda: None,
        ranks: Ranks = ALONE,
    ):
        self.folder, self.fingerprint, self.ranks = folder, fingerprint, ranks
        self.has_begun, self._before_first = False, before_first
        self._beginning = threading.Lock()  # parts of a step are written by several threads
        self.summary: dict[str, Any] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.when_entered: list[Callable[[], None]] = []  # called once the manifest names the items
        self._open: dict[str, ArrayWriter] = {}

    def array(self, name: str) -> ArrayWriter:
        """Return the writer of a chunked array, which can resume; end it with `finish_array`."""
        if name not in self._open:
            self._open[name] = array = ArrayWriter(inside(self.folder, name), self.fingerprint, self.begin)
            if self.ranks.are_together:  # the others must not begin it
                array.begin()
            if array.has_begun:
                self.begin()
        return self._open[name]

    def begin(self) -> None:
        with self._beginning:
            if not self.has_begun:
                self._before_first()
                self.has_begun = True

    def leave_to_first(self) -> None:
        """Wait until every process has done its share. The first goes on; the others leave the step."""
        self.ranks.wait()
        if not self.ranks.is_first:
            raise _LeftToFirst

    def finish_array(self, name: str, n_chunks: int) -> None:
        self.items[name] = self._open.pop(name).finish(n_chunks)

    def vector(self, name: str, values: np.ndarray) -> None:
        """Store a small array in a single chunk."""
        self.items[name] = write_whole(inside(self.folder, name), np.asarray(values), self.begin)

    def table(self, name: str, frame: pd.DataFrame) -> None:
        path = self.folder / f"{name}.parquet"
        with replacing(path) as temporary:
            arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
            # Dictionaries of floats take four times as long to write and save nothing.
            words: Any = [field.name for field in arrow.schema if not pa.types.is_floating(field.type)]
            checked = {"compression": "zstd", "write_page_checksum": True}
            pq.write_table(arrow, temporary, use_dictionary=words, **checked)
            self.begin()
        entry = {"kind": "table", "shape": [len(frame), len(frame.columns)]}
        entry |= {"columns": list(map(str, frame.columns)), "sha256": file_sha256(path)}
        self.items[name] = entry | {"types": type_names(pq.read_schema(path))}


class Collected:
    """Stands for the writer of a step whose results are read at once and not stored."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}

    def table(self, name: str, frame: pd.DataFrame) -> None:
        self.items[name] = frame

    def vector(self, name: str, values: np.ndarray) -> None:
        self.items[name] = values


class StudyWriter:
    """The only writer of a study while it holds the lock.

    Other processes of the same torchrun write chunks beside the first, which holds the lock, but never the
    manifest.

    Attributes:
        ranks: these processes.
        asked: the settings of the steps that are to be run. Until a step has results, they are in the
            manifest, so that `resume` knows them after a kill.
    """

    def __init__(self, folder: Path, ranks: Ranks = ALONE):
        self.folder, self.ranks = folder, ranks
        exists = (folder / manifests.MANIFEST).exists() or layers.below(folder) is not None
        self.manifest = layers.read_layered(folder) if exists else manifests.empty_manifest()
        self.asked: dict[str, dict[str, Any]] = dict(self.manifest.get(manifests.UNFINISHED, {}))
        self._orphans: list[str] = []
        self._again: set[str] = set()  # steps with a result that this process has begun to make again

    def catch_up(self) -> None:
        """Wait for what the first process has made alone, and take it over."""
        if self.ranks.are_together:
            self.ranks.wait()
            self.manifest = layers.read_layered(self.folder)

    def is_current(
        self,
        step: str,
        settings: dict[str, Any],
        inputs: tuple[str, ...],
        outside: dict[str, str] | None = None,
    ) -> bool:
        """Return True when the step was made with these settings from the current inputs.

        One that was begun again, by a run that ended early, is not current.

        A setting that is None or False and one that is absent are the same: no study becomes stale by a new
        setting, or by one that is gone.
        """
        entry = self.manifest["steps"].get(step)
        current_inputs = self._inputs(step, inputs, outside)
        if not entry or is_begun_again(self.folder, step):
            return False
        return _given(entry["settings"]) == _given(settings) and entry["inputs"] == current_inputs

    def _inputs(
        self, step: str, inputs: tuple[str, ...], outside: dict[str, str] | None
    ) -> dict[str, str | None]:
        digests = manifests.input_digests(self.manifest, inputs) | manifests.formulas_of(step)
        return digests | {f"@{name}": value for name, value in (outside or {}).items()}

    @contextmanager
    def step(
        self,
        name: str,
        settings: dict[str, Any],
        inputs: tuple[str, ...] = (),
        outside: dict[str, str] | None = None,
    ) -> Iterator[StepWriter]:
        """Redo one step. Its earlier items stay until the new ones are whole, and leave the manifest before
        the first file is replaced, so that no reader sees a mixture. Processes that share the step wait for
        each other first, so that all have looked at the manifest before it changes.

        Args:
            inputs: items of this study that the step reads; if one changes later, the step becomes stale.
            outside: fingerprints of inputs outside the study (images, encoder).
        """
        self.ranks.wait()
        digests = self._inputs(name, inputs, outside)
        fingerprint = manifests.digest({"step": name, "settings": settings, "inputs": digests})
        home = inside(self.folder, folder_of_redo(name)) if self._stands(name) else self.folder
        if not self.ranks.is_first:
            with suppress(_LeftToFirst):
                yield StepWriter(home, fingerprint, ranks=self.ranks)
            return
        is_again = home != self.folder
        begin = partial(self._begin_again if is_again else self.forget, name)
        writer = StepWriter(home, fingerprint, before_first=begin, ranks=self.ranks)
        self.note_asked()
        try:
            if is_again:
                home.mkdir(exist_ok=True)
            yield writer
        except PeregrineError:
            if not writer.has_begun and self.asked.pop(name, None) is not None:  # what is refused is not kept
                self.note_asked()
            raise
        finally:
            if is_again:
                with suppress(OSError):  # it is not empty
                    home.rmdir()
        if writer._open:
            raise StudyError(f"step {name} left {', '.join(writer._open)} unfinished")
        entry = {
            "settings": settings,
            "inputs": digests,
            "summary": writer.summary,
            "outputs": sorted(writer.items),
        }
        items = {item: entry_of | {"step": name} for item, entry_of in writer.items.items()}
        if is_again:
            self._replace(home, name, entry, items)
        else:
            self._enter(name, entry, items)
        self._remove_leftovers(name)
        for act in writer.when_entered:
            act()

    def _stands(self, name: str) -> bool:
        """Return whether a step has a result of its own that readers may be shown."""
        entry = self.manifest["steps"].get(name, {layers.SHOWN_THROUGH: True})
        return layers.SHOWN_THROUGH not in entry and manifests.step_state(self.manifest, name) == "done"

    def _begin_again(self, name: str) -> None:
        self._again.add(name)
        self.note_asked()

    def _replace(
        self, home: Path, name: str, entry: dict[str, Any], items: dict[str, dict[str, Any]]
    ) -> None:
        """Put what a step made again in the place of its earlier items.

        What the manifest will say of it is written beside it first, so that `take_over` can end what a
        process that is killed on the way has begun.
        """
        home.mkdir(exist_ok=True)
        made = {**manifests.empty_manifest(), "steps": {name: entry}, "items": items}
        manifests.write_manifest(home, made)
        sync_folder(self.folder)
        self._take_over(home, name, entry, items)

    def take_over(self) -> None:
        """Finish replacing items where a writer was killed while it replaced them; under the lock."""
        for path in sorted(self.folder.glob(f"{folder_of_redo('*')}/{manifests.MANIFEST}")):
            redo_folder = inside(self.folder, path.parent.name)
            manifest = manifests.read_manifest(redo_folder)
            for step, entry in manifest["steps"].items():
                self._take_over(redo_folder, step, entry, manifest["items"])
                self._remove_leftovers(step)

    def _take_over(self, home: Path, name: str, entry: dict[str, Any], items: Mapping[str, Any]) -> None:
        self.forget(name)
        for item in items:
            for file in (item, f"{item}.parquet"):
                if (home / file).exists():
                    _remove(self.folder / file)
                    os.rename(home / file, self.folder / file)
        sync_folder(self.folder)
        self.asked.pop(name, None)
        self._enter(name, entry, items)

    def _enter(self, name: str, entry: dict[str, Any], items: Mapping[str, Any]) -> None:
        """Put a step and its items in the manifest, in the place of the earlier ones."""
        self.forget(name)
        self.manifest["items"] |= items
        self.manifest["steps"][name] = entry
        self._again.discard(name)
        self._write()

    def _unfinished(self) -> dict[str, dict[str, Any]]:
        unfinished = {}
        for step, settings in self.asked.items():
            is_missing = step not in self.manifest["steps"] or step in self._again
            if is_missing or is_begun_again(self.folder, step):
                unfinished[step] = settings
        return unfinished

    def note_asked(self) -> None:
        """Write what was asked for, unless the manifest says it already, or there is none yet."""
        noted = self.manifest.get(manifests.UNFINISHED, {})
        if self.manifest["steps"] and self._unfinished() != noted:
            self._write()

    def _write(self) -> None:
        unfinished = {manifests.UNFINISHED: one} if (one := self._unfinished()) else {}
        finished = {part: value for part, value in self.manifest.items() if part != manifests.UNFINISHED}
        self.manifest = finished | unfinished
        layers.write_layered(self.folder, self.manifest)

    def forget(self, name: str) -> None:
        """Remove a step and its items from the manifest."""
        entry = self.manifest["steps"].pop(name, None)
        if entry is None:
            return
        for item in entry["outputs"]:
            self.manifest["items"].pop(item, None)
        self._orphans += entry["outputs"]
        if self.ranks.is_first:
            self._write()

    def remove(self, name: str) -> None:
        """Remove a step with its files."""
        self.asked.pop(name, None)
        self.forget(name)
        self._remove_leftovers(name)

    def _remove_leftovers(self, name: str) -> None:
        """Delete the files of items that the step made before and no longer makes."""
        shutil.rmtree(self.folder / folder_of_redo(name), ignore_errors=True)
        for item in self._orphans:
            if item not in self.manifest["items"]:
                shutil.rmtree(self.folder / item, ignore_errors=True)
                (self.folder / f"{item}.parquet").unlink(missing_ok=True)
        self._orphans.clear()


def _remove(path: Path) -> None:
    """Delete a file, or a folder with its files; nothing is deleted through a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    others = {name: value for name, value in settings.items() if name not in SETTINGS}
    return {name: value for name, value in others.items() if value is not None and value is not False}


@contextmanager
def write_study(path: str | Path, ranks: Ranks = ALONE) -> Iterator[StudyWriter]:
    """Open a study for writing; the folder is created if needed.

    Args:
        ranks: the processes that write to it together, of which only the first takes the lock.

    Raises:
        StudyBusy: another process is writing to it.
        StudyError: the folder holds something else, or a study of a newer format.
    """
    folder = Path(path)
    is_new = not folder.exists()
    if not is_new and not folder.is_dir():
        raise StudyError(f"'{folder}' is a file; a study is a folder")
    manifests.refuse_foreign_folder(folder)
    try:
        make_durable_folder(folder)
    except OSError as error:
        raise SettingsError(f"cannot make the study folder '{folder}': {error.strerror}") from None
    if not ranks.is_first:
        yield StudyWriter(folder, ranks)
        return
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyBusy(
            f"'{folder}' is being written by another process. Wait for it, or stop it, and run this again"
        ) from None
    except OSError as error:  # a link in its place is not followed
        raise StudyError(f"cannot lock '{folder}' ('{folder / '.lock'}'): {error.strerror}") from None
    try:
        remove_leftovers(folder)
        writer = StudyWriter(folder, ranks)
        writer.take_over()
        yield writer
    finally:
        lock.release()
        if is_new and {path.name for path in folder.iterdir()} <= {".lock", "progress.json"}:
            shutil.rmtree(folder)  # nothing was written
