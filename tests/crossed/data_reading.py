"""Read images, labels, masks and captions that a tool wrote, and compare them with its own reading."""

from __future__ import annotations

import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.concepts.caption_bank import open_bank
from core.data.images import ImageSource, open_images
from core.data.mask_source import upright
from core.data.masks import open_masks
from core.data.pixel_values import PixelFacts, file_facts
from core.errors import PeregrineError, UnreadableImage
from tests.crossed.data_kit import Picture, WrittenData, rgb, stored_data
from tests.crossed.table import NOTED, REFUSED, RIGHT, WRONG

PIECES = (8, 8)  # what pictures are told apart by
SAME = 12.0  # mean grey levels within which two pictures are one
OVERLAP = 0.99  # the least intersection over union of a mask
LEVELS = 0.0  # grey levels within which pixels are the tool's
DAMAGED = ("corrupt", "truncated", "damaged", "broken")
TRAIN = ("train", "training", "trainval")


@dataclass
class DataReading:
    """What was read.

    Attributes:
        differences: by what was compared: the share of pictures or texts that differ; 1 - IoU of masks.
        pixels: the largest difference, grey levels.
        notes: sentences of the listing. problems: what is wrong beside numbers. refusal: its line, or "".
    """

    differences: dict[str, float] = field(default_factory=dict)
    pixels: float | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refusal: str = ""

    @property
    def largest(self) -> float | None:
        return max(self.differences.values(), default=None)

    @property
    def off(self) -> str:
        """What differs, in words; "" where nothing does."""
        far = {name: one for name, one in self.differences.items() if one > _allowed(name)}
        if (self.pixels or 0) > LEVELS:
            far["grey levels"] = float(self.pixels or 0)
        return ", ".join(f"{name} {one:.2g}" for name, one in far.items())


def _allowed(name: str) -> float:
    return 1 - OVERLAP if name == "masks" else 0.0


def data_verdict(written: WrittenData, reading: DataReading) -> tuple[str, str]:
    """What is thought of a reading, and why: a word of VERDICTS and `said` of its row."""
    notes = " | ".join(reading.notes)
    if reading.problems:
        return WRONG, "; ".join([*reading.problems, reading.refusal or notes])
    if reading.refusal:
        return _refused(written, reading)
    if written.refused:
        return WRONG, f"read, though it cannot be; {notes}"
    if reading.off:
        excused = written.excused and any(written.excused in note for note in reading.notes)
        return (NOTED, notes) if excused else (WRONG, f"{reading.off}; {notes or 'no note'}")
    if reading.largest is None:
        return WRONG, "nothing was compared"
    return (NOTED, notes) if notes else (RIGHT, "")


def _refused(written: WrittenData, reading: DataReading) -> tuple[str, str]:
    """What cannot be read is refused rightly; what can, where another way reads it as the tool does.

    The files are whole, so that a line which calls them damaged is wrong.
    """
    if any(word in reading.refusal for word in DAMAGED):
        return WRONG, reading.refusal
    if written.then or written.masks_then or written.captions_then:
        fits = reading.largest is not None and not reading.off
        return (REFUSED, reading.refusal) if fits else (WRONG, f"way out: {reading.off}; {reading.refusal}")
    return (REFUSED if written.refused else WRONG), reading.refusal


def read_data(folder: Path) -> tuple[WrittenData, DataReading]:
    """Read one case. Exceptions that are not for the user are problems."""
    written, reading = stored_data(folder), DataReading()
    try:
        if written.spec:
            source = _opened(written, reading, folder)
            if source is not None:
                _compare_pictures(written, source, reading, folder)
        if written.captions:
            _compare_captions(written, reading, folder)
    except PeregrineError as error:
        if reading.refusal:  # so this is the way out
            reading.problems.append(f"the way out is refused: {_line(error, folder, reading)}")
        else:
            reading.refusal = _line(error, folder, reading)
    except Exception as error:
        traceback.print_exc()
        reading.problems.append(f"{type(error).__name__}: {error}"[:200])
    return written, reading


