"""One server and one browser for all browser tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.harness import REQUIRED, chromium, dashboard, find_browser
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
