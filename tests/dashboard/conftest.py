"""Studies in every state that the dashboard can meet, and a way to run its pages without a browser."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit import config
from streamlit.components.v2 import manifest_scanner
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.common.assets import make_private, state_folder
from core.common.processes import host_name, process_started
from core.store import Study, open_study
from core.study.commands import Command
from core.study.jobs import Job, read_job
from core.study.runner import Started, _remember
from dashboard.jobs import launcher
from tests.compare.comparable import second_study
from tests.concepts.worded import make_worded
from tests.dashboard.shelf import Shelf
from tests.manifests import edited_manifest
from tests.shared import made_once
from tests.synthetic import make_seen_study, make_study

MAIN = Path(__file__).resolve().parents[2] / "dashboard" / "main.py"


@pytest.fixture(autouse=True, scope="session")
def settings_of_the_app() -> Iterator[None]:
    """Read the settings of the app. Installed packages are not searched for components, of which none has
    any: it takes longer than a page.
    """
    read_settings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", list)
        yield


def read_settings() -> None:
    """Read Streamlit's settings beside the app, as `streamlit run` does."""
    config._main_script_path = str(MAIN)
    config.get_config_options(force_reparse=True)
    assert config.get_option("runner.magicEnabled") is False


@pytest.fixture(scope="session")
def full_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = made_once(tmp_path_factory, "full", lambda at: make_study(at / "demo", n_train=80, n_val=40))
    return made / "demo"


@pytest.fixture(scope="session")
def unlabelled_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("bare") / "unlabelled", n_train=40, n_val=20, labels=False)


