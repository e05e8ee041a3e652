"""Host names and origins: which of them are the server's own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import SettingsError
from core.served.token import numeric_address

LOCAL = ("localhost", "127.0.0.1", "[::1]")
USUAL_PORTS = (80, 443)  # a browser leaves them out
_HOST = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
)
_ORIGIN = re.compile(r"https?://(?P<host>[^/?#@\\]+)")


@dataclass(frozen=True)
class Hosts:
    """The names of the server.

    Attributes:
        served: names without a port; they stand for the port served.
        listed: names that the owner listed, with or without a port; also allowed as origins.
    """

    served: frozenset[str]
    listed: frozenset[str] = frozenset()

    def serves(self, host: str, address: str, port: int | None) -> bool:
        """Return True when a Host header names this server.

        Args:
            address, port: where the request arrived. A numeric address cannot be rebound to another machine,
                so a Host that is the very address is the server's own.
        """
        parts = split_host(host)
        if parts is None:
            return False
        name, given = parts
        if self._is_listed(name, given, port):
            return True
        usual = given is None and port in USUAL_PORTS
        return (name in self.served or name == _as_name(address)) and (given == port or usual)

    def same_origin(self, origin: str, host: str, port: int | None) -> bool:
        """Return True for an Origin header of the page that the Host header serves, or of a listed host.

        Both headers come from one address in the browser, so a port that one leaves out is left out in both.
        """
        origin_parts = origin_host(origin)
        if origin_parts is None:
            return False
        parts = split_host(origin_parts)
        return origin_parts == host.lower() or (parts is not None and self._is_listed(*parts, port))

    def _is_listed(self, name: str, given: int | None, port: int | None) -> bool:
        return f"{name}:{given}" in self.listed or (name in self.listed and given in (None, port))


def hosts_of(served: Iterable[str], listed: Iterable[str]) -> Hosts:
    """The local names, further names at the port served, and the names that the owner listed.

    Raises:
        SettingsError: a listed name is no host name.
    """
    names = [name.strip().lower() for name in listed]
    for name in names:
        if name and split_host(name) is None:
            raise SettingsError(
                f"PEREGRINE_HOSTS: '{name[:80]}' is no host name. "
                "Write names with or without a port, with commas between: lab.example,10.0.0.7:8501"
            )
    further = (_as_name(name) if numeric_address(name) else name.strip().lower() for name in served)
    return Hosts(frozenset([*LOCAL, *filter(None, further)]), frozenset(filter(None, names)))


def split_host(host: str) -> tuple[str, int | None] | None:
    """Name in lower case and port of a Host header; None for anything that is no such header.

    >>> split_host("Lab.example:8501"), split_host("[::1]"), split_host("a/b")
    (('lab.example', 8501), ('[::1]', None), None)
    """
    match = _HOST.fullmatch(host.lower())
    return match and (match["name"], int(match["port"]) if match["port"] else None)


def origin_host(origin: str) -> str | None:
    """Host and port of an Origin header, in lower case; None for "null" and everything but http and https."""
    match = _ORIGIN.fullmatch(origin.lower())
    return match["host"] if match and split_host(match["host"]) else None


def is_outside(address: str) -> bool:
    """Return True when a request arrived at a numeric address that other machines reach."""
    number = numeric_address(address)
    return number is not None and not number.is_loopback


def _as_name(address: str) -> str | None:
    """A numeric address as a browser writes it in a Host header; None for a name, and for "all addresses"."""
    number = numeric_address(address)
    if number is None or number.is_unspecified:
        return None
    return f"[{number}]" if number.version == 6 else str(number)
