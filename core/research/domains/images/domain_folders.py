"""Images in DOMAIN/CLASS/IMAGE, as PACS and DomainNet come: the class is the label, the domain a column."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
from PIL import Image

from core.data.sources.copies import with_photographs
from core.data.sources.folder import FolderSource
from core.data.sources.source import ListedSource, Listing, draw_split, image_table, some, split_named
from core.errors import ImageSourceError, did_you_mean, unknown_name

OPTIONS = ("root", "domains")
COLUMN = "domain"


class DomainFolders(ListedSource):
    """`domains?root=DIR&domains=photo,sketch`: some or all domains of a folder, with or without train/, val/.

    Attributes:
        domains: those taken; empty for all.
    """

    kind = "domains"

    def __init__(self, root: str, domains: tuple[str, ...] = (), seed: int | None = 0):
        self.folder, self.domains, self.seed = FolderSource.first_way(root, seed), domains, seed

    @classmethod
    def from_spec(cls, spec: str, opener: Any = None, seed: int | None = 0) -> DomainFolders:
        """Open a spec, which holds no other one for `opener`. Raises ImageSourceError."""
        pairs = dict(parse_qsl(spec.partition("?")[2], keep_blank_values=True))
        for name in pairs:
            if name not in OPTIONS:
                raise ImageSourceError(
                    unknown_name(f"domains has no option '{name}'", name, OPTIONS, "Options")
                )
        if not pairs.get("root"):
            raise ImageSourceError(f"'{spec}' names no folder. Write domains?root=DIR&domains=photo,sketch")
        domains = tuple(name for name in pairs.get("domains", "").split(",") if name)
        return cls(os.path.expanduser(pairs["root"]), domains, seed)

    @classmethod
    def reopen(cls, description: dict[str, Any], reopener: Any = None) -> DomainFolders:
        return cls(description["root"], tuple(description["domains"]), description["seed"])

    def describe(self) -> dict[str, Any]:
        options = {"root": self.folder.root, "domains": list(self.domains), "seed": self.folder.seed}
        return {"kind": self.kind, **options}

    def fingerprint(self) -> str:
        identity = f"{self.kind} {self.domains}\n{self.folder.fingerprint()}"
        return hashlib.sha256(identity.encode()).hexdigest()

    def read(self, row: int) -> Image.Image:
        return self.folder.read(int(self.listing.places[row]))

    def with_photographs(self, listing: Listing) -> Listing:
        if self.seed is None:
            return listing
        return with_photographs(listing, self.asked_group, partial(self._listed_picture, listing))

    def _listed_picture(self, listing: Listing, row: int) -> Image.Image:
        return self.folder.read(int(listing.places[row]))

    def _list(self) -> Listing:
        table = self.folder.table
        parts = [_parts(image_id) for image_id in table["image_id"]]
        if shallow := [image_id for image_id, part in zip(table["image_id"], parts, strict=True) if not part]:
            raise ImageSourceError(
                f"'{self.folder.root}' is not laid out as DOMAIN/CLASS/IMAGE: {some(shallow, 3)}"
            )
        domains = sorted({part[0] for part in parts})
        if unknown := [name for name in self.domains if name not in domains]:
            hint = did_you_mean(unknown[0], domains)
            raise ImageSourceError(
                f"no domain '{unknown[0]}' in '{self.folder.root}'.{hint} Domains: {some(domains, 20)}"
            )
        domains = self.domains
        rows = np.array([i for i, part in enumerate(parts) if not domains or part[0] in domains])
        ids, labels = list(table["image_id"].iloc[rows]), [parts[row][1] for row in rows]
        splits, notes = list(table["split"].iloc[rows]), [n for n in self.folder.notes if "class" not in n]
        if not self.folder.split_given:  # the folder's was drawn domain by domain, not class by class
            both = [f"{parts[row][0]}/{parts[row][1]}" for row in rows]
            splits, notes = draw_split(ids, both, self.folder.seed)
        extras = pd.DataFrame({COLUMN: pd.array([parts[row][0] for row in rows], dtype="str")})
        kept_table = image_table(ids, list(table["path"].iloc[rows]), splits, labels)
        return Listing(kept_table, notes, extras, split_given=self.folder.split_given, places=rows)


def _parts(image_id: str) -> list[str]:
    """Return [domain, class] of an image id; empty if it is not that deep."""
    parts = image_id.split("/")
    parts = parts[1:] if split_named(parts[0]) and len(parts) > 3 else parts
    return parts[:2] if len(parts) >= 3 else []
