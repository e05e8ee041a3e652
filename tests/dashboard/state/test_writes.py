"""A guest changes nothing: every function that writes, by hand and through the socket of a real server."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from urllib.parse import urlencode

import pytest

from core.charts import kept_figures
from core.cli import main
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from core.study import trace_changes, write_access
from core.study.jobs import read_job
from dashboard.jobs import launcher
from dashboard.server.guard import FORM
from tests.browser.harness import free_port
from tests.dashboard.server.test_server import ask
from tests.dashboard.state.session import Session, buttons, codes, session, texts
from tests.dashboard.state.writes import FIGURE, WRITES, attempt
from tests.synthetic import make_study

ROOT = Path(__file__).parents[3]
TOKEN, GUEST = "correct horse battery staple", "only looks at everything here"
# Modules whose functions write; those that the dashboard takes of them and that only read.
MODULES = (
    *("core.study.trace_changes", "core.study.label_decisions", "core.measures.saved_slices"),
    "core.study.shared_decisions",
    *("core.study.study_folders", "core.charts.kept_figures", "core.study.uploads", "core.study.runner"),
    *("dashboard.jobs.launcher", "dashboard.jobs.dropped_images", "dashboard.state.my_figures"),
)
READING = {
    *("uploads.check_picture", "uploads.wait_for_page", "uploads.uploads_folder", "uploads.clean"),
    *(
        "saved_slices.texts",
        "saved_slices.stamp",
        "label_decisions.decision_on",
        "label_decisions.corrected_label",
    ),
    *(
        "label_decisions.corrected_labels",
        "label_decisions.decisions",
        "label_decisions.holds_corrections",
        "label_decisions.label_words",
        "label_decisions.with_decisions",
    ),
    *("shared_decisions.shared_sentence", "shared_decisions.take_over_label", "shared_decisions.taken_over"),
    "shared_decisions.shared_decisions",
    *(
        "kept_figures.read_figures",
        "kept_figures.count_figures",
        "kept_figures.kept_figure",
        "kept_figures.shortened_caption",
    ),
    *("my_figures.figures", "my_figures.count", "my_figures.name", "my_figures.take_back"),
    *("my_figures.remove", "my_figures.set_caption", "my_figures.move"),  # by those of kept_figures
    *("launcher.refusal", "launcher.folder_of", "launcher.all_jobs", "launcher.can_stop", "launcher.home"),
    *("launcher.resume_command", "launcher.offered", "launcher.can_remove", "launcher.of_earlier_versions"),
    *("runner.remembered", "runner.command_to_resume"),
}
WRITING_CALLS = {
    *("write_text", "write_bytes", "mkdir", "unlink", "rmtree", "touch", "symlink_to", "Popen"),
    *("replace_text", "write_record", "replacing", "complete_file"),
}
# Modules of the dashboard that write themselves, and how a guest is kept from it.
WRITING_MODULES = {
    "dashboard/jobs/launcher.py": "asks first",
    "dashboard/jobs/dropped_images.py": "asks first",
    "dashboard/state/my_figures.py": "asks first",
    "dashboard/jobs/opened_ahead.py": "the server's own notes of what it opened",
}


def digest(*folders: Path) -> dict[str, str]:
    """Every file below some folders with what it holds, but for locks and what a server notes of itself."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    own = (".lock", "opened_ahead")
    found = [file for file in files if not any(part in str(file) for part in own)]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with studies that have slices, a view and figures, and everything else that is written."""
    make_study(tmp_path / "studies" / "demo", n_train=40, n_val=20)
    study = open_study(tmp_path / "studies" / "demo")
    saved_slices.save(study.path, "kept", Slice(labels=(next(iter(study.class_names)),)))
    trace_changes.save_view(study, "kept view", "images")
    kept_figures.add_figure(study.path.parent / "figures", FIGURE)
    for name in ("state", "temporary"):
        (tmp_path / name).mkdir()
    planted = tmp_path / "temporary" / f"peregrine-uploads-{os.getuid()}" / "planted"
    planted.mkdir(parents=True)
    (planted / "result.json").write_text("{}")
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("PEREGRINE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_access, "_is_guest", lambda: True)


@pytest.mark.parametrize("name", WRITES)
def test_every_write__is_refused_to_a_guest(name: str, home: Path, guest: None):
    before = digest(home)
    assert write_access.READ_ONLY in attempt(name, open_study(home / "studies" / "demo"))
    assert digest(home) == before


def test_writes__are_done_for_others(home: Path):
    study = open_study(home / "studies" / "demo")
    for name in (
        "trace_changes.set_note",
        "saved_slices.delete",
        "kept_figures.remove_figure",
        "label_decisions.decide_label",
    ):
        before = digest(home)
        assert attempt(name, study).startswith("done")
        assert digest(home) != before


def functions_taken(file: Path) -> set[str]:
    """The functions of MODULES that a file of the dashboard imports or calls, as "module.function"."""
    taken, aliases = set(), {}
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    for node in (one for one in nodes if isinstance(one, ast.ImportFrom)):
        for name in node.names:
            if f"{node.module}.{name.name}" in MODULES:
                aliases[name.asname or name.name] = f"{node.module}.{name.name}"
            elif node.module in MODULES:
                taken.add((node.module, name.name))
    for node in (one for one in nodes if isinstance(one, ast.Attribute)):
        if isinstance(node.value, ast.Name) and node.value.id in aliases:
            taken.add((aliases[node.value.id], node.attr))
    real = [(module, name) for module, name in taken if isfunction(getattr(import_module(module), name))]
    return {f"{module.rpartition('.')[2]}.{name}" for module, name in real}


def test_list_of_writes__holds_all_that_the_dashboard_calls():
    called = set().union(*(functions_taken(file) for file in (ROOT / "dashboard").rglob("*.py")))
    assert called - set(WRITES) - READING == set()
    assert "trace_changes.set_note" in called  # it finds some


def test_no_other_module_of_the_dashboard_writes_itself():
    writing = set()
    for file in (ROOT / "dashboard").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in WRITING_CALLS:
                writing.add(file.relative_to(ROOT).as_posix())
    assert writing == set(WRITING_MODULES)


@contextmanager
def served(home: Path, *, token: str = TOKEN) -> Iterator[str]:
    """The page with a button for each write, behind the guard; without a token, for this machine alone."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(Path(__file__).with_name("writing_app.py"))]
    variables = {"PEREGRINE_TOKEN": token, "PEREGRINE_GUEST_TOKEN": GUEST if token else ""}
    variables["PYTHONPATH"] = str(ROOT)
    flags = ["--server.port", str(port)]
    with (home / "said.log").open("w") as said:
        server = subprocess.Popen(
            [*command, *flags], cwd=ROOT, env=os.environ | variables, stdout=said, stderr=said
        )
        try:
            url, deadline = f"http://localhost:{port}", time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    assert ask(url, "/").status == (401 if token else 200)
                    break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=20)


