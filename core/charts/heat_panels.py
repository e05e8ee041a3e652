"""Images with heatmaps as pictures of a panel, and which images panels show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from core.charts.feature_points import most_telling
from core.charts.options import FigureOptions
from core.charts.panels import Picture
from core.charts.shown_names import as_text, shortened
from core.common.dataframes import numbers
from core.common.threads import cached_property
from core.errors import HeatmapNotStored, StudyError, UnreadableImage
from core.store import Study
from core.study.overlay_image import draw_overlay

# Images with heatmaps as pictures of a panel, in the encoder's input view.


SIDE = 224  # minimum pixels of an image in a file, so that small images are enlarged smoothly
IMAGE = "image"
COLOURS = "inferno"  # brighter is hotter, also for the colour-blind and in grey print
OPACITY = 0.6
MOST_SHOWN = 6  # features of a figure that names none
LONGEST_NAME = 16  # characters of a class name under an image
STORED_ONLY = "stored"  # the device of a reader that computes nothing


@dataclass(frozen=True)
class Shown:
    """One image with its heatmaps.

    Attributes:
        pixels: (S, S, 3) uint8, the encoder's input view.
        heats: name of the feature or direction -> (S, S) float in [0, 1]; None if there is no heatmap.
        masks: (S, S) float in [0, 1] by kind. scores: overlap by kind of mask.
        label, predicted, correct: if known ("" and None otherwise).
    """

    pixels: np.ndarray
    row: int = -1
    name: str = ""
    label: str = ""
    predicted: str = ""
    correct: bool | None = None
    heats: Mapping[str, np.ndarray | None] = field(default_factory=dict)
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return "" if self.correct is None else "correct" if self.correct else "misclassified"


def original(image: Shown) -> Picture:
    """Return a panel of a chart: the image itself, framed in the colour of its correctness."""
    return heat_picture(image, enlarged(image.pixels), verdict=image.verdict)


def overlay(image: Shown, layer: str, colours: str, *, caption: str = "") -> Picture | None:
    """Return a panel of a chart: an image with one of its heatmaps; None if it has none."""
    heat = image.heats.get(layer)
    if heat is None:
        return None
    picture = enlarged(image.pixels)
    heat = enlarged_map(heat, picture.width)
    return heat_picture(
        image, draw_overlay(picture, heat, opacity=OPACITY, colour_map=colours), caption=caption
    )


def heated(image: Shown, colours: str, *, caption: str, layer: str = "") -> Picture:
    """Return a panel of a chart: an image with the heatmap of a layer; plain without one."""
    name = layer or next((name for name, heat in image.heats.items() if heat is not None), "")
    drawn = overlay(image, name, colours, caption=caption)
    return drawn or heat_picture(image, enlarged(image.pixels), caption=caption)


def enlarged(pixels: np.ndarray) -> Image.Image:
    """Enlarge a picture for a chart to at least SIDE pixels per side."""
    image = Image.fromarray(pixels)
    if image.width >= SIDE:
        return image
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def enlarged_map(values: np.ndarray, side: int) -> np.ndarray:
    """Enlarge a heatmap for a chart: (side, side) float32, bilinear."""
    if values.shape == (side, side):
        return values
    return cv2.resize(values.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)


def short(name: str) -> str:
    """Shorten a class name to fit under an image of a chart."""
    return shortened(name, LONGEST_NAME)


def heat_picture(image: Shown, drawn: Image.Image, *, caption: str = "", verdict: str = "") -> Picture:
    """Make the picture of a chart of heatmaps, with caption and what is told under the pointer."""
    hover = "<br>".join(as_text(part) for part in (image.name, image.label) if part)
    if image.correct is False:
        hover += f"<br>taken for {as_text(image.predicted)}"
    return Picture(drawn, caption, verdict, hover, image.row)


def filled_up(images: Sequence[Shown], n: int) -> list[Shown | None]:
    """Fill a row of images of a chart of heatmaps up to n, with None for what is missing."""
    return [*images, *[None] * (n - len(images))]


def facts_of(images: Sequence[Shown]) -> pd.DataFrame:
    """Return the facts on the images of a chart's panel: row, image_id, label, predicted, correct."""
    facts = [(image.row, image.name, image.label, image.predicted, image.correct) for image in images]
    return pd.DataFrame(facts, columns=["row", "image_id", "label", "predicted", "correct"])


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
        among = self.study.rows_of_slice(self.study.is_val)
        evaluated = self.facts.loc[among & self.facts["correct"].notna().to_numpy(bool)]
        if evaluated.empty:
            images = self.study.images_named("evaluation images")
            raise StudyError(
                f"'{self.study.path}': none of the {images} has a probe result, so none is misclassified"
            )
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
        pixels = self.study.transform
        correct = None if pd.isna(fact["correct"]) else bool(fact["correct"])
        name = str(fact["image_id"])
        label = _text(fact["label"])
        predicted = _text(fact["predicted"])
        return Shown(
            pixels=pixels.pixels(self.study.image(row)),
            row=row,
            name=name,
            label=label,
            predicted=predicted,
            correct=correct,
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
        from core.analysis.heatmaps_on_demand import study_encoder
        from core.common.device import resolve_device

        return study_encoder(self.study, resolve_device(self.options.device))

    def _heat(self, row: int, features: Sequence[int] | None) -> np.ndarray:
        try:
            return self.study.heatmap(row, features, self.options.combine)
        except HeatmapNotStored:
            if self.options.device == STORED_ONLY:
                raise
            from core.analysis.heatmaps_on_demand import on_demand

            return on_demand(self.study, row, features, self.options.combine, encoder=self.encoder)


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


# Which images the panels of heatmaps show: by class and correctness, evenly spaced, most telling first.


Studies = Sequence["Study"]
EVENLY = "evenly spaced by Q-Score"


def check_side_by_side(studies: Studies) -> None:
    """Raise StudyError when images of several studies cannot stand side by side in a chart."""
    first = studies[0]
    for other in studies[1:]:
        both = f"'{first.path}' and '{other.path}'"
        if not set(first.images["image_id"]) & set(other.images["image_id"]):
            raise StudyError(f"{both} share no image; before and after need the same images")
        for size in ((640, 480), (480, 640)):
            if np.abs(np.subtract(first.transform.box(*size), other.transform.box(*size))).max() > 1:
                raise StudyError(f"{both} crop images differently, so their heatmaps do not coincide")


def of_class(facts: pd.DataFrame, label: str, correct: bool) -> pd.DataFrame:
    """Return the facts of a chart's images of a class with this correctness."""
    return facts.loc[(facts["label"] == label) & (numbers(facts, "correct") == correct)]


def spread(facts: pd.DataFrame, n: int) -> list[int]:
    """Choose at most n images of a chart, evenly spaced by Q-Score.

    If enough images have a firing discriminative feature, only these (the others have no discriminative
    heatmap, and Q 0)."""
    firing = facts.loc[numbers(facts, "n_firing_discriminative") > 0]
    facts = firing if len(firing) >= n else facts
    order = np.argsort(-np.nan_to_num(numbers(facts, "q_score")), kind="stable")
    return middles(facts["row"].to_numpy()[order], n).tolist()


def middles(ordered: np.ndarray, n: int) -> np.ndarray:
    """Pick at most n of the images of a chart: the middles of n equal parts."""
    if len(ordered) <= n:
        return ordered
    return ordered[((np.arange(n) + 0.5) * len(ordered) / n).astype(int)]


def counts_by_class(facts: pd.DataFrame, study: Study) -> np.ndarray:
    """(2, n_classes) number of correct and misclassified evaluation images that a chart chooses from."""
    codes = pd.Categorical(facts["label"], categories=study.class_names).codes
    has_class, correct = codes >= 0, numbers(facts, "correct") == 1
    n = len(study.class_names)
    return np.array([np.bincount(codes[has_class & group], minlength=n) for group in (correct, ~correct)])


def strongest_rows(study: Study, feature: int, n: int) -> list[int]:
    """Return the rows of the images that a chart shows of a feature: where it is largest, best first."""
    rows = study.vector("top_images")[feature]
    return rows[rows >= 0][:n].tolist()


def top_images_of(
    study: Study, source: StudyHeats, options: FigureOptions, n: int
) -> list[tuple[int, str, list[Shown]]]:
    """Return what a chart of features shows: feature, title and top images, as requested or the best."""
    table = study.table("features").set_index("feature", drop=False)
    rows = []
    for feature in options.features or most_telling(study)[:MOST_SHOWN]:
        row = table.loc[feature]
        title = f"<b>{feature}</b>"
        if isinstance(row["top_class"], str) and row["purity"] > 0:
            title += f"<br>{100 * row['purity']:.0f} % {as_text(short(row['top_class']))}"
        rows.append((int(feature), title, source.shown(strongest_rows(study, feature, n))))
    return rows
