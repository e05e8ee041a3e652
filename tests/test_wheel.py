"""The installable package: built, installed into an empty environment, and used from a hostile folder.

The environment sees the packages that Peregrine needs, but not this checkout: every process in it refuses to
open a file of the checkout and reports the attempt. The working directory holds a package called `core`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_string
from importlib.util import find_spec
from pathlib import Path

import pytest

from core.cli.dashboard import STUDIES
from core.cli.parser import build_parser
from tests.browser.harness import free_port

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {"core": "core", "dashboard": "dashboard", "assets": "core/_assets", "configs": "core/_configs"}
NOT_NEEDED = {"pytest", "tensorboard", "umap-learn"}
PATIENCE = 400  # seconds; the machine may be busy
SMALL_WORLD = "glyphworld?train=60&val=20"
# Put into the environment as sitecustomize.py: Python runs it before anything else.
WATCH = """
import os, sys
ROOT, REPORT, ALLOWED = {root!r}, {report!r}, {allowed!r}
def watch(event, args):
    if event not in ("open", "os.listdir", "os.scandir") or not isinstance(args[0], str):
        return
    path = os.path.abspath(args[0])
    if path.startswith(ROOT + os.sep) and not (path + os.sep).startswith(ALLOWED):
        descriptor = os.open(REPORT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, (path + "\\n").encode())
        os.close(descriptor)
        raise PermissionError("of the checkout: " + path)
sys.addaudithook(watch)
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


WITH_A_STUDY = pytest.mark.exhaustive("the wheel holds every file; tests/dashboard/server serves them")


@dataclass(frozen=True)
class Installed:
    """An environment with the package, the folder to work in, and the report of what it must not open."""

    folder: Path
    work: Path
    report: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def variables(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PEREGRINE", "PYTHON"))
        }
        return kept | {"PEREGRINE_STATE": str(self.folder / "state")}

    def run(self, *command: object) -> str:
        """Run a command of the environment in the folder to work in; gives what it prints."""
        words = [str(self.folder / "bin" / str(command[0])), *map(str, command[1:])]
        done = subprocess.run(
            words, cwd=self.work, env=self.variables, capture_output=True, text=True, timeout=PATIENCE * 2
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def peregrine(self, *words: object) -> str:
        return self.run("peregrine", *words)


def instructions(kind: str) -> list[list[str]]:
    """The words of every instruction of a kind in the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [words for kind_of_line, *words in lines if kind_of_line == kind]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made from what the Dockerfile copies of the checkout, unpacked."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    for words in instructions("COPY"):
        for name in [] if words[0].startswith("--from") else words[:-1]:
            assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines()
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, copy / words[-1], ignore=ignored, symlinks=True)
            else:
                shutil.copy(ROOT / name, copy / words[-1])
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(out)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(out, filter="data")
    return next(path for path in out.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, by the user's command; without network where the build tools are here."""
    out = tmp_path_factory.mktemp("wheel")
    offline = ("--no-build-isolation", "--no-index") if _has_build_tools() else ()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *offline, "-w", str(out), "."]
    stale = tree / "build" / "lib" / "core" / "stale.py"  # of an earlier build of another version
    stale.parent.mkdir(parents=True)
    stale.touch()
    subprocess.run(command, cwd=tree, check=True)
    (file,) = out.glob("*.whl")
    return file


