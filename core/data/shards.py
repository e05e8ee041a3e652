"""WebDataset tar shards: a sample is all files of one name, `key.jpg` with `key.cls`, `.json` or `.txt`."""

import errno
import fnmatch
import glob
import json
import os
import re
import shlex
import tarfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
import pandas as pd
from braceexpand import braceexpand
from PIL import Image

from core.common.addresses import is_url, located
from core.common.formatting import counted, first_of
from core.common.records import Templates
from core.common.remote_cache import OUTER_LOCK, cached, entry_of
from core.common.remote_objects import objects_below, open_object, read_object, stat, stat_all
from core.data import source
from core.data.contradictions import one_spelling
from core.data.decode import decode
from core.data.folder_walk import readable
from core.data.picture_limits import check_bytes
from core.data.source import split_named
from core.data.unread_forms import unread_form
from core.errors import ImageSourceError, UnreadableImage, did_you_mean

# Index the members of a tar file from its headers; nothing is extracted.


COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


NOWHERE = (errno.EINVAL, errno.EFBIG, errno.EOVERFLOW)  # errors of a seek beyond the maximum file size
LONGEST_HEADER = 16_384  # bytes of a long name or of pax records; Python's reader takes their square in time
LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Header(tarfile.TarInfo):
    """A header whose size is looked at before tarfile reads what follows."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in LONG_HEADERS and info.size > LONGEST_HEADER):
            raise tarfile.ReadError(f"a header that claims {info.size:,} bytes")
        return info


class Member(NamedTuple):
    """A file in a tar: its name and the position of its bytes."""

    name: str
    offset: int
    size: int


@dataclass
class TarIndex:
    """The complete members of a tar; `damage` says where reading ended early, or is empty."""

    members: list[Member] = field(default_factory=list)
    damage: str = ""


def index_tar(path: str) -> TarIndex:
    """List the image files of an uncompressed tar shard. Members before a damaged position are kept.

    Raises:
        ImageSourceError: it cannot be opened, or is compressed.
    """
    try:
        with open_object(path) if is_url(path) else open(path, "rb") as file:
            _refuse_compressed(path, file.read(8))
            length = file.seek(0, os.SEEK_END)
            file.seek(0)
            return _index(file, length)
    except OSError as error:
        raise _unreadable_shard(path, error) from None


def _unreadable_shard(path: str, error: OSError) -> ImageSourceError:
    """Return the error of a tar shard of images that the system or a store does not hand out."""
    reason = (error.strerror or str(error)).lower()
    return ImageSourceError(f"cannot read the shard '{path}': {reason}. Check its permissions")


def _refuse_compressed(path: str, head: bytes) -> None:
    tool = next((tool for magic, tool in COMPRESSED.items() if head.startswith(magic)), None)
    if tool:
        command = f"{tool} {shlex.quote(path)}"
        raise ImageSourceError(f"'{path}' is compressed: single images cannot be read. Run: {command}")


def _index(file: BinaryIO, length: int) -> TarIndex:
    index = TarIndex()
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
            while (info := tar.next()) is not None:
                if info.size < 0:  # said by pax records; the next member would be an earlier one
                    raise tarfile.ReadError(f"a header that claims {info.size:,} bytes")
                if info.isreg() and info.offset_data + info.size <= length:
                    index.members.append(Member(info.name, info.offset_data, info.size))
                tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  # or it keeps every header
            end = tar.offset
    except RecursionError:
        index.damage = "too many headers in a row"
        return index
    except (tarfile.TarError, EOFError, ValueError) as error:
        index.damage = str(error) or "unexpected end of data"
        return index
    except OSError as error:
        if error.errno not in NOWHERE:
            raise
        index.damage = "a member is larger than a file can be"
        return index
    if end > length:
        index.damage = "unexpected end of data"
    else:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            index.damage = f"no valid header at byte {end:,}"
    return index


def read_member(path: str, offset: int, size: int) -> bytes:
    """Read the bytes of one image of a tar shard. Raises OSError; shorter if truncated since."""
    if is_url(path):
        return read_object(path, offset, size)
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), size, offset)


# Name a sample of a shard as in a folder of images, so that both are split in the same way.


JOINT = "__"  # between class and name, as in dog__0001.jpg


def name_in_folder(member: str, label: str | None) -> str:
    """Return the id, `CLASS/NAME.ext`, that a folder source gives to the image stored as `member`.

    * A folder of that class in the path: what starts there (`x/dog/1.jpg` of "dog" is `dog/1.jpg`), with a
      folder train/ or val/ directly above it.
    * `CLASS__NAME.ext`: the class is removed. Not from `CLASS_NAME.ext`, because many data sets, ImageNet
    among them, name the files in the class's folder this way.
    * Else `CLASS/NAME.ext`; the path unchanged if its folders are not the label (classes by number).
    * No label: the bare name, as in a flat folder.
    """
    *folders, name = member.removeprefix("./").split("/")
    if label is None:
        return name
    if label in folders:
        at = folders.index(label)
        above = at - 1 if at and split_named(folders[at - 1]) else at
        return "/".join([*folders[above:], name])
    if name.startswith(label + JOINT) and name != label + JOINT:
        return f"{label}/{name.removeprefix(label + JOINT)}"
    return "/".join([*(folders or [label]), name])


def _names_to_split_by(
    members: Sequence[str], labels: Sequence[str | None], image_ids: Sequence[str]
) -> list[str]:
    """Return the names in a folder of a shard's images; ids if one occurs twice, so no folder was there."""
    names = [name_in_folder(member, label) for member, label in zip(members, labels, strict=True)]
    counts = Counter(zip(labels, names, strict=True))
    return [
        name if counts[label, name] == 1 else image_id
        for name, label, image_id in zip(names, labels, image_ids, strict=True)
    ]


