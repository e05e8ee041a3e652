"""The launcher's one question: no click starts what names code, or a file outside what may be chosen."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answers import kinds as answers
from core.bases import kinds as bases
from core.cli import options
from core.cli.parser import build_parser
from core.common.assets import assets_folder
from core.config.settings import NAMES
from core.errors import JobError
from core.study.commands import (
    Analyze,
    Command,
    DecomposeImage,
    FitBasis,
    MakeReport,
    RequestHeatmaps,
    Resume,
    RunStep,
    typed,
)
from core.study.jobs import read_job
from core.study.steps import STEPS
from core.training.config import TrainConfig
from dashboard.jobs import launcher
from dashboard.jobs import trust as trust_module
from dashboard.jobs.trust import STUDY_ONLY, named_by_settings, trust, trust_clip, trust_encoder
from dashboard.state import served_studies
from tests.dashboard.conftest import forget, write_progress
from tests.dashboard.jobs.hostile import SETTINGS, SIDECARS, apply_setting, apply_sidecar
from tests.manifests import edited_manifest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


PLACE = re.compile("FILE|DIR|FOLDER|PATH|CSV|TOKENS|SPEC|WEIGHTS|MODULE")  # in the name of an argument


def reaching(study: Path) -> list[Command]:
    """A command of each kind that reads more than what the study stores."""
    return [
        RunStep("heatmaps", study),
        RunStep("overlap", study),
        RunStep("concepts", study),
        Resume(study),
        RequestHeatmaps(study, "a", (1,)),
        RunStep("search", study),
        DecomposeImage(study, "a", study / "out.json"),
        MakeReport(study),
    ]


@pytest.fixture
def served(studies: Path, seen_study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study with a plain encoder whose images may be chosen: a click may start everything of it."""
    study = shutil.copytree(seen_study, studies / "seen")
    with edited_manifest(study) as manifest:
        text = json.dumps(manifest["steps"]["embed"])
        plain = text.replace("python:tests.planted_encoder:hues", "asset:simclr_glyphworld")
        manifest["steps"]["embed"] = json.loads(plain)
    monkeypatch.setenv("PEREGRINE_ROOTS", str(seen_study.parent))
    return study


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.mark.slow
def test_trust__a_plain_study(served):
    assert [trust(command) for command in reaching(served)] == [None] * 8


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("glyphworld?train=4000&val=1000&seed=0&preset=default&size=96", True),
        ("glyphworld", True),
        ("glyphworld/../weights.pth", False),
        ("glyphworld?train=4&code=os:system('x')", False),
    ],
)
def test_trust__images_that_are_drawn_are_no_encoder(served, text, fine):
    """The embedded studies record where their images came from under the name that an encoder has too."""
    with edited_manifest(served) as manifest:
        manifest["steps"]["embed"]["summary"]["source"] = {"kind": "glyphworld", "spec": text}
    assert (trust(MakeReport(served)) is None) == fine


def test_trust__images_of_another_folder_name_the_variable_and_no_step(served, tmp_path):
    with edited_manifest(served) as manifest:
        manifest["steps"]["embed"]["settings"]["images"] = str(tmp_path / "photos")
    reason = trust(MakeReport(served))
    assert reason and "photos', and the dashboard may not: start it with that folder in" in reason
    assert "PEREGRINE_ROOTS" in reason and "step" not in reason


@pytest.mark.parametrize("name", SETTINGS)
def test_trust__no_hostile_setting(served, mark, name):
    apply_setting(served, name, mark)
    reasons = [trust(command) for command in reaching(served)]
    assert all(reason and "\n" not in reason and len(reason) < 500 for reason in reasons), reasons


