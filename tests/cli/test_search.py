"""The command `fetch clip` against a server on this machine that stands for the hub: HF_ENDPOINT names it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.cli import main
from core.concepts.photograph_clips import PHOTOGRAPH_CLIPS

REPOSITORY, FILE = "peregrine/tiny", "open_clip_model.safetensors"
WEIGHTS = bytes(range(256)) * 98_304  # 24 MiB, more than two of the parts in which they are written
# The command as it is, with one more row in the table and in open_clip's own.
COMMAND = f"""
import sys
from open_clip import pretrained
pretrained._PRETRAINED["tiny"] = {{"weights": {{"hf_hub": "{REPOSITORY}/"}}}}
from core.concepts import photograph_clips as table
table.PHOTOGRAPH_CLIPS += (table.PhotographClip("tiny@weights", 2, "MIT", "nothing"),)
from core.cli import main
sys.exit(main(["fetch", "clip", "tiny@weights"]))
"""


class Hub(BaseHTTPRequestHandler):
    """The two requests of a download, as huggingface.co answers them; `breaks` of them end early: the first
    half-way, others at once.
    """

    breaks = 0
    asked: list[tuple[str, str, str]] = []
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(WEIGHTS)

    def _answer(self, body: bytes) -> None:
        kind, span = type(self), self.headers.get("Range", "")
        kind.asked.append((self.command, self.path, span))
        start = int(span.removeprefix("bytes=").split("-")[0] or 0) if span else 0
        if not self.path.endswith(FILE):
            self.send_response(404 if "resolve" in self.path else 200)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(WEIGHTS) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(WEIGHTS) - 1}/{len(WEIGHTS)}")
        self.send_header("ETag", f'"{hashlib.sha256(WEIGHTS).hexdigest()}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if body and kind.breaks:
            kind.breaks -= 1
            self.wfile.write(body[: 0 if start else len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(body[start:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub():
    Hub.breaks, Hub.asked = 0, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    own = {"HF_ENDPOINT": address, "HF_HOME": str(folder), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    environment = os.environ | own | {"HF_HUB_CACHE": str(folder / "hub"), "no_proxy": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True, timeout=240
    )


def n_times_sent() -> int:
    return sum(method == "GET" and path.endswith(FILE) for method, path, _ in Hub.asked)


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob(FILE)]


@pytest.mark.slow
def test_fetch__gets_the_weights_into_the_cache_and_finds_them_there(hub, tmp_path):
    first = fetched(tmp_path, hub)
    assert first.returncode == 0, first.stderr
    assert files(tmp_path) == [WEIGHTS]
    assert str(next(tmp_path.rglob(FILE))) in first.stdout
    n_sent = n_times_sent()
    again = fetched(tmp_path, hub)
    assert again.returncode == 0 and "was here already" in again.stdout
    assert n_times_sent() == n_sent == 1


@pytest.mark.slow
def test_fetch__takes_a_broken_connection_up_again_where_it_ended(hub, tmp_path):
    Hub.breaks = 1
    broken = fetched(tmp_path, hub)
    assert broken.returncode == 0 and files(tmp_path) == [WEIGHTS]
    (span,) = [span for method, _, span in Hub.asked if method == "GET" and span]
    assert 0 < int(span.removeprefix("bytes=").removesuffix("-")) <= len(WEIGHTS) // 2


@pytest.mark.slow
def test_fetch__that_fails_says_so_in_a_line_and_leaves_nothing_half(hub, tmp_path):
    Hub.breaks = 1_000
    broken = fetched(tmp_path, hub)
    assert broken.returncode == 2 and files(tmp_path) == []
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > len(WEIGHTS) // 4
    ]
    (line,) = [one for one in broken.stderr.splitlines() if one.startswith("error: ")]
    assert "tiny@weights" in line and "again" in line


@pytest.mark.slow
def test_fetch__without_a_network_says_what_to_do(tmp_path):
    out_of_reach = fetched(tmp_path, "http://127.0.0.1:9")
    assert out_of_reach.returncode == 2 and files(tmp_path) == []
    (line,) = [one for one in out_of_reach.stderr.splitlines() if one.startswith("error: ")]
    assert "out of reach" in line and "--clip" in line


def test_fetch__lists_what_there_is_and_refuses_what_there_is_not(capsys):
    assert main(["fetch", "clip"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [one.name for one in PHOTOGRAPH_CLIPS]
    assert main(["fetch", "clip", "ViT-B-32@opnai"]) == 2
    assert "Did you mean 'ViT-B-32@openai'?" in capsys.readouterr().err


@pytest.mark.slow
def test_table__has_tags_of_open_clip_with_the_sizes_of_their_weights():
    import torch
    from open_clip import get_model_config, list_pretrained_tags_by_model

    from core.concepts.clip import build_model

    for one in PHOTOGRAPH_CLIPS:
        model, _, tag = one.name.partition("@")
        assert tag in list_pretrained_tags_by_model(model)
        with torch.device("meta"):
            network = build_model(get_model_config(model) or {})
        megabytes = sum(tensor.numel() for tensor in network.parameters()) * 4 / 1e6
        assert abs(one.megabytes - megabytes) < 1
