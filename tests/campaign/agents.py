"""What agents ask over HTTP, with the token, without it and with a wrong one."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser.harness import ROOT, free_port
from tests.campaign.outcome import Outcome
from tests.synthetic import make_study

IS_POSSIBLE = find_spec("mcp") is not None
NEEDS = "mcp"
TOKEN = "correct horse battery staple"
ACCEPTED = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
NOBODY = ("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"bearer\t{TOKEN}", "Bearer \xe9")
STRANGERS = ("Bearer x", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}")  # each further one is answered later
GARBAGE = (b"", b"{", b"[]", b"null", b'{"jsonrpc": "2.0"}', b"\xff\xfe", b"[" * 5000, b'{"id": 1e999}')
OF_OTHER_KINDS = (None, -1, 1.5, True, "", "x\ny", [], {}, [[]], {"a": 1}, 10**30)
MOST_STRANGERS = 12
PATIENCE = 60.0


def agents(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Calls over MCP: nothing without the token, no folder of the machine, one line, and alive after."""
    served = folder / "served"
    make_study(served / "shared")
    calls = _calls(rng)
    outcome, statuses, strangers = Outcome(), Counter[int](), 0
    with _mcp(served) as port:
        for _ in range(n):
            words = _header(rng, strangers < MOST_STRANGERS)
            strangers += words in STRANGERS
            body = _body(rng, calls)
            outcome.tried += 1
            try:
                status, text = _ask(port, body, words)
            except (OSError, http.client.HTTPException) as error:
                outcome.went_wrong(f"{words} {body[:200]!r}: {type(error).__name__}: {error}")
                continue
            statuses[status] += 1
            _judge(outcome, words, body, status, text, folder)
        if _ask(port, _request("tools/list", {}), f"Bearer {TOKEN}")[0] != 200:
            outcome.went_wrong("afterwards the server does not answer")
    outcome.note = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    return outcome


def _judge(outcome: Outcome, words: str, body: bytes, status: int, text: str, folder: Path) -> None:
    said = f"{words} {body[:200]!r}: {status} {text[:200]}"
    let_in = words == f"Bearer {TOKEN}"
    if (
        status >= 500
        or str(folder) in text
        or "Traceback" in text
        or (not let_in and status not in (401, 429))
    ):
        outcome.went_wrong(said)
    if status == 400:  # no call at all, of which the SDK says in many lines of JSON what it lacks
        outcome.refused += 1
        return
    errors = _errors(text) if let_in else [text.strip()]
    outcome.refused += bool(errors)
    if any("\n" in error for error in errors):
        outcome.lines += 1
        outcome.examples.append(said)


def _errors(text: str) -> list[str]:
    """The refusals in an answer: a JSON object, or events that hold them."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith(("data: ", "{"))]
    found = []
    for answer in map(json.loads, lines):
        result = answer.get("result", {})
        found += [answer["error"]["message"]] if "error" in answer else []
        found += [part["text"] for part in result.get("content", ())] if result.get("isError") else []
    return found


def _header(rng: np.random.Generator, may_guess: bool) -> str:
    kind = rng.random()
    if kind < 0.6:
        return f"Bearer {TOKEN}"
    pool = STRANGERS if may_guess and kind > 0.95 else NOBODY
    return pool[int(rng.integers(len(pool)))]


def _calls(rng: np.random.Generator) -> list[tuple[str, dict[str, Any]]]:
    """The hostile calls of the tests, and calls with arguments of other kinds than are asked for."""
    from tests.mcp.test_server import HOSTILE

    calls = [(name, given) for name, given, _ in HOSTILE]
    wrong = [
        (name, {key: OF_OTHER_KINDS[int(rng.integers(len(OF_OTHER_KINDS)))] for key in given})
        for name, given in calls
    ]
    return [*calls, *wrong, ("no tool\nof this name", {}), ("table", {})]


def _body(rng: np.random.Generator, calls: Sequence[tuple[str, dict[str, Any]]]) -> bytes:
    if rng.random() < 0.2:
        return GARBAGE[int(rng.integers(len(GARBAGE)))]
    name, given = calls[int(rng.integers(len(calls)))]
    return _request("tools/call", {"name": name, "arguments": given})


def _request(method: str, given: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": given}).encode()


def _ask(port: int, body: bytes, words: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
    headers = ACCEPTED | ({"Authorization": words.encode("latin-1").decode("latin-1")} if words else {})
    connection.request("POST", "/mcp", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text


@contextmanager
def _mcp(studies: Path) -> Iterator[int]:
    """Serve studies to agents; gives the port."""
    port, until = free_port(), time.monotonic() + PATIENCE
    command = [sys.executable, "-m", "core", "mcp", "--studies", str(studies), "--http", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PEREGRINE_TOKEN": TOKEN}, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while time.monotonic() < until:
                try:
                    _ask(port, b"", "")
                    break
                except OSError:
                    time.sleep(0.1)
            yield port
        finally:
            server.terminate()