def _has_build_tools() -> bool:
    import setuptools

    return int(setuptools.__version__.partition(".")[0]) >= 77


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """An environment of its own; what its processes opened of the checkout is looked at when all is done."""
    folder, work, report = (tmp_path_factory.mktemp(name) for name in ("env", "work", "r"))
    there = Installed(folder, work, report / "opened")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(there.folder)], check=True)
    packages = next(there.folder.glob("lib/python*/site-packages"))
    outer = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    assert outer
    (packages / "outer.pth").write_text("\n".join(outer) + "\n")  # its own .pth files are not followed
    target = ["--python", str(there.python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    apart = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }  # it may name the checkout
    subprocess.run([sys.executable, "-m", "pip", *target], check=True, env=apart)
    allowed = tuple(f"{os.path.abspath(path)}{os.sep}" for path in outer)
    watch = WATCH.format(root=str(ROOT), report=str(there.report), allowed=allowed)
    (packages / "sitecustomize.py").write_text(watch)
    (there.work / "core").mkdir()
    (there.work / "core" / "__init__.py").write_text("raise RuntimeError('the core of somebody else')\n")
    yield there
    assert not there.report.exists(), there.report.read_text()


@pytest.fixture(scope="module")
def study(installed: Installed) -> str:
    """A study of the small world, made by the installed package with the shipped encoder, CLIP and captions.

    One process runs every command: each would load torch.
    """
    path, out = "studies/small", "words.csv"
    captions = ("--captions", "glyphworld?n=400")  # CLIP reads the usual 30,000 in half a minute
    commands = (
        ("analyze", path, "--images", SMALL_WORLD, "--encoder", "asset:simclr_glyphworld", *captions),
        ("concepts", path, *captions, "--k", "1"),  # 20 images are too few for the usual 16
        ("info", path, "--json"),
        ("export", path, "captions", "-o", out),
        ("verify", path),
    )
    code = f"from core.cli import main\nassert [main(words) for words in {commands!r}] == 5 * [0]"
    said = installed.run("python", "-P", "-c", code)
    about, _ = json.JSONDecoder().raw_decode(said[said.index("\n{") + 1 :])
    assert about["n_images"] == 80 and about["n_features"] == 512
    assert len((installed.work / out).read_text().splitlines()) > 5
    return path


def test_wheel__holds_every_file_of_the_packages_and_nothing_else(wheel: Path):
    listed = {
        f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, target in SHIPPED.items()
        for place, _, files in os.walk(ROOT / folder, followlinks=True)  # dashboard/.streamlit is a link
        for path in map(Path(place).joinpath, files)
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == listed
    endings = {Path(name).suffix for name in names}
    assert {".py", ".js", ".css", ".svg", ".html", ".toml", ".typed", ".safetensors", ".webp"} <= endings


def test_dockerfile__installs_extras_that_there_are_and_serves_to_other_machines(wheel: Path):
    (pip,) = [" ".join(words) for words in instructions("RUN") if "install" in words and "pip" in words]
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        extras = message_from_string(file.read(name).decode()).get_all("Provides-Extra", [])
    taken = re.findall(r"\[([a-z,]+)\]", pip)[0].split(",")
    assert set(taken) <= set(extras) and "mcp" in taken
    command = [json.loads(" ".join(words)) for kind in ("ENTRYPOINT", "CMD") for words in instructions(kind)]
    assert command[0] == ["peregrine"]
    given = build_parser().parse_args(command[1])
    assert (given.host, given.port) == ("0.0.0.0", int(instructions("EXPOSE")[0][0]))
    assert dict(word.split("=") for word in instructions("ENV")[0])[STUDIES] == instructions("VOLUME")[0][0]
    assert instructions("USER") == [["peregrine"]]


def test_wheel__needs_what_requirements_txt_lists_but_no_test_tools(wheel: Path):
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        about = message_from_string(file.read(name).decode())
    needed = [line for line in about.get_all("Requires-Dist", []) if ";" not in line]
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1].isalpha()]
    wanted = [line for line in lines if re.split(r"[<>=\[]", line)[0] not in NOT_NEEDED]
    assert len(lines) - len(wanted) == len(NOT_NEEDED)
    assert {_parts(line) for line in needed} == {_parts(line) for line in wanted}
    assert {"tensorboard", "umap", "heic", "tiff", "mcp", "s3", "dev"} == set(
        about.get_all("Provides-Extra", [])
    )
    assert any(
        line.startswith("tensorboard") and 'extra == "tensorboard"' in line
        for line in about.get_all("Requires-Dist", [])
    )
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited and about["Version"] == cited[1]


def _parts(line: str) -> tuple[str, frozenset[str]]:
    """A requirement's name and bounds, whatever their order."""
    name = re.match(r"[\w.-]+(\[[\w,]+\])?", line)
    assert name
    return name[0], frozenset(line[name.end() :].replace(" ", "").split(","))


def test_watch__reports_what_is_opened_of_the_checkout(installed: Installed):
    code = f"open({str(ROOT / 'README.md')!r})"
    done = subprocess.run(
        [installed.python, "-c", code], env=installed.variables, capture_output=True, text=True
    )
    assert "PermissionError: of the checkout" in done.stderr
    assert installed.report.read_text() == f"{ROOT / 'README.md'}\n"
    installed.report.unlink()