# WebDataset tar shards: a sample is all files of one name, `key.jpg` with `key.cls`, `.json` or `.txt`.


LABEL_FIELDS = ("label", "class")
NAME_FIELDS = ("filename", "file_name", "path", "file_path", "image_path")
MOST_FILES = 1_000_000  # that one pattern names
MOST_BRACES = 20  # in a pattern: with two names each they are more than a million
RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)")
LONGEST_TEXT = 16_000_000  # bytes; longer .cls, .json or .txt files are not read
LISTING_FORM = 4  # of what the cache keeps of a shard; counted up where `ShardSample` changes
CAPTIONS_FROM = 50  # with more distinct texts than this, and than half the images, texts are captions


say_of_shards = Templates.beside(__file__)


class ShardSample(NamedTuple):
    """One key of a shard; `name`: the file name that it had before it went into the shard; `is_caption`: the
    text is the caption of the sample's .json, as img2dataset writes both; `part_label`: of target.cls, beside
    input.jpg."""

    key: str
    image: Member
    name: str
    label: str | None
    text: str | None
    is_caption: bool = False
    part_label: str | None = None
    shard: int = 0


class ShardListing(NamedTuple):
    """The samples of a shard with an image, how many have none, and where reading ended early, if it did;
    and the names of images beside that of their sample, and of files that come twice."""

    samples: list[ShardSample]
    without: int
    damage: str
    beside: list[str]


