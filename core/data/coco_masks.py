"""Core masks from COCO annotations: the outlines, boxes or segments of an image's own class."""

from __future__ import annotations

import hashlib
import math
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from core.common.formatting import counted, first_of
from core.common.inside import read_json_file
from core.common.label_match import match_labels
from core.common.records import Templates
from core.data.annotated import COCO, MOST_BYTES
from core.data.annotation_rows import NotThisForm, entries, largest_class
from core.data.coco import box_area, category_names
from core.data.decode import decode
from core.data.label_studio import UPLOAD
from core.data.mask_match import match_names
from core.data.mask_source import EXAMPLES, MaskListing, MaskSource, coverage, no_mask
from core.data.picture_limits import check_pixels, max_pixels
from core.data.source import ImageSource, file_stamp
from core.data.tables import is_below
from core.errors import MaskError, UnreadableImage, first_line

# Outlines of COCO's annotations as masks: polygons, run-length codes and boxes.


FARTHEST = 1e6  # pixels; outlines are kept no farther out
BEYOND = 4  # widths and heights of the image that a drawn outline reaches out at most
LONGEST = 20_000_000  # pixels along an outline: each is gone through
POINTS = 6  # numbers of the shortest outline


def _packed(item: dict[str, Any]) -> dict[str, Any]:
    """Keep the outlines of a COCO mask as arrays, eight times smaller than lists of numbers.

    A list of outlines, one outline as a flat list of numbers, and points as pairs are all read. What is none
    of these becomes the text "unknown".
    """
    shape = item.get("segmentation")
    if isinstance(shape, list):
        item["segmentation"] = _outlines(shape)
    elif isinstance(shape, dict) and isinstance(shape.get("counts"), list):
        counts = _numbers(shape["counts"], farthest=math.inf)  # a run may be longer than an outline is far
        item["segmentation"] = {"counts": counts, "size": shape.get("size")} if counts is not None else None
    elif shape is not None and not isinstance(shape, dict):
        item["segmentation"] = UNKNOWN
    return item


UNKNOWN = "unknown"


def _outlines(shape: list[Any]) -> list[array[float]] | str | None:
    if not shape:
        return None
    parts = [shape] if not any(isinstance(one, list) for one in shape) else shape
    if _are_points(parts):
        parts = [parts]
    coordinates = [_numbers(_flat(part)) for part in parts]
    usable = [
        coordinate for coordinate in coordinates if coordinate is not None and len(coordinate) >= POINTS
    ]
    return usable or UNKNOWN


def _are_points(parts: list[Any]) -> bool:
    if len(parts) < POINTS // 2:
        return False
    return all(isinstance(point, list) and len(point) == 2 for point in parts)


def _flat(part: Any) -> Any:
    if isinstance(part, list) and _are_points(part):
        return [number for point in part for number in point]
    return part


def _numbers(values: Any, farthest: float = FARTHEST) -> array[float] | None:
    """Return finite numbers, kept within `farthest`; None for anything else."""
    try:
        numbers = array("d", values)
    except (TypeError, OverflowError, ValueError):
        return None
    if not all(math.isfinite(value) for value in numbers):
        return None
    return array("d", (max(-farthest, min(value, farthest)) for value in numbers))


def coordinates(shape: Any) -> Iterator[float]:
    """Yield the highest number of each outline of a COCO mask, or of a box; nothing for a run-length code."""
    if isinstance(shape, list):
        parts = shape if shape and isinstance(shape[0], array) else [_numbers(shape) or ()]
        yield from (max(part) for part in parts if part)


def _fill_outline(shape: Any, width: int, height: int, *, scaled: bool = False) -> np.ndarray:
    """Return a COCO mask, (height, width) uint8, 1 inside: of polygons, of a run-length code, or a box.

    Args:
        scaled: numbers from 0 to 1 are parts of the width and the height.
    Raises:
        UnreadableImage: a code that is of another size or does not fill the image, or an outline without end.
    """
    if isinstance(shape, dict):
        return _from_runs(shape, width, height)
    if shape and not isinstance(shape[0], array):
        return _box(shape, width, height, scaled=scaled)
    outlines = [_within(part, width, height, scaled=scaled) for part in shape]
    if sum(map(_length, outlines)) > LONGEST:
        raise UnreadableImage("its outline is too long to be drawn")
    codes = coco_mask.frPyObjects([outline.tolist() for outline in outlines], height, width)
    return np.asarray(coco_mask.decode(coco_mask.merge(codes)), np.uint8)


