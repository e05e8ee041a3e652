"""The manifest of a study: each step's items, inputs, settings and checksums, and checks of these."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from core.common.command_line import command_line
from core.common.inside import TooLarge, check_size, parse_json, read_bounded, refused_once, replacing
from core.errors import DamagedManifest, StudyError
from core.study import seals
from core.study.chunked_array import LEDGER
from core.study.inside import inside
from core.study.steps import FORMULAS

# Check the structure and types of a manifest. No torch.
#
# A manifest may come from somebody else. It is checked once, when it is read, so that no later reader meets
# text in place of a number, or a shape that does not fit into memory.


ITEM = re.compile(r"[A-Za-z][\w-]{0,79}")
MOST = 2**48  # rows, columns and entries; more than any disk holds
DTYPE_KINDS = "biufU"  # booleans, numbers and fixed-width text; nothing that would be unpickled
OF_IMAGES = ("image_id", "split", "label")
WIDEST_TEXT = 1 << 16  # bytes


def _entry_fault(manifest: dict[str, Any]) -> str | None:
    """Describe briefly what is wrong with the steps and items of a manifest; None where all is well."""
    for name, step in manifest["steps"].items():
        if fault := _step_fault(step):
            return f"has an invalid step {name[:40]!r}: {fault}"
    for name, item in manifest["items"].items():
        if not ITEM.fullmatch(name):
            return f"names an invalid item {name[:80]!r}"
        if fault := _item_fault(item):
            return f"has an invalid item '{name}': {fault}"
    if fault := _images_fault(manifest["items"].get("images")):
        return f"has an invalid item 'images': {fault}"
    unfinished = manifest.get("unfinished", {})
    if not isinstance(unfinished, dict) or not all(isinstance(one, dict) for one in unfinished.values()):
        return "has invalid settings of unfinished steps"
    return None


def _step_fault(step: Any) -> str | None:
    if not isinstance(step, dict):
        return "not an object"
    for part in ("settings", "inputs", "summary"):
        if not isinstance(step.get(part), dict):
            return f"no {part}"
    if not all(value is None or isinstance(value, str) for value in step["inputs"].values()):
        return "inputs without checksums"
    outputs = step.get("outputs")
    if not isinstance(outputs, list):
        return "no outputs"
    strange = next(
        (output for output in outputs if not (isinstance(output, str) and ITEM.fullmatch(output))), None
    )
    return None if strange is None else f"its output {str(strange)[:80]!r} is not a valid item name"


def _item_fault(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "not an object"
    if not isinstance(item.get("step"), str):
        return "no step"
    if not _is_shape(item.get("shape")):
        return "no valid shape"
    if item.get("kind") == "table":
        return _table_fault(item)
    return _array_fault(item) if item.get("kind") == "array" else "unknown kind"


def _is_shape(shape: Any) -> bool:
    sizes = isinstance(shape, list) and 1 <= len(shape) <= 8 and all(_is_count(size) for size in shape)
    return sizes and bool(np.prod([float(size) for size in shape]) < MOST)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _table_fault(item: dict[str, Any]) -> str | None:
    columns = item.get("columns")
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        return "no columns"
    if not isinstance(item.get("sha256"), str):
        return "no checksum"
    types = item.get("types")
    if not isinstance(types, list) or len(types) != len(columns):
        return "its types do not match its columns"
    return None if item["shape"][1:] == [len(columns)] else "its shape does not match its columns"


def _images_fault(item: dict[str, Any] | None) -> str | None:
    """Every page reads these columns of at least one image; a study that is only begun has no such item."""
    if item is None:
        return None
    missing = [one for one in OF_IMAGES if one not in item.get("columns", ())]
    if missing:
        return f"no column {missing[0]}"
    return None if item["shape"][0] else "no rows"


def _array_fault(item: dict[str, Any]) -> str | None:
    if not _is_dtype(item.get("dtype")):
        return "no dtype of numbers or text"
    chunks = item.get("chunks")
    if not isinstance(chunks, list):
        return "no chunks"
    if not all(isinstance(chunk, dict) and _is_count(chunk.get("rows")) for chunk in chunks):
        return "chunks without rows"
    if not all(isinstance(chunk.get("sha256"), str) for chunk in chunks):
        return "chunks without checksums"
    return (
        None if sum(chunk["rows"] for chunk in chunks) == item["shape"][0] else "chunks of a different length"
    )


def _is_dtype(name: Any) -> bool:
    if not isinstance(name, str) or len(name) > 40:
        return False
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, OverflowError):
        return False
    return dtype.kind in DTYPE_KINDS and dtype.itemsize <= WIDEST_TEXT and dtype.shape == ()


# The manifest of a study: each step's items, inputs, settings and checksums.
#
# In the file the list of the chunks of a large array ({"rows", "sha256"} each) is packed into two texts, so
# that a manifest of 10^9 images is read in seconds, and a file that would fill the memory is refused.
# Its own checksum detects damage, but is no signature.


FORMAT = 1
MANIFEST = "manifest.json"
UNFINISHED = "unfinished"  # settings by step, of steps that a run was asked for and has not made
PARTS = ("format", "steps", "items", UNFINISHED)
OF_FORMULAS = "@formulas"  # among the inputs of a step
MOST_BYTES = 512 << 20  # of the file: 0.09 bytes an image and a byte for each with maps (docs/scale.md)
MOST_MARKS = 1 << 20  # of lists, objects and commas
LONG = 1024  # chunks of an array from which on they are packed
CHECKSUM = re.compile("[0-9a-f]{64}")


def _canonical(value: Any) -> str:
    """Return JSON for a study's manifest with sorted keys: the same text for the same content."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value, as a study's manifest compares inputs."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def empty_manifest() -> dict[str, Any]:
    """Return the manifest of a study without any steps and items."""
    return {"format": FORMAT, "steps": {}, "items": {}}


