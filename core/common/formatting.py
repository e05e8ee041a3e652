"""Format numbers, sizes and durations as text, and reports as strict JSON."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNDEFINED = "not defined"
MINUS = "\N{MINUS SIGN}"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # but tabs and line ends


def json_text(report: Any) -> str:
    """Return JSON that every parser accepts: what is no number becomes null, an infinite one "Infinity"."""
    return json.dumps(_finite(report), ensure_ascii=False, indent=1, default=_plain, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return json_number(value) if isinstance(value, float) else value


def json_number(value: float) -> float | str | None:
    """Return a number as JSON can hold it; pandas, Python and JavaScript read the text as the number.

    >>> json_number(0.5), json_number(math.nan), json_number(-math.inf)
    (0.5, None, '-Infinity')
    """
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return None
    return "Infinity" if value > 0 else "-Infinity"


def _plain(value: Any) -> Any:
    """Convert NumPy numbers and arrays to Python objects, and anything else to text."""
    return _finite(value.tolist()) if hasattr(value, "tolist") else str(value)


def for_terminal(text: str) -> str:
    r"""Write control characters as JSON does: in a stranger's names, a terminal would obey them.

    >>> for_terminal("name\x1b[2J\n")
    'name\\u001b[2J\n'
    """
    return CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def format_bytes(n_bytes: float) -> str:
    """Format a number of bytes with the largest fitting unit.

    >>> format_bytes(730), format_bytes(43_200_000), format_bytes(12.3e9)
    ('730 B', '43 MB', '12.3 GB')
    """
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 0), ("GB", 1)):
        if n_bytes < 1000:
            return f"{n_bytes:.{digits}f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def format_duration(seconds: float) -> str:
    """Format a duration in seconds as people say it.

    >>> format_duration(0.3), format_duration(42.2), format_duration(200), format_duration(8000)
    ('under 1 s', '42 s', '3 min', '2 h 13 min')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float | None, digits: int = 3, *, unit: str = "", undefined: str = UNDEFINED) -> str:
    """Format a number for people, with digits and unit; an undefined one in words.

    >>> number(0.73214), number(128000, 0), number(4.25, 1, unit=" px"), number(float("nan")), number(None)
    ('0.732', '128,000', '4.2 px', 'not defined', 'not defined')
    >>> number(-0.081, 2)
    '−0.08'
    """
    if value is None or not math.isfinite(value):
        return undefined
    return f"{formatted(value, f',.{digits}f')}{unit}"


def formatted(value: float, spec: str) -> str:
    """Format a number by one of python's formats, with a minus sign in place of the hyphen; none before 0.

    >>> formatted(-0.081, ".2f"), formatted(-4.0, "+.1f"), formatted(1e-7, ".2g"), formatted(-0.004, ".2f")
    ('−0.08', '−4.0', '1e-07', '0.00')
    """
    text = format(value, spec)
    if not text.startswith("-"):
        return text
    return f"{MINUS}{text[1:]}" if any(digit in text for digit in "123456789") else text[1:]


