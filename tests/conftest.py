"""How tests are run, and the fixtures that every one of them may use.

The markers `slow` and `browser` leave a test out of the fast loop (`make test-fast`).
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import os
import re
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before NumPy and torch start their threads
    # Workers share the cores. Several threads in each wait for one another: ten times the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault(
        "NUMBA_NUM_THREADS", "1"
    )  # else UMAP would give torch as many threads as there are cores
# `analyze` takes a CLIP that is on this computer; what a study of a test holds must not depend on that.
os.environ["HF_HUB_CACHE"] = str(Path(__file__).parent / "no_such_folder")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from core.common.memory import keep_freed_memory
from tests.object_server import ObjectServer, object_server, s3_server
from tests.sampling import EVERYTHING
from tests.shared import begin_run, made_once, written_to

keep_freed_memory()  # as every command does
gc.disable()  # until all is imported: it would walk through the modules again and again while they are loaded
settings.register_profile(  # the same cases in every run; they share what a fixture has made for their test
    "tests",
    max_examples=1000 if EVERYTHING else 50,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tests")

FAST, SLOW = "not slow and not browser", "slow or browser"  # `make test-fast` and `make test-slow`


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Networks that a test leaves to torch's own start are the same, whatever ran before it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


MARKED = re.compile(r"\bmark\.(slow|browser)\b")
ALL_MARKED = re.compile(r"^pytestmark = (?:\[\s*)?.*\bmark\.(slow|browser)\b", re.MULTILINE)
ALL_EXHAUSTIVE = re.compile(r"^pytestmark = \[[^\]]*\bmark\.exhaustive\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file of which the chosen loop runs no test: importing all takes each worker 20 s."""
    if not re.fullmatch(r"test_\w+\.py", collection_path.name):
        return None
    text, loop = collection_path.read_text(encoding="utf-8"), config.option.markexpr
    if not EVERYTHING and ALL_EXHAUSTIVE.search(text):
        return True
    runs_none = (loop == FAST and ALL_MARKED.search(text)) or (loop == SLOW and not MARKED.search(text))
    return True if runs_none else None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Workers import a file one after the other: the first compiles it, which takes as long as all else."""
    if "PYTEST_XDIST_WORKER" not in os.environ or not isinstance(collector, pytest.Module):
        return (yield)
    with open(collector.path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix files that wait for a browser with those that compute, so that the cores always have work; at the
    end come some that compute, which are short.

    A test marked `exhaustive` is left to `make test-all`; its mark names the test that proves the promise at
    each commit. A file whose every test is left to it is not even imported.
    """
    for item in items:
        if (left_out := item.get_closest_marker("exhaustive")) and not EVERYTHING:
            item.add_marker(pytest.mark.skip(f"{left_out.args[0]}; `make test-all` runs both"))
    files: dict[Path, bool] = {}
    for item in items:
        files[item.path] = files.get(item.path, False) or bool(item.get_closest_marker("browser"))
    places: dict[Path, float] = {}
    for in_browser, end in ((False, 1.0), (True, 0.9)):
        alike = [path for path, browser in files.items() if browser == in_browser]
        places |= {path: end * at / len(alike) for at, path in enumerate(alike)}
    items.sort(key=lambda item: places[item.path])


def pytest_collection_finish() -> None:
    """What is loaded by now stays: skip it where garbage is collected, as it is after each page.

    What tests import and keep is walked through seldom: it was a twentieth of their time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()
    atexit.register(gc.unfreeze)  # see dashboard/server/warm_up.py


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs of tests are remembered in a folder of the tests, and no study is trusted that does not ask."""
    begin_run(tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("PEREGRINE_TRUST_STUDIES", raising=False)
        yield


@pytest.fixture(autouse=True, scope="module")
def shared_folders_are_only_read() -> Iterator[None]:
    yield
    assert not written_to(), "a test of this file, or of one that ran meanwhile, wrote to a shared folder"


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted encoder is a `python:` one: it runs only where studies are trusted."""
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def study_path(tmp_path: Path) -> Callable[..., Path]:
    """A factory of small complete studies: `study_path(n_val=20)` (see tests/synthetic.py)."""
    from tests.synthetic import make_study

    def make(name: str = "study", **options: object) -> Path:
        return make_study(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def shared_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small complete study for tests that only read."""
    from tests.synthetic import make_study

    return made_once(tmp_path_factory, "plain", lambda folder: make_study(folder / "shared")) / "shared"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., object]:
    """Runs a command in this process: `run("info", study)` (see tests/command_line.py)."""
    from tests.command_line import runner

    return runner(capsys)


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, ...]:
    """Words that make a study of 40 sharp representations of 2 classes, quickly and without pictures."""
    from tests.command_line import write_given

    return write_given(tmp_path)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a small encoder that was trained a little on Glyphworld; nobody writes to it."""
    return made_once(tmp_path_factory, "begun", _begin) / "study"


def _begin(folder: Path) -> None:
    from core.cli import main

    checkpoint, study = folder / "start.safetensors", folder / "study"
    trained = ["--arch", "timm:test_resnet", "--image-size", "32", "--crop-size", "24", "--batch-size", "16"]
    small = ["--cache", str(folder / "cache"), "--workers", "1", "--device", "cpu"]
    world = ["--images", "glyphworld?train=64&val=40&size=32"]
    assert main(["train", *world, *trained, *small, "--epochs", "1", "-o", str(checkpoint)]) == 0
    quick = ["--epsilon", "1.5", "--lr", "0.1", "--workers", "0", "--device", "cpu"]
    for step in (["embed", str(study), *world, "--encoder", str(checkpoint), *quick[4:]],
                 ["features", str(study), *quick[:2]],
                 ["probe", str(study), *quick[2:4]],
                 ["quality", str(study)]):  # fmt: skip
        assert main(step) == 0


@pytest.fixture(autouse=True)
def pillows_own_limit() -> Iterator[None]:
    """Give Pillow back its limit of pixels, which PEREGRINE_MAX_PIXELS sets for the whole process."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """An object server over `tmp_path / "objects"`, which the owner has named, and an empty cache."""
    from core.common import remote_objects

    (tmp_path / "objects").mkdir()
    monkeypatch.setenv("PEREGRINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PEREGRINE_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(remote_objects, "FIRST_WAIT", 0.001)
    with object_server(tmp_path / "objects") as server:
        monkeypatch.setenv("PEREGRINE_URLS", server.url)
        yield server


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket in a local S3 server, reached by the environment, and an empty cache."""
    from core.common import remote_objects

    with s3_server() as environment:
        ours = {"CACHE": str(tmp_path / "cache"), "STATE": str(tmp_path / "state"), "URLS": ""}
        for name, value in {**environment, **{f"PEREGRINE_{name}": ours[name] for name in ours}}.items():
            monkeypatch.setenv(name, value)
        remote_objects._known.clear()  # an earlier test's store
        remote_objects._opened.cache_clear()
        yield "s3://bucket"
    remote_objects._opened.cache_clear()
