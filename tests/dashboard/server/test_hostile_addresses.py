"""Hundreds of hostile addresses: each is answered with a 4xx and one line, quickly, and nothing leaks."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from starlette.applications import Starlette

from core.study.manifest import read_manifest, write_manifest
from dashboard.app import ROUTES
from dashboard.server import rules as headers
from dashboard.server.guard import Guard
from dashboard.server.rules import Rules, hosts_of
from tests.browser.harness import run_apart

SECRET = "the secret of the owner"
MARKS = ("Traceback", 'File "', SECRET, "root:", "PAR1", "JFIF")
SECONDS = 20.0  # most take a millisecond; what never ends is caught here
SENT_AS_THEY_ARE = "".join(map(chr, range(33, 127)))


def words(text: str) -> list[str]:
    return text.split()


NINES = tuple(
    "9" * n for n in (5, 10, 19, 20, 100, 4301, 20_000)
)  # beyond int32, int64, and what int() reads
# Names that lead elsewhere, that are written in another way, and that are no names. `%` is sent as it is.
NAMES = (
    *words(
        """
    .. ../demo demo/.. demo/../demo ../../etc ../../../../../../etc/passwd ./demo demo/. /etc
    //etc/passwd /demo demo// // / ~ ~root $HOME ${HOME} %20 %2e%2e %2e%2e/demo %2e%2e%2fdemo ..%2fdemo
    ..%2f..%2fetc%2fpasswd demo%2f..%2fdemo %252e%252e %252e%252e%252fdemo ..%252fdemo %c0%ae%c0%ae/demo
    %e0%80%ae/demo %uff0e%uff0e ..\\demo ..%5cdemo %5c%5cserver%5cshare C:%5cWindows C:/Windows demo%5c
    \\\\server\\C: demo%00 %00 %00demo demo%00.jpg de%00mo demo%0a demo%0d%0aX-Evil:1 %0d%0a%0d%0a .hidden
    .hidden/demo demo/.hidden .jobs .git/config .ssh/id_rsa . ... demo/... demo/manifest.json
    demo/images.parquet demo/thumbnails demo/thumbnails/00000.npy demo/demo secret secret.txt leads_out
    leads_out/nothing manifest.json nothere demo%20 %20demo %ff%fe %ed%a0%80 é 🦅
    <script>alert(1)</script> '"><img%20src=x> {{7*7}} ${jndi:ldap://x} '%20OR%201=1 a;b a|b `id`
    http:%2f%2f169.254.169.254 file:%2f%2f%2fetc%2fpasswd python:os:system CON NUL aux.txt * %3f %23
        """
    ),
    *("", "a" * 300, "a/" * 200, "a" * 5000, "%41" * 3000, "../" * 500, "é" * 200),
)
NUMBERS = (
    *words(
        """
    -1 -0 +1 1.0 1e3 0x1 1_0 NaN inf x 1/2 1;2 1,2 null [1] %201 1%20 1%00 1%0a %00 １ ٣ ² Ⅷ ९ 1٣
    2147483648 4294967296 9223372036854775807 9223372036854775808 18446744073709551616
        """
    ),
    *NINES,
)
FEATURES = (
    *(f"features={text}" for text in NUMBERS if text not in ("1/2", "1,2")),
    *(f"features=0&features={text}" for text in ("-1", "x", NINES[3])),
    *(
        f"features={text}"
        for text in ("0,-1", "0,x", "0;1", "1,,٣", "0,9999", "0," * 5000 + "0", "%20", "0,%00")
    ),
)
LOOKS = (
    *(
        f"opacity={text}"
        for text in words("-1 2 nan inf -inf x 1e999 1e-999 0x1 1_0 ٣ %00 0.5%0a [] 1,0 . 1.0.0")
    ),
    *(f"opacity={text}" for text in ("", NINES[4], "0." + "1" * 5000)),
    *(f"combine={text}" for text in words("product __class__ %00 mean%00 MEAN mean,max %ff " + "x" * 5000)),
    *(f"colours={text}" for text in words("none __dict__ ../turbo turbo%00 TURBO %ff " + "x" * 5000)),
    *(
        f"mask={text}"
        for text in words("both core,x __init__ %00 ../core core%00 CORE " + "core," * 2000 + "x")
    ),
    *(f"side={text}" for text in words("x -1 1e3 0x10 ٣ ² 1.5 %00 %205 1_0 [] inf")),
    *("combine=", "colours=", "side=", *(f"side={text}" for text in NINES[1:])),
)
POINTS = {"kind": "pca", "by": "activation", "feature": "0", "theme": "light", "where": ""}
WHERE = (
    *words(
        """
    = x x= =x nothere=1 q_score=..x fires=-1 fires=x fires=1e3 label=nothere @nothere @../demo @
        """
    ),
    *words(
        """
    confusion=a confusion=a>b>c correct=7 {} [1] __class__=1 images=1 ranges=1 " "" \\ label= split=x
        """
    ),
    *("q_score=1e999..2", "q_score=2..1", "\0", "split=\0", "label=a label=b", "@demo @demo"),
    *('"' * 999, "a=1 a=2 " * 2000, "label=" + "x," * 9000, *(f"fires={text}" for text in NINES)),
)
CHANGED = (
    *(("kind", text) for text in words("x tsne ../pca pca%00 __class__ PCA umap %ff " + "x" * 5000)),
    *(
        ("by", text)
        for text in words("x image_id%00 __class__ ../label activation%00 image_id %ff " + "x" * 5000)
    ),
    *(("theme", text) for text in words("x __class__ light%00 ../dark LIGHT paper %ff " + "x" * 5000)),
    *(("feature", text) for text in NUMBERS),
    *((name, "") for name in ("kind", "by", "theme", "feature")),
    *(("where", quote(text)) for text in WHERE),
)
FILES = (
    *words(
        """
    nothere.csv images images. .csv csv images.txt images.CSV images.csv.gz images.csv%00 images%00.csv
    ..csv ...csv ../images.csv ..%2fimages.csv %2e%2e%2fimages.csv ..%5cimages.csv manifest.json
    slices.json log.txt representations.csv thumbnails.parquet thumbnails.csv __class__.csv
    images.parquet.csv %ff.csv é.csv *.csv %20.csv images.csv;a images.csv%0d%0aX:1 images%20.csv
    %20images.csv IMAGES.csv images.csv/x neighbours.npy ../../secret.txt ..%2f..%2fsecret.txt
        """
    ),
    *("x" * 300 + ".csv", "x" * 5000 + ".csv"),
)
QUERY = "kind=pca&by=label&theme=light&where="
ADDRESSES = (
    *(f"/thumb/{name}/0" for name in NAMES),
    *(f"/{route}/{name}/0" for route in ("image", "overlay") for name in NAMES[::3]),
    *(f"/points/{name}?{QUERY}" for name in NAMES[::2]),
    *(f"/table/{name}/images.csv" for name in NAMES[1::2]),
    *(f"/{route}/seen/{text}" for route in ("thumb", "image", "overlay") for text in NUMBERS),
    *(f"/overlay/seen/0?{query}" for query in (*FEATURES, *LOOKS)),
    *("/points/seen?" + "&".join(f"{k}={v}" for k, v in (POINTS | dict([one])).items()) for one in CHANGED),
    *("/points/seen", "/points/seen?kind=pca", "/points/seen?" + "x=1&" * 2000, "/table/seen", "/thumb/seen"),
    *(f"/table/seen/{file}" for file in FILES),
)
# What reads like an attack, and is an ordinary address with a part that nobody asks for.
ORDINARY = (
    *("/thumb/seen/0?v=../../etc", "/overlay/seen/0?nothing=%00", "/plotly.js?v=<script>"),
    *("/thumb/seen/0?" + "v=1&" * 900, f"/points/seen?{QUERY}", "/table/seen/images.csv", "/image/seen/0"),
)
Ask = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture(scope="module")
def ask(seen_study: Path, full_study: Path, tmp_path_factory: pytest.TempPathFactory):
    """Ask the routes behind the guard, over two studies beside files that are nobody's business.

    An address arrives as it is written: a client would tidy it up before.
    """
    place: Path = tmp_path_factory.mktemp("hostile")
    (place / "secret.txt").write_text(SECRET)
    folder = place / "studies"
    shutil.copytree(seen_study, folder / "seen")
    shutil.copytree(full_study, folder / "demo")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "secret").mkdir()
    shutil.copytree(full_study, folder / ".hidden" / "demo")
    shutil.copytree(full_study, folder / "leads_out")
    (folder / "leads_out" / "images.parquet").unlink()
    (folder / "leads_out" / "images.parquet").symlink_to(full_study / "images.parquet")
    rules = Rules(hosts_of((), ()), None, headers.common_headers("default-src 'self'"))
    guarded = Guard(Starlette(routes=ROUTES), lambda: rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_STUDIES", str(folder))
        yield lambda address, method="GET", **given: run_apart(_answer(guarded, address, method, **given))


async def _answer(app: Guard, address: str, method: str, **given: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body, as an ASGI server passes them on."""
    path, _, query = quote(address, safe=SENT_AS_THEY_ARE).partition("?")
    named = {"host": "localhost:8501", **given}
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "server": ("127.0.0.1", 8501),
        "client": ("127.0.0.1", 9),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    sent: list[dict] = []
    waiting = [{"type": "http.request", "body": b""}]

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, body.decode("utf-8", "replace")


