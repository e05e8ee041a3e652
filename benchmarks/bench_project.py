"""From a project on disk to the first picture in a fresh browser: Peregrine and three others.

A project of 1,000 photographs (PEREGRINE_PHOTOGRAPHS) is made first. Then a server is started on it, a
Chromium that holds nothing opens it, and once a photograph is drawn the processor seconds of the server with
all its processes are read, and what they hold. Ours is opened on *Images*, which shows photographs first, as
the others' pages do. Each in turns, ROUNDS times; the middle one counts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import photographs
from benchmarks.peers import environment
from benchmarks.peers.environment import EMBEDDING_ATLAS, FIFTYONE, LIGHTLY_STUDIO, Peer
from benchmarks.peers.project.embedding_atlas_project import FILE
from benchmarks.results import Absent, Result
from benchmarks.studies import FOLDER
from benchmarks.usage import running, so_far
from tests.browser.harness import chromium, free_port

N_IMAGES, ROUNDS, PATIENCE = 1000, 3, 120.0
SMALLEST = 32  # pixels of a picture that is no icon
# Whether a picture in sight is drawn, in shadow roots, too; a vector is an icon.
DRAWN = """(smallest) => {
  const within = (root) => [...root.querySelectorAll('*')].flatMap((one) =>
    [one, ...(one.shadowRoot ? within(one.shadowRoot) : [])]);
  return within(document).some((part) => part.tagName === 'IMG' && part.complete &&
    part.naturalWidth >= smallest && !part.src.includes('svg') && part.getBoundingClientRect().width > 0);
}"""


@dataclass(frozen=True)
class Project:
    """How a server is started on a project; `{}` in words is the port.

    Attributes:
        path: what the browser opens.
    """

    name: str
    words: tuple[str, ...]
    path: str = "/"
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """What it took until a picture was drawn: seconds, processor seconds of the server, and MiB it holds."""

    wall: float
    processor: float
    held_mib: float


def run() -> Iterator[Result | Absent]:
    pictures = photographs.folder_of(N_IMAGES)
    if isinstance(pictures, str):
        yield Absent("first picture", pictures)
        return
    projects = [own(pictures)]
    for peer, made in (
        (FIFTYONE, fiftyone),
        (LIGHTLY_STUDIO, lightly_studio),
        (EMBEDDING_ATLAS, embedding_atlas),
    ):
        try:
            projects.append(made(environment.python_for(peer), pictures))
        except environment.PeerAbsent as reason:
            yield Absent(peer.name, str(reason))
    opened: dict[str, list[Opened]] = {}
    for _ in range(ROUNDS):
        for project in projects:
            opened.setdefault(project.name, []).append(first_picture(project))
    middle = {
        name: sorted(each, key=lambda one: one.processor)[len(each) // 2] for name, each in opened.items()
    }
    ours = middle.pop("Peregrine")
    for name, theirs in middle.items():
        detail = f"ours {in_words(ours)}; theirs {in_words(theirs)}"
        ratio = theirs.processor / ours.processor
        yield Result(f"first picture, {name} / ours", ratio, "x", 1.0, True, detail)


def in_words(one: Opened) -> str:
    return f"{one.processor:.1f} s of processor time ({one.wall:.1f} s, {one.held_mib:.0f} MiB)"


def own(pictures: Path) -> Project:
    studies = (FOLDER / "project").resolve()
    if not studies.exists():
        command = ["embed", str(studies / "photographs"), "--images", str(pictures)]
        subprocess.run([sys.executable, "-m", "core", *command], check=True, capture_output=True)
    words = (sys.executable, "-m", "core", "dashboard", "--port", "{}")
    env = {"PEREGRINE_STUDIES": str(studies)}
    return Project("Peregrine", words, "/images?study=photographs", Path.cwd(), env)


def fiftyone(python: str, pictures: Path) -> Project:
    module = "benchmarks.peers.project.fiftyone_project"
    place, env = made(FIFTYONE, python, module, pictures)
    return Project(FIFTYONE.name, (python, "-m", module, str(pictures), "{}"), "/", place, env)


def lightly_studio(python: str, pictures: Path) -> Project:
    place, env = made(LIGHTLY_STUDIO, python, "benchmarks.peers.project.lightly_studio_project", pictures)
    program = str(Path(python).with_name("lightly-studio"))
    words = (
        program,
        "gui",
        "--db-file",
        "lightly_studio.db",
        "--port",
        "{}",
        "--host",
        "127.0.0.1",
        "--no-browser",
    )
    return Project(LIGHTLY_STUDIO.name, words, "/", place, env)


def embedding_atlas(python: str, pictures: Path) -> Project:
    place, env = made(EMBEDDING_ATLAS, python, "benchmarks.peers.project.embedding_atlas_project", pictures)
    program = str(Path(python).with_name("embedding-atlas"))
    words = (program, FILE, "--image", "image", "--x", "x", "--y", "y", "--port", "{}", "--no-auto-port")
    return Project(EMBEDDING_ATLAS.name, words, "/", place, env)


def made(peer: Peer, python: str, module: str, pictures: Path) -> tuple[Path, dict[str, str]]:
    """Make a peer's project once, in a folder of its own; the folder, and the variables of its programs."""
    place = (FOLDER / f"project-{peer.package}").resolve()
    env = {
        "PYTHONPATH": str(Path.cwd()),
        "MONGOD_PLACE": str(place / "database"),
        "LIGHTLY_STUDIO_ANALYTICS_ENABLED": "false",
    }
    if not place.exists():
        (place / "database").mkdir(parents=True)
        words = [python, "-m", module, str(pictures)]
        done = subprocess.run(words, cwd=place, env={**os.environ, **env}, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(place)
            raise environment.PeerAbsent(f"no project: {done.stderr.strip().splitlines()[-1]}")
    return place, env


def first_picture(project: Project) -> Opened:
    port = free_port()
    words = [word.format(port) for word in project.words]
    with chromium() as browser:
        page, began = browser.new_page(), time.monotonic()
        with running(words, cwd=project.cwd, env=project.env) as server:
            opened = open_when_up(page, f"http://localhost:{port}{project.path}", began)
            page.wait_for_function(DRAWN, arg=SMALLEST, timeout=1000 * (PATIENCE - opened))
            return Opened(time.monotonic() - began, *so_far(server))


def open_when_up(page: Any, address: str, began: float) -> float:
    """Open an address as soon as a server answers there; the seconds since it was started."""
    from playwright.sync_api import Error

    while True:
        try:
            page.goto(address, wait_until="commit")
            return time.monotonic() - began
        except Error:
            if time.monotonic() - began > PATIENCE:
                raise
            time.sleep(0.1)