def test_settings__whose_argument_is_a_file_or_folder_say_so(monkeypatch):
    """Of every command, step, answer and basis: a new one that does not say so fails here."""
    rows = [*STEPS.values(), *answers.KINDS.values(), *bases.KINDS.values()]
    configs = {row.config for row in rows}
    monkeypatch.setattr(options, "add_options", lambda parser, config, *names, **_: configs.add(config))
    build_parser()
    fields = [field for config in configs for field in dataclasses.fields(config)]
    places = [field for field in fields if PLACE.search(str(field.metadata.get("metavar")))]
    assert len(places) > 15 and TrainConfig in configs
    assert [field.name for field in places if field.metadata["names"] not in NAMES] == []
    stored = [field for row in rows for field in dataclasses.fields(row.config)]
    marks = {(field.name, field.metadata.get("names") or "") for field in stored}
    assert len(dict(marks)) == len(marks)  # a name means one thing in all of them
    assert {name for name, what in marks if what} == set(named_by_settings())


@pytest.mark.parametrize("name", SIDECARS)
def test_trust__no_hostile_sidecar(served, mark, name):
    apply_sidecar(served, name, mark)
    assert all(trust(command) for command in reaching(served))


def test_trust__settings_of_a_step_that_did_not_end_are_looked_at(served):
    with edited_manifest(served) as manifest:
        manifest["unfinished"] = {"search": {"clip": "python:os:system"}}
    assert all(trust(command) for command in reaching(served))


@pytest.mark.parametrize("step", sorted(STUDY_ONLY))
def test_trust__steps_that_read_only_the_study_run_also_of_one_that_names_code(served, mark, step):
    apply_setting(served, "a shell command as encoder", mark)
    assert trust(RunStep(step, served)) is None


@pytest.mark.slow
def test_study_only_steps__open_neither_images_nor_encoder(served, run, monkeypatch):
    """What `STUDY_ONLY` promises, of the real steps: they run where images and encoder are gone."""
    with edited_manifest(served) as manifest:
        manifest["steps"]["embed"]["settings"] |= {"encoder": "python:os:system", "images": "/nowhere"}
        manifest["steps"]["embed"]["summary"]["source"] = {"kind": "never"}
    for step in ("features", "neighbours", "probe", "quality", "map", "failures"):
        said = run(step, served, "--redo")
        assert said.code == 0, said.err


def test_trust__a_study_that_cannot_be_read(served):
    (served / "manifest.json").write_text("{")
    assert all(trust(command) for command in [*reaching(served), RunStep("features", served)])
    (served / "manifest.json").unlink()
    write_progress(served, state="failed")
    assert all(trust(command) for command in reaching(served))


def test_trust__the_embedded_study(served):
    """Its images are described by a `spec` that is no encoder's; a file in it is looked at all the same."""
    world = {"kind": "glyphworld", "spec": "glyphworld?train=40&val=10&seed=0&preset=default&size=32"}
    with edited_manifest(served) as manifest:
        manifest["steps"]["embed"]["settings"]["images"] = "glyphworld"
        manifest["steps"]["embed"]["summary"]["source"] = world
    assert [trust(command) for command in reaching(served)] == [None] * 8
    with edited_manifest(served) as manifest:
        manifest["steps"]["embed"]["summary"]["source"] = world | {"spec": "glyphworld?a=b@/etc/passwd"}
    assert all(trust(command) for command in reaching(served))


@pytest.mark.parametrize(
    ("clip", "fits"),
    [
        ("asset:glyphworld", True),
        ("ViT-B-32@openai", True),
        ("ViT-B-32@/etc/passwd", False),
        ("/etc/clip.json", False),
        ("hf-hub:evil/model", False),
        ("local-dir:/etc", False),
        ("python:os:system?command=touch", False),
        ("asset:../../evil", False),
    ],
)
def test_trust_clip__only_its_name_counts(served, mark, clip, fits):
    apply_setting(served, "a shell command as encoder", mark)  # loading a CLIP does not reach the encoder
    assert (trust_clip(served, clip) is None) == fits
    assert trust_clip(served.parent, "asset:glyphworld")  # no study that is served


