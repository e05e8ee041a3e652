"""What servers share: the studies below a folder by their names, and the token that lets others in."""

import asyncio
import errno
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from core.common.addresses import study_folder
from core.common.inside import stamp_of
from core.common.processes import TOKENS
from core.errors import SettingsError, StudyError
from core.store import Study
from core.study.layers import FOLDER, below, layer

# The token that lets others in: what may be one, how it is compared, and how guessing is slowed down.


TOKEN, GUEST_TOKEN = TOKENS  # the variables that hold the token of the owner, and of guests who only look
SHORTEST = 16  # characters of it
FREE_TRIES = 3
LONGEST_WAIT_S = 60.0
HELD_S = 2.0  # longest time for which the answer to a wrong token is held back
MOST_CLIENTS = 1000
LOOPBACK = "localhost"


def check_token(token: str, variable: str = TOKEN) -> None:
    """Raise SettingsError for a token that could be guessed."""
    if len(token) < SHORTEST:
        raise SettingsError(
            f"{variable} has {len(token)} characters and needs {SHORTEST} or more. "
            'Make one: python -c "import secrets; print(secrets.token_urlsafe())"'
        )


def fits(given: str, token: str) -> bool:
    """Return True when a given text is the token. The time it takes says nothing, not even of the length."""
    digests = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, token))
    return hmac.compare_digest(*digests)


