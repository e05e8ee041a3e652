"""What finding out why images are wrong takes, before it is started: images, and seconds of the encoder."""

from core.config import CausesConfig
from core.measures.trials import n_compared
from core.storage.speed import Speed

CHANGES = 12  # passes of an image: 11.5 on average of the demo (docs/RESULTS.md)
OVERHEAD = 2.0  # of a pass: reading the picture and changing it


def right_images_for_one(n_right: int, config: CausesConfig | None = None) -> int:
    """Return how many right images are tried with one error that is named.

    Args:
        n_right: right images that there are.
    """
    drawn = min(n_right, (config or CausesConfig()).right)
    return n_compared(drawn // 2)


def images_of_all(n_errors: int, n_right: int, config: CausesConfig | None = None) -> tuple[int, int]:
    """Return how many errors and how many right images are tried where none is named."""
    settings = config or CausesConfig()
    return min(n_errors, settings.errors), min(n_right, settings.right)


def seconds_of_trials(n_images: int, speed: Speed | None) -> float | None:
    """Return about how many seconds the trials of some images take; None where the encoder was not timed."""
    return None if speed is None else n_images * CHANGES * OVERHEAD * speed.milliseconds / 1000
