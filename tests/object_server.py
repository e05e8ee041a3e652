"""Real object servers for tests: files of a folder over HTTP, with the faults of stores; and one of S3."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

SECRET = "Wb7verysecret"  # the password of the S3 server


class ObjectServer(ThreadingHTTPServer):
    """Serves `root`; every field may be changed while it runs.

    Attributes:
        delay: seconds before each answer.
        broken: answers that still fail, with `status`; `cut`: answers of objects that still stop half way.
        only: faults and counts are those of requests whose path holds this text.
        knows_ranges: False sends whole objects always.
        requests: "METHOD path" of each.
    """

    daemon_threads = True
    request_queue_size = 128
    delay, broken, status, cut, only, knows_ranges = 0.0, 0, 503, 0, "", True

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root, self.requests, self.lock = root, list[str](), threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ObjectServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server, path = self.server, unquote(self.path)
        concerned = server.only in path
        with server.lock:
            server.requests.append(f"{self.command} {path}")
            fails = concerned and server.broken > 0
            server.broken -= fails
        time.sleep(server.delay)
        file = server.root / path.strip("/")
        if fails:
            self._answer(server.status, b"<Error>secret detail</Error>")
        elif file.is_dir():
            names = sorted(f"{one.name}/" if one.is_dir() else one.name for one in file.iterdir())
            links = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names)
            self._answer(200, links.encode(), {"Content-Type": "text/html"})
        elif file.is_file():
            self._object(file, concerned)
        else:
            self._answer(404, b"not here")

    def _object(self, file: Path, concerned: bool) -> None:
        state, data, status, headers = file.stat(), file.read_bytes(), 200, dict[str, str]()
        headers = {"ETag": f'"{state.st_mtime_ns}-{state.st_size}"', "Content-Type": "image/any"}
        if self.server.knows_ranges:
            headers["Accept-Ranges"] = "bytes"
            if asked := self.headers["Range"]:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                end = min(int(last) + 1 if last else len(data), len(data))
                headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
                data, status = data[int(first) : end], 206
        with self.server.lock:
            cut = concerned and self.command == "GET" and self.server.cut > 0
            self.server.cut -= cut
        self._answer(status, data, headers, sent=len(data) // 2 if cut else len(data))

    def _answer(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            if self.command == "GET":
                self.wfile.write(data[:sent])
        self.close_connection = sent is not None and sent < len(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def object_server(root: Path) -> Iterator[ObjectServer]:
    """Serve a folder until the block ends."""
    with ObjectServer(root) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Run an S3 server (moto's) with an empty `bucket` until the block ends; yields the environment that
    reaches it.
    """
    from moto.server import ThreadedMotoServer

    _held().reset()  # what an earlier one of this process held
    _held()["aws"].create_bucket("bucket", "us-east-1")
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    endpoint = "http://{}:{}".format(*store.get_host_and_port())
    yield {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    store.stop()


def _held() -> Any:
    """Return what the S3 server of this process holds."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    return s3_backends[DEFAULT_ACCOUNT_ID]


def s3_client() -> Any:
    """Return a client of the server that the environment names, which remembers nothing."""
    import s3fs

    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


def upload(folder: Path, address: str) -> None:
    """Put a folder with all that it holds to an address, without a request for each file."""
    bucket, _, top = address.removeprefix("s3://").partition("/")
    for file in filter(Path.is_file, folder.rglob("*")):
        _held()["aws"].put_object(bucket, f"{top}/{file.relative_to(folder).as_posix()}", file.read_bytes())