def outcome(of: Session, button: str) -> str:
    return "".join(texts(of.run(button)))


@pytest.mark.slow
def test_guest__presses_every_button_of_a_page_that_hides_none(home: Path):
    with served(home) as url, session(url, Authorization=f"Bearer {GUEST}") as guest:
        ids = buttons(guest.run())
        assert set(ids) == set(WRITES)
        before = digest(home / "studies", home / "state", home / "temporary")
        for name, button in ids.items():
            assert write_access.READ_ONLY in outcome(guest, button), name
        assert digest(home / "studies", home / "state", home / "temporary") == before
        with session(url, Authorization=f"Bearer {TOKEN}") as owner:
            ids = buttons(owner.run())
            assert outcome(owner, ids["trace_changes.set_note"]).startswith("done")
            # Who takes over a session of full access by its id gets one of their own.
            with session(url, existing=owner.id, Authorization=f"Bearer {GUEST}") as thief:
                assert write_access.READ_ONLY in outcome(
                    thief, buttons(thief.run())["trace_changes.save_view"]
                )
                assert thief.id not in ("", owner.id)
            assert outcome(owner, ids["trace_changes.save_view"]).startswith("done")  # it has lost nothing


@pytest.mark.slow
def test_link__of_a_server_without_a_token_makes_a_guest_of_whoever_opens_it(home: Path):
    """Its owner copies it from the page; the pass of the browser that follows it holds everywhere."""
    with served(home, token="") as url, session(url) as owner:
        drawn = owner.run()
        (link,) = codes(drawn)
        at, _, page = link.partition("/?enter#")
        token, _, query = page.partition("&")
        assert (at, query) == (url, "study=demo") and len(token) > 30
        form = {"Content-Type": FORM, "Origin": url, "Accept": "text/html"}
        opened = ask(url, f"/?{query}", "POST", urlencode({"token": token}), **form)
        assert (opened.status, opened.headers["location"]) == (303, "?study=demo")
        cookie = {"Cookie": opened.headers["set-cookie"].partition(";")[0]}
        before = digest(home / "studies", home / "state", home / "temporary")
        for headers in (cookie, {"Authorization": f"Bearer {token}"}):
            assert ask(url, "/_stcore/upload_file/s/f", "PUT", "x", Origin=url, **headers).status == 403
            with session(url, **headers) as guest, session(url, existing=owner.id, **headers) as thief:
                drawn = guest.run()
                assert codes(drawn) == [""]  # nobody hands on what was not given to them
                for name, button in buttons(drawn).items():
                    assert write_access.READ_ONLY in outcome(guest, button), name
                thief.run()
                assert write_access.READ_ONLY in outcome(thief, buttons(drawn)["launcher.start"])
                assert thief.id != owner.id
        assert digest(home / "studies", home / "state", home / "temporary") == before
        assert outcome(owner, buttons(drawn)["trace_changes.set_note"]).startswith("done")
        assert token.encode() not in (home / "said.log").read_bytes()


def as_browser(name: str, token: str = TOKEN) -> dict[str, str]:
    """The headers of a browser that has brought a token; `name` is its secret."""
    return {"Authorization": f"Bearer {token}", "Cookie": f"peregrine_PORT_browser={name * 20}"}


@pytest.mark.slow
def test_job__is_cancelled_by_the_browser_that_began_it_and_by_a_terminal(home: Path, monkeypatch):
    def browser(url: str, name: str, token: str = TOKEN):
        port = url.rpartition(":")[2]
        headers = as_browser(name, token)
        return session(url, **(headers | {"Cookie": headers["Cookie"].replace("PORT", port)}))

    study = home / "studies" / "demo"
    with served(home) as url, browser(url, "a") as first, browser(url, "b") as other:
        ids = buttons(first.run())
        other.run()
        for end in ("browser", "terminal"):
            assert outcome(first, ids["launcher.start"]).startswith("done")
            with browser(url, "a", GUEST) as guest:  # a browser that lost its right to it
                guest.run()
                assert write_access.READ_ONLY in outcome(guest, ids["launcher.stop"])
            assert launcher.OF_ANOTHER in outcome(other, ids["launcher.stop"])
            job = read_job(study)
            assert job is not None and job.running
            if end == "browser":
                assert outcome(first, ids["launcher.stop"]).startswith("done")
            else:
                assert main(["jobs", str(study), "--cancel"]) == 0
            job = read_job(study)
            assert job is not None and job.state == "cancelled"