@pytest.mark.parametrize(
    ("encoder", "fits"),
    [
        ("asset:efficientnet_lite0", True),
        ("torchvision:resnet50", True),
        ("python:os:system", False),
        ("torchvision:resnet50@/etc/passwd", False),
        ("timm:resnet50?checkpoint_path=/etc/passwd", False),
    ],
)
def test_trust_encoder__only_what_it_is_loaded_with_counts(served, encoder, fits):
    assert (
        trust_encoder(served, {"encoder": encoder, "layer": None, "mean": [0.5, 0.5, 0.5]}) is None
    ) == fits
    assert trust_encoder(served.parent, {"encoder": "asset:efficientnet_lite0"})  # no study that is served


def test_trust__the_owner_may_say_so(served, mark, trusted):
    apply_setting(served, "a factory of an installed module", mark)
    assert [trust(command) for command in reaching(served)] == [None] * 8


@pytest.mark.parametrize(
    "parts",
    [
        {"encoder": "python:os:system"},
        {"encoder": "resnet18@/etc/passwd"},
        {"encoder": "hf:org/name"},
        {"images": "/etc"},
        {"images": f"{assets_folder()}/t.csv?root=/etc"},
        {"masks": "/etc"},
        {"captions": "/etc/passwd"},
        {"clip": "hf-hub:a/b"},
        {"study": Path("/etc/mine")},
    ],
)
def test_trust__the_parts_of_a_new_study(studies, parts, trusted):
    plain = {"study": studies / "mine", "images": "glyphworld", "encoder": "asset:simclr_glyphworld"}
    assert trust(Analyze.of(**plain)) is None
    assert trust(Analyze.of(**(plain | parts)))


@pytest.mark.slow
@given(content=JSON, key=st.sampled_from(["settings", "summary"]), code=st.booleans())
def test_trust__any_manifest_gets_an_answer(served, content, key, code):
    with edited_manifest(served) as manifest:
        whole = {"a": [content, "python:a:b"] if code else content}
        manifest["steps"]["heatmaps"] = {**manifest["steps"]["heatmaps"], key: whole}
    served_studies.forget()
    reason = trust(RunStep("overlap", served))
    assert reason is None or isinstance(reason, str)
    assert not code or reason


PROGRESS = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.sampled_from(["running", "failed", "done", "interrupted", "cancelled"])
        for name in (
            "state",
            "command",
            "cwd",
            "pid",
            "pid_started",
            "host",
            "stage",
            "offer",
            "updated",
            "error",
        )
    },
)


@pytest.mark.slow
@given(record=PROGRESS)
def test_progress_file__whatever_it_says_nothing_of_it_is_run(served, record):
    (served / "progress.json").write_text(json.dumps(record))
    job = read_job(served)
    if job is None:
        return
    assert not launcher.can_stop(job)
    command = launcher.resume_command(job)
    assert command is None or command == Resume(served)


@pytest.mark.parametrize(
    "words",
    [
        ["figure", "{other}", "directions", "-o", "x.svg"],
        ["train", "evil/c.json"],
        ["decompose", "{study}", "--file", "{file}", "--remove-file"],
        ["export", "{study}", "captions", "-o", "{file}"],
        ["embed", "{study}", "--encoder", "python:os:system?command=touch {mark}"],
        ["concepts", "{study}", "--captioner", "os:getcwd"],
    ],
)
def test_resume__reproductions_of_the_report(served, studies, tmp_path, mark, words, monkeypatch, open_page):
    """safety.md 5a: a click on Resume ran, deleted or overwrote what progress.json named."""
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    names = {"other": studies / "demo", "study": served, "file": precious, "mark": mark}
    command = ["python", "-m", "core", *(word.format(**names) for word in words)]
    stranger = studies / "stranger"
    started: list[Command] = []
    monkeypatch.setattr(launcher, "start_job", lambda command, folder: started.append(command))
    for folder in (stranger, served):
        write_progress(folder, state="failed", command=command, error="x")
    app = open_page("new_study")
    assert not app.exception
    assert not [button for button in app.button if button.key == f"resume_{stranger}"]
    for button in [one for one in app.button if one.label == "Resume" and not one.disabled]:
        button.click().run()
    assert all(isinstance(command, Resume) for command in started)
    assert precious.read_text() == "mine" and not mark.exists()