class ShardSource(source.ListedSource):
    """Images read in place from tar files. Ids are `shard/key`, with the shard named without `.tar`."""

    kind = "shards"

    def __init__(self, paths: Sequence[str], seed: int | None = 0, reading: int = source.READING):
        """`reading`: `OLD_READING` lists as versions before 0.4 did."""
        self.reading = reading
        self.paths, self.seed = [located(path) for path in paths], seed
        self.names = shard_names(self.paths)

    def describe(self) -> dict[str, Any]:
        about = {"kind": self.kind, "paths": self.paths, "seed": self.seed, **self.group_option}
        return about if self.reading == source.OLD_READING else {**about, "reading": self.reading}

    @classmethod
    def reopen(cls, description: dict[str, Any]) -> Self:
        return super().reopen({"reading": source.OLD_READING, **description})

    def read(self, row: int) -> Image.Image:
        shard, offset, size = (int(part[row]) for part in self.listing.places)
        return self._decode(shard, offset, size)

    def read_id(self, image_id: str) -> Image.Image:
        if self.is_listed:
            return super().read_id(image_id)
        for shard, name in enumerate(self.names):  # one shard's index is enough
            if image_id.startswith(f"{name}/"):
                for sample in _listed_shard(self.paths[shard]).samples:
                    if f"{name}/{sample.key}" == image_id:
                        return self._decode(shard, sample.image.offset, sample.image.size)
        raise UnreadableImage("no longer in the source")

    def _decode(self, shard: int, offset: int, size: int) -> Image.Image:
        check_bytes(size)
        try:
            return decode(read_member(self.paths[shard], offset, size), self.pixel_reading)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UnreadableImage(f"shard {self.names[shard]}: {reason}") from None

    def fingerprint(self) -> str:
        shards = [source.file_stamp(path) for path in self.paths]
        places = zip(*self.listing.places, strict=True)
        stamps = (f"{shards[shard]}:{offset}:{size}" for shard, offset, size in places)
        return source.digest_table(self.kind, self.table, stamps, self.extras)

    def _list(self) -> source.Listing:
        samples, notes = self._samples()
        if not samples:
            more = f"; {'; '.join(notes)}" if notes else ""
            raise ImageSourceError(
                f"no images in {counted(len(self.paths), 'shard')} ('{self.paths[0]}' …){more}. "
                "Expected KEY.jpg beside KEY.cls"
            )
        splits, split_notes, given, samples = self._splits(samples)
        labels, captions, label_notes = _labels(samples, old=self.reading == source.OLD_READING)
        ids = self._ids(samples)
        if not given:
            names = _names_to_split_by([sample.name for sample in samples], labels, ids)
            splits, drawn = source.draw_split(ids, labels, self.seed, names)
            split_notes += drawn
        files = [f"{self.names[sample.shard]}.tar/{sample.image.name}" for sample in samples]
        extras = pd.DataFrame({"caption": captions}) if captions else None
        labels, spelled = one_spelling(splits, labels)
        notes += split_notes + label_notes + spelled
        spans = ((sample.shard, sample.image.offset, sample.image.size) for sample in samples)
        places = tuple(np.array(values, np.int64) for values in zip(*spans, strict=True))
        return source.Listing(source.image_table(ids, files, splits, labels), notes, extras, given, places)

    def _ids(self, samples: list[ShardSample]) -> list[str]:
        return [f"{self.names[sample.shard]}/{sample.key}" for sample in samples]

    def _samples(self) -> tuple[list[ShardSample], list[str]]:
        samples, notes, without, beside = [], [], 0, []
        for shard, listed in enumerate(map(_listed_shard, self.paths)):
            samples += [sample._replace(shard=shard) for sample in listed.samples]
            without += listed.without
            beside += listed.beside
            if listed.damage:
                used = f"{counted(len(listed.samples), 'image')} before the damage are used"
                notes.append(f"shard {self.names[shard]} is damaged ({listed.damage}): {used}")
        if without:
            notes.append(f"{counted(without, 'sample')} without an image ignored")
        if beside:
            further = f"{counted(len(beside), 'further file')} of samples ignored: {first_of(beside, 3)}"
            rule = "the name of a sample ends at its first dot; of two files of a name, the first is read"
            notes.append(f"{further} ({rule})")
        return samples, notes

    def _splits(self, samples: list[ShardSample]) -> tuple[list[str], list[str], bool, list[ShardSample]]:
        named = [split_of_name(name) for name in self.names]
        if {"train"} >= set(named) or not {"val", "test"} & set(named):
            return [], [], False, samples
        unnamed = counted(named.count(None), "shard")
        notes = [f"{unnamed} without a split in the name taken as train"] if None in named else []
        is_kept, splits, more = source.one_evaluation_split(
            [named[sample.shard] or "train" for sample in samples]
        )
        if len(set(splits)) < 2:
            return [], notes, False, samples
        return splits, notes + more, True, [s for s, keep in zip(samples, is_kept, strict=True) if keep]


def is_pattern(spec: str) -> bool:
    """Return True when a path of tar shards contains braces or wildcards."""
    return any(mark in spec for mark in "{*?[")


def shard_paths(spec: str) -> list[str]:
    """List the tar files that a path, a brace pattern or a glob names, sorted within each glob.

    Raises:
        ImageSourceError: nothing matches, a shard of the pattern is missing, or a file is not a tar file.
    """
    spec = spec if is_url(spec) else os.path.expanduser(spec)
    if os.path.isfile(spec):
        return [_checked(spec)]
    return [_checked(path) for path in matching_files(spec)]


