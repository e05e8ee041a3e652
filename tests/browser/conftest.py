"""One server and one browser for all browser tests."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.harness import PATIENCE, REQUIRED, Visitor, chromium, dashboard, find_browser, watching
from tests.browser.hostile import make_hostile
from tests.concepts.worded import make_worded
from tests.shared import made_once
from tests.synthetic import make_seen_study, make_study


@pytest.fixture(scope="session")
def chrome() -> Iterator[object]:
    """A real browser. Without one the tests skip, or fail where PEREGRINE_REQUIRE_BROWSER=1 demands them."""
    if find_browser() is None:
        message = "no Chromium found; install it or name it in the variable CHROMIUM"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies: `demo`, and `seen`, which has heatmaps and concepts."""
    made = made_once(tmp_path_factory, "served", _make_served)
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("own") / "served"))


def _make_served(studies: Path) -> None:
    make_study(studies / "demo", n_train=120, n_val=80)
    make_worded(make_seen_study(studies / "seen"))


@pytest.fixture(scope="session")
def address(chrome: object, served: Path) -> Iterator[str]:
    """A dashboard that serves them."""
    with dashboard(served) as url:
        yield url


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study whose every name is an attack."""
    made = made_once(tmp_path_factory, "hostile", make_hostile)
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("own") / "hostile"))


@pytest.fixture(scope="module")
def hostile_address(chrome: object, hostile_folder: Path) -> Iterator[str]:
    """A dashboard that serves it."""
    with dashboard(hostile_folder) as url:
        yield url


@pytest.fixture(scope="session")
def visitors(chrome: object) -> Iterator[dict[str, list[Visitor]]]:
    """The browsers of `visitor` and `reader`, by their options."""
    made: dict[str, list[Visitor]] = {}
    yield made
    for one in itertools.chain(*made.values()):
        one.context.close()


@pytest.fixture
def visitor(chrome: Any, visitors: dict[str, list[Visitor]]) -> Iterator[Callable[..., Visitor]]:
    """Open browsers that know no cookie, storage or page of each other or of another test.

    `visitor(color_scheme="dark")`. Options that `Visitor.begin` does not take are those of a context.
    """
    used: list[Visitor] = []

    def make(*, bypass_csp: bool = True, color_scheme: str = "light", **options: Any) -> Visitor:
        same = visitors.setdefault(repr(options), [])
        one = next((one for one in same if one not in used), None)
        if one is None:
            same.append(one := Visitor(chrome, **options))
        used.append(one)
        one.begin(bypass_csp=bypass_csp, color_scheme=color_scheme)
        return one

    yield make
    for one in used:
        errors = list(one.errors)
        one.forget()
        assert not errors


@pytest.fixture
def reader(visitor: Callable[..., Visitor]) -> Callable[..., Visitor]:
    """Open pages as `visitor` does, all of a test in one browser: for tests that only look at a page."""
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        if not made:
            made.append(visitor(**options))
        made[0].begin(**options)
        return made[0]

    return make


@pytest.fixture
def watched(reader: Callable[..., Visitor], address: str) -> Iterator[Visitor]:
    """A page on which neither a violation of the policy nor a request to another host may happen."""
    one = reader(bypass_csp=False)
    one.page.goto("about:blank")  # a page of an earlier test would still ask for its server
    with watching(one, address):
        yield one
