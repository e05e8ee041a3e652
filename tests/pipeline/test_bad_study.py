"""What goes wrong after the images are read: names, devices, disks, damaged files, two writers."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from core.store import open_study
from core.study import chunked_array
from core.study.manifest import FORMAT
from tests.command_line import QUICK, SMALL, analyzed, contents, info_of, photos
from tests.sampling import pairs_of, sample

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(analysed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(analysed, tmp_path / "study")


@pytest.mark.slow
def test_all_predictions_correct(run, analysed):
    told = info_of(run, analysed)
    assert told["accuracy"] == 1 and told["base_rate"] == 1
    assert told["q_auroc"] is None and told["q_auprc"] is None
    metrics = open_study(analysed).table("quality_metrics").set_index("score")
    assert "correct" in metrics["note"]["q_score"]
    assert "not defined" in run("info", analysed).out or "correct" in told["premise"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "STUDY", "qualty", "-o", "q.csv"], "Did you mean 'quality'"),
        (["export", "STUDY", "quality", "-o", "q.xlsx"], ".csv"),
        (["export", "STUDY", "quality", "-o", "q.csv", "--slice", "q_scor=0..1"], "Did you mean 'q_score'"),
        (["export", "STUDY", "quality", "-o", "q.csv", "--slice", "label=dgo"], "Did you mean 'dog'"),
        (["export", "STUDY", "quality", "-o", "q.csv", "--slice", "fires=999"], "999"),
        (["features", "STUDY", "--device", "gpu"], "unknown device 'gpu'"),
        (["probe", "STUDY", "--device", "cuda:99", "--redo"], "cuda:99"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_unknown_names(run, tmp_path, monkeypatch, study, words, message):
    monkeypatch.chdir(tmp_path)
    before = contents(study)
    assert message in run(*(study if word == "STUDY" else word for word in words)).error
    assert contents(study) == before and not list(tmp_path.glob("q.*"))


def test_device__unknown_is_said_before_anything_is_done(run, tmp_path, analysis):
    assert "'gpu'" in run("analyze", tmp_path / "study", *analysis, "--device", "gpu").error
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
@pytest.mark.parametrize("fails_at", sample([3, 15, 0, 9], 2))
def test_disk_full__keeps_what_is_finished_and_the_same_command_goes_on(
    run, tmp_path, monkeypatch, analysis, analysed, fails_at
):
    real, calls = chunked_array.write_chunk, []

    def write_chunk(folder, *args):
        calls.append(args)
        if len(calls) > fails_at:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        return real(folder, *args)

    with monkeypatch.context() as full:
        full.setattr(chunked_array, "write_chunk", write_chunk)
        error = run("analyze", tmp_path / "study", *analysis).error
    assert "full" in error and "command" in error
    assert run("analyze", tmp_path / "study", *analysis).code == 0
    assert contents(tmp_path / "study") == contents(analysed)


DAMAGE = [
    ("representations/00000.npy", "embed"),
    ("top_images/00000.npy", "features"),
    ("probe.parquet", "probe"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("damaged", "how"), pairs_of(DAMAGE, ["flip", "delete"]))
def test_verify__names_a_damaged_file_and_redo_mends_it(run, analysis, study, damaged, how):
    assert run("verify", study).code == 0
    damage, step = damaged
    before, path = contents(study), study / damage
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content) if how == "flip" else path.unlink()
    said = run("verify", study)
    assert said.code == 1 and damage in said.out
    assert f"Run: python -m core {step} {study} --redo" in said.out
    assert run(step, study, "--redo").code == 0
    assert run("verify", study).code == 0
    assert run("analyze", study, *analysis).code == 0 and contents(study) == before


@pytest.mark.slow
@pytest.mark.parametrize("redo", [(), ("--redo",)])
@pytest.mark.parametrize("words", [("features", "--epsilon", "1000"), ("quality", "--calibrate", "100000")])
def test_refused_settings__leave_the_results_of_before(run, study, words, redo):
    before = contents(study)
    assert run(words[0], study, *words[1:], *redo).error
    assert contents(study) == before


@pytest.mark.parametrize("command", ["info", "verify", "features", "export", "analyze"])
def test_study__of_a_newer_format_is_left_alone(run, tmp_path, analysis, study, command):
    manifest = json.loads((study / "manifest.json").read_text())
    (study / "manifest.json").write_text(json.dumps(manifest | {"format": FORMAT + 1}))
    before = contents(study)
    more = {"export": ("quality", "-o", tmp_path / "q.csv"), "analyze": analysis}.get(command, ())
    assert "Update Peregrine" in run(command, study, *more).error
    assert contents(study) == before


def test_study__with_a_damaged_manifest(run, study):
    for text in ("{", "[]", json.dumps({"format": FORMAT}), ""):
        (study / "manifest.json").write_text(text)
        assert "manifest.json" in run("info", study).error


@pytest.mark.slow
def test_two_writers__the_second_is_told_and_the_first_goes_on(run, analysis, study):
    before = contents(study)
    script = """
        import sys
        from core.study.writer import write_study
        with write_study(sys.argv[1]):
            print("writing", flush=True)
            sys.stdin.read()
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(study)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout and other.stdout.readline() == "writing\n"
        assert "another process" in run("analyze", study, *analysis).error
        assert "another process" in run("probe", study, "--redo").error
        assert run("info", study).code == 0  # readers are not kept out
    finally:
        other.communicate("", timeout=20)
    assert other.returncode == 0 and contents(study) == before
    assert run("probe", study, "--redo").code == 0


@pytest.mark.slow
def test_study__survives_the_loss_of_its_images(run, tmp_path):
    images = photos(tmp_path / "photos", {"a": 4, "b": 4})
    study = analyzed(run, tmp_path / "study", images)
    before = contents(study.path)
    shutil.move(images, tmp_path / "elsewhere")
    assert str(images) in run("analyze", study.path, "--images", images, *SMALL, *QUICK).error
    assert run("features", study.path, "--epsilon", "2").code == 0 and run("info", study.path).code == 0
    assert contents(study.path).keys() == before.keys()
