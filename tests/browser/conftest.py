"""One server and one browser for all browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.harness import NOTE, REQUIRED, SIZE, Visitor, chromium, dashboard, find_browser
from tests.concepts.worded import make_worded
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


@pytest.fixture(scope="session")
def worded_studies(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies `demo` and `seen`; `seen` has concepts too."""
    folder: Path = tmp_path_factory.mktemp("worded")
    for name in ("demo", "seen"):
        shutil.copytree(served / name, folder / name)
    make_worded(folder / "seen")
    return folder


@pytest.fixture(scope="session")
def worded(chrome: object, worded_studies: Path) -> Iterator[str]:
    """A dashboard that serves them."""
    with dashboard(worded_studies) as url:
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


@pytest.fixture
def watched(reader: Callable[..., Visitor], worded: str) -> Iterator[Visitor]:
    """A page on which neither a violation of the policy nor a request to another host may happen."""
    one = reader(bypass_csp=False)
    asked: list[str] = []
    one.run_first(NOTE)

    def note(request: Any) -> None:
        asked.append(request.url)

    one.page.on("request", note)
    yield one
    one.page.remove_listener("request", note)
    assert one.page.evaluate("window.broken ?? []") == []
    own = (worded, "data:", f"blob:{worded}")
    assert [address for address in asked if not address.startswith(own)] == []
