"""The reader of studies, and the notebook API. No torch.

from core.store import open_study
study = open_study("studies/demo")
study.table("quality").nsmallest(10, "q_score")
study.array("representations")[:100]
study.image("train/dog/0001.jpg")
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from core.common.command_line import command_line
from core.common.inside import inside
from core.errors import StudyError, UnreadableImage, article, did_you_mean
from core.storage import manifest as manifests
from core.storage.bounds import fault_of
from core.storage.chunked_array import ChunkedArray
from core.storage.damage import find_damage
from core.storage.seals import Damaged
from core.storage.table_files import read_stored_table
from core.storage.thumbnails import thumbnail_bytes, thumbnail_picture

if TYPE_CHECKING:
    from core.encoders.transform import Transform
    from core.heatmaps.reader import HeatmapReader


class Study:
    """One encoder on one image set, read from its folder.

    A study is a snapshot of its manifest: open it again to see what a later step added. Items of stale
    steps (their inputs have changed since) are not served.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.manifest = manifests.read_manifest(self.path)
        self.name = self.path.resolve().name
        self.key = self._key_of(self.manifest)
        self.damage: dict[str, str] = {}
        self._arrays: dict[str, ChunkedArray] = {}
        self.states = {step: manifests.step_state(self.manifest, step) for step in self.manifest["steps"]}

    def __repr__(self) -> str:
        steps = ", ".join(step for step in manifests.STEPS if self.state(step) == "done") or "nothing yet"
        return f"<Study '{self.path}': {steps}>"

    def state(self, step: str) -> str:
        """'done', 'stale' or 'missing'."""
        return self.states.get(step, "missing")

    def missing(self) -> dict[str, str]:
        """Steps that are not there or damaged, each with the reason and the command that makes it."""
        reasons = {"missing": "not run yet", "stale": "made from inputs that have changed since"}
        found = {
            step: f"{reasons[self.state(step)]}. Run: {command_line(step, self.path)}"
            for step in manifests.STEPS
            if self.state(step) != "done"
        }
        found |= {self.manifest["items"][item]["step"]: self.damaged(item) for item in self.damage}
        return {step: found[step] for step in manifests.STEPS if step in found}

    def damaged(self, item: str) -> str:
        """What is wrong with an item of `damage`, and the command that makes it again."""
        step = self.manifest["items"][item]["step"]
        return f"damaged: {self.damage[item]}. Run: {command_line(step, self.path, redo=True)}"

    def set_damage_aside(self) -> None:
        """Stop serving what cannot be read; `damage` and `missing` say what is wrong."""
        served = {name: item for name, item in self.manifest["items"].items() if self.has(name)}
        self._set_aside(find_damage(self.path, served))

    def _set_aside(self, found: dict[str, str]) -> None:
        self.damage = self.damage | found
        self.key = self._key_of([self.manifest, self.damage])

    def _damage_found(self, item: str, what: str) -> StudyError:
        """Set an item aside that turned out to be damaged while it was read; the error to raise."""
        self._set_aside({item: what})
        return StudyError(f"'{item}' in '{self.path}' is {self.damaged(item)}")

    def _key_of(self, contents: Any) -> str:
        return f"{self.path.resolve()}#{manifests.digest(contents)[:16]}"

    def has(self, item: str) -> bool:
        """True when the table or array is there, not stale and not set aside as damaged."""
        entry = self.manifest["items"].get(item)
        return entry is not None and self.state(entry["step"]) == "done" and item not in self.damage

    def _entry(self, item: str, kind: str) -> dict[str, Any]:
        entry = self.manifest["items"].get(item)
        if entry is None:
            options = [name for name, other in self.manifest["items"].items() if other["kind"] == kind]
            held = f"It has: {', '.join(sorted(options))}"
            raise StudyError(f"no {kind} '{item}' in '{self.path}'.{did_you_mean(item, options)} {held}")
        if entry["kind"] != kind:
            raise StudyError(f"'{item}' in '{self.path}' is {article(entry['kind'])}, not {article(kind)}")
        if item in self.damage:
            raise StudyError(f"'{item}' in '{self.path}' is {self.damaged(item)}")
        if not self.has(item):
            raise StudyError(
                f"'{item}' in '{self.path}' is stale: its inputs have changed. "
                f"Run: {command_line(entry['step'], self.path)}"
            )
        return entry

    def columns(self, name: str) -> list[str]:
        """Names of a table's columns, without reading it."""
        return list(self._entry(name, "table")["columns"])

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A whole table, or only some of its columns. One that turns out to be damaged is set aside."""
        known = self.columns(name)
        for column in columns or []:
            if column not in known:
                hint = did_you_mean(column, known)
                raise StudyError(f"no column '{column}' in table '{name}' of '{self.path}'.{hint}")
        try:
            return read_stored_table(self.path, name, self._entry(name, "table"), columns)
        except Damaged as error:
            raise self._damage_found(name, str(error)) from error

    def array(self, name: str) -> ChunkedArray:
        """An array of any size, memory-mapped by chunk."""
        entry = self._entry(name, "array")
        if name not in self._arrays:
            rows, width = [chunk["rows"] for chunk in entry["chunks"]], entry["shape"][1:]
            fault = fault_of(name, self.manifest["items"])
            say = partial(self._damage_found, name)
            folder = inside(self.path, name)
            self._arrays[name] = ChunkedArray(folder, rows, entry["dtype"], width, fault=fault, damaged=say)
        return self._arrays[name]

    def vector(self, name: str) -> np.ndarray:
        """A small array, whole and in memory."""
        return self.array(name)[:]

    def settings(self, step: str) -> dict[str, Any]:
        """The settings that a step was run with; empty when it was not run."""
        return self.manifest["steps"].get(step, {}).get("settings", {})

    def summary(self, step: str) -> dict[str, Any]:
        """The headline numbers of a step; empty when it was not run or is stale."""
        return self.manifest["steps"][step]["summary"] if self.state(step) == "done" else {}

    @property
    def encoder_name(self) -> str:
        """What to call the encoder where space is short: a checkpoint's file name, else the SPEC; or ''."""
        encoder = self.summary("embed").get("encoder", {})
        return encoder.get("name") or encoder.get("spec", "")

    @cached_property
    def images(self) -> pd.DataFrame:
        """One row an image, in the order of every array: image_id, path, split, label."""
        return self.table("images")

    @cached_property
    def _rows(self) -> pd.Index:
        return pd.Index(self.images["image_id"])

    @property
    def n_images(self) -> int:
        return int(self.manifest["items"].get("images", {}).get("shape", [0])[0])

    @cached_property
    def labelled(self) -> bool:
        return bool(self.images["label"].notna().any())

    @cached_property
    def class_names(self) -> list[str]:
        """Sorted class names; empty for images without labels."""
        return sorted(self.images["label"].dropna().unique())

    @cached_property
    def is_val(self) -> np.ndarray:
        """(n_images,) bool: the evaluation split."""
        return (self.images["split"] == "val").to_numpy()

    def row_of(self, image_id: str) -> int:
        """The row of an image in every table and array that has one row an image."""
        try:
            return int(self._rows.get_loc(image_id))  # pyright: ignore[reportArgumentType]
        except KeyError:
            raise StudyError(f"no image '{image_id}' in '{self.path}'") from None

    @cached_property
    def source(self) -> Any:
        """The ImageSource that the study was made from, opened again."""
        from core.data.sources.images import reopen_images

        return reopen_images(self.summary("embed")["source"])

    def image(self, image: str | int) -> Image.Image:
        """The original picture (RGB, upright) of an image id or row.

        Raises:
            UnreadableImage: it was moved or changed since, or the study was made from representations only.
        """
        row = image if isinstance(image, int) else self.row_of(image)
        try:
            return self.source.read_id(self.images["image_id"].iat[row])
        except (UnreadableImage, StudyError):
            raise
        except Exception as error:
            raise UnreadableImage(f"the image source cannot be opened: {error}") from error

    @cached_property
    def masks(self) -> Any:
        """The MaskSource that `overlap` used, else the masks that the image source plants itself, or None."""
        from core.data.masks.masks import open_masks, reopen_masks

        description = self.summary("overlap").get("masks")
        return reopen_masks(description, self.source) if description else open_masks(source=self.source)

    @cached_property
    def transform(self) -> Transform:
        """Geometry and pixel statistics of the encoder; StudyError for a study of ready representations."""
        from core.encoders.transform import Transform

        values = self.summary("embed").get("encoder", {}).get("transform")
        if values is None:
            raise StudyError(
                f"'{self.path}' was made from ready representations: it has no encoder to look with"
            )
        return Transform.from_dict(values)

    def mask(self, image: str | int, kind: str, *, size: tuple[int, int] | None = None) -> np.ndarray:
        """A "core" or "spurious" mask in the encoder's input frame.

        Args:
            size: width and height of the image or of a thumbnail of it; None: the image is opened to see.
        Returns:
            (S, S) float32 in [0, 1].
        Raises:
            StudyError: the study has no masks. UnreadableImage: there is none of this image.
        """
        from core.data.masks.masks import in_encoder_frame

        row = image if isinstance(image, int) else self.row_of(image)
        image_id = str(self.images["image_id"].iat[row])
        masks = self.masks
        if masks is None:
            command = command_line("overlap", self.path, masks="DIR")
            raise StudyError(f"'{self.path}' has no masks. Run: {command}")
        mask = masks.read(image_id, kind)
        frame = masks.frame(image_id, kind)
        return in_encoder_frame(mask, frame, self.transform, size or self.image(row).size)

    def thumbnail(self, row: int) -> bytes:
        """JPEG bytes of one image's thumbnail; StudyError where there is no such row or no picture."""
        return thumbnail_bytes(self, row)

    def _row(self, image: str | int) -> int:
        """The row of an image id or row; StudyError when there is none."""
        if isinstance(image, str):
            return self.row_of(image)
        if not 0 <= image < self.n_images:
            raise StudyError(f"no image in row {image} of '{self.path}' ({self.n_images} images)")
        return int(image)

    @cached_property
    def heatmap_reader(self) -> HeatmapReader:
        """Which heatmaps are stored, and the maps at the layer's own resolution."""
        from core.heatmaps.reader import HeatmapReader

        return HeatmapReader(self)

    def heatmap(
        self, image: str | int, features: Sequence[int] | None = None, combine: str = "mean"
    ) -> np.ndarray:
        """(S, S) float32 in [0, 1]: where features look on an image, in the encoder's input frame.

        Args:
            image: id or row. features: None for the image's discriminative features. combine: mean, sum, max
                or min of several.
        Raises:
            StudyError: not stored; the message says how to compute it. SettingsError: no such feature.
        """
        return self.heatmap_reader.heatmap(self._row(image), features, combine)

    def overlay(
        self,
        image: str | int,
        features: Sequence[int] | None = None,
        *,
        combine: str = "mean",
        opacity: float = 0.55,
        colour_map: str = "turbo",
        masks: Sequence[str] = (),
        max_side: int | None = None,
        ground: Image.Image | None = None,
    ) -> Image.Image:
        """The image at its own size, its heatmap over it, with the encoder's crop undone.

        Args:
            image, features, combine: as for `heatmap`.
            opacity: 0 to 1. colour_map: a name in `core.heatmaps.overlay_image.COLOUR_MAPS`.
            masks: "core", "spurious": drawn as outlines. max_side: pixels; a larger image is made smaller.
            ground: drawn on instead of the original: the same picture at another size, as its thumbnail is.
        Raises:
            UnreadableImage: the picture is gone. StudyError: no such heatmap or mask is stored.
        """
        from core.heatmaps.overlay_image import study_overlay

        look = {"opacity": opacity, "colour_map": colour_map, "masks": masks}
        return study_overlay(
            self, self._row(image), features, combine=combine, max_side=max_side, ground=ground, **look
        )

    def thumbnail_image(self, row: int) -> Image.Image:
        """The thumbnail as a picture."""
        return thumbnail_picture(self, row)


def open_study(path: str | Path) -> Study:
    """Open a study folder for reading.

    Raises:
        StudyError: no study there, damaged, or of a newer format; the message says what to do.
    """
    return Study(path)