def last_settings(manifest: dict[str, Any], step: str) -> dict[str, Any]:
    """The settings of a study's step: those of an interrupted run, else of its results; {} without both."""
    results = manifest["steps"].get(step, {}).get("settings", {})
    return manifest.get(UNFINISHED, {}).get(step, results)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the study's manifest; error messages say what the folder is instead, and what to do.

    Raises:
        DamagedManifest: its content has changed.
        StudyError: there is no manifest, or one of another version.
    """
    if not folder.is_dir():
        raise StudyError(
            f"no study at '{folder}'. Make one: {command_line('analyze', folder, images='DIR')} …"
        )
    with refused_once(folder / MANIFEST, DamagedManifest):
        return _read(folder)


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = read_bounded(inside(folder, MANIFEST), MOST_BYTES)
        _check_marks(content)
    except TooLarge as error:
        raise _damaged(folder, f"is no manifest ({error})") from None
    except FileNotFoundError:
        raise StudyError(
            f"'{folder}' is not a study yet (no {MANIFEST}). "
            f"Run or resume: {command_line('analyze', folder, images='DIR')} …"
        ) from None
    except OSError as error:
        raise StudyError(f"cannot read {folder / MANIFEST}: {error.strerror}") from error
    try:
        manifest = seals.read_json(content, PARTS)
    except seals.Damaged as error:
        _refuse_newer(folder, content)
        raise _damaged(folder, str(error)) from None
    if not isinstance(version := manifest.get("format"), int):
        raise StudyError(f"{folder / MANIFEST} is not a Peregrine manifest; choose another folder")
    if version > FORMAT:
        raise _newer(folder, version)
    if not all(isinstance(manifest.get(part), dict) for part in ("steps", "items")):
        raise _damaged(folder, "is damaged (no steps or items)")
    manifest["items"] = {name: _unpacked(item) for name, item in manifest["items"].items()}
    if (fault := _entry_fault(manifest)) is not None:
        raise _damaged(folder, fault)
    if version < FORMAT or not seals.checksum_fits(content):
        command = command_line("analyze", folder.with_name(f"{folder.name}-new"), images="DIR")
        raise StudyError(f"'{folder}' was written by an earlier version of Peregrine. Run: {command}")
    return manifest


def _refuse_newer(folder: Path, content: bytes) -> None:
    """Raise StudyError for a newer format, unless the manifest's own checksum shows that it is damaged."""
    if seals.checksum_fits(content) is False:
        return
    try:
        version = parse_json(content)["format"]
    except (ValueError, KeyError, TypeError):
        return
    if isinstance(version, int) and version > FORMAT:
        raise _newer(folder, version)


def _newer(folder: Path, version: int) -> StudyError:
    return StudyError(
        f"'{folder}' has study format {version}, but this version reads formats up to {FORMAT}. "
        "Update Peregrine to open it"
    )


