"""Read a study folder: tables, arrays, images, masks and heatmaps. No torch; `core.store` opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import pandas as pd
from PIL import Image

from core.common.addresses import study_folder
from core.common.command_line import command_line
from core.common.dataframes import group_codes
from core.common.entries import WrongEntry, record_of
from core.common.inside import stamp_of
from core.common.private_paths import folder_of_ids
from core.common.step_facts import EmbedFacts, Facts, OverlapFacts, StepFacts
from core.common.threads import cached_property
from core.common.worker_group import check_same
from core.data.decode import decode
from core.errors import StudyError, UnreadableImage, article, did_you_mean
from core.study import layers
from core.study import manifest as manifests
from core.study.chunked_array import ChunkedArray
from core.study.manifest import MANIFEST
from core.study.missing import (
    LEFT_OUT,
    NO_LABELS,
    OF_LATENTS,
    SINCE,
    Missing,
    ReadableStudy,
    damaged_item,
    earlier_item,
    missing_step,
)
from core.study.no_longer_shown import NoLongerShown, find_no_longer_shown, names_no_longer_shown
from core.study.seals import Damaged, find_damage
from core.study.steps import STEPS, in_analysis, step_of
from core.study.table_files import KeptColumns, read_stored_table, stored_array

if TYPE_CHECKING:
    from core.encoders.transform import Transform
    from core.study.stored_heatmaps import HeatmapReader


# A study as its manifest said when it was opened; what has changed since is not read as if it had not.


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
        if (stamps := _stamps_of(self._folder)) != self._seen:
            self._latest = layers.read_layered(self._folder)["items"]
            self._seen = stamps
        if self._latest is not self._items and _content(self._latest, item) != _content(self._items, item):
            raise StudyError(f"'{item}' of '{self._folder}' has changed since it was opened. Open it again")


def _stamps_of(folder: Path) -> tuple[Stamp, ...]:
    """The stamps of the manifests that a study is read from, which tell whether it has changed."""
    places = (folder, layers.below(folder))
    return tuple(stamp_of(place / MANIFEST) for place in places if place is not None)


def _content(items: Mapping[str, Any], item: str) -> Any:
    """The checksums of an item; None where it is not there."""
    entry = items.get(item, {})
    return entry.get("sha256", entry.get("chunks"))


# Thumbnails of the images of a study: JPEG bytes, one after the other, in the array `thumbnails`.


def _thumbnail_bytes(study: ReadableStudy, row: int) -> bytes:
    """Return one image's thumbnail as JPEG bytes; StudyError for an unknown row or a missing thumbnail."""
    sizes = study.array("thumbnail_sizes")
    if not 0 <= row < len(sizes):
        raise StudyError(f"no image in row {row} of '{study.path}' ({len(sizes)} images)")
    chunk = int(np.searchsorted(sizes.starts, row, side="right")) - 1
    here = row - sizes.chunk_start(chunk)
    ends = np.cumsum(sizes.chunk(chunk), dtype=np.int64)
    start, end = int(ends[here - 1]) if here else 0, int(ends[here])
    if end == start:
        raise StudyError(f"the image in row {row} of '{study.path}' has no thumbnail")
    pictures = study.array("thumbnails")
    if not 0 <= start < end or ends[-1] != np.diff(pictures.starts)[chunk]:
        raise sizes.damage("thumbnail_sizes do not match the thumbnails")
    return pictures.part(chunk, slice(start, end)).tobytes()


def _thumbnail_picture(study: ReadableStudy, row: int) -> Image.Image:
    """Return the thumbnail of one image, as an image."""
    try:
        return decode(_thumbnail_bytes(study, row))
    except UnreadableImage as error:
        remedy = f"Run: {command_line('embed', study.path, redo=True)}"
        raise StudyError(f"the thumbnail of row {row} of '{study.path}' is damaged. {remedy}") from error


# Read a study folder: tables, arrays, images, masks and heatmaps. No torch; `core.store` opens it.


