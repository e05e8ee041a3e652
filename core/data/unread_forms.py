"""Files and folders that hold pictures in a form that is not read, known by their content or names."""

import json
import os
import re
import stat
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from core.common.dataframes import evenly
from core.common.records import Record, Templates
from core.data.decode import decode
from core.data.folder_levels import join
from core.data.folder_walk import Folder, readable
from core.data.source import IMAGE_EXTENSIONS
from core.errors import UnreadableImage

# Trees with a file for each band of a record, as satellites and microscopes store them. They are not read.
#
# `PATCH/PATCH_B01.tif`, `PATCH/VV.tif`, `ID_red.png`, `B02_s1_w1.png`, `train_nir/nir_patch_1.tif`: paths
# that differ in the band alone, and pictures without colour.


COLOURS = frozenset(("red", "green", "blue", "yellow"))
SPECTRAL = frozenset(
    ("nir", "swir", "swir1", "swir2", "rededge", "re", "vv", "vh", "hh", "hv", "dapi", "er", "rna")
)
NUMBERED_BAND = re.compile(
    r"b(?:and)?\d{1,2}a?|ch\d{1,2}(?:sk\d+fk\d+fl\d+)?|w[1-9](?:[0-9a-f-]{36})?", re.IGNORECASE
)
BAND_WORDS = re.compile(r"([/_. -]+)")
MOST_BAND_FOLDERS, MOST_BAND_FILES = 400, 4000  # that are looked at
LEAST_SHARE = 0.5  # of files that name a band, and of records with all bands
FEWEST_RECORDS, FEWEST_COLOURS = 2, 3
OPENED = 2  # records whose pictures are looked at
SHOWN = 3
say_of_bands = Templates.beside(__file__)


def bands_in_files(root: str, tree: Mapping[str, Folder]) -> Record | None:
    """Say that the files of a tree of images are bands of fewer records; None where they are pictures.

    Args:
        tree: every folder by its path below the root, without masks.
    """
    paths = list(_some_paths(tree))
    records: dict[str, dict[str, str]] = defaultdict(dict)  # of each record, the path of each band
    n_named = 0
    for path in paths:
        record, band = _band_apart(path)
        if band:
            n_named += 1
            records[record][band] = path
    if len(records) < FEWEST_RECORDS or n_named < LEAST_SHARE * len(paths):
        return None
    sets = Counter(frozenset(bands) for bands in records.values())
    bands, n_alike = max(sets.items(), key=lambda item: (item[1], len(item[0])))
    if not _are_bands(bands) or n_alike < max(FEWEST_RECORDS, LEAST_SHARE * len(records)):
        return None
    whole = [one for one in records.values() if one.keys() == bands]
    looked_at = [one[band] for one in whole[:OPENED] for band in sorted(bands)]
    if not _are_without_colour([os.path.join(root, path) for path in looked_at]):
        return None
    shown = [readable(whole[0][band]) for band in sorted(bands)[:SHOWN]]
    files = [os.path.basename(path) for path in shown]
    names = tuple(files if len(set(files)) == len(files) else shown)
    return say_of_bands("bands", what=readable(root), n=len(bands), names=names)


def _band_apart(path: str) -> tuple[str, str]:
    """Return the path of an image file without its band, and the band; none where it names none.

    >>> _band_apart("p1/p1_B8A.tif"), _band_apart("p1/VV.tif"), _band_apart("train_nir/nir_7.tif")
    (('p1/p1_*', 'b8a'), ('p1/*', 'vv'), ('train_*/*_7', 'nir'))
    >>> _band_apart("Plate1/B02_s1_w1.png"), _band_apart("cat/red_7.jpg"), _band_apart("cat/7.jpg")
    (('Plate1/B02_s1_*', 'w1'), ('cat/*_7', 'red'), ('cat/7', ''))
    """
    stem = os.path.splitext(path)[0]
    parts = BAND_WORDS.split(stem)
    last = parts[-1].lower()
    if NUMBERED_BAND.fullmatch(last) or last in COLOURS | SPECTRAL:
        return "".join(parts[:-1]) + "*", last.split("-")[0][:2] if last.startswith("w") else last
    named = {word.lower() for word in parts} & (COLOURS | SPECTRAL)
    if len(named) != 1:
        return stem, ""
    (band,) = named
    return "".join("*" if word.lower() == band else word for word in parts), band