def same_digits(*values: float, significant: int = 3) -> tuple[str, ...]:
    """Write numbers that are compared in a text to the same digit, the third of the largest.

    >>> same_digits(0.1304, 0.1261), same_digits(12.34, 9.5), same_digits(1234.5, 20)
    (('0.130', '0.126'), ('12.3', '9.5'), ('1,234', '20'))
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    whole = math.floor(math.log10(largest)) + 1 if largest else 1
    return tuple(formatted(value, f",.{max(significant - whole, 0)}f") for value in values)


def percent(share: float | None, digits: int = 1, *, undefined: str = UNDEFINED) -> str:
    """Return a share in [0, 1] as a percentage.

    >>> percent(0.857), percent(0.857, 0), percent(None)
    ('85.7 %', '86 %', 'not defined')
    """
    return number(None if share is None else 100 * share, digits, unit=" %", undefined=undefined)


def percent_of_answer(probability: float, digits: int = 1) -> str:
    """Return the probability of an answer as a percentage; only 0 and 1 are 0 % and 100 %.

    >>> percent_of_answer(0.9966), percent_of_answer(0.99996), percent_of_answer(1), percent_of_answer(1e-6)
    ('99.7 %', '> 99.9 %', '100.0 %', '< 0.1 %')
    >>> percent_of_answer(float("nan"))
    'not defined'
    """
    text, least = percent(probability, digits), 10.0 ** -(digits + 2)
    if probability < 1 and text == percent(1, digits):
        return f"> {percent(1 - least, digits)}"
    return f"< {percent(least, digits)}" if probability > 0 and text == percent(0, digits) else text


def signed(value: float, digits: int) -> str:
    """Format a change of a number with its sign in front.

    >>> signed(-0.5, 1), signed(0.25, 2), signed(-0.0001, 2)
    ('−0.5', '+0.25', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else formatted(value, f"+.{digits}f")


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """Return a number and the ends of its interval; the number alone without an interval.

    >>> with_interval(0.7312, 0.702, 0.759), with_interval(0.5, None, None), with_interval(None, 0, 1)
    ('0.731 (0.702 to 0.759)', '0.500', 'not defined')
    """
    text, ends = number(value, digits), (number(low, digits), number(high, digits))
    return text if UNDEFINED in (text, *ends) else f"{text} ({ends[0]} to {ends[1]})"


def signed_interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """Return a change and the ends of its interval, each with its sign; "" without a change.

    >>> signed_interval(0.078, 0.034, 0.123), signed_interval(-0.013, -0.028, 0.002)
    ('+0.08 (+0.03 to +0.12)', '−0.01 (−0.03 to 0.00)')
    """
    if not math.isfinite(value):
        return ""
    return f"{signed(value, digits)} ({signed(low, digits)} to {signed(high, digits)})"


def full_sentence(reason: str) -> str:
    """Begin a reason with a capital, and end it with a full stop.

    >>> full_sentence("the study has no masks"), full_sentence("Run overlap."), full_sentence("")
    ('The study has no masks.', 'Run overlap.', '')
    """
    end = "" if not reason or reason[-1] in ".!?…:" else "."
    return f"{reason[:1].upper()}{reason[1:]}{end}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun in the singular or plural.

    >>> counted(1, "class"), counted(2, "class"), counted(12000, "image"), counted(2, "study", "studies")
    ('1 class', '2 classes', '12,000 images', '2 studies')
    """
    many = many or one + ("es" if one.endswith("s") else "s")
    return f"{n:,} {one if n == 1 else many}"


def joined(texts: Sequence[str], last: str = "and") -> str:
    """Join texts to an enumeration in a sentence, with "and" before the last.


    >>> joined(["a"]), joined(["a", "b", "c"]), joined(["a", "b"], "or")
    ('a', 'a, b and c', 'a or b')
    """
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def first_of(texts: Sequence[str], most: int = 5) -> str:
    """List the first of some texts in a sentence, and count the others.

    >>> first_of(["sea", "sand", "dog"], 2), first_of(["sea", "sand"], 2)
    ('sea, sand and 1 more', 'sea, sand')
    """
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def ordinal(rank: int) -> str:
    """Format a place in an order as English has it.

    >>> [ordinal(place) for place in (1, 2, 3, 4, 11, 12, 21, 113)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '21st', '113th']
    """
    teens = 10 < rank % 100 < 20
    return f"{rank}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(rank % 10, 'th')}"


def aligned(rows: Iterable[tuple[str, str]]) -> str:
    """Align labels and texts in two columns for a terminal; rows without text are skipped."""
    labelled = [(label, text) for label, text in rows if text]
    width = max((len(label) for label, _ in labelled), default=0) + 2
    lines, last = [], None
    for label, text in labelled:
        lines.append(f"{'' if label == last else label:<{width}}{text}".rstrip())
        last = label
    return "\n".join(lines)


def step_times(steps: Sequence[Mapping[str, Any]]) -> str:
    """List durations in a sentence: of each titled step, from a second on; then those that are not known.

    Args:
        steps: of each, `title`, `seconds` (None: not known) and `note`.

    >>> step_times([{"title": "Heatmaps", "seconds": 90.0}, {"title": "Map", "seconds": 0.2},
    ...             {"title": "Concepts", "seconds": None, "note": "no CLIP is named"}])
    'heatmaps 2 min; not estimated: concepts (no CLIP is named)'
    """
    listed = [step for step in steps if (step["seconds"] or 0) >= 1]
    times = ", ".join(f"{step['title'].lower()} {format_duration(step['seconds'])}" for step in listed)
    unknown = [f"{step['title'].lower()} ({step['note']})" for step in steps if step["seconds"] is None]
    return "; ".join(filter(None, [times, f"not estimated: {', '.join(unknown)}" * bool(unknown)]))
