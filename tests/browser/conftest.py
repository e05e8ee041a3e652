"""One server and one browser for all browser tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.harness import REQUIRED, SIZE, Visitor, chromium, dashboard, find_browser
from tests.synthetic import make_seen_study, make_study

HOSTILE = "<script>window.stolen=1</script>"
NAMES = ("ant", HOSTILE, "<img src=x onerror=window.stolen=1>", "**cat** $x$ :material/home:")


@pytest.fixture(scope="session")
def chrome() -> Iterator[object]:
    """A real browser. Without one the tests skip, or fail where PEREGRINE_REQUIRE_BROWSER=1 demands them."""
    if find_browser() is None:
        message = "no Chromium found; install it or name it in the variable CHROMIUM"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies: demo, one whose class names try to be markup, and `seen`, which has heatmaps."""
    studies: Path = tmp_path_factory.mktemp("served")
    make_study(studies / "demo", n_train=120, n_val=80)
    make_study(studies / "hostile", n_train=40, n_val=24, class_names=NAMES)
    make_seen_study(studies / "seen")
    return studies


@pytest.fixture(scope="session")
def address(chrome: object, served: Path) -> Iterator[str]:
    """A dashboard that serves them."""
    with dashboard(served) as url:
        yield url


@pytest.fixture
def visitor(chrome: Any) -> Iterator[Callable[..., Visitor]]:
    """Open fresh browsers, which know no cookie or script of another test: `visitor(color_scheme="dark")`."""
    made: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        made.append(Visitor(chrome, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
        assert not one.errors


@pytest.fixture(scope="session")
def readers(chrome: Any) -> Iterator[dict[str, Visitor]]:
    """The browsers of `reader`, by their options."""
    made: dict[str, Visitor] = {}
    yield made
    for one in made.values():
        one.context.close()


@pytest.fixture
def reader(chrome: Any, readers: dict[str, Visitor]) -> Iterator[Callable[..., Visitor]]:
    """Open pages as `visitor` does, in browsers that tests share: for tests that only look at a page.

    A browser keeps the scripts that it has loaded and compiled, which halves the time of such a test.
    """
    used: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        one = readers.get(repr(options)) or readers.setdefault(repr(options), Visitor(chrome, **options))
        one.page.set_viewport_size(SIZE)
        one.page.mouse.move(0, 0)
        one.errors.clear()
        used.append(one)
        return one

    yield make
    for one in used:
        assert not one.errors
