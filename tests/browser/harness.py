"""A running dashboard and a real Chromium, for the browser tests and for `make screenshots`."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
REQUIRED = "PEREGRINE_REQUIRE_BROWSER"
# The first is Chromium without windows: a page costs a quarter less of the processor's time.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# As with a mouse: without one, whatever a pointer would uncover is always shown.
MOUSE = (
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"
)
# What the page says of violations of the policy; the console says it too, of workers as well.
NOTE = """document.addEventListener(
  "securitypolicyviolation", (event) => (window.broken ??= []).push(event.violatedDirective),
)"""
NO_PLACEHOLDER = "() => document.querySelectorAll('[data-testid=stSkeleton]').length === 0"
HARMLESS = ("_stcore",)  # Streamlit asks below the page's own path first, and gets a 404
PATIENCE = 60.0  # seconds: a busy machine is slow, not wrong
SIZE = {"width": 1280, "height": 800}
BACKGROUND = "() => getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
WHITE = "rgb(255, 255, 255)"  # the background in light
# Placeholders pulse sixty times a second: a quarter of the browser's time, more where the machine is busy.
STILL = """(() => {
  const style = new CSSStyleSheet();
  style.replaceSync("[data-testid=stSkeleton], [data-testid=stSkeleton] * { animation: none !important }");
  document.adoptedStyleSheets = [style];
})()"""
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


def find_browser() -> str | None:
    """Path of a Chromium or Chrome, or None."""
    found = (os.environ.get("CHROMIUM"), *(shutil.which(name) for name in NAMES))
    return next((path for path in found if path), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


_ports: set[int] = set()  # of dashboards that have ended


@contextmanager
def dashboard(
    studies: Path, *, patience: float = PATIENCE, port: int | None = None, **variables: str
) -> Iterator[str]:
    """Serve the studies below a folder; gives the address, and stops the server afterwards.

    `variables` are further environment variables of the server. It takes the port of one that has ended: a
    browser then knows the scripts.
    """
    port = port or (_ports.pop() if _ports else free_port())
    _ports.discard(port)
    command = [sys.executable, "-m", "core", "dashboard", "--port", str(port)]
    environment = os.environ | {"PEREGRINE_STUDIES": str(studies), "PYTHONPATH": str(ROOT)} | variables
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would fill up and stop the server
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT, text=True
        )
        try:
            address = f"http://localhost:{port}"
            _wait_until_up(server, said, address, patience)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=20)
            _ports.add(port)


def _wait_until_up(server: subprocess.Popen[str], said: IO[str], address: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if server.poll() is not None:
            said.seek(0)
            raise RuntimeError(f"the dashboard did not start:\n{said.read()}")
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                if server.poll() is None:  # else another one has answered
                    return
        except urllib.error.HTTPError as error:
            if error.code == 401:  # it is up, and asks for its token
                return
            raise
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"the dashboard did not answer within {patience:.0f} s")


@contextmanager
def chromium(*further: str) -> Iterator[Any]:
    """A headless browser (playwright's Browser) with `further` arguments, such as `MOUSE`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[*ARGUMENTS, *further])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Any, holds: str, *, patience: float = PATIENCE) -> None:
    """Wait until a function of the page is true, also under a policy without eval."""
    deadline = time.monotonic() + patience
    while not page.evaluate(holds):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience:.0f} s in vain for {holds}")
        page.wait_for_timeout(50)


def settle(page: Any, *, patience: float = PATIENCE) -> None:
    """Wait until the script has run, no placeholder is left and the pictures in sight have loaded."""
    page.wait_for_timeout(150)
    page.wait_for_selector(IDLE, timeout=1000 * patience)
    until(page, NO_PLACEHOLDER, patience=patience)
    page.wait_for_load_state("networkidle")


def visit(page: Any, title: str) -> None:
    """Open a page by its link in the sidebar."""
    page.get_by_test_id("stSidebar").get_by_role("link", name=title, exact=True).click()


class Visitor:
    """A browser of its own, of one page, and every error in it.

    It serves one test after another: its page keeps the scripts that it has loaded and compiled, which halves
    the time of a test.
    """

    def __init__(self, browser, **options):
        self.context = browser.new_context(viewport=SIZE, **options)
        self.context.set_default_timeout(1000 * PATIENCE)
        self.context.add_init_script(STILL)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.scripts: dict[str, str] = {}  # and by which name the browser knows them
        self.origins: set[str] = set()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._note_failure)
        self.page.on("console", self._note_violation)
        self.page.on("framenavigated", self._note_origin)
        self.devtools = self.context.new_cdp_session(self.page)
        self.devtools.send("Page.enable")

    def begin(self, *, bypass_csp: bool = True, color_scheme: str = "light") -> None:
        """Set what the pages that are opened from now on are subject to.

        `bypass_csp`: playwright's `wait_for_function` needs eval, which the policy forbids; test_server.py
        keeps the policy.
        """
        self.devtools.send("Page.setBypassCSP", {"enabled": bypass_csp})
        self.page.emulate_media(color_scheme=color_scheme)
        self.page.set_viewport_size(SIZE)
        self.page.mouse.move(0, 0)
        self.errors.clear()

    def forget(self) -> None:
        """Close the pages that were opened from this one, and delete cookies and storage.

        The page itself stays where it is: from another site it would come back in another process.
        """
        for page in self.context.pages:
            if page is not self.page:
                page.close()
        if self.page.url.startswith("http"):
            self.page.evaluate("sessionStorage.clear()")
        for name in self.scripts.values():
            self.devtools.send("Page.removeScriptToEvaluateOnNewDocument", {"identifier": name})
        self.scripts.clear()
        kinds = "cookies,local_storage,indexeddb,service_workers,cache_storage"
        for origin in self.origins:
            self.devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": kinds})
        self.origins.clear()
        self.context.clear_cookies()

    def _note_origin(self, frame) -> None:
        parts = urlsplit(frame.url)
        if parts.scheme in ("http", "https"):
            self.origins.add(f"{parts.scheme}://{parts.netloc}")

    def _note_failure(self, response) -> None:
        if response.status >= 400 and not any(part in response.url for part in HARMLESS):
            self.errors.append(f"{response.status} {response.url}")

    def _note_violation(self, message) -> None:
        if "Content Security Policy" in message.text:
            self.errors.append(message.text)

    def run_first(self, script: str) -> None:
        """Run a script in every page that this test opens from now on, before the page's own."""
        if script not in self.scripts:
            added = self.devtools.send("Page.addScriptToEvaluateOnNewDocument", {"source": script})
            self.scripts[script] = added["identifier"]

    def open(self, url: str):
        self.page.goto(url)
        self.page.wait_for_selector("h1")
        settle(self.page)
        return self.page

    def query(self) -> dict[str, list[str]]:
        """The link's parts, once the page has come to rest: the address follows what is drawn."""
        self.page.wait_for_timeout(300)
        settle(self.page)
        return parse_qs(urlsplit(self.page.url).query)


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a thread of its own: a browser leaves a loop running in that of the tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@contextmanager
def watching(one: Visitor, address: str) -> Iterator[None]:
    """Fail where a page that is opened in the block breaks the server's policy, or asks another host."""
    asked: list[str] = []
    one.run_first(NOTE)

    def note(request: Any) -> None:
        asked.append(request.url)

    one.page.on("request", note)
    yield
    one.page.remove_listener("request", note)
    assert one.page.evaluate("window.broken ?? []") == []
    own = (address, "data:", f"blob:{address}")
    assert [url for url in asked if not url.startswith(own)] == []