def test_corpus__is_large_and_says_nothing_twice():
    assert len(ADDRESSES) >= 300
    assert [address for address, n in Counter(ADDRESSES).items() if n > 1] == []


@pytest.mark.parametrize("route", ["thumb", "image", "overlay", "points", "table"])
def test_hostile_addresses__are_refused_in_one_line(ask: Ask, route: str):
    asked = [address for address in ADDRESSES if address.startswith(f"/{route}/")]
    assert len(asked) > 30
    found = {f"{address[:60]} ({len(address)})": wrong_with(ask, address) for address in asked}
    assert {address: wrong for address, wrong in found.items() if wrong} == {}


def wrong_with(ask: Ask, address: str) -> list[object]:
    """What is wrong with the refusal of a hostile address."""
    begun = time.perf_counter()
    status, given, text = ask(address)
    seconds = time.perf_counter() - begun
    wrong: list[object] = [mark for mark in MARKS if mark in text]
    wrong += [] if seconds < SECONDS else [f"{seconds:.1f} s"]
    wrong += [] if 400 <= status < 500 else [status, text]
    safe = given["content-security-policy"] and given["x-content-type-options"] == "nosniff"
    wrong += [] if safe and "x-evil" not in given else [given]
    return wrong + ([] if len(text) < 1100 and text.count("\n") <= 1 else [text])