def _opened(written: WrittenData, reading: DataReading, folder: Path) -> ImageSource | None:
    try:
        return _open(written.spec, written.options, folder)
    except PeregrineError as error:
        reading.refusal = _line(error, folder, reading)
    return None if written.then is None else _open(*written.then, folder)


def _open(spec: str, options: dict[str, Any], folder: Path) -> ImageSource:
    placed: dict[str, Any] = {
        name: _placed(one, folder) if isinstance(one, str) else one for name, one in options.items()
    }
    return open_images(_placed(spec, folder), **placed)


def _placed(text: str, folder: Path) -> str:
    """A spec may hold braces of its own, so that `format` is not asked."""
    return text.replace("{folder}", str(folder))


def _line(error: PeregrineError, folder: Path, reading: DataReading) -> str:
    """The message without the paths of this machine."""
    text = _without(str(error), folder)
    if len(text.splitlines()) != 1 or "this is a bug" in text:
        reading.problems.append(f"not one line: {text}"[:200])
    return text


def _without(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), "FOLDER")


def _compare_pictures(written: WrittenData, source: ImageSource, reading: DataReading, folder: Path) -> None:
    reading.notes += [_without(str(note), folder) for note in source.notes]
    rows = _row_of_each(written.pictures, source, reading, folder)
    seen = {number: row for number, row in enumerate(rows) if row is not None}
    table = source.table
    captions = None if source.extras is None else source.extras.get("caption")
    found: dict[str, list[bool]] = defaultdict(list)
    for number, row in seen.items():
        picture = written.pictures[number]
        if picture.label != "":
            label = table["label"].iat[row]
            ours = label if isinstance(label, str) else None
            found["labels"].append(ours == picture.label or (written.may_lack and ours is None))
        if picture.file:
            place = source.place(row)
            found["paths"].append(not place or place.endswith(picture.file))
        if picture.text:
            found["texts"].append(captions is not None and captions.iat[row] == picture.text)
    for name, same in found.items():
        reading.differences[name] = 1 - sum(same) / len(same)
    _compare_splits(written, seen, source, reading)
    _compare_groups(written, seen, source, reading)
    if written.masks:
        _compare_masks(written, seen, source, reading, folder)


def _row_of_each(
    pictures: list[Picture], source: ImageSource, reading: DataReading, folder: Path
) -> list[int | None]:
    """The row of each picture by its pixels; what fits no picture, or one that has a row, counts as extra."""
    looks = np.stack([_look(picture.pixels) for picture in pictures])
    rows: list[int | None] = [None] * len(pictures)
    extra, levels = 0, 0.0
    unread: Counter[str] = Counter()
    found = PixelFacts()
    for row in range(len(source.table)):
        try:
            picture = source.read(row)
        except UnreadableImage as error:
            unread[_without(str(error), folder)] += 1
            continue
        found.add(file_facts(picture))
        ours = rgb(picture)
        distances = np.abs(looks - _look(ours)).mean(axis=(1, 2, 3))
        nearest = int(distances.argmin())
        if distances[nearest] > SAME or rows[nearest] is not None:
            extra += 1
            continue
        rows[nearest] = row
        levels = max(levels, _levels(ours, pictures[nearest].pixels))
    reading.pixels = levels
    reading.notes += found.notes()
    reading.notes += [f"{n} cannot be read: {reason}" for reason, n in unread.items()]
    if unread and sum(unread.values()) == len(source.table):
        reading.refusal = f"all pictures: {next(iter(unread))}"
    reading.differences["extra"] = extra / max(1, len(source.table))
    return rows


