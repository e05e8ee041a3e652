"""The images of a study in the encoder's input view, with heatmaps, which are stored or computed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.charts.heat_panels import Shown
from core.charts.options import FigureOptions
from core.common.threadsafe import cached_property
from core.errors import HeatmapNotStored, StudyError, UnreadableImage
from core.store import Study

STORED_ONLY = "stored"  # the device of a reader that computes nothing


class StudyHeats:
    """Read images and heatmaps of one study; the encoder is loaded when the first map must be computed."""

    def __init__(self, study: Study, options: FigureOptions):
        self.study, self.options = study, options

    @cached_property
    def facts(self) -> pd.DataFrame:
        """One row per image: row, image_id, split, label, predicted, correct, q_score,
        n_firing_discriminative; unknown values are missing."""
        study = self.study
        facts = pd.DataFrame({name: study.images[name].to_numpy() for name in ("image_id", "split", "label")})
        columns = {"probe": ("predicted", "correct"), "quality": ("q_score", "n_firing_discriminative")}
        for table, names in columns.items():
            values = study.table(table, list(names)) if study.has(table) else dict.fromkeys(names, pd.NA)
            for name in names:
                facts[name] = values[name]
        facts.insert(0, "row", np.arange(len(facts)))
        return facts

    def judged(self) -> pd.DataFrame:
        """Return the facts of the evaluation images (of the slice) with a probe result.

        Raises:
            StudyError: there is none.
        """
        among = self.study.is_val if self.study.chosen is None else self.study.chosen
        evaluated = self.facts.loc[among & self.facts["correct"].notna().to_numpy(bool)]
        if evaluated.empty:
            images = f"'{self.study.path}'" if self.study.chosen is None else "the slice"
            raise StudyError(f"no evaluation image of {images} has a probe result, so none is misclassified")
        return evaluated

    def shown(self, rows: Sequence[int] | np.ndarray) -> list[Shown]:
        """Return the images of some rows, without those whose file is missing.

        Raises:
            UnreadableImage: all of them are missing.
        """
        images, reason = [], ""
        for row in rows:
            try:
                images.append(self._one(int(row), self.facts.iloc[int(row)]))
            except UnreadableImage as error:
                reason = str(error)
        if reason and not images:
            raise UnreadableImage(f"none of the images of '{self.study.path}' can be read: {reason}")
        return images

    def _one(self, row: int, fact: Any) -> Shown:
        return Shown(
            pixels=self.study.transform.pixels(self.study.image(row)),
            row=row,
            name=str(fact["image_id"]),
            label=_text(fact["label"]),
            predicted=_text(fact["predicted"]),
            correct=None if pd.isna(fact["correct"]) else bool(fact["correct"]),
        )

    def with_heat(self, image: Shown, layer: str, features: Sequence[int] | None = None) -> Shown:
        """Add a heatmap to an image: of `features`, or of its discriminative features."""
        heat = self._heat(self.study.row_of(image.name), features)
        return replace(image, heats={**image.heats, layer: heat})

    def with_stored(self, image: Shown, feature: int) -> Shown:
        """Add a feature's heatmap to an image, if it is stored."""
        try:
            heat = self.study.heatmap(image.row, [feature])
        except StudyError:
            return image
        return replace(image, heats={**image.heats, "heatmap": heat})

    @cached_property
    def encoder(self) -> Any:
        """Return the study's encoder, loaded with torch."""
        from core.analysis.gradcam.on_demand import study_encoder
        from core.common.device import resolve_device

        return study_encoder(self.study, resolve_device(self.options.device))

    def _heat(self, row: int, features: Sequence[int] | None) -> np.ndarray:
        try:
            return self.study.heatmap(row, features, self.options.combine)
        except HeatmapNotStored:
            if self.options.device == STORED_ONLY:
                raise
            from core.analysis.gradcam.on_demand import on_demand

            return on_demand(self.study, row, features, self.options.combine, encoder=self.encoder)


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)
