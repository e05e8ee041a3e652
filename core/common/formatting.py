"""Format numbers, sizes and durations as text, and reports as strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any


def json_text(report: Any) -> str:
    """Return JSON that every parser accepts: a number that is not finite becomes null."""
    return json.dumps(_finite(report), ensure_ascii=False, indent=1, default=_plain, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Convert NumPy numbers and arrays to Python objects, and anything else to text."""
    return _finite(value.tolist()) if hasattr(value, "tolist") else str(value)


def spoken_size(n_bytes: float) -> str:
    """
    >>> spoken_size(730), spoken_size(43_200_000), spoken_size(12.3e9)
    ('730 B', '43 MB', '12.3 GB')
    """
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 0), ("GB", 1)):
        if n_bytes < 1000:
            return f"{n_bytes:.{digits}f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def number(value: float | None, digits: int = 3) -> str:
    """
    >>> number(0.73214), number(float("nan")), number(None)
    ('0.732', 'not defined', 'not defined')
    """
    missing = value is None or not math.isfinite(value)
    return "not defined" if missing else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """
    >>> percent(0.857)
    '85.7 %'
    """
    return "not defined" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def counted(n: int, one: str, many: str | None = None) -> str:
    """
    >>> counted(1, "class", "classes"), counted(12000, "image")
    ('1 class', '12,000 images')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def aligned(rows: Iterable[tuple[str, str]]) -> str:
    """Align labels in a first column; rows without text are skipped, and a repeated label is written once."""
    said = [(label, text) for label, text in rows if text]
    width = max((len(label) for label, _ in said), default=0) + 2
    lines, last = [], None
    for label, text in said:
        lines.append(f"{'' if label == last else label:<{width}}{text}".rstrip())
        last = label
    return "\n".join(lines)


def spoken_time(seconds: float) -> str:
    """
    >>> spoken_time(0.3), spoken_time(42.2), spoken_time(200), spoken_time(8000)
    ('under 1 s', '42 s', '3 min', '2 h 13 min')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
