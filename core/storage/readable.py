"""The parts of a study that the modules below the store read, as a protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from PIL import Image

from core.storage.chunked_array import ChunkedArray
from core.storage.missing import Missing


class ReadableStudy(Protocol):
    """A study open for reading; `core.store.Study` documents each part."""

    path: Path
    manifest: dict[str, Any]

    @property
    def images(
        self,
    ) -> Any: ...  # pd.DataFrame; pyright does not accept a cached_property as a property
    @property
    def transform(self) -> Any: ...  # Transform
    @property
    def discriminative(self) -> np.ndarray: ...
    def state(self, step: str) -> str: ...
    def missing(self) -> dict[str, Missing]: ...
    def why_missing(self, item: str) -> Missing | None: ...
    def has(self, item: str) -> bool: ...
    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame: ...
    def array(self, name: str) -> ChunkedArray: ...
    def vector(self, name: str) -> np.ndarray: ...
    def summary(self, step: str) -> dict[str, Any]: ...
    def image(self, image: str | int) -> Image.Image: ...
    def mask(self, image: str | int, kind: str, *, size: tuple[int, int] | None = None) -> np.ndarray: ...
    def heatmap(
        self, image: str | int, features: Sequence[int] | None = None, combine: str = "mean"
    ) -> np.ndarray: ...
