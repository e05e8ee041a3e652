"""Leave folders out of texts that are handed on: a home folder holds its user's name."""

import re
from collections.abc import Iterable

QUOTED = re.compile(r"(?<=')/[^'\n]*/(?=[^'/\n])|~/(?='[^'\n]*')|(?<=~/')[^'\n]*/(?=[^'/\n])")  # with spaces
PLAIN = re.compile(r"(?<![\w.:/~)\]}+#&!@%$-])~?/(?:[^/'\"\s,;]+/)+")  # where no name of a folder ends


def without_folders(text: str, names: Iterable[str] = ()) -> str:
    """Shorten absolute paths in a text to their last part; relative ones, addresses and `names` stay.

    >>> without_folders("no table in '/data/jo doe/mine': run it on /data/x.csv, a/b.csv or http://a/b")
    "no table in 'mine': run it on x.csv, a/b.csv or http://a/b"
    >>> without_folders("Run: info ~/studies/a, or ~/'my studies/b c', or '/data/my studies/d'")
    "Run: info a, or 'b c', or 'd'"
    >>> without_folders("label=/m/0bt9lr in /data/x", ["/m/0bt9lr"])
    'label=/m/0bt9lr in x'
    >>> without_folders("pets (2)/cats/1.jpg, C++/a/b.png (/data/x)")
    'pets (2)/cats/1.jpg, C++/a/b.png (x)'
    """
    rooted = [name for name in names if name.startswith("/")]

    def rest(match: re.Match[str]) -> str:
        begun, at = match[0], match.start()
        of_name = any(name.startswith(begun) and match.string.startswith(name, at) for name in rooted)
        return begun if of_name else ""

    return PLAIN.sub(rest, QUOTED.sub(rest, text))
