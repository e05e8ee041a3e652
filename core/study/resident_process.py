"""The process that keeps a model loaded and answers for another one: `python -m` starts it.

The first line that it reads says which model, whose child it is and how long it may be idle. Then it answers
requests, one at a time, as described in `resident.py`. It writes no file, downloads nothing and ends with its
parent. [torch]
"""

import json
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from core.common.topics import function_named
from core.errors import UnreadableImage, first_line, user_message
from core.study.resident import KINDS
from core.study.uploads import MOST_BYTES

LONGEST_LINE = 1 << 16
MOST_THREADS = 4


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Load the model of a resident process, named by the first line, then answer requests until none come."""
    order = json.loads(requests.readline(LONGEST_LINE))
    threading.Thread(target=_end_with, args=(order["parent"],), name="parent watch", daemon=True).start()
    try:
        facts, answer = _load(order["kind"], order["model"])
        _say(answers, facts)
    except Exception as error:
        return _say(answers, {"error": _line(error)})
    while select.select([requests], [], [], order["idle"])[0]:
        line = requests.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):  # the parent has ended, or sends what it never should
            return None
        request = json.loads(line)
        data = requests.read(min(int(request["bytes"]), MOST_BYTES)) if "bytes" in request else None
        _say(answers, _answer(answer, request, data))
    return None


def _load(kind: str, model: str) -> tuple[dict[str, Any], Callable[..., Any]]:
    """Load a model whose weights are on this computer: opening a page must download nothing."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), MOST_THREADS))
    return function_named(KINDS[kind].load)(model)


def _answer(answer: Callable[..., Any], request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
    try:
        return answer(request, data)
    except Exception as error:
        return {"error": _line(error)}


def _line(error: Exception) -> str:
    """One line for the reader; an error that is not meant for users keeps its kind."""
    if isinstance(error, UnreadableImage):
        return f"the picture cannot be read: {error}"
    return user_message(error) or f"{type(error).__name__}: {first_line(error)}"


def _say(answers: BinaryIO, message: Mapping[str, Any]) -> None:
    arrays: dict[str, np.ndarray] = message.get("arrays", {})
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    answers.write(json.dumps({**message, **({"arrays": shapes} if arrays else {})}).encode() + b"\n")
    for one in arrays.values():
        answers.write(np.ascontiguousarray(one).tobytes())
    answers.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, also while it loads or computes."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _own_channel() -> BinaryIO:
    """Take standard output for the answers; what libraries print goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    _serve(os.fdopen(os.dup(0), "rb"), _own_channel())
