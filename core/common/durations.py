"""About how long something will take on this machine, in words: a range while other programs share it."""

import os

from core.common.formatting import format_duration
from core.common.records import Record, Templates

_say = Templates.beside(__file__)
SHARED = 1.5  # times as long as alone, from which a range is given


def slowdown() -> float:
    """Estimate how many times as long work on all cores takes beside the programs that run now.

    (n + l) / n for n cores and a mean of l programs that ran in the last minute, as the system shares cores
    among all; 1 where the system does not say.
    """
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return 1.0
    return 1.0 + max(load, 0.0) / (os.cpu_count() or 1)


def expected_duration(seconds: float, slower: float | None = None) -> Record:
    """Say about how long anything takes on this machine: as estimated, or up to `slower` times as long.

    Args:
        seconds: estimated for a machine that does nothing else, at best. slower: None for `slowdown()`.

    >>> expected_duration(100, 1.2), expected_duration(100, 3.0)
    ('about 2 min', '2 min to 5 min, as other programs keep this machine busy')
    """
    factor = slowdown() if slower is None else slower
    ends = format_duration(seconds), format_duration(seconds * factor)
    if factor < SHARED or ends[0] == ends[1]:
        return _say("about", what=ends[0], value=seconds)
    return _say("between", names=ends, value=seconds, interval=(seconds, seconds * factor))
