"""An environment for each tool below `build/crossed`, with pinned versions beside our own packages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.crossed.table import NETWORK

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "crossed"
TOOLS = Path(__file__).with_name("tools.toml")
STAMP = ".requires"
PATIENCE = 900  # seconds for an installation
VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
LATEST = re.compile(r"^\S+ \((\S+)\)", re.MULTILINE)


@dataclass(frozen=True)
class Tool:
    """A release of a tool. `requires`: as pip reads it, the tool first.

    `writer`: its module in writers/, or in readers/ where it reads what we write. `kind`: of its rows,
    "network", "data" or "exports". `home`: the tool whose environment it shares.
    """

    name: str
    requires: tuple[str, ...]
    writer: str
    kind: str = NETWORK
    home: str = ""

    @property
    def distribution(self) -> str:
        """
        >>> Tool("saev", ("saev==0.1.0",), "saev").distribution
        'saev'
        """
        return re.split(r"[=<>\[]", self.requires[0])[0]

    @property
    def folder(self) -> Path:
        return BUILD / "environments" / (self.home or self.name)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def files(self) -> Path:
        """Where its files lie once it has written them."""
        return BUILD / "files" / self.name


def all_tools() -> dict[str, Tool]:
    """The tools of tools.toml by their names."""
    held = tomllib.loads(TOOLS.read_text(encoding="utf-8"))
    return {
        name: Tool(
            name,
            tuple(held[about["home"]]["requires"] if "home" in about else about["requires"]),
            about.get("writer", name.replace("-", "_")),
            about.get("kind", NETWORK),
            about.get("home", ""),
        )
        for name, about in held.items()
    }


def make_environment(tool: Tool) -> None:
    """Make the environment of a tool, unless it is there with the same requirements.

    Packages that it does not pin are ours, so torch is not installed again.

    Raises:
        RuntimeError: pip could not install what the tool requires; the last line that it printed.
    """
    stamp = tool.folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == json.dumps(tool.requires):
        return
    _run([sys.executable, "-m", "venv", "--clear", str(tool.folder)])
    places = _run([str(tool.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    shared = Path(places.strip()) / "shared.pth"
    shared.write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    pip = [str(tool.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, *tool.requires])
    stamp.write_text(json.dumps(tool.requires), encoding="utf-8")


def version_in(tool: Tool) -> str:
    """The version of the tool as `importlib.metadata` says it in its environment."""
    return _run([str(tool.python), "-c", VERSION, tool.distribution]).strip()


def newest(tool: Tool) -> str | None:
    """The newest release on the package index; None where the index does not answer."""
    words = [str(tool.python), "-m", "pip", "--disable-pip-version-check", "index", "versions"]
    try:
        said = LATEST.search(_run([*words, tool.distribution]))
    except RuntimeError:
        return None
    return said[1] if said else None


def _run(words: list[str]) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines() or [f"ended with {ended.returncode}"]
        raise RuntimeError(lines[-1])
    return ended.stdout
