"""Glyphworld as a source of images (docs/method.md 8)."""

from typing import Any

import pandas as pd

from core.common.threads import cached_property
from core.data.source import ImageSource, image_table
from core.errors import ImageSourceError
from core.worlds.glyphworld import PIXELS_VERSION, Glyphworld


class GlyphworldSource(Glyphworld, ImageSource):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The scenes of a world as images, whose ids are `seed/index`."""

    kind = "glyphworld"

    def __init__(self, **options: Any) -> None:
        """See `Glyphworld`."""
        super().__init__(**options)
        self.notes = []

    @cached_property
    def table(self) -> pd.DataFrame:  # pyright: ignore[reportIncompatibleVariableOverride]
        image_ids = [f"{self.seed}/{self.index_of(row)}" for row in range(len(self))]
        splits = ["train"] * self.n_train + ["val"] * self.n_val
        return image_table(image_ids, image_ids, splits, [self.label(row) for row in range(len(self))])

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "spec": self.spec, "pixels_version": PIXELS_VERSION}

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> "GlyphworldSource":
        """Reopen the world, unless this version draws other images than the version of the description."""
        drawn = description.get("pixels_version", 1)
        if drawn != PIXELS_VERSION:
            raise ImageSourceError(
                f"Glyphworld has changed since (version {drawn}, now {PIXELS_VERSION}): create a new study"
            )
        return cls.from_spec(description["spec"])
