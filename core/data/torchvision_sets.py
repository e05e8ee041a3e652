"""Data sets of torchvision: `torchvision:CIFAR10?root=DIR&download=true`. Imports torchvision."""

import ast
import hashlib
import importlib
import inspect
import os
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from PIL import Image

from core.common.formatting import counted
from core.common.label_text import distinct_names
from core.common.records import Record, Templates
from core.data import source
from core.data.contradictions import one_spelling
from core.data.decode import to_rgb
from core.data.picture_limits import limited_pillow
from core.errors import ImageSourceError, UnreadableImage, did_you_mean

TRAIN_NAMES = ("train", "trainval")
VAL_NAMES = ("val", "test")
OTHER_VAL_NAMES = ("valid",)  # of Country211, whose test split is the one that studies have
CLASS_ATTRIBUTES = ("classes", "categories", "all_categories")  # of Caltech, of iNaturalist
TARGET_ATTRIBUTES = ("targets", "labels", "_labels", "y")
UNPICKLES = ("LSUN",)  # a cache file in the working folder
FILE_ATTRIBUTES = ("samples", "imgs", "_image_files", "_images", "_samples")
say_of_torchvision = Templates.beside(__file__)


class TorchvisionSource(source.ListedSource):
    """A torchvision data set with its own train and test (or val) split, or a seeded one if it has none."""

    kind = "torchvision"

    def __init__(self, name: str, options: dict[str, Any], seed: int | None = 0):
        self.name, self.options, self.seed = name, options, seed
        self._sets: dict[str, Any] | None = None

    @classmethod
    def from_spec(cls, spec: str, seed: int | None = 0) -> "TorchvisionSource":
        name, _, query = spec.removeprefix("torchvision:").partition("?")
        options = {key: _value(text) for key, text in parse_qsl(query, keep_blank_values=True)}
        if isinstance(options.get("root"), str):
            options["root"] = os.path.abspath(os.path.expanduser(options["root"]))
        return cls(name, options, seed)

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> "TorchvisionSource":
        """Reopen a data set. Raises ImageSourceError for one that unpickles files."""
        options = {}
        for key, value in description["options"].items():
            if key != "download":
                options[key] = tuple(value) if isinstance(value, list) else value
        if description["name"].startswith(UNPICKLES):
            raise ImageSourceError(
                f"torchvision:{description['name']} unpickles a file; name it in a command"
            )
        return cls(description["name"], options, description["seed"])

    def describe(self) -> dict[str, Any]:
        options = {key: value for key, value in self.options.items() if key != "download"}
        return {"kind": self.kind, "name": self.name, "options": options, "seed": self.seed}

    def __getstate__(self) -> dict[str, Any]:
        # reopened in the worker, which is cheaper than sending the pixels
        return {**vars(self), "_sets": None, "options": self.describe()["options"]}

    @property
    def sets(self) -> dict[str, Any]:
        """The data sets, by the prefix of their ids."""
        if self._sets is None:
            self._sets = _open_sets(self.name, self.options)
        return self._sets

    def read(self, row: int) -> Image.Image:
        return self.read_id(self.id_texts[row].as_py())

    def read_id(self, image_id: str) -> Image.Image:
        split, _, number = image_id.partition("/")
        try:
            with limited_pillow():
                picture = self.sets[split][int(number)][0]
        except UnreadableImage:
            raise
        except Exception as error:  # the data set's reader may raise anything
            raise UnreadableImage(f"{self.name} cannot read the image ({error})".splitlines()[0]) from error
        if not isinstance(picture, Image.Image):
            raise UnreadableImage(f"{self.name} returns {type(picture).__name__}, not an image")
        return to_rgb(picture, self.pixel_reading)

    def fingerprint(self) -> str:
        content = "\n".join(stamp for one in self.sets.values() for stamp in _content(one))
        stored_options = self.describe()["options"]
        options = sorted((key, str(value)) for key, value in stored_options.items() if key != "root")
        kind = f"{self.kind}:{self.name}:{options}:{hashlib.sha256(content.encode()).hexdigest()}"
        return source.digest_table(kind, self.table, [""] * len(self.table))

    def _list(self) -> source.Listing:
        ids, labels, splits, notes = [], [], [], []
        for split, one in self.sets.items():
            ids += [f"{split}/{number:06d}" for number in range(len(one))]
            of_set, of_names = _labels(one)
            labels += of_set
            notes += [note for note in of_names if note not in notes]
            splits += ["val" if split in VAL_NAMES else "train"] * len(one)
        given = len(set(splits)) > 1
        notes += _left_out(self.name, self.options, self.sets)
        if given:
            labels, spelled = one_spelling(splits, labels)
            notes += spelled
        else:
            splits, drawn = source.draw_split(ids, labels, self.seed)
            notes += drawn
        if missing := labels.count(None):
            notes.append(f"{counted(missing, 'image')} without label")
        paths = [f"torchvision:{self.name}/{image_id}" for image_id in ids]
        return source.Listing(source.image_table(ids, paths, splits, labels), notes, split_given=given)


