"""What the process of a CLIP loads and answers: texts and pictures as vectors. [torch]"""

from collections.abc import Callable
from typing import Any

import numpy as np

from core.common.image_files import image_file
from core.concepts.clip.clip import clip_is_here, load_clip
from core.data.sources.decode import CLIP_SIDE, decode, reduced
from core.errors import ClipError
from core.jobs.uploads import HEAD, check_picture

PREVIEW = 96  # pixels of the longer side of the picture that is shown beside what it found


def clip_answers(
    spec: str,
) -> tuple[dict[str, Any], Callable[[dict[str, Any], bytes | None], dict[str, Any]]]:
    """Load a CLIP whose weights are on this computer; its facts, and what answers a request."""
    if not clip_is_here(spec):
        raise ClipError(f"the weights of {spec} are not on this computer")
    clip = load_clip(spec)

    def answer(request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        if data is None:
            return {"arrays": {"vector": clip.embed_texts([str(request["text"])])[0].astype("<f4")}}
        check_picture(data[:HEAD], len(data))
        picture = reduced(decode(data), CLIP_SIDE)
        vector = clip.embed_images([picture])[0].astype("<f4")
        picture.thumbnail((PREVIEW, PREVIEW))
        return {"arrays": {"vector": vector, "preview": np.frombuffer(image_file(picture), np.uint8)}}

    return {"fingerprint": clip.fingerprint, "width": clip.width, "clip": clip.name}, answer
