"""The rules of the tree: who may import what, where a library has its home, what must be documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from core.common.topics import TOPICS

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("core/**/*.py"), *ROOT.glob("dashboard/**/*.py")])
# What the dashboard may import of core: none of it loads torch.
CORE_FOR_DASHBOARD = (
    *("core.errors", "core.config", "core.common", "core.study", "core.measures", "core.store"),
    *("core.compare", "core.charts", "core.publish", "core.analysis.caveats"),
    *("core.analysis.predictor", "core.analysis.recommendation", "core.analysis.remedies"),
    *("core.analysis.removal", "core.analysis.trust_check"),
    *("core.answers.answer", "core.answers.class_logits", "core.answers.kinds", "core.bases.basis"),
    *(
        "core.bases.fit_times",
        "core.bases.kinds",
        "core.bases.position_index",
        "core.bases.twins",
        "core.bases.worth",
    ),
    *("core.concepts.blame", "core.concepts.photograph_clips", "core.concepts.search"),
    "core.data.picture_limits",
    *("core.encoders.readout", "core.encoders.spec", "core.encoders.trusted_code"),
    *("core.pictures.cause_words", "core.pictures.confused", "core.pictures.decomposition"),
    *("core.pictures.listed_features", "core.pictures.look"),
    *("core.pictures.of_image", "core.pictures.seen", "core.training.preview"),
)
# What its pages of research may import besides.
RESEARCH_FOR_DASHBOARD = (
    *("core.research.changed_inputs_moved", "core.research.visual_tokens_beside_study"),
    *("core.research.domains_topic", "core.research.transfer_learning_topic"),
    *("core.research.visual_tokens_graph", "core.research.visual_tokens_scene_graph"),
    "core.research.transfer_compared_words",
)
ONLY_IN = {
    "open_clip": ("core/concepts/clip.py", "core/encoders/clip_towers.py"),
    "pytorch_grad_cam": ("core/analysis/gradcam.py",),
    "lightly": ("core/training/", "core/research/fourier_dual.py", "core/research/shortcuts_harder.py"),
    "numba": ("core/common/compiled.py",),
    "functools.cached_property": ("core/common/threads.py", "core/worlds/"),
    "streamlit": ("dashboard/",),
    "mcp": ("core/mcp/server.py",),
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path: Path) -> list[str]:
    """Dotted names that a file imports, wherever in the file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def module_name(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_in(name: str, part: str) -> bool:
    """Whether a dotted name is that package or module, or lies in it."""
    return name == part or name.startswith(f"{part}.")


def room(name: str) -> str:
    return ".".join(name.split(".")[:2])


MODULES = {module_name(path): path for path in SOURCES}


def imported_modules(path: Path) -> set[str]:
    """The modules of this project that a file imports."""
    found = set()
    for name in imports(path):
        parts = name.split(".")
        longest = next(
            (".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in MODULES), None
        )
        found |= {longest} if longest else set()
    return found - {module_name(path)}


@cache
def imported() -> dict[str, set[str]]:
    return {name: imported_modules(path) for name, path in MODULES.items()}


def test_no_row_group_is_asked_for_its_columns():
    """What pyarrow says of one ends the process where a footer is damaged (core.common.parquet_footer)."""
    folders = ("core", "dashboard", "benchmarks", "reproductions", "examples", "tests")
    paths = [path for folder in folders for path in ROOT.joinpath(folder).rglob("*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    calls = [
        f"{relative(path)}:{node.lineno}"
        for path, text in texts.items()
        if "row_group" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr == "row_group"
    ]
    assert calls == [] and len(texts) > 100


def test_what_a_step_says_is_read_by_its_record():
    """`study.facts(RECORD)`; the summary of one step is not read by strings (core/common/step_facts.py)."""
    by_string = re.compile(r"""\.summary\(["'A-Z]""")
    assert [relative(path) for path in SOURCES if by_string.search(path.read_text(encoding="utf-8"))] == []


def test_there_is_something_to_check():
    assert len(SOURCES) > 30


def may_import(name: str, imported: str) -> bool:
    """Whether a file may import a dotted name."""
    top = imported.split(".")[0]
    if not any(name.startswith(home) for home in ONLY_IN.get(imported, ONLY_IN.get(top, ("",)))):
        return False
    if name.startswith("core/"):
        return top != "dashboard"
    if top == "core":
        more = RESEARCH_FOR_DASHBOARD if name.startswith("dashboard/panels/") else ()
        return any(is_in(imported, part) for part in (*CORE_FOR_DASHBOARD, *more))
    return top not in {"torch", "torchvision", "timm"}


def test_imports_follow_the_rules():
    found = [
        f"{name} imports {imported}"
        for path in SOURCES
        for name in [relative(path)]
        for imported in imports(path)
        if not may_import(name, imported)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("core/store.py", "dashboard.app"),
        ("core/store.py", "numba"),
        ("core/store.py", "functools.cached_property"),
        ("dashboard/app.py", "torch.nn"),
        ("dashboard/app.py", "core.training.trainer"),
    ],
)
def test_imports_that_break_a_rule_are_found(name, imported):
    assert not may_import(name, imported)


def test_one_launcher_starts_the_jobs_of_the_dashboard():
    """Nothing else there imports the job runner, or starts a process of its own, but for resident models."""
    resident = {
        relative(path)
        for path in SOURCES
        if relative(path).startswith("dashboard/")
        and any(is_in(imported, "core.study.resident") for imported in imports(path))
    }
    assert resident == {"dashboard/jobs/resident_models.py"}
    starts = (
        "core.study.runner",
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


@pytest.mark.slow
def test_the_dashboards_core_modules_do_not_import_torch():
    modules = [
        name
        for name in MODULES
        if any(is_in(name, part) for part in (*CORE_FOR_DASHBOARD, *RESEARCH_FOR_DASHBOARD))
    ]
    assert len(modules) > 60
    assert loaded_by(modules, ("torch", "torchvision", "timm", "open_clip", "streamlit")) == []


@pytest.mark.slow
def test_the_first_page_does_not_wait_for_scipy():
    """Each takes a second to load, and the first page needs none of them."""
    parts = imported()["dashboard.main"] | imported()["dashboard.views.overview"]
    assert "dashboard.panels.findings" in parts
    assert loaded_by(sorted(parts), ("scipy", "sklearn", "numba", "torch")) == []


def loaded_by(modules: list[str], heavy: tuple[str, ...]) -> list[str]:
    """Those of the heavy modules that importing the modules loads."""
    code = f"import sys, {', '.join(modules)}; print(*(m for m in {heavy} if m in sys.modules))"
    return subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()


@cache
def imported_rooms() -> dict[str, set[str]]:
    """The rooms of this project that each room imports from."""
    rooms: dict[str, set[str]] = {room(name): set() for name in MODULES}
    for name, targets in imported().items():
        rooms[room(name)] |= {room(target) for target in targets}
    return {name: targets - {name, "core", "dashboard"} for name, targets in rooms.items()}


def in_circles(graph: dict[str, set[str]]) -> list[str]:
    """What imports itself by way of others, or imports such a one."""
    left = {name: set(targets) for name, targets in graph.items()}
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_rooms_import_from_each_other_in_a_circle():
    assert in_circles(imported_rooms()) == []


def test_core_has_twenty_rooms_and_no_folder_of_modules_below_one():
    folders = {relative(path.parent) for path in SOURCES}
    assert len([name for name in folders if name.startswith("core/")]) == 20
    assert len([name for name in folders if name.startswith("dashboard/")]) == 7
    assert {name.count("/") for name in folders} == {0, 1}


def imported_when_loaded(path: Path) -> set[str]:
    """The first names of what a module imports outside of functions, and not for types only."""
    found: set[str] = set()
    waiting: list[ast.stmt] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return found


def test_measures_and_what_they_import_load_no_torch():
    reached: set[str] = set()
    waiting = [name for name in MODULES if is_in(name, "core.measures")]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imported()[name]
    assert len(reached) > 100
    heavy = {"torch", "torchvision", "timm", "open_clip"}
    assert [name for name in sorted(reached) if imported_when_loaded(MODULES[name]) & heavy] == []


def test_no_modules_import_each_other_in_a_circle():
    assert in_circles(imported()) == []


def test_research_is_imported_by_nothing_of_the_workbench():
    """It is named in one module, and its panels in the dashboard have a place of their own."""
    named = {
        relative(path)
        for path in SOURCES
        if "core.research" in path.read_text(encoding="utf-8")
        and not relative(path).startswith(("core/research/", "dashboard/panels/research.py"))
    }
    assert named == {"core/common/topics.py"}


def test_topics_are_modules_of_research_and_their_descriptions_are_light():
    described = {path.name.removesuffix("_topic.py") for path in ROOT.glob("core/research/*_topic.py")}
    assert described == set(TOPICS)
    modules = [f"core.research.{name}_topic" for name in TOPICS]
    assert loaded_by(modules, ("torch", "numpy", "pandas", "plotly", "streamlit")) == []


def test_help_waits_for_no_library():
    assert loaded_by(["core.cli.parser"], ("torch", "numpy", "pandas", "plotly", "streamlit")) == []


def test_a_world_is_imported_alone():
    for name, targets in imported().items():
        if is_in(name, "core.worlds"):
            below = ("core.errors", "core.common", "core.worlds")
            assert all(any(is_in(target, part) for part in below) for target in targets), name


def test_every_folder_of_tests_is_one_of_the_sources():
    tested = {relative(path.parent) for path in ROOT.glob("tests/**/test_*.py")}
    known = {f"tests/{relative(path.parent).removeprefix('core/')}" for path in SOURCES}
    of_all = {"tests", "tests/browser", "tests/campaign", "tests/contract", "tests/crossed"}
    assert tested - known <= {*of_all, "tests/benchmarks", "tests/examples", "tests/reproductions"}


def test_every_dependency_is_explained():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.split(r"[<>=\[ ]", line)[0] for line in lines if line and not line.startswith(("#", "-"))]
    explained = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [name for name in names if f"`{name}`" not in explained]
    assert not missing
    unbounded = [line for line in lines if line and line[0].isalpha() and not re.search(r">=.*,<|==", line)]
    assert not unbounded


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


COMMANDS_OF_TOPICS = tuple(f"core.research.{name}_commands" for name in TOPICS)
# The functions of a command have the names of what they call.
NAMESAKES = ("core.cli", *COMMANDS_OF_TOPICS)
SAME_NAME = {
    "main",  # of the two modules that are run by themselves
    "headline",  # of an image, and of a slice
    "read_table",  # of a table's file and of an exported table
    "request_heatmaps",  # the pipeline's opens the images and calls that of the analysis
}


def public_names(path: Path) -> set[str]:
    """Functions, classes and type aliases at the top level of a module; not its constants."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_") and not name.isupper()}


def test_no_public_name_of_core_is_defined_in_two_modules():
    homes: dict[str, list[str]] = {}
    for name, path in MODULES.items():
        if is_in(name, "core") and not any(is_in(name, part) for part in NAMESAKES):
            for public in public_names(path):
                homes.setdefault(public, []).append(name)
    several = {public: modules for public, modules in homes.items() if len(modules) > 1}
    assert len(homes) > 1000
    assert not {public: modules for public, modules in several.items() if public not in SAME_NAME}