def test_ordinary_addresses__are_answered(ask: Ask):
    """And an answer that is no refusal is found wrong."""
    assert {address: ask(address)[0] for address in ORDINARY} == dict.fromkeys(ORDINARY, 200)
    assert all(wrong_with(ask, address) for address in ORDINARY)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/thumb/seen/0", "/table/seen/images.csv", "/points/seen", "/plotly.js"])
def test_other_methods__are_refused(ask: Ask, method: str, path: str):
    assert ask(path, method)[0] == 403
    assert ask(path, method, origin="http://localhost:8501")[0] == 405


def test_manifest_full_of_odd_names__opens_nothing(ask: Ask, tmp_path, seen_study, monkeypatch):
    """A study may call its tables what it likes: only files of its own folder are sent."""
    odd = shutil.copytree(seen_study, tmp_path / "studies" / "odd")
    shutil.copy(seen_study / "images.parquet", tmp_path / "studies" / "outside.parquet")
    manifest = read_manifest(odd)
    outside = str(tmp_path / "studies" / "outside")
    for name in ("../outside", outside, "x/../../outside"):
        manifest["items"][name] = manifest["items"]["images"]
    write_manifest(odd, manifest)  # its checksum is right
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "studies"))
    for name in ("../outside", "..%2foutside", outside, quote(outside, safe=""), "x%2f..%2f..%2foutside"):
        status, _, text = ask(f"/table/odd/{name}.csv")
        assert status == 404 and "label" not in text, name
