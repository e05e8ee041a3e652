"""A model that stays loaded in a process of its own, so that it answers at once. No torch.

One process a model, started when it is first wanted, in the background. It is a child that nobody else can
reach: it answers through the pipes of its standard input and output. It ends when it has been idle for some
minutes and when this process ends, and is started again when it is wanted again. What it is asked:

    {"kind": KIND, "model": MODEL, "parent": PID, "idle": SECONDS}    first; it answers {"fingerprint", ...}
    any request; with {"bytes": N}, N bytes follow                    it answers as the model does

or, each time, {"error": ONE LINE}. The bytes of {"arrays": {NAME: [DTYPE, SHAPE]}} follow an answer.
"""

import json
import math
import os
import queue
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np

from core.common.command_line import python_module
from core.common.processes import without_tokens
from core.errors import ClipError, EncoderError, PeregrineError

IDLE = 600.0  # seconds without a request after which the process ends
PATIENCE = 120.0  # seconds for one answer, or for loading the model
LONGEST_LOADING = 300.0  # seconds; one that takes longer is ended
RETRY_AFTER = 15.0  # seconds before a model that could not be loaded is tried again
AT_ONCE = 3  # processes of all kinds; the one that was used longest ago ends first
LONGEST_LINE = 1 << 20  # bytes of a line of an answer
MOST_BYTES = 1 << 26  # of the arrays of an answer
DTYPES = ("<f4", "<f2", "<i4", "|u1")

Reply = dict[str, Any]  # facts; arrays by name under "arrays"


@dataclass(frozen=True)
class ModelKind:
    """What may stay loaded.

    Attributes:
        load: "module:function" that loads it in its process: model -> (facts, (request, data) -> answer).
        error: what is raised where it cannot be loaded or refuses a request.
    """

    load: str
    error: type[PeregrineError]


KINDS = {
    "clip": ModelKind("core.concepts.clip:clip_answers", ClipError),
    "encoder": ModelKind("core.pictures.resident_encoder:encoder_answers", EncoderError),
}
ResidentState = Literal["loading", "ready", "failed", "ended"]
_residents: "dict[tuple[str, str], Resident]" = {}
_lock = threading.Lock()


