"""Inputs of the sections of a report: facts of images, pictures, names of features."""

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import pandas as pd
from markupsafe import Markup

from core.charts.chart import whole_study
from core.charts.heat_panels import StudyHeats
from core.charts.options import FigureOptions
from core.common.captions import with_class_names
from core.common.dataframes import numbers
from core.common.image_files import image_file
from core.common.records import Record
from core.common.relative_paths import common_folder, relative_paths
from core.common.threadsafe import cached_property
from core.errors import PeregrineError
from core.export.private_paths import without_folders
from core.measures.label_issues import doubts_on_labels
from core.report.charts import Charts
from core.report.page import parts, picture
from core.slices.inspection.names import feature_names
from core.slices.inspection.populations import shown_images
from core.storage.missing import nothing
from core.store import Study

JPEG = 85


class Source:
    """One study with its charts, and what several chapters need of what the study holds."""

    def __init__(self, study: Study, charts: Charts | None = None):
        self.study, self.charts = study, charts or Charts({})

    @cached_property
    def facts(self) -> pd.DataFrame:
        """One row an image, see `StudyHeats.facts`."""
        return StudyHeats(self.study, FigureOptions()).facts

    @cached_property
    def judged(self) -> pd.DataFrame:
        """The facts of the images of `shown_images`."""
        return self.facts.loc[shown_images(self.study)]

    @cached_property
    def words(self) -> dict[int, str]:
        """Map features to what they are called, for those that are."""
        return feature_names(whole_study(self.study))

    @cached_property
    def doubts(self) -> dict[int, Record]:
        """What speaks against the labels of images, by row."""
        try:
            return doubts_on_labels(self.study)
        except PeregrineError:  # what people left cannot be read
            return {}

    def feature_name(self, feature: int) -> str:
        """ "Feature 12 (brick wall, red)", "Latent 12" in a basis."""
        words = self.words.get(int(feature))
        title = f"{self.study.feature_kind} {int(feature)}"
        return f"{title} ({words})" if words else title

    def reason(self, step: str) -> str:
        """Explain why a step's results are not there."""
        skipped = self.study.why_skipped(step)
        if skipped and step == "concepts" and self.study.settings(step).get("captions", "") is None:
            return str(nothing("no_words"))  # a reader of the report has no command line
        return without_folders(str(skipped or self.study.missing().get(step, "this study does not hold it.")))

    def tiles(self, rows: Iterable[int]) -> Markup:
        """Thumbnails with label, prediction and Q; images without a stored picture are named only."""
        return parts.gallery(([self.thumbnail(int(row))], self.lines(int(row))) for row in rows)

    def seen_tiles(self, rows: Iterable[int], features: Sequence[int] | None = None) -> Markup:
        """Thumbnails with label, prediction and Q, and below each its heatmap, where one is stored."""
        pairs = ((int(row), self.heat(int(row), features)) for row in rows)
        return parts.gallery(
            ([self.thumbnail(row), *([heat] if heat else [])], self.lines(row)) for row, heat in pairs
        )

    def small(self, row: int) -> bytes:
        """Return the thumbnail of an image as JPEG; empty where none is stored."""
        try:
            return self.study.thumbnail(row)
        except (PeregrineError, OSError, IndexError):
            return b""

    def thumbnail(self, row: int) -> Markup:
        body = self.small(row)
        return picture(body, "jpeg", alt=self.image_name(row)) if body else parts.no_image()

    def heat(self, row: int, features: Sequence[int] | None) -> Markup | None:
        """The picture of an image under its stored heatmap; None without one."""
        body = self.overlay(row, features)
        return picture(body, "jpeg", alt=f"heatmap of {self.image_name(row)}") if body else None

    def overlay(self, row: int, features: Sequence[int] | None) -> bytes:
        """Return the thumbnail of an image with its stored heatmap over it as JPEG; empty without one."""
        try:
            ground = self.study.thumbnail_image(row)
            overlay = self.study.overlay(row, features, ground=ground)
        except (PeregrineError, OSError, KeyError):
            return b""
        return image_file(overlay, quality=JPEG)

    @cached_property
    def _names(self) -> pd.Series:
        ids = cast(pd.Series, self.facts["image_id"])
        return relative_paths(ids, common_folder(ids))

    def image_name(self, row: int) -> str:
        """Return the id of an image; of one that is a path on this machine, below their common folder."""
        return str(self._names.iat[row])

    def lines(self, row: int) -> list[str]:
        """Return what stands below the picture of an image."""
        fact = self.facts.iloc[row]
        label, predicted, q = fact["label"], fact["predicted"], fact["q_score"]
        lines = [str(fact["image_id"]).rpartition("/")[2] if pd.isna(label) else str(label)]
        if not pd.isna(predicted) and not pd.isna(label) and str(predicted) != str(label):
            lines.append(f"taken for {predicted}")
        lines = [with_class_names(line) for line in lines]
        if row in self.doubts:
            lines.append(str(self.doubts[row]))
        return lines if pd.isna(q) else [*lines, f"Q {float(q):.3f}"]


def lowest(facts: pd.DataFrame, column: str, n: int) -> list[int]:
    """Rows of the n images with the smallest value, undefined ones left out, ties in listing order."""
    value = numbers(facts, column)
    order = np.argsort(value, kind="stable")[: int(np.isfinite(value).sum())]
    return facts["row"].to_numpy()[order[:n]].tolist()
