"""Many users of one server, each speaking the protocol of its pages: `python -m benchmarks.load STUDIES`.

A user opens a view of a study, often with a filter, waits until its script has run and its first pictures are
there, reads for a while, and goes on. Printed: the milliseconds of each part, and what the server holds after
a fifth of the time and at the end. Of 50 users on two cores most of the time is waiting for a core.
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
from urllib.parse import urlencode

import httpx
import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.typing import Origin, Subprotocol

from benchmarks.browsing import server_handles, server_memory
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses.pages import HOME, NEW_STUDY, PAGES
from tests.browser.harness import dashboard

MIB = 1024**2
PICTURE = re.compile(rb"(?<![\w/])(?:thumb/|image/|overlay/|points/)[\w%./~-]*\w\?[\w%.,=&~+-]+")
PICTURES_IN_SIGHT = 12  # a browser asks for no more before the user scrolls
LARGEST_MESSAGE = 256 * MIB
PATIENCE = 120.0  # seconds for one view
WARM = 0.2  # of the time: what the server holds then is compared with the end
FLAT = 1.1  # the most by which memory, handles and the p95 of views may grow after that


@dataclass
class Log:
    """Milliseconds of each view and of each picture, and each failure in words."""

    views: list[float] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def addresses(studies: Iterable[Study], chance: random.Random) -> Iterable[tuple[str, str]]:
    """(page, query) of one view after another, without end: each page of each study, often filtered."""
    pages = [page for page in PAGES if page != NEW_STUDY]
    served = list(studies)
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
        yield ("" if page == HOME else page), urlencode(query)


async def use(
    address: str, views: Iterable[tuple[str, str]], read: Callable[[], float], until: float, log: Log
):
    """One user, from the first view to the end of the time."""
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    async with (
        websockets.connect(
            stream, origin=Origin(address), subprotocols=[Subprotocol("streamlit")], max_size=LARGEST_MESSAGE
        ) as socket,
        httpx.AsyncClient(base_url=address, timeout=PATIENCE) as http,
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
    message.rerun_script.page_name = page
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
            log.views.append(1000 * (time.perf_counter() - began))
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
    address: str, studies: list[Study], users: int, seconds: float, pause: float, seed: int
) -> Log:
    """So many users at once. A user reads `pause` seconds on average, half to one and a half of it."""
    log, until = Log(), time.monotonic() + seconds
    chances = [random.Random(f"{seed} {user}") for user in range(users)]
    held = asyncio.create_task(_watch(address, seconds))
    await asyncio.gather(
        *(
            use(address, addresses(studies, chance), lambda c=chance: pause * (0.5 + c.random()), until, log)
            for chance in chances
        )
    )
    (memory, handles), (memory_after, handles_after) = await held
    growth = memory_after / max(memory, 1), handles_after / max(handles, 1)
    print(
        f"memory  {memory / MIB:,.0f} MiB when warm, {memory_after / MIB:,.0f} at the end: {growth[0]:.2f} x"
    )
    print(
        f"handles {handles} when warm, {handles_after} at the end: {growth[1]:.2f} x (flat: at most {FLAT} x)"
    )
    return log


async def _watch(address: str, seconds: float) -> list[tuple[int, int]]:
    """(bytes, open handles) of the server once it is warm, and at the end."""
    held = []
    for share in (WARM, 1 - WARM):
        await asyncio.sleep(seconds * share)
        held.append((server_memory(address), server_handles(address)))
    return held


def table(log: Log, seconds: float) -> str:
    lines = [f"{'':<9} {'number':>7} {'a second':>9} {'median':>8} {'p95':>8} {'worst':>8}  (ms)"]
    for name in ("views", "pictures"):
        taken = np.array(getattr(log, name) or [np.nan])
        median, p95 = np.percentile(taken, [50, 95])
        lines.append(
            f"{name:<9} {len(taken):>7,} {len(taken) / seconds:>9.1f}"
            f" {median:>8.0f} {p95:>8.0f} {taken.max():>8.0f}"
        )
    middle, last = (np.percentile(part, 95) for part in np.array_split(log.views or [np.nan], 3)[1:])
    lines.append(
        f"views     p95 of the last third / of the middle one: {last / middle:.2f} x (flat: {FLAT} x)"
    )
    lines.append(f"{'failures':<9} {len(log.failures):>7,}")
    return "\n".join(lines + sorted(set(log.failures))[:10])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("studies", type=Path, help="the folder of studies that is served")
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds that a user reads, on average")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    folders = sorted(path.parent for path in asked.studies.glob("*/manifest.json"))
    studies = [Study(folder) for folder in folders]
    seconds = 60 * asked.minutes
    print(f"{asked.users} users, {asked.minutes:g} min, {asked.pause:g} s between clicks, seed {asked.seed}")
    print(", ".join(f"{study.path.name} ({study.n_images:,} images)" for study in studies), flush=True)
    with contextlib.suppress(KeyboardInterrupt), dashboard(asked.studies.resolve()) as address:
        log = asyncio.run(crowd(address, studies, asked.users, seconds, asked.pause, asked.seed))
        print(table(log, seconds))


if __name__ == "__main__":
    main()