def _value(text: str) -> Any:
    """`true` -> True, `3,16,16` -> (3, 16, 16), `5` -> 5, other text as it is."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, (int, float, tuple)) else text


def _open_sets(name: str, options: dict[str, Any]) -> dict[str, Any]:
    make = _factory(name)
    parameters = inspect.signature(make).parameters
    unknown = next((key for key in options if key not in parameters), None)
    if unknown:
        raise ImageSourceError(
            f"torchvision:{name} has no option '{unknown}'.{did_you_mean(unknown, parameters)}"
        )
    options = _as_expected(make, options)
    if "root" in parameters and "root" not in options:
        raise ImageSourceError(f"torchvision:{name} needs a folder. Write torchvision:{name}?root=DIR")
    if "train" in parameters and "train" not in options:
        return {split: _make(make, name, options, train=split == "train") for split in ("train", "test")}
    if "split" in parameters and "split" not in options:
        return _by_split(make, name, options)
    return {"all": _make(make, name, options)}


def _by_split(make: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    sets = {}
    for names in (TRAIN_NAMES, VAL_NAMES):
        for split in names:
            one = _make(make, name, options, split=split)
            if one is not None:
                sets[split] = one
                break
    if not sets:
        raise ImageSourceError(f"torchvision:{name} has neither a train nor a test split. Name one: &split=")
    return sets


def _as_expected(make: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return options with numbers as text where a name is expected, such as the version 2018."""
    defaults = {key: parameter.default for key, parameter in inspect.signature(make).parameters.items()}
    expected = {}
    for key, value in options.items():
        is_number = isinstance(defaults[key], str) and isinstance(value, int)
        expected[key] = str(value) if is_number else value
    return expected


def _left_out(name: str, options: dict[str, Any], sets: dict[str, Any]) -> list[Record]:
    """Say which evaluation split is not used where a data set has two, with its images."""
    make = _factory(name)
    others = [split for split in (*VAL_NAMES, *OTHER_VAL_NAMES) if split not in sets]
    used = next((split for split in VAL_NAMES if split in sets), None)
    if used is None or "split" in options or "split" not in inspect.signature(make).parameters:
        return []
    notes = []
    for split in others:
        try:
            one = _make(make, name, _as_expected(make, options), split=split)
        except ImageSourceError:
            continue  # without its files
        if one is not None:
            notes.append(say_of_torchvision("left_out", n=len(one), what=split, why=used))
    return notes


def _make(make: Any, name: str, options: dict[str, Any], **split: Any) -> Any:
    """Open the data set; None for a split that it does not have."""
    try:
        return make(**options, **split)
    except ValueError as error:
        if "split" in split and "split" in str(error):
            return None
        raise _cannot_open(name, error) from None
    except Exception as error:  # each data set raises its own kinds of errors
        raise _cannot_open(name, error) from None


def _cannot_open(name: str, error: Exception) -> ImageSourceError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    hint = "Check root=DIR, or add &download=true"
    return ImageSourceError(f"cannot open torchvision:{name}: {reason}. {hint}")


def _factory(name: str) -> Any:
    datasets = importlib.import_module("torchvision.datasets")
    names = [one for one in datasets.__all__ if inspect.isclass(getattr(datasets, one))]
    if name not in names:
        raise ImageSourceError(f"torchvision has no data set '{name}'.{did_you_mean(name, names)}")
    return getattr(datasets, name)


def _labels(data_set: Any) -> tuple[list[str | None], list[Record]]:
    """Return the label of each image, and what is said of the names of classes."""
    candidates = (getattr(data_set, name, None) for name in TARGET_ATTRIBUTES)
    targets = next((t for t in candidates if t is not None and len(t) == len(data_set)), None)
    if targets is None:
        targets = _numbers_of_ranks(data_set)
    if targets is None:
        with limited_pillow():
            targets = [data_set[index][1] for index in range(len(data_set))]
    classes, notes = _class_names(data_set)
    return [_label(target, classes) for target in targets], notes


def _rank_of(data_set: Any) -> str | None:
    """Return the one rank of the taxonomy by which iNaturalist labels its images; None for other sets."""
    kinds, of_ranks = getattr(data_set, "target_type", None), getattr(data_set, "categories_index", None)
    is_one = isinstance(kinds, list) and len(kinds) == 1 and isinstance(of_ranks, dict)
    return kinds[0] if is_one else None  # pyright: ignore[reportOptionalSubscript]


def _numbers_of_ranks(data_set: Any) -> list[int] | None:
    """Return the numbers of iNaturalist's classes without reading its images; None for other sets."""
    rank = _rank_of(data_set)
    if rank is None:
        return None
    species = [number for number, _ in data_set.index]
    return species if rank == "full" else [data_set.categories_map[specy][rank] for specy in species]


def _class_names(data_set: Any) -> tuple[list[str | None], list[Record]]:
    """Return the names of the classes of a data set in the order of their numbers, all different."""
    candidates = (getattr(data_set, name, None) for name in CLASS_ATTRIBUTES)
    names = next(
        (list(candidate) for candidate in candidates if isinstance(candidate, (list, tuple)) and candidate),
        [],
    )
    if (rank := _rank_of(data_set)) and rank != "full":
        number_of = data_set.categories_index[rank]
        names = sorted(number_of, key=number_of.get)
    texts = [", ".join(name) if isinstance(name, tuple) else str(name) for name in names]
    ids = getattr(data_set, "wnids", None) or range(len(texts))  # ImageNet's and Imagenette's
    return distinct_names(list(ids), texts)


def _label(target: Any, classes: Sequence[str | None]) -> str | None:
    if isinstance(target, str):
        return target
    value = np.asarray(target)
    if value.ndim or not np.issubdtype(value.dtype, np.integer) or value < 0:
        return None  # boxes, captions, STL10's -1
    return classes[int(value)] if int(value) < len(classes) else str(int(value))


def _content(data_set: Any) -> Iterator[str]:
    """Yield what distinguishes two copies of a data set: its pixels if it holds them, else its files."""
    pixels = getattr(data_set, "data", None)
    if pixels is not None and hasattr(pixels, "__array__"):
        yield hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
        return
    for name in FILE_ATTRIBUTES:
        files = getattr(data_set, name, None)
        if isinstance(files, (list, tuple)):
            yield from (
                source.file_stamp(str(item[0] if isinstance(item, tuple) else item)) for item in files
            )
            return