def _look(pixels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(rgb(pixels)).resize(PIECES, Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


def _levels(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != rgb(theirs).shape:
        return 255.0
    return float(np.abs(ours.astype(int) - rgb(theirs)).max())


def _compare_splits(
    written: WrittenData, seen: dict[int, int], source: ImageSource, reading: DataReading
) -> None:
    """Train is train; of several splits for evaluation one is taken, and that others are left out is said.

    Where the tool knows one split only, or none, ours is drawn and not compared; no picture may be missing.
    """
    splits = source.table["split"]
    ours = [str(splits.iat[seen[n]]) if n in seen else "" for n in range(len(written.pictures))]
    by_split: dict[str, list[str]] = defaultdict(list)
    for picture, split in zip(written.pictures, ours, strict=True):
        by_split[picture.split].append(split)
    reading.differences["missing"] = 0.0
    if len(by_split) < 2:
        reading.differences["missing"] = 1 - len(seen) / len(ours)
        return
    wrong, taken, left = 0, [], []
    for name, held in by_split.items():
        usual, n_usual = Counter(held).most_common(1)[0]
        wrong += len(held) - n_usual
        if name in TRAIN:
            wrong += n_usual * (usual != "train")
        elif usual:
            taken.append(usual)
        else:
            left.append(name)
    reading.differences["splits"] = wrong / len(ours)
    one_each = set(by_split) & set(TRAIN)
    expected = {"val"} if one_each else {"train", "val"}
    if set(taken) != expected or len(taken) != len(expected):
        reading.problems.append(f"splits {sorted(by_split)} are read as {sorted(set(ours))}")
    if left and not (reading.notes or source.unread):
        reading.problems.append(f"{', '.join(left)} left out without a word")


def _compare_groups(
    written: WrittenData, seen: dict[int, int], source: ImageSource, reading: DataReading
) -> None:
    """Ours are the tool's, and a split that we draw separates none of them."""
    theirs = [picture.group for picture in written.pictures]
    if not any(theirs):
        return
    if source.group is None or source.extras is None:
        reading.problems.append("the groups are not known")
        return
    column, splits = source.extras[source.group].astype(str), source.table["split"]
    pairs = {(theirs[number], str(column.iat[row])) for number, row in seen.items()}
    n_groups = len({group for group, _ in pairs})
    reading.differences["groups"] = float(
        len(pairs) != n_groups or len({one for _, one in pairs}) != n_groups
    )
    if not source.split_given:
        sides = {(theirs[number], str(splits.iat[row])) for number, row in seen.items()}
        reading.differences["groups on both sides"] = (len(sides) - n_groups) / n_groups


def _compare_masks(
    written: WrittenData, seen: dict[int, int], source: ImageSource, reading: DataReading, folder: Path
) -> None:
    try:
        masks = open_masks(masks=_placed(written.masks, folder), source=source)
    except PeregrineError as error:
        reading.refusal = _line(error, folder, reading)
        if not written.masks_then:
            return
        masks = open_masks(masks=_placed(written.masks_then, folder), source=source)
    assert masks is not None
    reading.notes += [_without(str(note), folder) for note in masks.report["notes"][1:]]
    overlaps = []
    have = set(masks.table.loc[masks.table["mask"] == "core", "image_id"])
    for number, row in seen.items():
        theirs = written.pictures[number].mask
        image_id = source.table["image_id"].iat[row]
        if theirs is None or image_id not in have:
            overlaps.append(float(theirs is None and image_id not in have))
            continue
        picture = source.read(row)
        ours = upright(masks.read(image_id, "core"), picture.size, partial(picture.info.get, "turn", 1))
        overlaps.append(_overlap(ours, theirs))
    reading.differences["masks"] = 1 - min(overlaps, default=0.0)


def _overlap(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return 0.0
    both = (ours > 0.5) & (theirs > 0)
    either = (ours > 0.5) | (theirs > 0)
    return float(both.sum() / either.sum()) if either.any() else 1.0


def _compare_captions(written: WrittenData, reading: DataReading, folder: Path) -> None:
    try:
        bank = open_bank(_placed(written.captions, folder))
    except PeregrineError as error:
        reading.refusal = _line(error, folder, reading)
        if not written.captions_then:
            return
        bank = open_bank(_placed(written.captions_then, folder))
    ours = bank.texts(range(len(bank)))
    same = sum(one == theirs for one, theirs in zip(ours, written.texts, strict=False))
    reading.differences["captions"] = 1 - same / max(len(ours), len(written.texts))
    reading.notes += [str(note) for note in getattr(bank, "notes", ())]