def _within(part: array[float], width: int, height: int, *, scaled: bool) -> np.ndarray:
    points = np.array(part[: len(part) // 2 * 2]).reshape(-1, 2)
    sides = np.array([width, height], float)
    points = points * sides if scaled else points
    return np.clip(points, -BEYOND * sides, (BEYOND + 1) * sides).ravel()


def _length(outline: np.ndarray) -> float:
    points = outline.reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).sum())


def _box(shape: Any, width: int, height: int, *, scaled: bool) -> np.ndarray:
    sides = _numbers(shape) if len(shape) == 4 else None
    if sides is None or sides[2] <= 0 or sides[3] <= 0:
        return np.zeros((height, width), np.uint8)
    x, y, w, h = sides
    right, bottom = x + w, y + h
    corners = array("d", (x, y, x, bottom, right, bottom, right, y))
    return _fill_outline([corners], width, height, scaled=scaled)


def _from_runs(code: dict[str, Any], width: int, height: int) -> np.ndarray:
    """Unpack runs of 0 and 1 in turn, column after column, given as numbers or as COCO's own text."""
    counts, size = code.get("counts"), code.get("size")
    if size is not None and size != [height, width]:
        raise UnreadableImage(f"its run-length code is of {size} pixels, its image of {[height, width]}")
    runs = (
        _text_runs(counts)
        if isinstance(counts, str)
        else [*map(int, counts if isinstance(counts, array) else ())]
    )
    if min(runs, default=-1) < 0 or sum(runs) != width * height:
        raise UnreadableImage("its run-length code does not fill the image")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _text_runs(text: str) -> list[int]:
    """Decode COCO's text: five bits a character, from the lowest; each run from the fourth on is written as
    its difference to the run two before.

    >>> _text_runs("0241")
    [0, 2, 4, 3]
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise UnreadableImage("its run-length code is damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


# Segments of panoptic annotations (COCO, Cityscapes): pictures whose colours are the ids of segments.


STUFF_AREA = 0.0  # so that an object comes before ground of any size


class Segment(NamedTuple):
    """A segment: the picture of ids that it lies in, below the folder of these, and its id."""

    file: str
    number: int

    def stamp(self, folder: str) -> str:
        """Return the size and time of its picture."""
        return file_stamp(os.path.join(folder, self.file))


def _things_of(tree: dict[str, Any]) -> set[Any]:
    """Return the ids of COCO's categories that are objects and no stuff; none where nothing says so."""
    categories = tree.get("categories")
    kinds = (
        [category for category in categories if isinstance(category, dict)]
        if isinstance(categories, list)
        else []
    )
    return {kind.get("id") for kind in kinds if kind.get("isthing") == 1}


def _segments_of(annotation: dict[str, Any], things: set[Any]) -> list[tuple[Any, float, Segment]]:
    """Return category, area and place of each segment of a panoptic COCO image; stuff has no area.

    Args:
        things: the categories of objects; without any, all are.
    """
    file, segments = annotation.get("file_name"), annotation.get("segments_info")
    if not isinstance(file, str) or not isinstance(segments, list):
        return []
    triples = []
    for segment in segments:
        if isinstance(segment, dict) and isinstance(segment.get("id"), int):
            category, area = segment.get("category_id"), segment.get("area")
            is_thing = not things or category in things
            size = float(area) if isinstance(area, int | float) and is_thing else STUFF_AREA
            triples.append((category, size, Segment(file, segment["id"])))
    return triples


def _segment_folder(path: str) -> str:
    """Return the folder of COCO's pictures of segment ids: called as the .json file beside it, or its own."""
    beside = os.path.splitext(path)[0]
    return beside if os.path.isdir(beside) else os.path.dirname(path)


def _segments_mask(folder: str, segments: Sequence[Segment]) -> np.ndarray:
    """Return (H, W) bool of the pixels of some segments of one image: id = R + 256 G + 65536 B.

    (Kirillov et al. 2019, panopticapi)

    Raises:
        UnreadableImage: the picture is not there, or lies outside the folder.
    """
    file = segments[0].file
    if not is_below(folder, file):
        raise UnreadableImage(f"its path leaves '{folder}', the folder of the segments")
    colours = np.asarray(decode(os.path.join(folder, file))).astype(np.int32)
    ids = colours @ np.array([1, 256, 65536], np.int32)
    return np.isin(ids, [segment.number for segment in segments])