def test_resume__of_a_damaged_study_with_a_foreign_encoder(served, mark, open_page):
    """safety.md 5a: images.parquet lacks its last bytes, so that nobody looked at the encoder."""
    apply_setting(served, "a shell command as encoder", mark)
    path = served / "images.parquet"
    path.write_bytes(path.read_bytes()[:-3])
    write_progress(served, state="failed", command=["python", "-m", "core", "embed", str(served)], error="x")
    app = open_page("new_study")
    assert not app.exception
    assert not [one for one in app.button if one.label == "Resume" and not one.disabled]


def test_folder_name__is_one_word_of_a_command(studies, full_study, monkeypatch):
    """safety.md 5a: a study called `a --captioner os:getcwd` beside a study `a`."""
    study = shutil.copytree(full_study, studies / "demo --captioner os:getcwd")
    monkeypatch.setenv("PEREGRINE_ROOTS", str(full_study.parent))
    started: list[Command] = []
    monkeypatch.setattr(launcher, "start_job", lambda command, folder: started.append(command))
    launcher.start(RunStep("quality", study))
    assert started[0].words == ["quality", str(study)]


def test_study_that_is_not_served__is_refused(served, studies):
    outside = shutil.copytree(served, studies.parent / "outside")
    assert launcher.refusal(MakeReport(served)) is None
    told = launcher.refusal(MakeReport(outside))
    assert told == "'outside' is not a study that is served here"


@pytest.mark.parametrize("name", ["a shell command as encoder", "images elsewhere"])
def test_basis__what_is_computed_in_it_is_checked_too(served, mark, name):
    apply_setting(served, name, mark)
    alone = FitBasis(served, "few", typed(kind="topk", size=8, k=2))
    assert launcher.refusal(alone) is None
    for more in ({"resume": True}, {"options": typed(kind="topk", on="positions")}):
        assert "PEREGRINE_TRUST_STUDIES=1" in (launcher.refusal(dataclasses.replace(alone, **more)) or "")


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The studies of which all that their manifests name was looked at, in turn."""
    found: list[Path] = []
    real = trust_module._check_study
    monkeypatch.setattr(trust_module, "_check_study", lambda study: (found.append(study), real(study))[1])
    return found


def test_page__judges_a_study_once_and_a_start_judges_it_again(served, walks, started):
    with trust_module.judged_once():
        assert [launcher.refusal(command) for command in reaching(served)] == [None] * 8
        assert walks == [served]
        launcher.start(MakeReport(served))
        assert walks == [served] * 2
        with edited_manifest(served) as manifest:
            manifest["unfinished"] = {"search": {"clip": "python:os:system"}}
        assert all(launcher.refusal(command) for command in reaching(served))
        assert walks == [served] * 3
        with pytest.raises(JobError):
            launcher.start(MakeReport(served))
    launcher.refusal(MakeReport(served))
    assert walks == [served] * 5 and len(started) == 1


def test_page__with_several_buttons_judges_once(served, walks, open_page):
    forget(served, "neighbours", "probe", "quality")
    app = open_page("new_study", study="seen")
    assert len([one for one in app.button if str(one.key).startswith("run_further_")]) > 3
    assert walks == [served]


@pytest.mark.parametrize("view", ["overview", "features", "images", "heatmaps", "image", "new_study"])
@pytest.mark.parametrize("name", ["a shell command as encoder", "a captioner"])
def test_views__of_an_untrusted_study_work(served, mark, view, name, open_page):
    apply_setting(served, name, mark)
    app = open_page(view, study="seen")
    assert not app.exception and not mark.exists()
