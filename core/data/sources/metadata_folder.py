"""Folders whose labels stand in metadata.csv, .jsonl or .parquet, as imagefolder of `datasets` reads them.

A row is an image, and what no row names is left out.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from core.common.remote.addresses import is_url
from core.data.formats.rows import image_names
from core.data.sources.folder_table import say_of_folder_table
from core.data.sources.listed_files import ListedFiles
from core.data.sources.metadata_tables import joined_metadata, metadata_tables, with_captions
from core.data.sources.source import READING, Listing
from core.data.sources.tables import TableSource
from core.errors import ImageSourceError


class MetadataSource(TableSource):
    """A folder of pictures with its tables; see the module."""

    kind = "metadata"
    may_name_numbers = False

    def __init__(
        self,
        root: str | Path,
        seed: int | None = 0,
        *,
        columns: Mapping[str, Any] | None = None,
        reading: int = READING,
    ):
        super().__init__(root, seed, root, columns=columns, reading=reading)

    @classmethod
    def with_labels(cls, root: str | Path, seed: int | None = 0, *, group: str | None = None) -> Self | None:
        """Open a folder whose tables name the classes of its pictures; None for any other folder."""
        if is_url(str(root)) or not metadata_tables(str(root)):
            return None
        with suppress(ImageSourceError):
            source = cls(root, seed).grouped_by(group)
            return source if source.labelled else None
        return None

    def _list(self) -> Listing:
        tables = metadata_tables(self.path)
        frame = joined_metadata(self.path, tables)
        files = ListedFiles(self._folder, self._resolve)
        listing = self._decided(frame, files, [])
        listing.extras = with_captions(listing.extras)
        left = len(image_names(self.path)) - len(listing.table)
        labels_note = say_of_folder_table(
            "metadata", names=tuple(tables), what=self.columns.get("label") or ""
        )
        listing.notes = [labels_note, *listing.notes]
        if left > 0:
            listing.notes.append(say_of_folder_table("not_listed", n=left))
        return listing
