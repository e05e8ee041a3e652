"""Many people at one server, each speaking the protocol of its pages: `python -m benchmarks.load STUDIES`.

A person opens a view of a study, often with a filter, waits until its script has run and its first pictures
are there, reads for a while (exponential), and goes on. Three parts of one run: each page of each study is
opened once; then one person alone; then all of them. Printed: the milliseconds of each, those of each study
apart, and what the server holds from minute ten on. Of 50 people on two cores most of the time is waiting
for a core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import httpx
import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.typing import Origin, Subprotocol

from benchmarks.browsing import server_handles, server_memory
from core.measures.slice import Slice
from core.store import Study
from dashboard.state.pages import HOME, NEW_STUDY, PAGES
from tests.browser.harness import dashboard

MIB = 1024**2
PICTURE = re.compile(rb"(?<![\w/])(?:thumb/|image/|overlay/|points/)[\w%./~-]*\w\?[\w%.,=&~+-]+")
PICTURES_IN_SIGHT = 12  # a browser asks for no more before the user scrolls
LARGEST_MESSAGE = 256 * MIB
PATIENCE = 120.0  # seconds for one view
CONNECTIONS = httpx.Limits(keepalive_expiry=3.0)  # seconds; the server closes an idle one after five
WARM = 600.0  # seconds: what the server holds then is compared with all that follows
FLAT = 1.05  # the most by which memory may grow after that
SLOWER = 2.5  # the most by which the p95 of many may be that of one
SAMPLE = 20.0  # seconds between two looks at what the server holds
WINDOW = (
    120.0  # seconds over which they are averaged: views that are made hold tens of megabytes for a second
)
OWN, ALL = "RssAnon", "VmRSS"  # what it holds alone; with pages of files, which the system may take back


@dataclass
class Log:
    """Milliseconds of each view by study and of each picture, and each failure in words."""

    views: list[tuple[str, float]] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def of(self, study: str | None = None) -> np.ndarray:
        """Milliseconds of the views of one study, or of all."""
        return np.array([ms for name, ms in self.views if study in (None, name)])


@dataclass(frozen=True)
class Held:
    """What the server holds at a time: bytes of its own, bytes with mapped files, open handles."""

    seconds: float
    own: int
    resident: int
    handles: int


def first_visits(studies: Iterable[Study]) -> Iterable[tuple[str, str]]:
    """(page, query) of each page of each study, once."""
    return [
        (page, urlencode({"study": study.path.name}))
        for study in studies
        for page in _pages()
        if page not in ("image", "feature")
    ]


def _pages() -> list[str]:
    return [page for page in PAGES if page != NEW_STUDY]


def addresses(studies: Iterable[Study], chance: random.Random) -> Iterable[tuple[str, str]]:
    """(page, query) of one view after another, without end: each page of each study, often filtered."""
    served, pages = list(studies), _pages()
    while True:
        study, page = chance.choice(served), chance.choice(pages)
        query = {"study": study.path.name}
        if page == "image":
            query["image"] = str(study.images["image_id"].iloc[chance.randrange(study.n_images)])
        if page == "feature":
            query["feature"] = str(chance.randrange(study.array("representations").shape[1]))
        if page not in ("image", "feature") and chance.random() < 0.5:
            slices = [Slice(split="val"), *(Slice(labels=(name,)) for name in study.class_names)]
            query["where"] = str(chance.choice(slices))
        yield page, urlencode(query)


async def use(
    address: str, views: Iterable[tuple[str, str]], read: Callable[[], float], until: float, log: Log
):
    """One person, from the first view to the end of the time."""
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    async with (
        websockets.connect(
            stream, origin=Origin(address), subprotocols=[Subprotocol("streamlit")], max_size=LARGEST_MESSAGE
        ) as socket,
        httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=CONNECTIONS) as http,
    ):
        for page, query in views:
            if time.monotonic() > until:
                return
            try:
                pictures = await asyncio.wait_for(_open(socket, page, query, log), PATIENCE)
                await asyncio.gather(*(_fetch(http, picture, log) for picture in pictures))
            except (TimeoutError, httpx.HTTPError) as error:
                log.failures.append(f"/{page}?{query}: {type(error).__name__} {error}")
            await asyncio.sleep(read())


async def _open(socket: websockets.ClientConnection, page: str, query: str, log: Log) -> list[str]:
    """Run the script of a view; the addresses of the pictures that are in sight."""
    message = BackMsg()
    message.rerun_script.page_name = "" if page == HOME else page
    message.rerun_script.query_string = query
    began = time.perf_counter()
    await socket.send(message.SerializeToString())
    pictures: dict[str, None] = {}
    while True:
        data = await socket.recv(decode=False)
        answer = ForwardMsg.FromString(data)
        kind = answer.WhichOneof("type")
        if kind == "delta":
            pictures |= dict.fromkeys(found.decode() for found in PICTURE.findall(data))
            if answer.delta.new_element.WhichOneof("type") == "exception":
                log.failures.append(f"/{page}?{query}: {answer.delta.new_element.exception.message[:200]}")
        elif kind == "page_not_found":
            log.failures.append(f"/{page}?{query}: page not found")
        elif kind == "script_finished" and answer.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            study = dict(parse_qsl(query))["study"]
            log.views.append((study, 1000 * (time.perf_counter() - began)))
            return list(pictures)[:PICTURES_IN_SIGHT]


async def _fetch(http: httpx.AsyncClient, picture: str, log: Log) -> None:
    """As a browser does, ask again where the server was just closing the idle connection that was taken."""
    began = time.perf_counter()
    try:
        answer = await http.get(picture)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        answer = await http.get(picture)
    log.pictures.append(1000 * (time.perf_counter() - began))
    if answer.status_code != 200:
        log.failures.append(f"{picture}: {answer.status_code}")


async def crowd(
    address: str, studies: list[Study], people: int, seconds: float, pause: float, seed: int
) -> Log:
    """So many people at once, each reading `pause` seconds on average."""
    log, until = Log(), time.monotonic() + seconds
    chances = [random.Random(f"{seed} {person}") for person in range(people)]
    await asyncio.gather(
        *(
            use(address, addresses(studies, chance), lambda c=chance: c.expovariate(1 / pause), until, log)
            for chance in chances
        )
    )
    return log


async def held_by(address: str, seconds: float) -> list[Held]:
    """What the server holds, again and again for so many seconds."""
    began, held, sample = time.monotonic(), [], min(SAMPLE, seconds / 20)
    while (passed := time.monotonic() - began) < seconds:
        own, resident = (server_memory(address, name) for name in (OWN, ALL))
        held.append(Held(passed, own, resident, server_handles(address)))
        await asyncio.sleep(sample)
    return held


def memory(held: list[Held], seconds: float) -> str:
    """The line about memory: from minute ten on (a third of a shorter run), at the end, and at most."""
    warm, window = min(WARM, seconds / 3), min(WINDOW, seconds / 6)
    first = [one for one in held if warm <= one.seconds <= warm + window]
    last = [one for one in held if one.seconds >= seconds - window]
    begun, ended = (float(np.mean([one.own for one in part])) for part in (first, last))
    most = max(one.own for one in held if one.seconds >= warm)
    growth = f"{ended / begun:.3f} x (at most {FLAT} x); at most {most / MIB:,.0f}"
    return (
        f"memory: {begun / MIB:,.0f} MiB of its own from minute {warm / 60:.1f} on,"
        f" {ended / MIB:,.0f} at the end: {growth};"
        f" with mapped files {first[0].resident / MIB:,.0f} and {last[-1].resident / MIB:,.0f} MiB;"
        f" handles {first[0].handles} and {last[-1].handles}"
    )


def table(alone: Log, together: Log, studies: Iterable[Study], seconds: float) -> str:
    """Milliseconds of one person and of all, of each study apart."""
    lines = [f"{'':<34} {'number':>7} {'median':>8} {'p95':>8} {'worst':>8} {'p95 / alone':>12}  (ms)"]
    rows = [("views", alone.of(), together.of())]
    rows += [
        (f"views of {study.n_images:,} images", alone.of(study.path.name), together.of(study.path.name))
        for study in studies
    ]
    rows += [("pictures", np.array(alone.pictures), np.array(together.pictures))]
    for name, one, many in rows:
        lines += [_row(f"{name}, alone", one), _row(name, many, one)]
    lines.append(f"views a second: {len(together.views) / seconds:.1f}; p95 of all: at most {SLOWER} x alone")
    failures = [*alone.failures, *together.failures]
    lines.append(f"failures: {len(failures):,}")
    return "\n".join(lines + sorted(set(failures))[:10])


def _row(name: str, taken: np.ndarray, alone: np.ndarray | None = None) -> str:
    if not len(taken):
        return f"{name:<34} {0:>7}"
    median, p95 = np.percentile(taken, [50, 95])
    line = f"{name:<34} {len(taken):>7,} {median:>8.0f} {p95:>8.0f} {taken.max():>8.0f}"
    if alone is None or not len(alone):
        return line
    return f"{line} {p95 / np.percentile(alone, 95):>10.2f} x"


async def measure(address: str, studies: list[Study], asked: argparse.Namespace) -> None:
    """The three parts, one after another, and what they took."""
    opened = Log()
    await use(address, first_visits(studies), lambda: 0.0, time.monotonic() + 3600, opened)
    first = opened.of()
    print(f"first visits: {len(first)} views, worst {first.max():,.0f} ms, {len(opened.failures)} failures")
    alone = await crowd(address, studies, 1, 60 * asked.alone, asked.pause, asked.seed + 1)
    seconds = 60 * asked.minutes
    together, held = await asyncio.gather(
        crowd(address, studies, asked.people, seconds, asked.pause, asked.seed), held_by(address, seconds)
    )
    print(table(alone, together, studies, seconds))
    print(memory(held, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("studies", type=Path, help="the folder of studies that is served")
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--alone", type=float, default=10.0, help="minutes of the person who is alone")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds that a person reads, on average")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    folders = sorted(path.parent for path in asked.studies.glob("*/manifest.json"))
    studies = [Study(folder) for folder in folders]
    print(
        f"{asked.people} people, {asked.minutes:g} min, reading {asked.pause:g} s, seed {asked.seed};",
        end=" ",
    )
    print(", ".join(f"{study.path.name} ({study.n_images:,} images)" for study in studies), flush=True)
    with contextlib.suppress(KeyboardInterrupt), dashboard(asked.studies.resolve()) as address:
        asyncio.run(measure(address, studies, asked))


if __name__ == "__main__":
    main()
