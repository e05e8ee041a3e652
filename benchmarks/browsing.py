"""Clicking through the dashboard in a real Chromium, timed inside the page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser.harness import until

# Three functions for a page. `ready` is true once the script has run and what is in sight has been drawn:
# charts, and the pictures of galleries. `timed` clicks and resolves to the milliseconds until `changed` says
# that the page is another one and it is ready for good: what is drawn again within `rest` milliseconds counts
# as not yet ready. `tour` goes through all pages by the sidebar.
SERVER = "dashboard.server.start"  # in the command line of a server
TOOLS = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const main = () => document.querySelector('[data-testid=stMain]');
  const inSight = (part) => {
    const box = part.getBoundingClientRect();
    return box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  };
  const within = (root) => [...root.querySelectorAll('img'),
    ...[...root.querySelectorAll('*')].flatMap((one) => (one.shadowRoot ? within(one.shadowRoot) : []))];
  const pictures = () => all('[data-testid^=stBidiComponent]').flatMap(within);
  const maps = () => all('[data-testid^=stBidiComponent]').flatMap((one) =>
    [one, ...one.querySelectorAll('*')].flatMap((part) => part.shadowRoot?.querySelector('.stage') ?? []));
  window.ready = () =>
    document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning' &&
    !all('[data-testid=stSkeleton]').length &&
    all('.peregrine-plot').every((plot) => plot.dataset.drawn || !inSight(plot)) &&
    maps().every((stage) => stage.dataset.points) &&
    pictures().every((picture) => picture.complete || !inSight(picture));
  window.timed = (act, changed, rest = 150) => new Promise((resolve) => {
    const began = performance.now();
    let since = null;
    act();
    const look = () => {
      const now = performance.now();
      since = changed() && window.ready() ? (since ?? now) : null;
      if (since !== null && now - since >= rest) resolve(since - began);
      else if (now - began > 30000) resolve(NaN);
      else setTimeout(look, 4);
    };
    setTimeout(look, 4);
  });
  const links = () => all('[data-testid=stSidebar] [data-testid=stPageLink-NavLink]');
  window.views = () => links().map((link) => link.pathname);
  window.visit = (path) => {
    const before = document.querySelector('h1');
    const title = before?.textContent;
    return window.timed(
      () => links().find((link) => link.pathname === path).click(),
      () => {
        const heading = document.querySelector('h1');
        return location.pathname === path && heading && (heading !== before || heading.textContent !== title);
      },
    );
  };
  window.tour = async (rounds, pause, skipped, first = 0) => {
    const taken = [];
    const inOrder = window.views().filter((one) => !skipped.includes(one.slice(1)));
    const views = [...inOrder.slice(first), ...inOrder.slice(0, first)];
    for (let round = 0; round < rounds; round++) {
      for (const path of views) {
        await new Promise((done) => setTimeout(done, pause * (0.5 + Math.random())));
        if (path !== location.pathname) taken.push([path, await window.visit(path)]);
      }
    }
    return taken;
  };
}"""
NOT_A_VIEW = ["new_study", "figures"]  # forms: nothing of the study is shown there
FILTERED = ("images", "map", "features", "errors", "predicting_errors")
SEEN = ("heatmaps", "masks")  # need pictures and masks of the images
# Presses a button of the filter, known by how its text begins; the address tells when the filter has arrived.
PRESS = """word => window.timed(
  () => [...document.querySelectorAll('.st-key-filter_bar button')]
    .find(button => button.textContent.trim().startsWith(word)).click(),
  ((before) => () => location.search !== before)(location.search),
)"""
# The milliseconds since the address was called, once a chart or a picture of the page has been drawn.
FIRST_DRAWN = """(patience) => {
  const within = (root) => [...root.querySelectorAll('*')].flatMap((one) =>
    [one, ...(one.shadowRoot ? within(one.shadowRoot) : [])]);
  const drawn = (part) => (part.tagName === 'IMG' && part.complete && part.naturalWidth > 0)
    || (part.classList.contains('peregrine-plot') && part.dataset.drawn)
    || (part.classList.contains('stage') && part.dataset.points);
  return new Promise((resolve) => {
    const look = () => {
      const main = document.querySelector('[data-testid=stMain]');
      if (main && within(main).some(drawn)) resolve(performance.now());
      else if (performance.now() > patience) resolve(NaN);
      else setTimeout(look, 20);
    };
    look();
  });
}"""
PATIENCE_MS = 60_000


def open_page(context: Any, address: str) -> Any:
    """A page with the tools, come to rest."""
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("h1")
    page.evaluate(TOOLS)
    until(page, "() => window.ready()")
    return page


def tour(page: Any, *, rounds: int, pause_ms: int) -> list[tuple[str, float]]:
    """(path, milliseconds) of every switch of view."""
    return [tuple(one) for one in page.evaluate("a => window.tour(...a)", [rounds, pause_ms, NOT_A_VIEW])]


def filter_changes(
    page: Any, classes: tuple[str, str], rounds: int, views: tuple[str, ...] = FILTERED
) -> dict[str, list[float]]:
    """Milliseconds of every change of the filter, by view, after a first round that fills the caches.

    Misclassified, one class, the other, its correct images, none. classes: saved slices that hold a class.
    """
    taken: dict[str, list[float]] = {}
    for view in views:
        page.evaluate("path => window.visit(path)", f"/{view}")
        presses = ("Misclassified", *classes, "Correct", "Clear")
        both = [page.evaluate(PRESS, word) for _ in range(rounds + 1) for word in presses]
        taken[view] = both[len(presses) :]
    return taken


def cold_screens(browser: Any, address: str, views: tuple[str, ...], rounds: int) -> dict[str, list[float]]:
    """Milliseconds from calling the address of a view, in a browser that holds nothing of it, until its first
    chart or picture is drawn.
    """
    taken: dict[str, list[float]] = {view: [] for view in views}
    for _ in range(rounds):
        for view in views:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{address}/{view}")
            taken[view].append(page.evaluate(FIRST_DRAWN, PATIENCE_MS))
            context.close()
    return taken


def slowest_of(taken: dict[str, list[float]]) -> str:
    """The view with the largest median, and that median."""
    medians = {view: float(np.median(milliseconds)) for view, milliseconds in taken.items()}
    view = max(medians, key=lambda name: medians[name])
    return f"slowest {view}, median {medians[view]:.0f} ms"


def server_memory(address: str, field: str = "VmRSS") -> int:
    """Bytes that the server at this address holds now (resident set, Linux), or held at most (VmHWM)."""
    port = address.rpartition(":")[2]
    for process in _processes(SERVER, port):
        status = (process / "status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) * 1024
    return 0


def server_handles(address: str) -> int:
    """Files and connections that the server at this address holds open now (Linux)."""
    port = address.rpartition(":")[2]
    return sum(len(list((process / "fd").iterdir())) for process in _processes(SERVER, port))


def processor_seconds(*words: str) -> float:
    """Processor time until now of the running processes whose command line holds all these words (Linux)."""
    ticks = 0
    for process in _processes(*words):
        with contextlib.suppress(OSError):  # it has ended
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # in user and in kernel mode
    return ticks / os.sysconf("SC_CLK_TCK")


def _processes(*words: str) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if all(word.encode() in command for word in words):
            yield process