class Resident:
    """One such process: it is loading, then ready, then ended; failed where the model cannot be loaded."""

    def __init__(self, kind: str, model: str, *, name: str = "", idle: float = IDLE):
        self.kind, self.name, self.error = kind, name or model, ""
        self.facts: dict[str, Any] = {}
        self.began = self.used = time.monotonic()
        self._asking = threading.Lock()
        self._answers: queue.Queue[Reply | None] = queue.Queue()
        self._settled = threading.Event()  # whether it could be loaded
        try:
            self._process = subprocess.Popen(
                python_module("core.study.resident_process"),
                env=without_tokens(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            why = error.strerror or error
            raise self._error(f"the process of {self.name} cannot be started: {why}") from error
        order = {"kind": kind, "model": model, "parent": os.getpid(), "idle": idle}
        self._send(json.dumps(order).encode() + b"\n")
        threading.Thread(target=self._read, name=f"answers of {self.name}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fingerprint(self) -> str:
        """The checksum of the loaded model; empty until it is loaded."""
        return str(self.facts.get("fingerprint", ""))

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
        """Wait until the model is loaded or cannot be; the state afterwards."""
        self._settled.wait(seconds)
        return self.state

    def ask(self, request: Mapping[str, Any], data: bytes = b"", *, patience: float = PATIENCE) -> Reply:
        """Return the answer to a request.

        Raises:
            PeregrineError: the process refuses the request, with the reason. Ended: it has ended.
        """
        line = json.dumps({**request, **({"bytes": len(data)} if data else {})}).encode() + b"\n"
        with self._asking:
            self.used = time.monotonic()
            late = threading.Timer(patience, self.end)  # also where the pipe is full and nobody reads it
            late.daemon = True
            late.start()
            try:
                self._send(line + data)
                answer = self._answers.get(timeout=patience + 5.0)
            except (OSError, queue.Empty):
                answer = None
            finally:
                late.cancel()
            self.used = time.monotonic()
        if answer is None:
            raise Ended(f"the process of {self.name} ended before it answered; try again")
        if "error" in answer:
            raise self._error(str(answer["error"]))
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _error(self, text: str) -> PeregrineError:
        return KINDS[self.kind].error(text)

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _read(self) -> None:
        """Take the answers as they come, until the process has ended. Runs in a thread."""
        assert self._process.stdout is not None
        out: Any = self._process.stdout
        for line in iter(lambda: out.readline(LONGEST_LINE), b""):
            answer = _answer(line, out)
            if self._settled.is_set():
                self._answers.put(answer)
                continue
            self.error = str(answer.get("error", ""))[:400]
            self.facts = {} if self.error else answer
            self._settled.set()
        self._process.wait()
        self.error = self.error or f"its process ended with code {self._process.returncode}"
        self._settled.set()
        self._answers.put(None)


class Ended(PeregrineError):
    """The process ended before it answered."""


def resident(kind: str, model: str, *, name: str = "", idle: float = IDLE) -> Resident:
    """Return the resident process of a loaded model, started where there is none; waits for no loading.

    One that failed stays as it is for a while, so that a page which asks again and again does not start it
    again and again.

    Args:
        kind: a name in KINDS. model: which one, as its `load` reads it. name: what messages call it.
    Raises:
        PeregrineError: no process can be started.
    """
    key = (kind, model)
    with _lock:
        running = _residents.get(key)
        if running is not None and running.state == "loading" and running.age > LONGEST_LOADING:
            running.end()  # its state becomes "failed"
        if running is not None and (running.state in ("loading", "ready") or _failed_lately(running)):
            running.used = time.monotonic()
            return running
        _residents.pop(key, None)
        while len(_residents) >= AT_ONCE:
            _residents.pop(min(_residents, key=lambda one: _residents[one].used)).end()
        _residents[key] = Resident(kind, model, name=name, idle=idle)
        return _residents[key]


def _failed_lately(failed: Resident) -> bool:
    return failed.state == "failed" and time.monotonic() - failed.used < RETRY_AFTER


def ask(kind: str, model: str, request: Mapping[str, Any], data: bytes = b"", *, name: str = "") -> Reply:
    """Ask the resident process of a model, once loaded; where it has ended meanwhile, a new one, once.

    Raises:
        PeregrineError: of the kind, one line with what is wrong.
    """
    for attempt in (1, 2):
        one = resident(kind, model, name=name)
        if one.wait() not in ("ready", "ended"):
            raise KINDS[kind].error(f"{one.name} cannot be loaded: {one.error or 'it takes too long'}")
        try:
            return one.ask(request, data)
        except Ended as error:
            if attempt == 2:
                raise KINDS[kind].error(str(error)) from None
    raise AssertionError


def end_all() -> None:
    """End every resident process of a loaded model."""
    with _lock:
        for one in _residents.values():
            one.end()
        _residents.clear()


def _answer(line: bytes, out: BinaryIO) -> Reply:
    """What a line says, with its arrays read from what follows it."""
    nonsense: Reply = {"error": "its process gave no sensible answer"}
    try:
        answer = json.loads(line)
        arrays = {name: (str(dtype), tuple(shape)) for name, (dtype, shape) in answer["arrays"].items()}
        sizes = [np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in arrays.values()]
    except (ValueError, TypeError, AttributeError):
        return nonsense
    except KeyError:
        return answer if isinstance(answer, dict) else nonsense
    if (
        sum(sizes) > MOST_BYTES
        or min(sizes, default=0) < 0
        or {one for one, _ in arrays.values()} - {*DTYPES}
    ):
        return nonsense
    read = {}
    for (name, (dtype, shape)), size in zip(arrays.items(), sizes, strict=True):
        data = out.read(size)
        if len(data) < size:
            return nonsense
        read[name] = np.frombuffer(data, dtype).reshape(shape)
    return answer | {"arrays": read}
