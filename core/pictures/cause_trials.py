"""The trials of the step `causes`: changed pictures through the encoder, and those without pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from core.analysis.input_masks import FrameBatch, MaskFrames, masked_images
from core.analysis.predictor import Predictor
from core.analysis.removal import logits_without, random_alike
from core.analysis.representations import as_stored, picture_batches
from core.answers import class_logits
from core.common.dataframes import numbers, unit_rows
from core.common.processes import default_workers
from core.common.threads import cached_property
from core.config import RunOptions
from core.data.mask_source import KINDS
from core.encoders.head import Head
from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, UnreadableImage
from core.measures.evaluate import class_column
from core.measures.image_columns import FEATURE, LABEL, NEIGHBOURS, unit_codes
from core.pictures.alterations import alike_in_area, fill_colour
from core.pictures.drawn_errors import DrawnImages
from core.pictures.picture_changes import VIEWS, Improvement, changed_views
from core.pictures.trial_outcomes import Trial
from core.store import Study
from core.study.progress import Bar

# Changed pictures through the encoder and the classifier: how far each answer moves towards the target.


CORE = KINDS.index("core")


@dataclass(frozen=True)
class ObjectMasks:
    """The objects of some images in the input view.

    Attributes:
        packed: position -> (H * W / 8,) uint8, bits; only of masks with pixels of both kinds.
        other: position -> the position whose mask is the control.
    """

    packed: Mapping[int, np.ndarray]
    other: Mapping[int, int]
    sides: tuple[int, int]

    def pair(self, position: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if position not in self.packed:
            return None, None
        here, there = (self._mask(one) for one in (position, self.other[position]))
        return here, there

    def _mask(self, position: int) -> np.ndarray:
        height, width = self.sides
        return np.unpackbits(self.packed[position], count=height * width).astype(bool).reshape(height, width)


def object_masks(study: Study, rows: np.ndarray, run: RunOptions, seed: int) -> ObjectMasks | None:
    """Read the masks of the objects of some images, and pair them by area; None where there are no masks."""
    source, transform = study.masks, study.transform
    if source is None:
        return None
    masked, exists = masked_images(study, source)
    places = np.flatnonzero(np.isin(rows, masked[exists[:, CORE]]))
    ids = study.column("images", "image_id").to_numpy(object)[rows[places]].tolist()
    has_core = np.zeros((len(ids), len(KINDS)), bool)
    has_core[:, CORE] = True
    frames: Any = MaskFrames(source, study.source, transform, ids, has_core, np.zeros(len(ids), bool))
    batches = [list(range(start, min(start + 64, len(ids)))) for start in range(0, len(ids), 64)]
    packed: dict[int, np.ndarray] = {}
    areas: dict[int, int] = {}
    stream: Iterator[Any] = picture_batches(
        frames, batches, workers=default_workers(run, len(ids)), pin=False
    )
    for positions, batch in zip(batches, stream, strict=True):
        _add_masks(packed, areas, places[positions], batch)
    masked_rows = np.array(sorted(packed), np.int64)
    others: dict[int, int] = {}
    if len(masked_rows) > 1:
        pairs = alike_in_area(
            np.array([areas[position] for position in masked_rows.tolist()]), np.random.default_rng(seed)
        )
        others = dict(zip(masked_rows.tolist(), masked_rows[pairs].tolist(), strict=True))
    return ObjectMasks({position: packed[position] for position in others}, others, transform.sides)


def _add_masks(
    packed: dict[int, np.ndarray], areas: dict[int, int], places: np.ndarray, batch: FrameBatch
) -> None:
    for index, position in enumerate(places.tolist()):
        mask = batch.masks[index, CORE].numpy() > 0.5
        if (index, CORE) not in batch.problems and 0 < mask.sum() < mask.size:
            packed[position], areas[position] = np.packbits(mask), int(mask.sum())


@dataclass
class ChangedBatch:
    """The views of some images.

    Attributes:
        pixels: (v, H, W, 3) uint8. position: (v,) the image of each, by its position among those drawn; view:
            (v,) its number in VIEWS. unreadable: position -> why.
    """

    pixels: torch.Tensor | None = None
    position: list[int] = field(default_factory=list)
    view: list[int] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)


class ChangedPictures(Dataset):
    """Make the views of images in worker processes.

    Args:
        rows: (n,) int, of the images that are drawn. improvements: (n,) of them.
    """

    def __init__(
        self,
        study: Study,
        transform: Transform,
        rows: np.ndarray,
        improvements: Sequence[Improvement],
        masks: ObjectMasks | None,
    ):
        self.source, self.transform = study.source, transform
        self.ids = study.column("images", "image_id").to_numpy(object)[rows].tolist()
        self.improvements, self.masks, self.fill = improvements, masks, fill_colour(transform.mean)

    def __getitem__(self, places: Sequence[int]) -> ChangedBatch:
        batch, pixels = ChangedBatch(), []
        for position in places:
            try:
                picture = self.source.read_id(self.ids[position])
            except UnreadableImage as error:
                batch.unreadable[position] = str(error)
                continue
            pair = self.masks.pair(position) if self.masks else (None, None)
            views = changed_views(picture, self.transform, self.improvements[position], *pair, self.fill)
            pixels += views.values()
            batch.view += map(VIEWS.index, views)
            batch.position += [position] * len(views)
        batch.pixels = torch.from_numpy(np.stack(pixels)) if pixels else None
        return batch


class PictureAnswers:
    """An encoder and the classifier of an answer, as they answer for pictures.

    Args:
        dtype: in which representations are stored.
    """

    def __init__(self, encoder: Encoder, predictor: Predictor, dtype: str):
        self.encoder, self.predictor, self.dtype = encoder, predictor, dtype

    @cached_property
    def head(self) -> Head:
        """The encoder's own classifier. Raises EncoderError where there is none any more."""
        head = self.encoder.find_head()
        if isinstance(head, str):
            raise EncoderError(f"this encoder has no classifier: {head}")
        return head

    @torch.inference_mode()
    def logits(self, pixels: torch.Tensor) -> np.ndarray:
        """(n, H, W, 3) uint8 input views -> (n, n_names) float64."""
        predictor = self.predictor
        if predictor.classifier is None:
            outputs = self.encoder.represent_with_logits(pixels, self.head)[1].double().cpu().numpy()
        else:
            raw = as_stored(self.encoder.represent(pixels).cpu().numpy(), self.dtype)
            outputs = predictor.classifier.logits(predictor.rows(raw))
        return class_logits.by_class(outputs, predictor.column, len(predictor.names))

    def gaps(
        self, pictures: ChangedPictures, drawn: DrawnImages, places: np.ndarray, run: RunOptions, bar: Bar
    ) -> tuple[np.ndarray, int]:
        """Ask again with every view of some images.

        Args:
            places: (n,) int, among those drawn, ascending.
        Returns:
            (n, len(VIEWS), 2) float64: z_target - z_answer, and 1 where the answer is the target, else 0; NaN
            for a view that was not made. How many pictures could not be read.
        """
        gaps, n_unreadable = np.full((len(places), len(VIEWS), 2), np.nan), 0
        for batch in self._batches(pictures, places, run):
            if batch.pixels is not None:
                logits, of = self.logits(batch.pixels), np.array(batch.position)
                at, target = np.arange(len(logits)), drawn.target[of]
                gap = logits[at, target] - logits[at, drawn.answer[of]]
                values = gap, logits.argmax(1) == target
                gaps[np.searchsorted(places, of), batch.view] = np.stack(values, axis=1)
            n_unreadable += len(batch.unreadable)
            bar.update(len(set(batch.position)) + len(batch.unreadable))
        return gaps, n_unreadable

    def _batches(
        self, pictures: ChangedPictures, places: np.ndarray, run: RunOptions
    ) -> Iterator[ChangedBatch]:
        size = max(1, run.batch_size // len(VIEWS))
        batches = [places[start : start + size].tolist() for start in range(0, len(places), size)]
        workers = default_workers(run, len(places) * len(VIEWS))
        changed: Any = pictures
        stream: Any = picture_batches(
            changed, batches, workers=workers, pin=self.encoder.device.type == "cuda"
        )
        yield from stream


# The trials that need no picture: the label, the neighbours, and a feature set to its mean.
#
# Each reads what the study holds of its images (docs/method.md 9.3).


N_NEIGHBOURS, MOST_NEIGHBOURS = 10, 0.5  # those that vote, and by how much of them the answer has to lead
N_RANDOM = 10  # features that the removed one is compared with
BLOCK = 256  # images at a time


def trials_without_pictures(
    study: Study, predictor: Predictor, drawn: DrawnImages, seed: int
) -> dict[str, Trial]:
    """Make the trials of why images are wrong that need no changed pictures, by their causes.

    Args:
        study: as the answer reads it.
    """
    units = unit_codes(study)
    made = {
        LABEL: _label_trial(study, drawn),
        NEIGHBOURS: _neighbour_trial(study, predictor, drawn, units),
        FEATURE: _feature_trial(study, predictor, drawn, seed),
    }
    return {cause: trial for cause, trial in made.items() if trial is not None}


def _label_trial(study: Study, drawn: DrawnImages) -> Trial | None:
    """Try whether an image is wrong by its label: it is listed in `label_issues`, out of fold.

    The gain is the margin by which the suggested class is more probable than the label. None where no label
    was checked.
    """
    if not study.has("label_issues"):
        return None
    table = study.table("label_issues").drop_duplicates("image_id").set_index("image_id")
    table = table.reindex(study.column("images", "image_id").to_numpy(object)[drawn.rows]).reset_index()
    listed = table["listed"].astype("boolean").fillna(False).to_numpy(bool)
    suggested = table["suggested"].astype(object).where(table["suggested"].notna(), None).to_numpy(object)
    evidence = {"suggested": suggested, "value": numbers(table, "confidence")}
    return Trial(-numbers(table, "margin"), listed, np.full(len(listed), -np.inf), evidence=evidence)


def _neighbour_trial(study: Study, predictor: Predictor, drawn: DrawnImages, units: np.ndarray) -> Trial:
    """Try whether an image is wrong since the images around it belong to the wrong class.

    gain = share of the wrong class among the N_NEIGHBOURS nearest labelled images of other units less the
    share of the label; it answers at MOST_NEIGHBOURS. The wrong class of an error is its answer, that of a
    right image its target: of that, too, most neighbours have the label. No picture is changed, so it has
    no neutral changes.

    Args:
        units: (n_images,) int, images of one unit of data are no neighbours of each other.
    """
    names = pd.Index(predictor.names)
    codes = names.get_indexer(pd.Index([*study.class_names]))
    label = class_column(study, "label")
    nearest = _nearest_of_others(study, drawn.rows, np.flatnonzero(label >= 0), units)
    labels = np.where(nearest >= 0, codes[label[nearest]], -2)
    wrong = np.where(drawn.is_error, drawn.answer, drawn.target)
    truth = np.where(drawn.is_error, drawn.target, drawn.answer)
    n = np.count_nonzero(nearest >= 0, axis=1)
    n_or_nan = np.where(n > 0, n, np.nan)
    shares = [(labels == codes_of_side[:, None]).sum(1) / n_or_nan for codes_of_side in (wrong, truth)]
    gain = shares[0] - shares[1]
    evidence = {"value": shares[0], "usual": shares[1]}
    return Trial(gain, gain >= MOST_NEIGHBOURS, np.full(len(gain), -np.inf), evidence=evidence)


def _nearest_of_others(
    study: Study, rows: np.ndarray, among: np.ndarray, units: np.ndarray, k: int = N_NEIGHBOURS
) -> np.ndarray:
    """Find the k images nearest to each by cosine, those of its own unit left out.

    Args:
        rows: (n,) int. among: (m,) int, rows that can be neighbours, ascending. units: (n_images,) int.
    Returns:
        (n, k) int64 rows, the nearest first, ties in the order of the images; -1 where there are fewer.
    """
    array = study.array("representations")
    queries = unit_rows(array.rows(rows)).astype(np.float32)
    best = np.full((len(rows), k), -np.inf, np.float32)
    nearest = np.full((len(rows), k), -1, np.int64)
    for start in range(0, len(among), 4096):
        part = among[start : start + 4096]
        cosines = queries @ unit_rows(array.rows(part)).astype(np.float32).T
        cosines[units[rows][:, None] == units[part][None]] = -np.inf
        both = np.concatenate([best, cosines], 1)
        whose = np.concatenate([nearest, np.broadcast_to(part, cosines.shape)], 1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :k]
        best, nearest = np.take_along_axis(both, order, 1), np.take_along_axis(whose, order, 1)
    return np.where(np.isfinite(best), nearest, -1)


def _feature_trial(study: Study, predictor: Predictor, drawn: DrawnImages, seed: int) -> Trial | None:
    """Try whether one feature makes an image wrong: the one that adds most, set to its mean.

    Its control is the largest gain among N_RANDOM features of like activation, each set to its mean. None
    where the layers of the classifier are not stored.
    """
    if predictor.classifier is None:
        return None
    n, rng = len(drawn.rows), np.random.default_rng(seed)
    gain, control = np.full(n, np.nan), np.full(n, -np.inf)
    answered = np.zeros(n, bool)
    feature, value = np.full(n, -1), np.full(n, np.nan)
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        raw = predictor.rows(study.array("representations").rows(drawn.rows[part]))
        strongest = _strongest(predictor, raw, drawn.answer[part], drawn.target[part])
        feature[part], value[part] = strongest, raw[np.arange(len(raw)), strongest]
        gain[part], answered[part] = _without(predictor, raw, drawn, part, strongest[:, None])
        others = random_alike(raw, np.repeat(strongest[:, None], N_RANDOM, 1), rng)
        for other in others.T:
            without, _ = _without(predictor, raw, drawn, part, other[:, None])
            control[part] = np.where(other >= 0, np.maximum(control[part], without), control[part])
    evidence = {"feature": feature, "value": value, "usual": predictor.means[feature]}
    return Trial(gain, answered, control, evidence=evidence)


def _strongest(predictor: Predictor, raw: np.ndarray, answer: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,) int64: the feature that adds most to the lead of the answer, gradient times value."""
    assert predictor.classifier is not None
    logits = predictor.classifier.logits(raw)
    sides = (
        class_logits.class_gradients(predictor.classifier, raw, logits, predictor.column, of)
        for of in (answer, target)
    )
    return ((next(sides) - next(sides)) * raw).argmax(1)


def _without(
    predictor: Predictor, raw: np.ndarray, drawn: DrawnImages, part: slice, features: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gain without some features, and whether the answer is then the target."""
    assert predictor.classifier is not None
    started = predictor.classifier.start(raw)
    outputs = logits_without(predictor.classifier, started, raw, predictor.means, features)
    logits = class_logits.by_class(outputs, predictor.column, len(predictor.names))
    at, target = np.arange(len(raw)), drawn.target[part]
    gap = logits[at, target] - logits[at, drawn.answer[part]]
    return gap - drawn.gap[part], logits.argmax(1) == target