def matching_files(pattern: str) -> list[str]:
    """List the files of images that a brace pattern or a glob names, sorted within each glob.

    Raises:
        ImageSourceError: nothing matches, or a file of the pattern is missing.
    """
    too_many = ImageSourceError(f"the pattern '{pattern}' names more than {MOST_FILES:,} files")
    if pattern.count("{") > MOST_BRACES or any(
        len(first + last) > 18 or abs(int(last) - int(first)) >= MOST_FILES
        for first, last in RANGE.findall(pattern)
    ):
        raise too_many  # each range is listed before the first name is made
    try:
        expanded = list(islice(braceexpand(pattern), MOST_FILES + 1))
    except ValueError:
        raise ImageSourceError(f"braces do not match in '{pattern}'. Write shards/{{000..010}}.tar") from None
    if len(expanded) > MOST_FILES:
        raise too_many
    paths = [path for one in expanded for path in (_matches(one) if glob.has_magic(one) else [one])]
    remote = stat_all(path for path in paths if is_url(path))
    missing = [path for path in paths if not is_url(path) and not os.path.isfile(path)]
    missing += [path for path, about in zip(filter(is_url, paths), remote, strict=True) if about is None]
    if not paths:
        raise ImageSourceError(
            f"no file matches '{pattern}'. Check the pattern, and quote it against the shell"
        )
    if missing:
        raise _missing_shard(missing, len(paths))
    return paths


def _matches(pattern: str) -> list[str]:
    """List the files of a glob, sorted; by address, wildcards stand in the last part."""
    if not is_url(pattern):
        return sorted(glob.glob(pattern))
    folder = pattern.rpartition("/")[0]
    try:
        names = [f"{folder}/{name}" for name in objects_below(folder) if "/" not in name]
    except OSError:
        return []
    return sorted(fnmatch.filter(names, pattern))


def _missing_shard(missing: list[str], n_paths: int) -> ImageSourceError:
    folder = Path(missing[0]).parent
    near = did_you_mean(Path(missing[0]).name, os.listdir(folder)) if folder.is_dir() and n_paths == 1 else ""
    count = f"{len(missing)} of {n_paths} missing"
    return ImageSourceError(f"no such shard: '{missing[0]}' ({count}).{near or ' Check the pattern'}")


def is_tar(path: str) -> bool:
    """Return True for the name of a tar shard of images, also of a compressed one."""
    return re.search(r"\.(tar(\.\w+)?|tgz|tbz2?|txz)$", path.lower()) is not None


def _checked(path: str) -> str:
    if not is_tar(path):
        if (form := unread_form(path)) is not None:
            raise ImageSourceError(str(form))
        raise ImageSourceError(
            f"'{path}' is a file, not a folder of images. "
            "Give a folder, a .csv, .tsv or .parquet table, a .json or .txt list, or .tar shards"
        )
    return path


def shard_names(paths: Sequence[str]) -> list[str]:
    """Name the tar shards for ids of images: paths without `.tar`, relative to their common folder."""
    above = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, above).removesuffix(".tar").replace(os.sep, "/") for path in paths]


def split_of_name(name: str) -> str | None:
    """Return the split that a shard's name states, "train" of `imagenet-train-0001`; None without any."""
    parts = re.split(r"[^a-z]+", name.lower())
    return next((source.SPLIT_NAMES[part] for part in parts if part in source.SPLIT_NAMES), None)


def _by_key(members: list[Member]) -> tuple[dict[str, dict[str, Member]], list[str]]:
    """The members of each sample by ending, the first of each; and the names of those that come again."""
    groups: dict[str, dict[str, Member]] = defaultdict(dict)
    again: list[str] = []
    for stored in members:
        member = stored._replace(name=readable(stored.name))
        folder, _, file = member.name.removeprefix("./").rpartition("/")
        key, _, ending = file.partition(".")
        if key:
            first = groups[f"{folder}/{key}" if folder else key].setdefault(ending.lower(), member)
            again += [member.name] if first is not member else []
    return groups, again


def _listed_shard(path: str) -> ShardListing:
    """List the images of a tar shard; the listing of one by URL is kept in the cache.

    Raises:
        ImageSourceError: it cannot be opened, or is compressed.
    """
    if not is_url(path):
        return _list_shard(path)
    try:
        entry = entry_of("shard", LISTING_FORM, path, *stat(path))
    except OSError as error:
        raise _unreadable_shard(path, error) from None

    def fetch(file: Path) -> None:
        file.write_text(json.dumps(_list_shard(path)), encoding="utf-8")

    samples, *rest = json.loads(cached(entry, fetch, lock=OUTER_LOCK).read_bytes())
    return ShardListing([ShardSample(key, Member(*image), *more) for key, image, *more in samples], *rest)