@pytest.fixture
def partly(studies: Path, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which every third image has no label, served as `partly` beside demo."""
    made = made_once(tmp_path_factory, "partly", lambda at: make_study(at / "partly", partly=True))
    return shelf.serve("partly", made / "partly")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Command, Path]]:
    """Commands that would have been started; everything before that is as it is."""
    found: list[tuple[Command, Path]] = []

    def start(command: Command, *, folder: Path) -> Job:
        found.append((command, Path(folder)))
        return Job(folder=Path(folder), command=("python", "-m", "core", *command.words))

    monkeypatch.setattr(launcher, "start_job", start)
    return found


@pytest.fixture(scope="session")
def lasting_shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory)


@pytest.fixture
def unread() -> None:
    """For tests that damage a study: no page has read of it before."""


@pytest.fixture
def shelf(
    request: pytest.FixtureRequest, lasting_shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    """The one of all tests; one of its own for a test that replaces parts of the product, or asks for it."""
    asked = request.node._fixtureinfo
    apart = "monkeypatch" in asked.argnames or "unread" in asked.names_closure
    one = Shelf(tmp_path_factory) if apart else lasting_shelf
    yield one
    if not apart:
        one.clear()
        shutil.rmtree(state_folder(), ignore_errors=True)  # jobs are known by the paths of their studies


@pytest.fixture
def studies(shelf: Shelf, full_study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A studies folder with one complete study named demo."""
    shelf.serve("demo", full_study)
    monkeypatch.setenv("PEREGRINE_STUDIES", str(shelf.folder))
    return shelf.folder


@pytest.fixture(scope="session")
def second_made(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = made_once(tmp_path_factory, "second", lambda at: second_study(full_study, at / "second"))
    return made / "second"


@pytest.fixture
def second(studies: Path, shelf: Shelf, second_made: Path) -> Path:
    """A study of the same images by another encoder, served as `second` beside demo."""
    return shelf.serve("second", second_made)


@pytest.fixture(scope="session")
def seen_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with heatmaps, masks and overlaps, of images where it is known what each feature looks at."""
    return made_once(tmp_path_factory, "seen", lambda folder: make_seen_study(folder / "seen")) / "seen"


@pytest.fixture
def seen(studies: Path, shelf: Shelf, seen_study: Path) -> Path:
    """That study, served as `seen` beside demo, which has neither."""
    return shelf.serve("seen", seen_study)


@pytest.fixture(scope="session")
def worded_study(seen_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That study with concepts, groups and failures that are known."""
    made = made_once(
        tmp_path_factory, "worded", lambda at: make_worded(shutil.copytree(seen_study, at / "seen"))
    )
    return made / "seen"


@pytest.fixture
def worded(studies: Path, shelf: Shelf, worded_study: Path) -> Study:
    """It, served as `seen` beside demo: every view has something to show of it."""
    return open_study(shelf.serve("seen", worded_study))


def new_components() -> BidiComponentManager:
    manager = BidiComponentManager()
    manager.discover_and_register_components(start_file_watching=False)
    return manager


def open_in_app(components: BidiComponentManager, view: str = "overview", **query: object) -> AppTest:
    """Open a page by its link in a session of its own; the keyword arguments are the query."""
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app._bidi_component_manager = components
    if view != "overview":
        app._page_hash = calc_hash(view)  # `switch_page` needs a run of another page first
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


@pytest.fixture(scope="session")
def registered_components() -> BidiComponentManager:
    """One manager of components for all pages."""
    return new_components()


@pytest.fixture
def open_page(registered_components: BidiComponentManager) -> Callable[..., AppTest]:
    """Open a page by its link: `open_page("images", study="demo")`; see `open_in_app`."""
    return partial(open_in_app, registered_components)


def remember(folder: Path, command: Command, pid: int = 2**22 + 1, browser: str = "") -> None:
    """As if this dashboard had started the command there; without a pid, its process has ended."""
    make_private(state_folder())
    make_private(state_folder() / "jobs")
    since = process_started(pid) or "1"
    _remember(Started(folder.resolve(), command.record(), pid, since, host_name(), browser))


def stored_job(folder: Path) -> Job:
    """The job that is written down in a folder where there is one."""
    job = read_job(folder)
    assert job is not None, f"{folder} has no job"
    return job


def write_progress(study: Path, **record: object) -> None:
    """A progress file as the command of this process would leave it."""
    study.mkdir(parents=True, exist_ok=True)
    whole = {
        "command": ["python", "-m", "core", "analyze", "studies/new", "--images", "pictures"],
        "pid": os.getpid(),
        "state": "running",
        "stage": "embed",
        "stages_done": [],
        "stages_total": 5,
        "done": 300,
        "total": 1200,
        "unit": "images",
        "rate": 60.0,
        "eta_s": 15.0,
        "error": None,
        "updated": time.time(),
    }
    (study / "progress.json").write_text(json.dumps(whole | record), encoding="utf-8")


def all_text(app: AppTest) -> str:
    """Everything that a page says, in one string; no-break spaces are plain ones."""
    kinds = ("title", "markdown", "caption", "error", "warning", "info", "code")
    shown: list[Any] = [element for kind in kinds for element in app.get(kind)]
    bars: Any = app.get("progress")
    return unescaped(
        "\n".join([*(str(element.value) for element in shown), *(str(bar.text) for bar in bars)])
    ).replace("\N{NO-BREAK SPACE}", " ")


def tiles(app: AppTest, key: str) -> list[dict]:
    """The tiles of a gallery."""
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}")]
    assert len(found) == 1, key
    return json.loads(found[0].json)["tiles"]


def drawn_cards(app: AppTest, key: str) -> list[dict]:
    """The cards of a list."""
    found = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}")]
    assert len(found) == 1, key
    return json.loads(found[0].json)["cards"]


def drawn_charts(app: AppTest) -> dict[str, dict]:
    """The plotly specification of every chart of a page, by the end of its id (its key)."""
    found = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "peregrine_plot"]
    payloads = [json.loads(proto.json) for proto in found]
    return {payload["name"]: json.loads(payload["figure"]) for payload in payloads}


def spec(app: AppTest, key: str) -> dict:
    """The plotly specification of the chart whose key holds these words."""
    charts = [figure for name, figure in drawn_charts(app).items() if key in name]
    assert len(charts) == 1, key
    return charts[0]


def grid(values) -> np.ndarray:
    """Numbers of a plotly specification, which may be packed."""
    if isinstance(values, list):
        return np.array(values, float)
    shape = [int(n) for n in values.get("shape", "-1").split(",")]
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).reshape(shape)


def numbers_of(text: str) -> list[float]:
    """The numbers in a text, in their order: what a sentence says, whatever its words.

    >>> numbers_of("1,204 images, 64.0 % to 76.0 %")
    [1204.0, 64.0, 76.0]
    """
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def forget(study: Path, *steps: str) -> None:
    """Take steps out of the manifest, as if they had not run yet."""
    with edited_manifest(study) as manifest:
        for step in steps:
            for item in manifest["steps"].pop(step)["outputs"]:
                manifest["items"].pop(item)


def unescaped(markdown: str) -> str:
    """The text as a reader sees it: without the backslashes that keep names from being markup."""
    return markdown.replace("\\", "")