class Tries:
    """Wrong tries by client: after three, each one doubles the time until the next is answered at once."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def judge(self, client: str, given: str, *tokens: str) -> int:
        """200 for a token, always; 401 for another text; 429, after a pause, for one too soon after others.

        The token is let in at once even then: behind a proxy, all clients may have one address.

        Args:
            client: its address. This machine has 2^24 of them, which count as one.
        """
        if any([fits(given, token) for token in tokens]):  # all of them: the time tells not which
            return 200
        client, now = LOOPBACK if is_loopback(client) else client, self._clock()
        if wait := self.wait(client, now):
            await self._sleep(min(wait, HELD_S))
            return 429
        self.note(client, now)
        return 401

    def wait(self, client: str, now: float) -> float:
        """Seconds until a wrong try of this client is answered at once again; 0 for now."""
        wrong, last = self._wrong.get(client, (0, now))
        pause = min(2.0 ** (wrong - FREE_TRIES + 1), LONGEST_WAIT_S) if wrong >= FREE_TRIES else 0.0
        return max(0.0, last + pause - now)

    def note(self, client: str, now: float) -> None:
        """Remember a wrong try."""
        wrong, _ = self._wrong.pop(client, (0, now))
        self._wrong[client] = (min(wrong + 1, 64), now)
        while len(self._wrong) > MOST_CLIENTS:  # the client that tried longest ago is forgotten
            self._wrong.popitem(last=False)


def is_loopback(address: str | None) -> bool:
    """Return True when only this machine reaches a server that listens there; None is every address.

    >>> [is_loopback(text) for text in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "lab.example", None)]
    [True, True, True, False, False, False]
    """
    if address is None:
        return False
    number = numeric_address(address)
    return number.is_loopback if number else address.lower() == LOOPBACK


def numeric_address(address: str) -> IPv4Address | IPv6Address | None:
    """The address of a text, without a scope; None for a name."""
    try:
        number = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(number, "ipv4_mapped", None) or number


# The studies below a folder, by name: nothing outside it can be named.


MANIFEST, PROGRESS = "manifest.json", "progress.json"
MAX_DEPTH = 3
DEFAULT = "demo"


@dataclass(frozen=True)
class Entry:
    """A study folder: `name` is its path below the studies folder, with forward slashes."""

    name: str
    path: Path


def studies_folder() -> Path:
    """The folder whose studies are served: PEREGRINE_STUDIES, else `studies/` below the working directory."""
    return study_folder(os.environ.get("PEREGRINE_STUDIES") or "studies").resolve()


def study_entries(folder: Path) -> list[Entry]:
    """Every study below the folder, the demo first, then by name. Empty when the folder is not there."""
    studies = [Entry(path.relative_to(folder).as_posix(), path) for path in _study_folders(folder, MAX_DEPTH)]
    return sorted(studies, key=lambda entry: (entry.name != DEFAULT, entry.name.casefold(), entry.name))


def resolve(folder: Path, name: str) -> Path:
    """The folder of a study by name. Only names that `study_entries` could give are accepted: no part can
    point upwards. A link that the owner put into the studies folder is followed.

    Raises:
        StudyError: no study of that name, whatever the name tries to reach.
    """
    parts = name.split("/")
    path = folder.joinpath(*parts)
    name_of_study, basis = split_basis(name)
    if basis:
        whole = resolve(folder, name_of_study)
        if basis in open_current(whole).bases:
            return layer(whole, basis)
    sane = all(part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts)
    try:
        is_study = sane and len(parts) <= MAX_DEPTH and _is_study(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        is_study = False
    if not is_study:
        raise StudyError(f"no study '{name[:80]}'")
    return path


def split_basis(name: str) -> tuple[str, str]:
    """The name of a study and that of the basis in which it is read, "" for its units.

    >>> split_basis("lab/demo/bases/sae"), split_basis("lab/demo")
    (('lab/demo', 'sae'), ('lab/demo', ''))
    """
    study, _, basis = name.rpartition(f"/{FOLDER}/")
    return (study, basis) if study else (name, "")


def open_current(path: Path) -> Study:
    """The study as its manifest says now; opened again only when that has changed. Raises StudyError."""
    whole = below(path)
    if whole is not None:
        open_current(whole)  # looks for links out of it, too
    stamps = [stamp_of(one / MANIFEST) for one in (path, whole) if one is not None]
    if whole is None and not any(stamps):
        return Study(path)
    study = _open(path, tuple(stamps))
    if "images" in study.damage:
        study.table("images")  # nothing can be shown without it: raises, and says what is wrong
    return study


def forget_studies() -> None:
    """Open every study again, and look again whether its files can be read."""
    _open.cache_clear()


def link_out(folder: Path) -> Path | None:
    """A link below a study's folder that leads out of it, or a pipe or device there; None without."""
    inside = os.path.realpath(folder) + os.sep
    waiting = [str(folder)]
    while waiting:
        try:
            children = sorted(os.scandir(waiting.pop()), key=lambda child: child.name)
        except OSError:  # what cannot be listed cannot be followed either
            continue
        for child in children:
            if child.is_symlink():
                if not os.path.realpath(child.path).startswith(inside):
                    return Path(child.path)
            elif child.is_dir():
                waiting.append(child.path)
            elif not child.is_file():  # to read it might wait for ever
                return Path(child.path)
    return None


@lru_cache(maxsize=32)
def _open(path: Path, stamps: tuple[tuple[int, ...], ...]) -> Study:
    """Open a study without its damaged items, so that the views which do without them go on.

    A study may come from a stranger. A link in it could show any file of this machine, and a step that is run
    again could overwrite it, so a study with one is not opened. This is looked at when its manifest changes.
    """
    if link := link_out(path):
        raise StudyError(
            f"'{path.name}' is not opened: '{link.relative_to(path)}' is a link that leads out of the study, "
            "or no file. Put a file in its place, or a link to the whole study into the studies folder"
        )
    study = Study(path)
    study.set_damage_aside()
    return study


def _is_study(path: Path) -> bool:
    return (path / MANIFEST).is_file() or (path / PROGRESS).is_file()


def _study_folders(folder: Path, depth: int) -> list[Path]:
    try:
        children = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError:
        return []
    folders: list[Path] = []
    for child in children:
        if _is_study(child):
            folders.append(child)
        elif depth > 1:
            folders += _study_folders(child, depth - 1)
    return folders
