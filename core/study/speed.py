"""How long an encoder took for a picture while its study was made: a file beside the manifest.

A time differs from run to run, so it is no part of what is compared byte by byte: it stands in no manifest,
and a study without it is whole.
"""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.common.inside import parse_json, read_bounded, replacing
from core.errors import PeregrineError

SPEED = "speed.json"
LONGEST = 4096  # bytes


@dataclass(frozen=True)
class Speed:
    """Milliseconds a picture through the encoder alone, without reading it, in the fastest pass.

    Attributes:
        n: pictures it was measured on. batch_size: of the passes. device, threads: where. encoder: its
            fingerprint.
    """

    milliseconds: float
    n: int
    batch_size: int
    device: str
    threads: int
    encoder: str


def write_speed(folder: Path, speed: Speed) -> None:
    """Keep in a study how fast its encoder was on this machine."""
    with replacing(folder / SPEED, durable=False) as temporary:
        temporary.write_text(json.dumps(asdict(speed)), encoding="utf-8")


def read_speed(folder: Path, encoder: str | None) -> Speed | None:
    """Read from a study's folder how fast its encoder was; None where unknown, or of another encoder.

    Args:
        encoder: the fingerprint of the study's encoder.
    """
    path = folder / SPEED
    try:
        values: Any = {} if os.path.islink(path) else parse_json(read_bounded(path, LONGEST))
        speed = Speed(**values)
        is_sound = math.isfinite(speed.milliseconds) and speed.milliseconds >= 0
    except (OSError, ValueError, TypeError, PeregrineError):
        return None
    return speed if is_sound and encoder is not None and speed.encoder == encoder else None