def _list_shard(path: str) -> ShardListing:
    index = index_tar(path)
    groups, again = _by_key(index.members)
    samples = [sample for key, members in groups.items() if (sample := _sample(path, key, members))]
    used = {sample.image for sample in samples}
    images = [members[ending] for members in groups.values() for ending in _images(members)]
    beside = [image.name for image in images if image not in used]
    return ShardListing(samples, len(groups) - len(samples), index.damage, [*beside, *again])


def _images(members: dict[str, Member]) -> list[str]:
    return [ending for ending in members if ending.rpartition(".")[2] in source.IMAGE_EXTENSIONS]


def _sample(path: str, key: str, members: dict[str, Member]) -> ShardSample | None:
    images = _images(members)
    if not images:
        return None
    image = members[min(images, key=lambda ending: ending.count("."))]  # key.jpg before key.depth.png
    texts = {}
    for ending, member in members.items():
        is_text = ending in ("cls", "json", "txt") or ending.endswith(".cls")
        if is_text and member.size <= LONGEST_TEXT:
            content = read_member(path, member.offset, member.size)
            texts[ending] = content.decode("utf-8", "replace").strip()
    part_label = next((texts[ending] for ending in sorted(texts) if ending.endswith(".cls")), None)
    fields = _json_fields(texts.get("json", ""))
    label = texts.get("cls") or _first(fields, LABEL_FIELDS, (str, int))
    name = _first(fields, NAME_FIELDS, (str,)) or image.name
    text = texts.get("txt") or None
    caption = fields.get("caption")
    is_caption = text is not None and isinstance(caption, str) and caption.strip() == text
    return ShardSample(key, image, name.replace("\\", "/"), label, text, is_caption, part_label)


def _json_fields(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _first(fields: dict[str, Any], names: Sequence[str], kinds: tuple[type, ...]) -> str | None:
    """Return the first of these fields that exists, as text that a table can hold: no lone surrogates."""
    values = [fields[name] for name in names if isinstance(fields.get(name), kinds)]
    return str(values[0]).encode("utf-8", "replace").decode() or None if values else None


def _labels(
    samples: list[ShardSample], *, old: bool
) -> tuple[list[str | None], list[str | None] | None, list[str]]:
    """Return each sample's label; the captions, if there are too many texts for class names; notes.

    Where nothing says a class, it is the folder inside the shard that an image lies in.
    """
    labels = [sample.label for sample in samples]
    if not old and not any(labels):
        labels = [sample.part_label for sample in samples]
    texts = [sample.text for sample in samples]
    says_nothing = not any(label is not None for label in labels)
    folders = _class_folders(samples) if says_nothing and not old and not any(texts) else None
    if folders is not None:
        return list(folders), None, [say_of_shards("folders", n=len(set(folders)))]
    if not says_nothing or not any(texts):
        unlabelled = labels.count(None)
        note = f"{counted(unlabelled, 'image')} without label (.cls, .json or .txt)" if unlabelled else ""
        return labels, texts if any(texts) else None, [note] * bool(note)
    if not old and (n_captions := sum(sample.is_caption for sample in samples)):
        return labels, texts, [say_of_shards("captions", n=n_captions)]
    distinct = len({text for text in texts if text})
    if not old and distinct > len(texts) / 2 and _are_sentences(texts):
        return labels, texts, [f"{distinct:,} different .txt texts used as captions, not as labels"]
    if distinct > max(CAPTIONS_FROM, len(texts) / 2):
        return labels, texts, [f"{distinct:,} different .txt texts used as captions, not as labels"]
    return texts, None, []


def _are_sentences(texts: list[str | None]) -> bool:
    """Whether half of the texts have four words or more, as few names of classes have."""
    lengths = sorted(len(text.split()) for text in texts if text)
    return lengths[len(lengths) // 2] >= 4


def _class_folders(samples: list[ShardSample]) -> list[str] | None:
    """Return the folder of each sample, where all lie as deep and in several that are no splits."""
    parts = [sample.key.split("/") for sample in samples]
    names = [each[-2] for each in parts if len(each) > 1]
    is_each = len(names) == len(parts) and len(set(map(len, parts))) == 1
    is_class = is_each and len(set(names)) > 1 and not any(map(source.split_named, set(names)))
    return names if is_class else None