def _are_bands(bands: Collection[str]) -> bool:
    """Return True for names of several spectral bands of images; a few colours alone may be of cars.

    >>> _are_bands(["b01", "b02"]), _are_bands(["red", "green"]), _are_bands(["red", "nir"])
    (True, False, True)
    >>> _are_bands(["b01"])
    False
    """
    only_colours = COLOURS.issuperset(bands)
    return len(bands) >= (FEWEST_COLOURS if only_colours else 2)


def _some_paths(tree: Mapping[str, Folder]) -> Iterator[str]:
    """Yield the first files of folders spread over a tree: all bands of a record lie side by side."""
    with_images = [path for path, folder in tree.items() if folder.images]
    shown = [with_images[int(at)] for at in evenly(len(with_images), MOST_BAND_FOLDERS)]
    n_each = max(1, MOST_BAND_FILES // max(1, len(shown)))
    for path in shown:
        yield from (join(path, name) for name in tree[path].images[:n_each])


def _are_without_colour(paths: Sequence[str]) -> bool:
    """Whether no picture has colours; bands that cannot be read have none."""
    for path in paths:
        try:
            pixels = np.asarray(decode(path), np.int16)
        except UnreadableImage:
            continue
        if (pixels != pixels[..., :1]).any():
            return False
    return True


# Files and folders that hold pictures in a form that is not read, known by their content: what they are.


HEAD = 1 << 16  # bytes of a file that are looked at
MOST_FILES, DEEPEST = 60, 2  # that are looked at in a folder, and levels below it
MOST_JSON = 50_000_000
GZIP, PICKLES = b"\x1f\x8b", (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
HDF5, HDF5_STARTS = b"\x89HDF\r\n\x1a\n", (0, 512, 1024, 2048, 4096, 8192)
LMDB, LMDB_AT = b"\xde\xc0\xef\xbe", 16  # in the first page, behind its header
RIEGELI = b"\x83\xaf\x70\xd1\x0d\x88\x4a\x3f\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0"
ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
IDX = re.compile(rb"\0\0\x08[\x01-\x04]\0", re.DOTALL)  # MNIST's: bytes, in so many dimensions
ZIPPED = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)  # the header of a file in a .zip; its name follows
POLYNOMIAL, MASK = 0x82F63B78, 0xA282EAD8  # of CRC-32C, and what TFRecord adds to it


def unread_form(path: str) -> Record | None:
    """Say which form of images that is not read a file, or a folder's first such file, has; or None.

    Names count for nothing, since many such files have none that tells.
    """
    if not os.path.isdir(path):
        return _form_of_file(path, path)
    for file in _files_of(path):
        if (form := _form_of_file(file, os.path.relpath(file, path))) is not None:
            return form
    return None


def _files_of(folder: str) -> Iterator[str]:
    """Yield the first files of a folder and of those in it, `index.json` before others."""
    n_files = 0
    for here, folders, names in os.walk(folder):
        is_deep = os.path.relpath(here, folder).count(os.sep) + 1 >= DEEPEST and here != folder
        folders[:] = [] if is_deep else sorted(folders)
        for name in sorted(names, key=lambda name: (name != "index.json", name)):
            n_files += 1
            if n_files > MOST_FILES:
                return
            yield os.path.join(here, name)


def _form_of_file(path: str, shown: str) -> Record | None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block
            return None
        with open(path, "rb") as file:
            head = file.read(HEAD)
        kind = next((kind for kind, is_one in FORMS.items() if is_one(head, path)), None)
    except (OSError, ValueError, EOFError, struct.error, zlib.error):
        return None
    return None if kind is None else say_of_bands(kind, what=shown)


def _index(path: str) -> dict[str, Any]:
    """The content of an `index.json` that is the file, or lies beside it."""
    index_path = os.path.join(os.path.dirname(path), "index.json")
    if not os.path.isfile(index_path) or os.path.getsize(index_path) > MOST_JSON:
        return {}
    with open(index_path, encoding="utf-8") as file:
        tree = json.load(file)
    return tree if isinstance(tree, dict) else {}


def _is_mds(head: bytes, path: str) -> bool:
    shards = _index(path).get("shards")
    return isinstance(shards, list) and all(isinstance(shard, dict) and "format" in shard for shard in shards)


def _is_litdata(head: bytes, path: str) -> bool:
    tree = _index(path)
    return isinstance(tree.get("chunks"), list) and isinstance(tree.get("config"), dict)


def _is_samples(head: bytes, path: str) -> bool:
    """Return True for a shard without its index: a count and places, the last one the end of the file."""
    (n_samples,) = struct.unpack_from("<I", head)
    size = os.path.getsize(path)
    if not 0 < n_samples <= len(head) // 4 - 2:
        return False
    places = struct.unpack_from(f"<{n_samples + 1}I", head, 4)
    begins_after_header = places[0] >= 4 * (n_samples + 2)
    return begins_after_header and places[-1] == size and list(places) == sorted(places)


def _is_tfrecord(head: bytes, path: str) -> bool:
    """Return True where the first 12 bytes are a length and the checksum of this length."""
    first = _unpacked(head)[:12]
    if len(first) < 12:
        return False
    length, checksum = struct.unpack("<QI", first)
    return 0 < length < 1 << 40 and checksum == masked_checksum(first[:8])


def masked_checksum(data: bytes) -> int:
    """The CRC-32C that tells files of images as TFRecord: turned by 15 bits, with a constant added."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF


def _unpacked(head: bytes, n: int = 64) -> bytes:
    """The first bytes, of what is inside where the file is packed with gzip."""
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, n) if head.startswith(GZIP) else head


def _zipped(head: bytes) -> list[str]:
    """The names at the beginning of a .zip; folders end with a slash."""
    names = []
    for match in ZIPPED.finditer(head):
        (length,) = struct.unpack("<H", match[1])
        names.append(head[match.end() : match.end() + length].decode("utf-8", "replace"))
    return names if head.startswith(b"PK\x03\x04") else []


def _is_zip_of(head: bytes, *endings: str) -> bool:
    files = [name for name in _zipped(head) if not name.endswith("/")]
    return bool(files) and files[0].lower().endswith(endings)


def _is_lance(head: bytes, path: str) -> bool:
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        return file.read(4) == b"LANC"


def _is_zarr(head: bytes, path: str) -> bool:
    name = os.path.basename(path)
    return name in (".zarray", ".zgroup", ".zattrs") or (name == "zarr.json" and b"zarr_format" in head)


FORMS: dict[str, Callable[[bytes, str], bool]] = {  # the name of a sentence, and whether a file is one
    "mds": _is_mds,
    "litdata": _is_litdata,
    "tfrecord": _is_tfrecord,
    "array_record": lambda head, path: head.startswith(RIEGELI),
    "hdf5": lambda head, path: any(head[at : at + len(HDF5)] == HDF5 for at in HDF5_STARTS),
    "dicom": lambda head, path: head[128:132] == b"DICM",
    "mat": lambda head, path: head.startswith(b"MATLAB 5.0 MAT-file"),
    "lmdb": lambda head, path: head[LMDB_AT : LMDB_AT + len(LMDB)] == LMDB,
    "lance": _is_lance,
    "zarr": _is_zarr,
    "recordio": lambda head, path: head.startswith(b"\x0a\x23\xd7\xce"),
    "npz": lambda head, path: _is_zip_of(head, ".npy"),
    "npy": lambda head, path: head.startswith(b"\x93NUMPY"),
    "checkpoint": lambda head, path: _is_zip_of(head, "/data.pkl"),
    "pictures_zipped": lambda head, path: _is_zip_of(head, *(f".{ending}" for ending in IMAGE_EXTENSIONS)),
    "zipped": lambda head, path: bool(_zipped(head)),
    "archive": lambda head, path: head.startswith(ARCHIVES),
    "idx": lambda head, path: IDX.match(_unpacked(head)) is not None,
    "tar_packed": lambda head, path: head.startswith(GZIP) and _unpacked(head, 512)[257:262] == b"ustar",
    "pickle": lambda head, path: head.startswith(PICKLES),
    "arrow": lambda head, path: head.startswith((b"ARROW1\0\0", b"\xff\xff\xff\xff")),
    "xml": lambda head, path: head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<?xml", b"<annotation")),
    "samples": _is_samples,
}
