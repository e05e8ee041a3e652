"""A CLIP that stays loaded in a process of its own: a text or a picture is embedded at once. No torch.

One process a CLIP, started when it is first wanted, in the background. It is a child that nobody else can
reach: it answers through the pipes of its standard input and output. It ends when it has been idle for some
minutes and when this process ends, and is started again when it is wanted again. What it is asked:

    {"clip": SPEC, "parent": PID, "idle": SECONDS}    first; the answer: {"fingerprint", "width", "clip"}
    {"text": TEXT}, or {"bytes": N} and N bytes       the answer: {"vector": base64 of float32}

or, each time, {"error": ONE LINE}.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import threading
import time
from typing import Any, Literal

import numpy as np

from core.common.command_line import python_module
from core.errors import ClipError
from core.jobs.uploads import HEAD, check_picture

IDLE = 600.0  # seconds without a request after which the process ends
PATIENCE = 120.0  # seconds for one answer, or for loading the model
LONGEST_LOADING = 300.0  # seconds; one that takes longer is ended
RETRY_AFTER = 15.0  # seconds before a CLIP that could not be loaded is tried again
AT_ONCE = 2  # processes; the one that was used longest ago ends first
LONGEST_TEXT = 1000  # characters
LONGEST_ANSWER = 1 << 20  # bytes of a line
WIDEST = 1 << 14  # entries of a vector

ResidentState = Literal["loading", "ready", "failed", "ended"]
_residents: dict[str, Resident] = {}
_lock = threading.Lock()


class Resident:
    """One such process: it is loading, then ready, then ended; failed where the CLIP cannot be loaded."""

    def __init__(self, clip: str, *, idle: float = IDLE):
        self.clip, self.fingerprint, self.error = clip, "", ""
        self.began = self.used = time.monotonic()
        self._asking = threading.Lock()
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._settled = threading.Event()  # whether it could be loaded
        try:
            self._process = subprocess.Popen(
                python_module("core.search.resident_process"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise ClipError(f"the process of {clip} cannot be started: {error.strerror or error}") from error
        self._send(json.dumps({"clip": clip, "parent": os.getpid(), "idle": idle}).encode() + b"\n")
        threading.Thread(target=self._read, name=f"answers of {clip}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.began

    @property
    def state(self) -> ResidentState:
        if not self._settled.is_set():
            return "loading"
        if not self.fingerprint:
            return "failed"
        return "ready" if self._process.poll() is None else "ended"

    def wait(self, seconds: float = PATIENCE) -> ResidentState:
        """Wait until the CLIP is loaded or cannot be; the state afterwards."""
        self._settled.wait(seconds)
        return self.state

    def ask(self, request: dict[str, Any], data: bytes = b"", *, patience: float = PATIENCE) -> np.ndarray:
        """Return the vector for a request.

        Raises:
            ClipError: the process refuses the request, with the reason. Ended: it has ended.
        """
        with self._asking:
            self.used = time.monotonic()
            late = threading.Timer(patience, self.end)  # also where the pipe is full and nobody reads it
            late.daemon = True
            late.start()
            try:
                self._send(json.dumps(request).encode() + b"\n" + data)
                answer = self._answers.get(timeout=patience + 5.0)
            except (OSError, queue.Empty):
                answer = None
            finally:
                late.cancel()
            self.used = time.monotonic()
        if answer is None:
            raise Ended(f"the process of {self.clip} ended before it answered; try again")
        if "error" in answer:
            raise ClipError(str(answer["error"]))
        return _vector(answer)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _read(self) -> None:
        """Take the answers as they come, until the process has ended. Runs in a thread."""
        assert self._process.stdout is not None
        for line in iter(lambda: self._process.stdout.readline(LONGEST_ANSWER), b""):  # type: ignore[union-attr]
            message = _message(line)
            if self._settled.is_set():
                self._answers.put(message)
                continue
            self.fingerprint = str(message.get("fingerprint", ""))
            self.error = str(message.get("error", ""))[:400]
            self._settled.set()
        self._process.wait()
        self.error = self.error or f"its process ended with code {self._process.returncode}"
        self._settled.set()
        self._answers.put(None)


class Ended(ClipError):
    """The process ended before it answered."""


def resident(clip: str, *, idle: float = IDLE) -> Resident:
    """Return the process of a CLIP, and start it where there is none; does not wait until it is loaded.

    One that failed stays as it is for a while, so that a page which asks again and again does not start it
    again and again.

    Raises:
        ClipError: no process can be started.
    """
    with _lock:
        running = _residents.get(clip)
        if running is not None and running.state == "loading" and running.age > LONGEST_LOADING:
            running.end()  # its state becomes "failed"
        if running is not None and (running.state in ("loading", "ready") or _failed_lately(running)):
            running.used = time.monotonic()
            return running
        _residents.pop(clip, None)
        while len(_residents) >= AT_ONCE:
            _residents.pop(min(_residents, key=lambda name: _residents[name].used)).end()
        _residents[clip] = Resident(clip, idle=idle)
        return _residents[clip]


def _failed_lately(failed: Resident) -> bool:
    return failed.state == "failed" and time.monotonic() - failed.used < RETRY_AFTER


def embed_text(clip: str, text: str) -> np.ndarray:
    """(width,) float32 unit vector of a text; waits until the CLIP is loaded.

    Raises:
        ClipError: one line with what is wrong.
    """
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise ClipError(f"a text to search for has 1 to {LONGEST_TEXT:,} characters; got {len(text):,}")
    return _asked(clip, {"text": text})


def embed_picture(clip: str, picture: bytes) -> np.ndarray:
    """Embed an encoded picture, which is written nowhere.

    Raises:
        ClipError: one line with what is wrong. UnreadableImage: not a picture of an accepted format.
    """
    check_picture(picture[:HEAD], len(picture))
    return _asked(clip, {"bytes": len(picture)}, picture)


def _asked(clip: str, request: dict[str, Any], data: bytes = b"") -> np.ndarray:
    """Ask the process of a CLIP; where it has ended meanwhile, ask a new one, once."""
    for attempt in (1, 2):
        one = resident(clip)
        if one.wait() not in ("ready", "ended"):
            raise ClipError(f"{clip} cannot be loaded: {one.error or 'it takes too long'}")
        try:
            return one.ask(request, data)
        except Ended:
            if attempt == 2:
                raise
    raise AssertionError


def end_all() -> None:
    """End every process."""
    with _lock:
        for one in _residents.values():
            one.end()
        _residents.clear()


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    return message if isinstance(message, dict) else {"error": "its process gave no sensible answer"}


def _vector(answer: dict[str, Any]) -> np.ndarray:
    try:
        vector = np.frombuffer(base64.b64decode(str(answer.get("vector", "")), validate=True), "<f4")
    except ValueError:
        vector = np.empty(0, np.float32)
    if not 0 < len(vector) <= WIDEST or not np.isfinite(vector).all():
        raise ClipError("CLIP gave no sensible vector")
    return vector.astype(np.float32)
