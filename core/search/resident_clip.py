"""What the process of a CLIP loads and answers: texts and pictures as vectors. [torch]"""

from collections.abc import Callable
from typing import Any

from core.concepts.clip.clip import clip_is_here, load_clip
from core.data.sources.decode import CLIP_SIDE, decode, reduced
from core.errors import ClipError
from core.jobs.uploads import HEAD, check_picture


def clip_answers(
    spec: str,
) -> tuple[dict[str, Any], Callable[[dict[str, Any], bytes | None], dict[str, Any]]]:
    """Load a CLIP whose weights are on this computer; its facts, and what answers a request."""
    if not clip_is_here(spec):
        raise ClipError(f"the weights of {spec} are not on this computer")
    clip = load_clip(spec)

    def answer(request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        if data is None:
            vector = clip.embed_texts([str(request["text"])])[0]
        else:
            check_picture(data[:HEAD], len(data))
            vector = clip.embed_images([reduced(decode(data), CLIP_SIDE)])[0]
        return {"arrays": {"vector": vector.astype("<f4")}}

    return {"fingerprint": clip.fingerprint, "width": clip.width, "clip": clip.name}, answer