# Core masks from COCO annotations: the outlines, or else the boxes, of an image's own class.


OF_CITYSCAPES = re.compile(r"_gtFine(?=_leftImg8bit)")  # its panoptic .json names pictures that are not there
LARGEST_SIDE = 1e9  # pixels that a file may state
say_of_coco_masks = Templates.beside(__file__)


class CocoMasks(MaskSource):
    """The core mask of an image covers all annotations of its class, the study's label; where none is of that
    class, of the class of the largest box. Crowds count. There are no spurious masks."""

    kind = "coco"

    def __init__(self, path: str | Path, source: ImageSource):
        self.path, self.source = os.path.abspath(os.path.expanduser(path)), source
        self._scaled = False  # outlines are parts of the width and the height, as listing finds out

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": self.path}

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.kind}\0{file_stamp(self.path)}\n".encode())
        for image_id, mask in self.table.itertuples(index=False):
            first = self.listing.places[mask][image_id][1][0]
            stamp = first.stamp(_segment_folder(self.path)) if isinstance(first, Segment) else ""
            digest.update(f"{image_id}{stamp}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def read(self, image_id: str, mask: str) -> np.ndarray:
        entry = self.listing.places[mask].get(image_id)
        if entry is None:
            raise no_mask(mask)
        stated, shapes = entry
        width, height = stated or self.source.read_id(image_id).info["original_size"]
        check_pixels(width, height, max_pixels())
        if isinstance(shapes[0], Segment):
            return self._of_segments(shapes, width, height)
        full = np.zeros((height, width), np.uint8)
        for shape in shapes:
            full |= _fill_outline(shape, width, height, scaled=self._scaled)
        return full.astype(np.float32)

    def _of_segments(self, segments: Sequence[Segment], width: int, height: int) -> np.ndarray:
        mask = _segments_mask(_segment_folder(self.path), segments)
        if mask.shape != (height, width):
            sides = f"{mask.shape[1]} x {mask.shape[0]} pixels, the image {width} x {height}"
            raise UnreadableImage(f"the picture of its segments has {sides}")
        return mask.astype(np.float32)

    def _list(self) -> MaskListing:
        try:
            tree = read_json_file(self.path, MOST_BYTES, _packed)
            if not COCO.fits(tree):
                raise NotThisForm("it has no 'images' and 'annotations'")
            images, shapes = _annotated(tree)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)[:120]
            raise MaskError(f"cannot read masks from '{self.path}': {reason}. Give a .json of COCO") from None
        ids, table = self._image_ids(), self.source.table
        names = [str(image["file_name"]) for image in images]
        paths = list(table["path"])
        matches = match_names(ids, names, paths)
        last = [name.rpartition("/")[2] for name in names]
        for odd in (UPLOAD, OF_CITYSCAPES):  # names of Label Studio, and of cityscapesscripts
            if not matches.mask_of and all(map(odd.search, last)):
                matches = match_names(ids, [odd.sub("", name) for name in last], paths)
        core, n_others, n_unknown = {}, 0, 0
        category_of = _own_categories(list(table["label"]), shapes)
        for row, at in matches.mask_of.items():
            label, of_image = table["label"].iat[row], shapes[str(_key(images[at]["id"]))]
            category, is_own = _category(category_of.get(label), of_image)
            of_class = [one for one in of_image if one.name == category and one.outline is not None]
            if of_class:
                core[ids[row]] = (_size(images[at]), [one.outline for one in of_class])
                n_others += isinstance(label, str) and not is_own
                n_unknown += any(one.unknown for one in of_class)
        if not core:
            raise MaskError(
                f"none of the {counted(len(names), 'image')} of '{self.path}' with outlines or boxes is one "
                f"of the {counted(len(ids), 'image')} of the study. Give the .json file of these images"
            )
        left = [names[at] for at in sorted(set(range(len(names))) - set(matches.mask_of.values()))]
        places: dict[str, dict[str, Any]] = {"core": core, "spurious": {}}
        report = {"kind": self.kind, "n_masks": len(names)} | coverage(len(ids), places)
        report |= {"n_unmatched_masks": len(left), "unmatched_masks": left[:EXAMPLES]}
        if any(isinstance(shapes[0], Segment) for _, shapes in core.values()):
            report["notes"].append(say_of_coco_masks("segments", what=_segment_folder(self.path)))
        else:
            report["notes"].append(
                "core masks: the outlines, or boxes, of the image's own class in COCO's file"
            )
        if n_others:
            report["notes"].append(say_of_coco_masks("other_class", n=n_others, of=len(core)))
        if n_unknown:
            report["notes"].append(say_of_coco_masks("unknown_outline", n=n_unknown, of=len(core)))
        self._scaled = _are_scaled(core)
        if self._scaled:
            report["notes"].append(say_of_coco_masks("scaled"))
        if left:
            report["notes"].append(f"{counted(len(left), 'annotated image')} not here: {first_of(left, 3)}")
        return MaskListing(places, report)


