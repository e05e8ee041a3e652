"""The process that keeps a CLIP loaded and embeds texts and pictures for another one: `python -m` starts it.

The first line that it reads says which CLIP, whose child it is and how long it may be idle. Then it answers
requests, one at a time, as described in `resident.py`. It writes no file, downloads nothing and ends with its
parent. [torch]
"""

from __future__ import annotations

import base64
import json
import os
import select
import threading
import time
from typing import Any, BinaryIO

from core.data.sources.decode import CLIP_SIDE, decode, reduced
from core.errors import ClipError, PeregrineError, UnreadableImage, first_line
from core.jobs.uploads import HEAD, MOST_BYTES, check_picture

LONGEST_LINE = 1 << 16
MOST_THREADS = 4


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Load the CLIP that the first line names, then answer requests until they end or none comes."""
    order = json.loads(requests.readline(LONGEST_LINE))
    threading.Thread(target=_end_with, args=(order["parent"],), name="parent watch", daemon=True).start()
    try:
        clip = _load(order["clip"])
        _say(answers, {"fingerprint": clip.fingerprint, "width": clip.width, "clip": clip.name})
    except Exception as error:
        return _say(answers, {"error": _line(error)})
    while select.select([requests], [], [], order["idle"])[0]:
        line = requests.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):  # the parent has ended, or sends what it never should
            return None
        request = json.loads(line)
        data = requests.read(min(int(request["bytes"]), MOST_BYTES)) if "bytes" in request else None
        _say(answers, _answer(clip, request, data))
    return None


def _load(spec: str) -> Any:
    """Load a CLIP whose weights are on this computer: opening a page must download nothing."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported
    import torch

    from core.concepts.clip.clip import clip_is_here, load_clip

    torch.set_num_threads(min(torch.get_num_threads(), MOST_THREADS))
    if not clip_is_here(spec):
        raise ClipError(f"the weights of {spec} are not on this computer")
    return load_clip(spec)


def _embed(clip: Any, request: dict[str, Any], data: bytes | None) -> Any:
    """(width,) float32: CLIP of the text or of the picture in a request."""
    if data is None:
        return clip.embed_texts([str(request["text"])])[0]
    check_picture(data[:HEAD], len(data))
    return clip.embed_images([reduced(decode(data), CLIP_SIDE)])[0]


def _answer(clip: Any, request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
    try:
        vector = _embed(clip, request, data)
        return {"vector": base64.b64encode(vector.astype("<f4").tobytes()).decode()}
    except Exception as error:
        return {"error": _line(error)}


def _line(error: Exception) -> str:
    """One line for the reader; an error that is not meant for users keeps its kind."""
    if isinstance(error, UnreadableImage):
        return f"the picture cannot be read: {error}"
    is_ours = isinstance(error, PeregrineError)
    return first_line(error) if is_ours else f"{type(error).__name__}: {first_line(error)}"


def _say(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
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
    serve(os.fdopen(os.dup(0), "rb"), _own_channel())
