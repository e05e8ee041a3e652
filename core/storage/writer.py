"""Write to a study: one writer at a time, and every item is durable before the manifest names it.

with write_study("studies/mine") as writer:
    with writer.step("features", settings, inputs=("representations",)) as step:
        step.table("features", frame)
        step.vector("top_images", rows)
        step.summary = {"epsilon": 4.0}
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from core.common.inside import inside, make_durable_folder, replacing
from core.common.worker_group import Ranks
from core.config import RunOptions
from core.errors import PeregrineError, SettingsError, StudyBusy, StudyError
from core.jobs.progress import Progress
from core.storage import layers
from core.storage import manifest as manifests
from core.storage.chunked_array import ArrayWriter, file_sha256, write_whole
from core.storage.leftovers import remove_leftovers
from core.storage.no_longer_shown import SETTINGS
from core.storage.table_files import type_names


@dataclass(frozen=True)
class StepRun:
    """How a step is run; never part of its result.

    Attributes:
        device: a torch device, or its name. ranks: the processes that share the work of a `shared` step.
    """

    progress: Progress
    device: Any = "cpu"
    options: RunOptions = RunOptions()
    ranks: Ranks = Ranks()


class StepWriter:
    """Collect the items of one step; they enter the manifest together when the step ends.

    Args:
        before_first: called once, before the first file of an earlier run is replaced.
        shared: other processes write chunks of the same arrays, which are therefore begun as they are opened.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        *,
        before_first: Callable[[], None] = lambda: None,
        shared: bool = False,
    ):
        self.folder, self.fingerprint = folder, fingerprint
        self.has_begun, self._before_first, self._shared = False, before_first, shared
        self.summary: dict[str, Any] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self._open: dict[str, ArrayWriter] = {}

    def array(self, name: str) -> ArrayWriter:
        """Return the writer of a chunked array, which can resume; end it with `finish_array`."""
        if name not in self._open:
            self._open[name] = array = ArrayWriter(inside(self.folder, name), self.fingerprint, self.begin)
            if self._shared:
                array.begin()
            if array.has_begun:
                self.begin()
        return self._open[name]

    def begin(self) -> None:
        if not self.has_begun:
            self._before_first()
            self.has_begun = True

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
        self.items[name] = {
            "kind": "table",
            "shape": [len(frame), len(frame.columns)],
            "columns": list(map(str, frame.columns)),
            "sha256": file_sha256(path),
            "types": type_names(pq.read_schema(path)),
        }


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

    A guest (another process of the same torchrun) writes chunks beside the process that holds the lock, but
    never the manifest.

    Attributes:
        asked: the settings of the steps that are to be run. Until a step has results, they are in the
            manifest, so that `resume` knows them after a kill.
    """

    def __init__(self, folder: Path, *, guest: bool = False, shared: bool = False):
        self.folder, self.guest, self._shared = folder, guest, shared
        exists = (folder / manifests.MANIFEST).exists() or layers.below(folder) is not None
        self.manifest = layers.read_layered(folder) if exists else manifests.empty_manifest()
        self.asked: dict[str, dict[str, Any]] = dict(self.manifest.get(manifests.UNFINISHED, {}))
        self._orphans: list[str] = []

    def read_again(self) -> None:
        """Take over what another process of the group has written meanwhile."""
        self.manifest = layers.read_layered(self.folder)

    def is_current(
        self,
        step: str,
        settings: dict[str, Any],
        inputs: tuple[str, ...],
        outside: dict[str, str] | None = None,
    ) -> bool:
        """Return True when the step was made with these settings from the current inputs.

        A setting that is None or False and one that is absent are the same: no study becomes stale by a new
        setting, or by one that is gone.
        """
        entry = self.manifest["steps"].get(step)
        current_inputs = self._inputs(step, inputs, outside)
        return (
            bool(entry)
            and _given(entry["settings"]) == _given(settings)
            and entry["inputs"] == current_inputs
        )

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
        """Redo one step. Its earlier items leave the manifest before the first file is replaced, so that no
        reader sees a mixture, and a step that ends before (refused settings, a kill) loses nothing.

        Args:
            inputs: items of this study that the step reads; if one changes later, the step becomes stale.
            outside: fingerprints of inputs outside the study (images, encoder).
        """
        digests = self._inputs(name, inputs, outside)
        fingerprint = manifests.digest({"step": name, "settings": settings, "inputs": digests})
        if self.guest:
            yield StepWriter(self.folder, fingerprint)
            return
        begin = partial(self.forget, name)
        writer = StepWriter(self.folder, fingerprint, before_first=begin, shared=self._shared)
        self.note_asked()
        try:
            yield writer
        except PeregrineError:
            if not writer.has_begun and self.asked.pop(name, None) is not None:  # what is refused is not kept
                self.note_asked()
            raise
        if writer._open:
            raise StudyError(f"step {name} left {', '.join(writer._open)} unfinished")
        self.forget(name)
        for item, entry in writer.items.items():
            self.manifest["items"][item] = entry | {"step": name}
        self.manifest["steps"][name] = {
            "settings": settings,
            "inputs": digests,
            "summary": writer.summary,
            "outputs": sorted(writer.items),
        }
        self._write()
        self._remove_leftovers()

    def _unfinished(self) -> dict[str, dict[str, Any]]:
        return {step: one for step, one in self.asked.items() if step not in self.manifest["steps"]}

    def note_asked(self) -> None:
        """Write what was asked for, unless the manifest says it already, or there is none yet."""
        if self.manifest["steps"] and self._unfinished() != self.manifest.get(manifests.UNFINISHED, {}):
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
        if not self.guest:
            self._write()

    def remove(self, name: str) -> None:
        """Remove a step with its files."""
        self.forget(name)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Delete the files of items that the step made before and no longer makes."""
        for item in self._orphans:
            if item not in self.manifest["items"]:
                shutil.rmtree(self.folder / item, ignore_errors=True)
                (self.folder / f"{item}.parquet").unlink(missing_ok=True)
        self._orphans.clear()


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in settings.items() if name not in SETTINGS}
    return {name: value for name, value in known.items() if value is not None and value is not False}


@contextmanager
def write_study(path: str | Path, *, guest: bool = False, shared: bool = False) -> Iterator[StudyWriter]:
    """Open a study for writing; the folder is created if needed.

    Args:
        guest: take no lock, because another process of this torchrun holds it.
        shared: there are such guests.

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
    if guest:
        yield StudyWriter(folder, guest=True)
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
        yield StudyWriter(folder, shared=shared)
    finally:
        lock.release()
        if is_new and {path.name for path in folder.iterdir()} <= {".lock", "progress.json"}:
            shutil.rmtree(folder)  # nothing was written