class Shape(NamedTuple):
    """One annotation: the name of its class, the area of its box, and what is drawn of it.

    unknown: its outline has a form that is not read, so the box is drawn.
    """

    name: str | None
    area: float
    outline: Any
    unknown: bool


Shapes = dict[str, list[Shape]]


def _category(image_category: str | None, of_image: Sequence[Shape]) -> tuple[str | None, bool]:
    """Return the class whose annotations are the mask of an image, and whether it is the image's own."""
    if image_category is not None and any(one.name == image_category for one in of_image):
        return image_category, True
    return largest_class((one.name, one.area) for one in of_image), False


def _are_scaled(core: dict[str, Any]) -> bool:
    """Return True where no number of any outline is above 1: they are parts of the sides."""
    outlines = [one for _, shapes in core.values() for one in shapes if not isinstance(one, Segment)]
    highest = [value for shape in outlines for value in coordinates(shape)]
    return bool(highest) and max(highest) <= 1


def _own_categories(labels: list[Any], shapes: Shapes) -> dict[str, str]:
    """The category of the annotations that each label of images means."""
    image_labels = [label for label in dict.fromkeys(labels) if isinstance(label, str)]
    annotated = (one.name for of_image in shapes.values() for one in of_image if one.name is not None)
    categories = list(dict.fromkeys(annotated))
    match = match_labels([[name] for name in categories], image_labels)
    pairs = zip(categories, match.code.tolist(), strict=True)
    return {image_labels[code]: category for category, code in pairs if code >= 0}


def _annotated(tree: dict[str, Any]) -> tuple[list[dict[str, Any]], Shapes]:
    """Return the images, and by their number (`_key`) the class, area and outline of annotations."""
    names, _ = category_names(tree)
    things = _things_of(tree)
    images = []
    for image in entries(tree["images"], "images"):
        if isinstance(image.get("file_name"), str) and _key(image.get("id")) is not None:
            images.append(image)
    shapes: Shapes = defaultdict(list)
    for entry in entries(tree["annotations"], "annotations"):
        image, category = _key(entry.get("image_id")), entry.get("category_id")
        if image is not None and isinstance(category, (int, str)):
            shapes[image].append(_shape(entry, names.get(category)))
        elif image is not None:
            segments = _segments_of(entry, things)
            shapes[image] += [
                Shape(names.get(kind), area, segment, False) for kind, area, segment in segments
            ]
    return images, shapes


def _shape(annotation: dict[str, Any], name: str | None) -> Shape:
    outline, box = annotation.get("segmentation"), annotation.get("bbox")
    is_outline = bool(outline) and isinstance(outline, list | dict)
    has_box = bool(box) and isinstance(box, list)
    shown = outline if is_outline else box if has_box else None
    return Shape(name, box_area(annotation), shown, outline == UNKNOWN)


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Return the width and height that the file states; None where it does not."""
    width, height = _whole(image.get("width")), _whole(image.get("height"))
    return (width, height) if width and height else None


def _whole(value: Any) -> int:
    """Return a whole number above 0 that stands as such, as 64.0 or as a text; 0 for anything else.

    >>> _whole(64.0), _whole("64"), _whole(6.5), _whole(None)
    (64, 64, 0, 0)
    """
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return 0
    return int(number) if 0 < number < LARGEST_SIDE and number.is_integer() else 0


def _key(value: Any) -> str | None:
    """Return an id as text, the same for 7, 7.0 and "7"; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, str, float)):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
