"""Files and folders that may be chosen from the browser: those below the configured roots, and addresses that
the owner has named (`core.common.addresses`).

PEREGRINE_ROOTS names the roots, separated as in PATH. Without it they are `data/`, `checkpoints/` and
`build/` (where the shipped configs put what they train) of the working directory, as far as they exist: a
project's own folders, and nothing of a home folder or of the disk. Images that were dropped into the browser
lie in a folder of the studies folder, which may be chosen too. Links are followed before it is asked
where a path lies, so a link inside a root that leads out of it is refused. Studies are written below the
studies folder only.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from core.common.addresses import URLS, is_granted, is_url, located
from core.errors import AddressRefused, SettingsError
from core.study.study_folders import NAME
from dashboard.state.served_studies import MANIFEST, studies_folder

ROOTS = "PEREGRINE_ROOTS"
USUAL = ("data", "checkpoints", "build")
LISTED = 300  # entries of a folder that are shown
ENCODER_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")  # no options: some read files, some run code
CLIP_NAME = re.compile(r"(asset:[\w-]+|hf-hub:[\w.-]+/[\w.-]+|[\w.-]+@[\w.-]+)")


def dropped_folder() -> Path:
    """The folder of images that were dropped into the browser (dropped_images.py)."""
    return studies_folder() / "dropped"


def roots() -> list[Path]:
    """The configured roots that exist and that of dropped images, links resolved, each once."""
    named = os.environ.get(ROOTS)
    folders = [part for part in named.split(os.pathsep) if part] if named else USUAL
    folders = [*folders, str(dropped_folder())]
    return list(dict.fromkeys(Path(folder).resolve() for folder in folders if Path(folder).is_dir()))


def allowed_place(text: str, *, folder: bool | None = None) -> str:
    """The path that a text names, as `allowed`, or an address that the owner has named, which is not asked
    for here.

    Raises:
        SettingsError: as `allowed`; or the owner has not named the address, or a folder above it.
    """
    text = text.strip()
    if is_url(text) and not text.startswith("file:"):
        return _allowed_address(text)
    return str(allowed(text, folder=folder))


def allowed(text: str, *, folder: bool | None = None) -> Path:
    """The path that a text names, resolved, if it may be chosen.

    Args:
        text: absolute, or relative to the working directory.
        folder: True and False ask for a folder or a file; None takes either.
    Raises:
        SettingsError: it lies outside the roots (whether or not it exists there), is hidden, or is not there.
    """
    text = text.strip()
    path = _resolved(text)
    if not any(_within(path, root) for root in roots()):
        raise SettingsError(
            f"'{text[:120]}' is not below a folder that may be chosen ({spoken_roots()}). "
            f"The owner of the dashboard can name more in {ROOTS}"
        )
    try:
        there = path.exists()
    except (OSError, UnicodeError):  # a name that no file can have
        there = False
    if not there:
        raise SettingsError(f"there is no '{text[:120]}'")
    if folder is not None and path.is_dir() != folder:
        raise SettingsError(f"'{text[:120]}' is {'a file' if folder else 'a folder'}; choose the other kind")
    return path


def _allowed_address(text: str) -> str:
    try:
        address = located(text)
    except AddressRefused as error:
        raise SettingsError(str(error)) from None
    if not is_granted(address):
        raise SettingsError(
            f"'{address[:120]}' is not below an address that may be chosen. The owner of the dashboard can "
            f"name some in {URLS}"
        )
    return address


def spoken_roots() -> str:
    """The roots as one would type them, the working directory whole, or a remark that there is none."""
    return (
        ", ".join(str(root) if root == Path.cwd() else short(root) for root in roots())
        or f"none: set {ROOTS}"
    )


def short(path: Path) -> str:
    """A path as one would type it from the working directory."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def listing(folder: Path, endings: Sequence[str] = ()) -> tuple[list[Path], list[Path]]:
    """Folders and files (of these endings; none: no files) in a folder, by name; hidden ones are left out.

    A link that leads out of the roots is left out too. At most LISTED of each.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError:
        return [], []
    folders = []
    files = []
    for name in names:
        path = folder / name
        if path.is_dir():
            folders.append(path)
        elif endings and name.lower().endswith(tuple(endings)):
            files.append(path)
    return _choosable(folders), _choosable(files)


def _choosable(paths: list[Path]) -> list[Path]:
    top = roots()
    return [path for path in paths[:LISTED] if any(_within(path.resolve(), root) for root in top)]


def parent(folder: Path) -> Path | None:
    """The folder above, or None at a root."""
    return None if folder in roots() or not folder.parent.is_dir() else folder.parent


def study_folder(name: str) -> Path:
    """Return the folder of a new study of this name: directly below the studies folder.

    Raises:
        SettingsError: no such name can be given, or there is something of that name that is no study.
    """
    name = name.strip()
    if not NAME.fullmatch(name) or name.endswith("."):
        raise SettingsError(
            "a study's name begins with a letter or digit and has letters, digits, spaces and . + - _ (60)"
        )
    path = studies_folder() / name
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise SettingsError(f"'{name}' is there already and is no study; choose another name")
    begun = ("log.txt", "progress.json", MANIFEST)
    if path.is_dir() and any(path.iterdir()) and not any((path / mark).exists() for mark in begun):
        raise SettingsError(f"the folder '{name}' holds other files; choose another name")
    return path


def encoder_name(text: str) -> str:
    """The name of an architecture, without options (some would read files or run code).

    Raises:
        SettingsError: it is more than a name.
    """
    if not ENCODER_NAME.fullmatch(text.strip()):
        raise SettingsError(
            f"'{text[:60]}' is not an architecture name such as resnet50. Options, and python: encoders, are "
            "given on the command line"
        )
    return text.strip()


def clip_spec(text: str) -> str:
    """A CLIP by its name, or with weights in a file that may be chosen.

    Raises:
        SettingsError: neither.
    """
    text = text.strip()
    if CLIP_NAME.fullmatch(text):
        return text
    model, at, weights = text.rpartition("@")
    if at and ENCODER_NAME.fullmatch(model):
        return f"{model}@{allowed_place(weights, folder=False)}"
    if text.endswith(".json"):
        return allowed_place(text, folder=False)
    raise SettingsError(f"'{text[:60]}' is no CLIP; write ViT-B-32@openai, MODEL@FILE or asset:glyphworld")


def _resolved(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise SettingsError("no path was given")
    try:
        return Path(text.strip()).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise SettingsError(f"'{text[:120]}' cannot be followed: {error}") from error


def _within(path: Path, root: Path) -> bool:
    if not path.is_relative_to(root):
        return False
    return not any(part.startswith(".") for part in path.relative_to(root).parts)