def _damaged(folder: Path, what: str) -> DamagedManifest:
    command = command_line("analyze", folder, images="DIR")
    remedy = f"Restore it from a copy; or delete it, and Run: {command} …"
    return DamagedManifest(folder / MANIFEST, what, remedy)


def refuse_foreign_folder(folder: Path) -> None:
    """Refuse to turn a user's own folder (of photographs, say) into a study.

    Raises:
        StudyError: the folder holds files, but none of a study or of the start of one.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    marks = (MANIFEST, ".lock", "log.txt")
    begun = any((folder / mark).exists() for mark in marks) or any(folder.glob(f"*/{LEDGER}"))
    if not begun and any(path.name != "progress.json" for path in folder.iterdir()):
        raise StudyError(f"'{folder}' holds other files and no study; choose a new folder for the study")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace a study's manifest. Raises StudyError, and leaves the last one, where unreadable again."""
    packed = {name: _packed(item) for name, item in manifest["items"].items()}
    content = seals.sealed_json(manifest | {"items": packed})
    try:
        check_size(len(content), MOST_BYTES)
        _check_marks(content)
    except TooLarge as error:
        raise StudyError(f"{folder / MANIFEST} would be too large: {error}. Make several studies") from None
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_bytes(content)


def _packed(item: dict[str, Any]) -> dict[str, Any]:
    chunks = item.get("chunks", ())
    if len(chunks) < LONG or not all(CHECKSUM.fullmatch(chunk["sha256"]) for chunk in chunks):
        return item
    texts = {"rows": " ".join(str(chunk["rows"]) for chunk in chunks)}
    return item | {"chunks": texts | {"sha256": "".join(chunk["sha256"] for chunk in chunks)}}


def _unpacked(item: Any) -> Any:
    """Return an item with a list of its chunks; unchanged where the texts are no such lists."""
    match item:
        case {"chunks": {"rows": str(text), "sha256": str(checksums)}}:
            rows = [int(number) for number in text.split() if len(number) < 16 and number.isdecimal()]
            if 64 * len(rows) == len(checksums):
                parts = enumerate(rows)
                chunks = [{"rows": n, "sha256": checksums[64 * at : 64 * at + 64]} for at, n in parts]
                return item | {"chunks": chunks}
    return item


def _check_marks(content: bytes) -> None:
    """Raise TooLarge for a text of more values than a manifest has: each takes a hundred bytes of memory."""
    if (n := sum(map(content.count, (b"[", b"{", b",")))) > MOST_MARKS:
        raise TooLarge(f"it has {n:,} values; limit {MOST_MARKS:,}")


def item_digest(item: dict[str, Any]) -> str:
    """Return one checksum for a whole table or array of a study."""
    return digest({key: item.get(key) for key in ("kind", "shape", "dtype", "chunks", "sha256")})


def input_digests(manifest: dict[str, Any], inputs: tuple[str, ...]) -> dict[str, str | None]:
    """Map each named item of a study to its current checksum, or None if it is absent."""
    items = manifest["items"]
    return {name: item_digest(items[name]) if name in items else None for name in inputs}


def formulas_of(step: str) -> dict[str, str]:
    """Return the version of a step's formulas as a study's manifest lists it; {} for its first ones."""
    return {OF_FORMULAS: str(FORMULAS[step])} if step in FORMULAS else {}


def step_state(manifest: dict[str, Any], step: str) -> str:
    """Return the state of a study's step: 'done', 'stale' (by its inputs or formulas) or 'missing'."""
    return _state(manifest, step, ())


def _state(manifest: dict[str, Any], step: str, above: tuple[str, ...]) -> str:
    entry = manifest["steps"].get(step)
    if entry is None:
        return "missing"
    if step in above:  # a step cannot depend on its own output
        return "stale"
    items = manifest["items"]
    # a step that was skipped has no outputs, so new formulas change nothing in it
    if entry["outputs"] and entry["inputs"].get(OF_FORMULAS) != formulas_of(step).get(OF_FORMULAS):
        return "stale"
    for name, then in entry["inputs"].items():
        if name.startswith("@"):  # outside the study: images, checkpoint; compared when the step is run
            continue
        if (item_digest(items[name]) if name in items else None) != then:
            return "stale"
        # an input may be unchanged although the step that made it is due again
        if name in items and _state(manifest, items[name]["step"], (*above, step)) != "done":
            return "stale"
    return "done"
