"""Where Peregrine's own files are: those that ship with it, and the private ones of its user. No torch.

In a checkout the former lie beside `core/`, in an installed package inside it (setup.py copies them).
"""

import os
import stat
import tomllib
from importlib import metadata
from pathlib import Path

from core.errors import JobError

PROJECT = "peregrine-vision"
PACKAGE = Path(__file__).resolve().parents[1]  # the folder `core`
CHECKOUT = PACKAGE.parent
INSTALLED_ASSETS, INSTALLED_CONFIGS = "_assets", "_configs"
STATE = "PEREGRINE_STATE"  # the variable that names the state folder


def assets_folder() -> Path:
    """Return the folder of the shipped encoders, CLIP, captions and glyphs."""
    return _shipped(INSTALLED_ASSETS, "assets")


def asset(name: str) -> Path:
    """Return the path of one shipped file: `asset("clip/glyphworld.json")`."""
    return assets_folder() / name


def asset_names(folder: str, ending: str) -> list[str]:
    """List the files of a kind that are shipped with the package, without their ending.

    >>> asset_names("encoders", ".safetensors")
    ['simclr_cifar10', 'simclr_glyphworld', 'simclr_q_glyphworld']
    """
    return sorted(path.name.removesuffix(ending) for path in asset(folder).glob(f"*{ending}"))


def configs_folder() -> Path:
    """Find, among the files that the package ships, the folder of example configs."""
    return _shipped(INSTALLED_CONFIGS, "configs")


def version() -> str:
    """Return the version of the code, of a checkout before any installation; "unknown" without metadata."""
    try:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if project["name"] == PROJECT:
            return project["version"]
    except (OSError, ValueError, KeyError):
        pass
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "unknown"


def _shipped(installed: str, checkout: str) -> Path:
    inside = PACKAGE / installed
    return inside if inside.is_dir() else CHECKOUT / checkout


def state_folder() -> Path:
    """Return the folder of a user's own files, in no study: PEREGRINE_STATE, else their `peregrine`."""
    if named := os.environ.get(STATE):
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().resolve() / "peregrine"


def make_private(folder: Path, setting: str = STATE) -> Path:
    """Create a folder that only this user can access, and return it; `setting` is the variable that names it.

    Raises:
        JobError: it cannot be created, or another user owns it or may write to it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise JobError(
            f"cannot write to '{folder}': {error.strerror or error}. Set {setting}=FOLDER"
        ) from error
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise JobError(f"'{folder}' is not a private folder of this user; delete it, or set {setting}=FOLDER")
    return folder