def test_commands__answer_from_any_folder(installed: Installed):
    said = installed.peregrine("--help")
    assert "dashboard" in said and "peregrine analyze " in said
    code = (
        "import json, core, dashboard; from core.common.assets import assets_folder, version\n"
        "print(json.dumps([core.__file__, dashboard.__file__, str(assets_folder()), version()]))"
    )
    *paths, version = json.loads(installed.run("python", "-P", "-c", code))
    assert all(Path(path).is_relative_to(installed.folder) for path in paths)
    assert re.search(rf'^version = "{re.escape(version)}"$', (ROOT / "pyproject.toml").read_text(), re.M)


def test_messages__name_the_command_that_is_installed(installed: Installed):
    code = "from core.store import open_study; open_study('studies/none')"
    done = subprocess.run(
        [installed.python, "-P", "-c", code],
        cwd=installed.work,
        env=installed.variables,
        capture_output=True,
        text=True,
    )
    assert "peregrine analyze studies/none" in done.stderr


@WITH_A_STUDY
def test_job__of_the_dashboard_runs_beside_a_foreign_core(installed: Installed, study: str):
    code = f"""
import time
from pathlib import Path
from core.study.commands import RunStep
from core.study.jobs import read_job
from core.study.runner import start_job
start_job(RunStep("neighbours", Path({study!r}), redo=True), folder={study!r})
while read_job({study!r}).running:
    time.sleep(0.2)
print(read_job({study!r}).state)
"""
    assert installed.run("python", "-P", "-c", code).strip() == "done"


@WITH_A_STUDY
def test_dashboard__serves_its_first_page_pictures_and_scripts(installed: Installed, study: str):
    gallery = next(installed.folder.glob("lib/python*/site-packages/dashboard/components/gallery.js"))
    with served(installed) as url:
        with urllib.request.urlopen(f"{url}/", timeout=60) as answer:
            assert answer.status == 200 and b"<html" in answer.read()
        with urllib.request.urlopen(f"{url}/thumb/small/0", timeout=60) as answer:
            assert answer.headers["content-type"] == "image/jpeg"
        messages = page_messages(url, "images")
    assert any(_theme(message) == "#2B5D8C" for message in messages)
    scripts = [message.SerializeToString() for message in messages]
    assert any(gallery.read_bytes() in script for script in scripts)


@contextmanager
def served(installed: Installed) -> Iterator[str]:
    port = free_port()
    words = ["dashboard", "--studies", "studies", "--port", str(port)]
    log = installed.work / "server.txt"
    with log.open("w") as file:
        server = subprocess.Popen(
            [installed.folder / "bin" / "peregrine", *words],
            cwd=installed.work,
            env=installed.variables,
            stdout=file,
            stderr=file,
        )
    url, deadline = f"http://localhost:{port}", time.monotonic() + PATIENCE
    try:
        while True:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        assert f"Peregrine: {url}" in log.read_text()
        yield url
    finally:
        server.send_signal(signal.SIGTERM)  # reaches the server itself: the command was replaced by it
        server.wait(timeout=60)
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{url}/_stcore/health", timeout=5)


def page_messages(url: str, page: str) -> list:
    """What the server sends to a browser that opens a page, until the page is complete."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    messages = []
    address = url.replace("http://", "ws://") + "/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], origin=url, max_size=None) as socket:  # type: ignore
        asked = BackMsg()
        asked.rerun_script.page_name = page
        asked.rerun_script.query_string = "study=small"
        socket.send(asked.SerializeToString())
        while not messages or messages[-1].WhichOneof("type") != "script_finished":
            data = socket.recv(timeout=PATIENCE)
            assert isinstance(data, bytes)
            messages.append(ForwardMsg.FromString(data))
    return messages


def _theme(message) -> str:
    return message.new_session.custom_theme.light.primary_color if message.HasField("new_session") else ""


def test_build__is_offline_where_the_tools_are_installed():
    """CI installs requirements-dev.txt, so the wheel is built there without asking a package index."""
    assert find_spec("setuptools") is not None and _has_build_tools()
