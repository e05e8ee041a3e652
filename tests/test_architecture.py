"""The rules of the tree: who may import what, how long a file may get, what must be documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("core/**/*.py"), *ROOT.glob("dashboard/**/*.py")])
CORE_FOR_DASHBOARD = {"store", "slices", "jobs", "export", "figures", "errors", "config", "overlays"}
CORE_FOR_DASHBOARD |= {"compare", "compare_print"}
CORE_FOR_DASHBOARD |= {"streaming", "csv_text"}
CORE_FOR_DASHBOARD |= {"decomposition", "uploads"}
CORE_FOR_DASHBOARD |= {"saved_slices", "slice_compare", "slice_finder", "slice_masks", "slice_tokens"}
CORE_FOR_DASHBOARD |= {"feature_notes", "search"}
CORE_FOR_DASHBOARD |= {
    "commands",
    "encoders",
    "job_commands",
    "job_runner",
    "private_folder",
    "steps",
    "trusted_code",
}
ONLY_IN = {
    "open_clip": ("core/concepts/clip.py",),
    "pytorch_grad_cam": ("core/analysis/heatmaps.py",),
    "lightly": ("core/training/",),
    "numba": ("core/analysis/kernels.py",),
    "streamlit": ("dashboard/",),
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> list[str]:
    """Dotted names that a file imports, wherever in the file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def test_there_is_something_to_check():
    assert len(SOURCES) > 30


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_file_is_longer_than_350_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_follow_the_rules(path):
    name = relative(path)
    for imported in imports(path):
        top, *rest = imported.split(".")
        homes = ONLY_IN.get(top, ("",))
        assert any(name.startswith(home) for home in homes), f"{name} imports {imported}"
        if name.startswith("core/"):
            assert top != "dashboard", f"{name} imports {imported}"
        elif top == "core":
            assert rest and rest[0] in CORE_FOR_DASHBOARD, f"{name} imports {imported}"
        elif name.startswith("dashboard/"):
            assert top not in {"torch", "torchvision", "timm"}, f"{name} imports {imported}"


def test_one_launcher_starts_the_jobs_of_the_dashboard():
    """Nothing else there imports the job runner, or starts a process of its own."""
    starts = (
        "core.job_runner",
        "subprocess",
        "multiprocessing",
        "os.system",
        "os.kill",
        "os.spawn",
        "os.exec",
    )
    found = {
        relative(path)
        for path in SOURCES
        if relative(path).startswith("dashboard/")
        and any(imported.startswith(starts) for imported in imports(path))
    }
    assert found == {"dashboard/jobs/launcher.py"}
    calls = re.compile(r"\bos\.(system|popen|kill|killpg|spawn\w*|exec\w*)\(")
    for path in SOURCES:
        if relative(path).startswith("dashboard/"):
            assert not calls.search(path.read_text(encoding="utf-8")), path


def test_core_init_imports_nothing():
    assert imports(ROOT / "core" / "__init__.py") == []


def test_the_dashboards_core_modules_do_not_import_torch():
    named = sorted(CORE_FOR_DASHBOARD | {"encoders.spec", "encoders.sidecar"})
    modules = ", ".join(f"core.{name}" for name in named)
    code = f"import sys, {modules}; print([m for m in ('torch', 'streamlit') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "[]"


def test_every_dependency_is_explained():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.split(r"[<>=\[ ]", line)[0] for line in lines if line and not line.startswith(("#", "-"))]
    explained = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [name for name in names if f"`{name}`" not in explained]
    assert not missing
    unbounded = [line for line in lines if line and line[0].isalpha() and not re.search(r">=.*,<", line)]
    assert not unbounded


def test_every_command_has_help_and_is_in_the_readme():
    from core.cli import build_parser

    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"\{([a-z,-]+)\}|^    ([a-z-]+) ", build_parser().format_help(), re.MULTILINE)
    names = {name for pair in commands for group in pair for name in group.split(",") if name}
    assert {"demo", "analyze", "embed", "info", "export", "verify", "train"} <= names
    assert not [name for name in names if f"`{name}" not in readme and f"core {name}" not in readme]


def test_nothing_of_a_machine_is_in_the_repository():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    texts = [
        ROOT / name for name in listed.stdout.splitlines() if Path(name).suffix in {".py", ".md", ".toml"}
    ]
    pattern = re.compile(r"/(home|root|work)/\w+/|pypi\.org|files\.pythonhosted")
    found = [relative(p) for p in texts if p.exists() and pattern.search(p.read_text(encoding="utf-8"))]
    assert found in ([], ["tests/test_architecture.py"])
