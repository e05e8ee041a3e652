"""Images of several domains: in folders DOMAIN/CLASS/IMAGE, and in coloured light (docs/method.md 14.4)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pandas as pd
from PIL import Image

from core.common.formatting import first_of
from core.data.copies import with_photographs
from core.data.folder import FolderSource
from core.data.source import ImageSource, ListedSource, Listing, draw_split, image_table, split_named
from core.errors import ImageSourceError, did_you_mean, unknown_name

# Images in DOMAIN/CLASS/IMAGE, as PACS and DomainNet come: the class is the label, the domain a column.


FOLDER_OPTIONS = ("root", "domains")
DOMAIN_COLUMN = "domain"


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
            if name not in FOLDER_OPTIONS:
                raise ImageSourceError(
                    unknown_name(f"domains has no option '{name}'", name, FOLDER_OPTIONS, "Options")
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
                f"'{self.folder.root}' is not laid out as DOMAIN/CLASS/IMAGE: {first_of(shallow, 3)}"
            )
        domains = sorted({part[0] for part in parts})
        if unknown := [name for name in self.domains if name not in domains]:
            hint = did_you_mean(unknown[0], domains)
            raise ImageSourceError(
                f"no domain '{unknown[0]}' in '{self.folder.root}'.{hint} Domains: {first_of(domains, 20)}"
            )
        domains = self.domains
        rows = np.array([i for i, part in enumerate(parts) if not domains or part[0] in domains])
        ids, labels = list(table["image_id"].iloc[rows]), [parts[row][1] for row in rows]
        splits = list(table["split"].iloc[rows])
        notes: list[str] = [n for n in self.folder.notes if "class" not in n]
        if not self.folder.split_given:  # the folder's was drawn domain by domain, not class by class
            both = [f"{parts[row][0]}/{parts[row][1]}" for row in rows]
            splits, of_draw = draw_split(ids, both, self.folder.seed)
            notes = [*of_draw]
        extras = pd.DataFrame({DOMAIN_COLUMN: pd.array([parts[row][0] for row in rows], dtype="str")})
        kept_table = image_table(ids, list(table["path"].iloc[rows]), splits, labels)
        return Listing(kept_table, notes, extras, split_given=self.folder.split_given, places=rows)


def _parts(image_id: str) -> list[str]:
    """Return [domain, class] of an image id; empty if it is not that deep."""
    parts = image_id.split("/")
    parts = parts[1:] if split_named(parts[0]) and len(parts) > 3 else parts
    return parts[:2] if len(parts) >= 3 else []


# Images in coloured light: a domain drawn for each image, and known exactly (docs/method.md 14.4).


COLOURS = {"red": (1.0, 0.25, 0.25), "green": (0.25, 1.0, 0.25)}
LUMA = (0.299, 0.587, 0.114)
TINT_OPTIONS = ("images", "colours", "strength", "seed")
TINT_COLUMN = "tint"
Opener = Callable[[str], ImageSource]


class TintedSource(ListedSource):
    """Any images, each tinted in one of the colours: `tinted?images=DIR&colours=red,green&strength=1&seed=0`.

    pixel = (1 - s) x + s luma(x) colour. The colour of an image is a seeded coin of its row; the column
    `tint` of `extras` tells it. With one colour all images lose the same hue information in one domain.
    """

    kind = "tinted"

    def __init__(self, inner: ImageSource, colours: tuple[str, ...], strength: float, seed: int):
        self.inner, self.colours, self.strength, self.tint_seed = inner, colours, strength, seed
        self.has_pictures = inner.has_pictures
        self.asked_group = inner.asked_group if isinstance(inner, ListedSource) else None

    @classmethod
    def from_spec(cls, spec: str, opener: Opener, seed: int | None = None) -> TintedSource:
        """Open a spec; `images` may be any other one, with & written as %26. Raises ImageSourceError.

        Args:
            opener: opens `images`, also by `seed`: the colours are drawn from the spec's own.
        """
        options = _options(spec)
        colours = tuple(options.get("colours", "red,green").split(","))
        for name in colours:
            if name not in COLOURS or colours.count(name) > 1:
                raise ImageSourceError(
                    f"tinted: colours must be different names of {', '.join(COLOURS)}, not "
                    f"'{options['colours']}'.{did_you_mean(name, COLOURS)}"
                )
        strength, tint_seed = options.get("strength", "1"), options.get("seed", "0")
        return cls(opener(options["images"]), colours, _share(strength), _seed(tint_seed))

    @classmethod
    def reopen(
        cls, description: dict[str, Any], reopener: Callable[[dict[str, Any]], ImageSource]
    ) -> TintedSource:
        values = description
        return cls(reopener(values["images"]), tuple(values["colours"]), values["strength"], values["seed"])

    def describe(self) -> dict[str, Any]:
        options = {"colours": list(self.colours), "strength": self.strength, "seed": self.tint_seed}
        return {"kind": self.kind, "images": self.inner.describe(), **options}

    def fingerprint(self) -> str:
        identity = f"{self.kind} {self.colours} {self.strength} {self.tint_seed}\n{self.inner.fingerprint()}"
        return hashlib.sha256(identity.encode()).hexdigest()

    def tint_of(self, row: int) -> str:
        """Return the name of the colour of a row."""
        return self.colours[int(np.random.default_rng((self.tint_seed, row)).random() * len(self.colours))]

    def read(self, row: int) -> Image.Image:
        image = self.inner.read(row)
        return Image.fromarray(tinted(np.asarray(image), COLOURS[self.tint_of(row)], self.strength))

    def _list(self) -> Listing:
        inner = self.inner
        tints = pd.Series([self.tint_of(row) for row in range(len(inner.table))], dtype="str")
        extras = inner.extras if inner.extras is not None else pd.DataFrame(index=inner.table.index)
        return Listing(
            inner.table,
            list(inner.notes),
            extras.assign(**{TINT_COLUMN: tints}),
            split_given=inner.split_given,
            group=inner.group,
        )


def tinted(pixels: np.ndarray, colour: tuple[float, float, float], strength: float) -> np.ndarray:
    """Tint images as domains of research: (H, W, 3) uint8, (1 - s) x + s luma(x) colour, rounded."""
    x = pixels.astype(np.float64)
    luma = x @ np.array(LUMA)
    tint = strength * luma[..., None] * np.array(colour)
    return np.rint((1 - strength) * x + tint).astype(np.uint8)


def tinted_spec(images: str, **options: Any) -> str:
    """Return the spec of tinted images, domains of research, with `images` quoted."""
    return "tinted?" + urlencode({"images": images, **options}, safe="/,:")


def _options(spec: str) -> dict[str, str]:
    pairs = parse_qsl(spec.partition("?")[2], keep_blank_values=True)
    for name, _ in pairs:
        if name not in TINT_OPTIONS:
            raise ImageSourceError(
                unknown_name(f"tinted has no option '{name}'", name, TINT_OPTIONS, "Options")
            )
    if not dict(pairs).get("images"):
        raise ImageSourceError(f"'{spec}' names no images. Write tinted?images=DIR&colours=red,green")
    return dict(pairs)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ImageSourceError(f"tinted: strength must be a number from 0 to 1, not '{text}'")
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ImageSourceError(f"tinted: seed must be a whole number from 0, not '{text}'")
    return int(text)
