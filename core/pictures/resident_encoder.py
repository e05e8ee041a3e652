"""What the process of an encoder loads and answers: what it sees in a picture. [torch]

A request is {"crop", "covered", "epsilon", "dtype", "features", "logits"} with an encoded picture, or
{"head": true} for the encoder's own classifier.
"""

import json
from collections.abc import Callable
from typing import Any

from core.data.sources.decode import decode
from core.encoders.registry import load_encoder
from core.errors import EncoderError
from core.jobs.uploads import HEAD, check_picture
from core.pictures.encode import see
from core.pictures.seen import Alteration

MOST_KEPT = 25_000_000  # pixels of a picture that is kept decoded


def encoder_answers(
    model: str,
) -> tuple[dict[str, Any], Callable[[dict[str, Any], bytes | None], dict[str, Any]]]:
    """Load an encoder by its settings as JSON; its facts, and what answers a request."""
    settings = json.loads(model)
    encoder = load_encoder(settings.pop("encoder"), **settings)
    encoder.precision = "float32"
    heads: list[Any] = []
    last: list[Any] = []  # the picture of the last request, as it came and decoded: it is often changed

    def head() -> Any:
        if not heads:
            heads.append(encoder.find_head())
        if isinstance(heads[0], str):
            raise EncoderError(f"this encoder has no classifier: {heads[0]}")
        return heads[0]

    def answer(request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        if data is None:
            weights, bias = head().linear or (None, None)
            arrays = {} if weights is None else {"weights": weights.numpy().astype("<f4")}
            arrays |= {} if bias is None else {"bias": bias.numpy().astype("<f4")}
            return {"names": head().names, "arrays": arrays}
        if not last or last[0] != data:
            check_picture(data[:HEAD], len(data))
            last[:] = [data, decode(data)]
        picture = last[1]
        if picture.width * picture.height > MOST_KEPT:
            last.clear()
        seen = see(
            encoder,
            picture,
            Alteration.of(request.get("crop"), request.get("covered") or ()),
            epsilon=float(request["epsilon"]),
            dtype=str(request["dtype"]),
            features=request.get("features"),
            head=head() if request.get("logits") else None,
        )
        return {"arrays": seen.arrays}

    return {"fingerprint": encoder.fingerprint, "n_features": encoder.n_features}, answer