class StudyReader(KeptColumns):
    """The contents of a study folder: the base of `core.store.Study`.

    It is a snapshot of its manifest: open it again to see what a later step added; what a step has made
    again since is refused. Items of stale steps (steps whose inputs have changed since) are not served.
    """

    def __init__(self, path: str | Path):
        self.path = study_folder(path)
        stamps = _stamps_of(self.path)
        self.manifest = layers.read_layered(self.path)
        self._snapshot = Snapshot(self.path, self.manifest, stamps)
        self.below = layers.below(self.path)  # the study that this is a basis of
        # The basis in which it is read, and what each of its features is called.
        here = (layers.UNITS, "Feature") if self.below is None else (self.path.name, "Latent")
        self.basis_name, self.feature_kind = here
        self.name = layers.name_of(self.path)
        self._name_contents(self.manifest)
        self.damage: dict[str, str] = {}
        self._arrays: dict[str, ChunkedArray] = {}
        self.kept_columns: dict[tuple[str, str], pd.Series] = {}
        self.states = {step: manifests.step_state(self.manifest, step) for step in self.manifest["steps"]}

    def _read_as(self, other: StudyReader) -> None:
        """Read the same snapshot as another study, with the tables and arrays that it has opened."""
        self.path, self.below, self.manifest = other.path, other.below, other.manifest
        self.name, self.basis_name, self.feature_kind = other.name, other.basis_name, other.feature_kind
        self.digest, self.key = other.digest, other.key
        self.damage, self.states = other.damage, other.states
        self._snapshot, self._arrays = other._snapshot, other._arrays
        self.kept_columns = other.kept_columns

    def in_units(self) -> StudyReader:
        """Return the study by the units of its encoder: itself where it is read in no basis."""
        return self if self.below is None else self._opened_below(self.below)

    def _opened_below(self, whole: Path) -> StudyReader:
        return StudyReader(whole)

    def __reduce__(self) -> Any:
        """A process that shares work opens the study itself, and must see the same images."""
        return type(self), (self.path,), self.source.fingerprint()

    def __setstate__(self, images: str) -> None:
        check_same("images", self.source.fingerprint(), images)

    def __repr__(self) -> str:
        steps = ", ".join(step for step in STEPS if self.state(step) == "done") or "nothing yet"
        return f"<Study '{self.path}': {steps}>"

    def state(self, step: str) -> str:
        """Return 'done', 'stale' or 'missing'."""
        return self.states.get(step, "missing")

    def missing(self) -> dict[str, Missing]:
        """Steps that are not there, stale or damaged: why, and the command that makes them."""
        expected = {*self.states, *(step for step in in_analysis() if not STEPS[step].optional)}
        states = {step: self.state(step) for step in STEPS if step in expected}
        missing = {step: missing_step(self.path, step, at) for step, at in states.items() if at != "done"}
        missing |= {one.step: one for one in map(self._damaged, self.damage)}
        return {step: missing[step] for step in STEPS if step in missing}

    def why_missing(self, item: str) -> Missing | None:
        """Explain why a table or array is missing, with the command that makes it; None where it is there."""
        if self.has(item):
            return None
        entry = self.manifest["items"].get(item)
        step = entry["step"] if entry else step_of(item)
        if step is None:
            return Missing(item, "", "missing", "this study does not hold it")
        if item in self.damage:
            return self._damaged(item)
        if self.state(step) != "done":
            return missing_step(self.path, step, self.state(step), item)
        if skipped := self.why_skipped(step):
            return Missing(item, step, "skipped", f"left out: {skipped}")
        if item in SINCE and SINCE[item] not in self.summary(step):
            return earlier_item(self.path, step, item)
        if step in STEPS and STEPS[step].needs_labels and self.has("images") and not self.labelled:
            return Missing(item, step, "skipped", NO_LABELS)
        of_latents = self.below is not None and item == "probe_weights"
        return Missing(item, step, "skipped", OF_LATENTS if of_latents else LEFT_OUT)

    def _damaged(self, item: str) -> Missing:
        return damaged_item(self.path, self.manifest["items"][item]["step"], item, self.damage[item])

    @property
    def no_longer_shown(self) -> list[NoLongerShown]:
        """What the study holds, of its own, that earlier versions made and this one does not show."""
        return find_no_longer_shown(self.path, layers.of_its_own(self.manifest))

    def set_damage_aside(self) -> None:
        """Stop serving items that cannot be read; `damage` and `missing` describe the problem."""
        unread = names_no_longer_shown(self.manifest)
        readable = {name: item for name, item in self.manifest["items"].items() if name not in unread}
        served = {name: item for name, item in readable.items() if self.has(name)}
        for folder, stored in layers.by_home(self.path, self.below, served):
            self._set_aside(find_damage(folder, stored))

    def _set_aside(self, damage: dict[str, str]) -> None:
        self.damage = self.damage | damage
        self._name_contents([self.manifest, self.damage])

    def _damage_found(self, item: str, what: str) -> StudyError:
        """Mark an item as damaged that failed while it was read, and return the error to raise."""
        self._snapshot.check(item)
        self._set_aside({item: what})
        return StudyError(f"'{item}' in '{self.path}' is {self._damaged(item)}")

    def _name_contents(self, contents: Any) -> None:
        """`digest` identifies what the study holds; `key` also where it is."""
        self.digest = manifests.digest(contents)[:16]
        self.key = f"{self.path.resolve()}#{self.digest}"

    def has(self, item: str) -> bool:
        """Return True when the table or array is present, current and not damaged."""
        entry = self.manifest["items"].get(item)
        return entry is not None and self.state(entry["step"]) == "done" and item not in self.damage

    @property
    def has_firing(self) -> bool:
        """Return True when the study holds which features fire on which images."""
        return self.has("firing_by_feature_ptr") and self.has("firing_by_feature_rows")

    def _entry(self, item: str, kind: str) -> tuple[Path, dict[str, Any]]:
        """Return the folder that holds an item, and what the manifest says of it."""
        entry = self.manifest["items"].get(item)
        if entry is None:
            options = [name for name, other in self.manifest["items"].items() if other["kind"] == kind]
            held = f"It has: {', '.join(sorted(options))}"
            raise StudyError(f"no {kind} '{item}' in '{self.path}'.{did_you_mean(item, options)} {held}")
        if entry["kind"] != kind:
            raise StudyError(f"'{item}' in '{self.path}' is {article(entry['kind'])}, not {article(kind)}")
        if item in self.damage:
            raise StudyError(f"'{item}' in '{self.path}' is {self._damaged(item)}")
        if not self.has(item):
            raise StudyError(
                f"'{item}' in '{self.path}' is stale: its inputs have changed. "
                f"Run: {command_line(entry['step'], self.path)}"
            )
        return layers.home(self.path, self.below, entry), entry

    def _current_entry(self, item: str, kind: str) -> tuple[Path, dict[str, Any]]:
        """Return the same, of an item that no step has made again since the study was opened."""
        entry = self._entry(item, kind)
        self._snapshot.check(item)
        return entry

    def columns(self, name: str) -> list[str]:
        """Return the names of a table's columns when the study was opened, without reading the table."""
        return list(self._entry(name, "table")[1]["columns"])

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Read a whole table, or only some columns. A table that turns out damaged is no longer served."""
        names = StudyReader.columns(self, name)
        for column in columns or []:
            if column not in names:
                hint = did_you_mean(column, names)
                raise StudyError(f"no column '{column}' in table '{name}' of '{self.path}'.{hint}")
        try:
            folder, entry = self._current_entry(name, "table")
            frame = read_stored_table(folder, name, entry, columns)
            self._snapshot.check(name)
            return frame
        except Damaged as error:
            raise self._damage_found(name, str(error)) from error

    def array(self, name: str) -> ChunkedArray:
        """Return an array of any size, memory-mapped by chunk."""
        folder, entry = self._current_entry(name, "array")
        if name not in self._arrays and self.below is not None and layers.COMPUTED in entry:
            whole = StudyReader(self.below)
            self._arrays[name] = layers.read_made(whole, self.path.name, name, entry[layers.COMPUTED])
        if name not in self._arrays:
            say = partial(self._damage_found, name)
            check = partial(self._snapshot.check, name)
            self._arrays[name] = stored_array(folder, name, self.manifest["items"], say, check)
        return self._arrays[name]

    def vector(self, name: str) -> np.ndarray:
        """Return a small array, read into memory as a whole."""
        return self.array(name)[:]

    def settings(self, step: str) -> dict[str, Any]:
        """Return the settings that a step was run with; empty when it was not run."""
        return self.manifest["steps"].get(step, {}).get("settings", {})

    def summary(self, step: str) -> dict[str, Any]:
        """Return all that a step says of its results, to be shown whole; empty when it was not run or is
        stale. `facts` reads single entries."""
        return self.manifest["steps"][step]["summary"] if self.state(step) == "done" else {}

    def facts(self, kind: type[Facts]) -> Facts:
        """Return what the summary of a step says, as its record; when it was not run or is stale,
        with nothing but defaults.

        Args:
            kind: names the step, as `EmbedFacts` does.
        Raises:
            StudyError: an entry is not of the type that every version writes.
        """
        return self._read_facts(kind, kind.step)

    def why_skipped(self, step: str) -> str:
        """Explain why a step left its results out; "" where it has them or was not run."""
        return self._read_facts(StepFacts, step).skipped

    def _read_facts(self, kind: type[Facts], step: str) -> Facts:
        try:
            return record_of(kind, self.summary(step))
        except WrongEntry as error:
            raise StudyError(
                f"the summary of the step '{step}' in '{self.path}' is damaged: {error}"
            ) from None

    @property
    def encoder_name(self) -> str:
        """Return a short name for the encoder: a checkpoint's file name, else the SPEC, else ''."""
        encoder = self.facts(EmbedFacts).encoder
        return encoder.name or encoder.spec

    @property
    def images(self) -> pd.DataFrame:
        """One row per image, in the order of every array: image_id, path, split, label.

        It is a frame of its own, which shares the memory: what is sorted in it selects no other images.
        """
        return self._images.copy(deep=False)

    @cached_property
    def _images(self) -> pd.DataFrame:
        return self.kept("images").frame()

    @property
    def n_images(self) -> int:
        return int(self.manifest["items"].get("images", {}).get("shape", [0])[0])

    @cached_property
    def labelled(self) -> bool:
        return bool(self.class_names)

    @cached_property
    def class_names(self) -> list[str]:
        """Return the sorted class names; empty for images without labels."""
        return sorted(self.column("images", "label").dropna().unique())

    @property
    def discriminative(self) -> np.ndarray:
        """(n_features,) bool: D, a definition on the train images, also where the study is of a slice."""
        return StudyReader.table(self, "features", ["discriminative"])["discriminative"].to_numpy(bool)

    @cached_property
    def is_val(self) -> np.ndarray:
        """(n_images,) bool: the evaluation split; it cannot be written to."""
        is_val = (self.column("images", "split") == "val").to_numpy()
        is_val.setflags(write=False)
        return is_val

    @cached_property
    def groups(self) -> np.ndarray | None:
        """(n_images,) int32: the patient, lesion or sequence of each image by the column `EmbedFacts.group`,
        as a number; None where each image is for itself.
        """
        group = StudyReader.facts(self, EmbedFacts).group
        if group is None or not self.has("attributes") or group not in self.columns("attributes"):
            return None
        codes = group_codes(self.column("attributes", group))
        codes.setflags(write=False)
        return codes

    chosen: np.ndarray | None = None  # (n_images,) bool: the slice that the study is narrowed to, if any

    def rows_of_slice(self, usual: np.ndarray) -> np.ndarray:
        """(n_images,) bool: the images of the slice that the study is narrowed to; else `usual`."""
        return usual

    def images_named(self, usual: str) -> str:
        """What these images are called: those of the slice that the study is narrowed to, else `usual`."""
        return usual

    def row_of(self, image_id: str) -> int:
        """Return the row of an image in every table and array that has one row per image."""
        rows = self.rows_held([image_id])
        if image_id not in rows:  # as an export writes an id that is a path
            image_id = folder_of_ids(self.column("images", "image_id")) + image_id
            rows = self.rows_held([image_id])
        if image_id not in rows:
            raise StudyError(f"no image '{image_id}' in '{self.path}'")
        return rows[image_id]

    @cached_property
    def source(self) -> Any:
        """Reopen the ImageSource that the study was made from."""
        from core.data.images import reopen_images

        return reopen_images(dict(self.facts(EmbedFacts).source.described))

    def image(self, image: str | SupportsIndex) -> Image.Image:
        """Return the original image (RGB, upright) for an image id or a row.

        Raises:
            UnreadableImage: the file was moved or changed, or the study was made from representations only.
        """
        try:
            return self.source.read_id(self.column("images", "image_id").iat[self._row(image)])
        except (UnreadableImage, StudyError):
            raise
        except Exception as error:
            raise UnreadableImage(f"the image source cannot be opened: {error}") from error

    @cached_property
    def masks(self) -> Any:
        """Return the MaskSource that `overlap` used, else the masks of the image source itself, or None."""
        from core.data.masks import open_masks, reopen_masks

        description = self.facts(OverlapFacts).masks
        return reopen_masks(dict(description), self.source) if description else open_masks(source=self.source)

    @cached_property
    def transform(self) -> Transform:
        """Geometry and pixel statistics of the encoder; StudyError for a study made from representations."""
        from core.encoders.transform import Transform

        values = self.facts(EmbedFacts).encoder.transform
        if values is None:
            raise StudyError(f"'{self.path}' was made from representations, so it has no encoder transform")
        return Transform.from_dict(dict(values))

    def mask(
        self, image: str | SupportsIndex, kind: str, *, size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return a "core" or "spurious" mask, mapped to the encoder's input view: (S, S) float32 in [0, 1].

        Args:
            size: width and height of the image or of its thumbnail; None: open the image to find out.
        Raises:
            StudyError: the study has no masks. UnreadableImage: this image has no such mask.
        """
        from core.data.mask_source import upright
        from core.data.masks import in_encoder_frame

        image_id = str(self.column("images", "image_id").iat[self._row(image)])
        transform, masks = self.transform, self.masks
        if masks is None:
            command = command_line("overlap", self.path, masks="DIR")
            raise StudyError(f"'{self.path}' has no masks. Run: {command}")
        try:
            mask, frame = masks.read(image_id, kind), masks.frame(image_id, kind)
            shown = size or self.image(image).size
            if frame == "image":
                mask = upright(mask, shown, lambda: self.image(image).info.get("turn", 1))
        except UnreadableImage as error:
            raise UnreadableImage(f"the {kind} mask of '{image_id}': {error}") from None
        return in_encoder_frame(mask, frame, transform, shown)

    def thumbnail(self, image: str | SupportsIndex) -> bytes:
        """Return the thumbnail of an image id or a row as JPEG bytes; StudyError where there is none."""
        return _thumbnail_bytes(self, self._row(image))

    def _row(self, image: str | SupportsIndex) -> int:
        """Return the row for an image id or a row; StudyError when there is no such image."""
        if isinstance(image, str):
            return self.row_of(image)
        if not 0 <= (row := index(image)) < self.n_images:
            raise StudyError(f"no image in row {row} of '{self.path}' ({self.n_images} images)")
        return row

    @cached_property
    def heatmap_reader(self) -> HeatmapReader:
        """Return the reader of stored heatmaps, at the resolution of the layer."""
        from core.study.stored_heatmaps import HeatmapReader

        return HeatmapReader(self)

    def heatmap(
        self, image: str | SupportsIndex, features: Sequence[int] | None = None, combine: str = "mean"
    ) -> np.ndarray:
        """(S, S) float32 in [0, 1]: where features are active on an image, in the encoder's input view.

        Args:
            image: id or row. features: None for the image's firing discriminative features.
            combine: mean, sum, max or min of several.
        Raises:
            StudyError: not stored; the message names the command for it. SettingsError: unknown feature.
        """
        return self.heatmap_reader.heatmap(self._row(image), features, combine)

    def overlay(
        self,
        image: str | SupportsIndex,
        features: Sequence[int] | None = None,
        *,
        combine: str = "mean",
        opacity: float = 0.55,
        colour_map: str = "inferno",
        masks: Sequence[str] = (),
        mask_style: str = "region",
        max_side: int | None = None,
        ground: Image.Image | None = None,
    ) -> Image.Image:
        """Return the image at its own size with its heatmap on top, mapped back from the input view.

        Args:
            image, features, combine: as for `heatmap`.
            opacity: 0 to 1. colour_map: a name in `core.study.overlay_image.COLOUR_MAPS`.
            masks: "core", "spurious". mask_style: "region" (what is outside the core mask is dimmed, the
                spurious mask is hatched) or "outline". max_side: pixels; larger images are scaled down.
            ground: background to use instead of the original: the same picture at another size (a thumbnail).
        Raises:
            UnreadableImage: the original file is missing. StudyError: no such heatmap or mask is stored.
        """
        from core.study.overlay_image import OverlayStyle, overlay_image

        style = OverlayStyle(tuple(features or ()), combine, opacity, colour_map, tuple(masks), mask_style)
        return overlay_image(self, self._row(image), style, max_side=max_side, ground=ground)

    def thumbnail_image(self, image: str | SupportsIndex) -> Image.Image:
        """Return the thumbnail of an image id or a row, as an image."""
        return _thumbnail_picture(self, self._row(image))
