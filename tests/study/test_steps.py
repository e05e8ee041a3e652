"""The table of steps: all that runs, lists or names a step reads it, and it says what is so."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.cli import build_parser, main
from core.common.topics import function_named
from core.config.step import Step
from core.errors import JobError, StudyError
from core.pipeline import run as pipeline
from core.publish.summary import info
from core.store import Study, open_study
from core.study.commands import RunStep
from core.study.progress import Progress
from core.study.steps import STEPS, step_of
from tests.synthetic import make_seen_study

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "study_folder.md"


@pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: step.name)
def test_row__names_functions_items_and_steps_that_exist(step):
    assert callable(function_named(step.function))
    assert step.external_fingerprints is None or callable(function_named(step.external_fingerprints))
    earlier = [name for name in STEPS if list(STEPS).index(name) < list(STEPS).index(step.name)]
    assert set(step.needs) <= set(earlier)
    made_before = {item for name in earlier for item in STEPS[name].outputs}
    assert set(step.inputs) <= made_before
    settings = {field for field in step.config.__dataclass_fields__}
    assert {*(step.options or ()), *step.alternatives, *step.not_remembered} <= settings
    assert step.example.split()[0] == step.name


def test_rows__no_item_is_written_by_two_steps():
    items = [item for step in STEPS.values() for item in step.outputs]
    assert len(items) == len(set(items)) and all(item in STEPS[step_of(item) or ""].outputs for item in items)
    assert step_of("no such item") is None


@pytest.fixture
def seen(tmp_path: Path, trusted: None) -> Study:
    """A study with a real encoder, masks, curves, attributes and concepts: every step writes what it can."""
    folder = make_seen_study(tmp_path / "seen", n_train=48, n_val=24)
    progress = Progress.silent()
    pipeline.run_step("probe", folder, {"curves": True, "epochs": 2}, progress)
    bank = tmp_path / "bank.csv"
    bank.write_text("caption\n" + "".join(f"a {word} disc\n" for word in ("red", "green", "blue", "grey")))
    captions = {"captions": str(bank), "clip": "asset:glyphworld", "k": 1.0, "min_images": 1}
    pipeline.run_step("concepts", folder, captions, progress)
    pipeline.resume(folder, {}, progress)
    pipeline.run_step("quality", folder, {"calibrate": 12}, progress)
    pipeline.run_step("domains", folder, {"column": "split", "prefix": 1}, progress)
    pipeline.run_step("causes", folder, {}, progress)
    pipeline.run_step("remedies", folder, {}, progress)
    pipeline.run_step("few-shot", folder, {"shots": (2,), "draws": 2}, progress)
    return open_study(folder)


@pytest.mark.slow
def test_complete_study__every_item_is_in_the_row_of_its_step(seen):
    assert not seen.missing()
    # its encoder has no classifier
    assert [name for name in STEPS if seen.summary(name).get("skipped")] == ["answers"]
    items = seen.manifest["items"]
    assert len(items) > 50
    for name, item in items.items():
        assert [step.name for step in STEPS.values() if name in step.outputs] == [item["step"]], name
    absent = {item for step in STEPS.values() for item in step.outputs} - set(items)
    assert absent == {  # these images bring no causes, and nobody can render them
        *("attributes", "map_umap", "quality_by_cause", "interventions_by_cause", "planted_attributes"),
        "rotation",  # on request
        *("head_classes", "head_weights", "head_bias", "head_logits"),
        *("head_hidden_weights", "head_hidden_bias", "head_output_weights", "head_output_bias"),
        *("answer_head", "answer_head_weights", "answer_head_bias"),
        *("answer_head_outputs", "answer_head_gradients"),
    }


@dataclass(frozen=True)
class NormsConfig:
    """The settings of a step that does not exist."""

    power: float = 2.0


def compute_norms(study, step, config, run) -> None:
    rows = study.vector("representations")
    step.vector("norms", (np.abs(rows) ** config.power).sum(1))
    step.summary = {"power": config.power}


@pytest.fixture
def norms(monkeypatch: pytest.MonkeyPatch) -> Step:
    """An eleventh step, which exists nowhere but in its row."""
    step = Step(
        name="norms",
        title="Norms",
        doing="Measuring lengths",
        summary="measure how long every representation is",
        example="norms studies/mine",
        config=NormsConfig,
        function="tests.study.test_steps:compute_norms",
        inputs=("representations",),
        needs=("embed",),
        outputs=("norms",),
        options=("power",),
    )
    monkeypatch.setitem(STEPS, "norms", step)
    return step


def test_new_row__is_a_step_everywhere(norms, shared_study, tmp_path, capsys):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    command = f"python -m core norms {folder}"
    assert str(open_study(folder).missing()["norms"]).endswith(command)
    assert info(open_study(folder))["missing"]["norms"].endswith(command)
    assert re.search(r"norms +\w", build_parser().format_help())
    with pytest.raises(StudyError, match="study"):
        pipeline.check_needs("norms", tmp_path / "none")

    assert main(["norms", str(folder)]) == 0
    study = open_study(folder)
    assert study.state("norms") == "done" and "norms" not in study.missing()
    assert np.allclose(study.vector("norms"), (study.vector("representations") ** 2).sum(1))
    assert info(study)["steps"]["norms"] == "done" and info(study)["settings"]["norms"] == {"power": 2.0}
    pipeline.run_step("norms", folder, {"power": 1.0}, Progress.silent())
    pipeline.run_step("norms", folder, {}, Progress.silent())
    assert open_study(folder).settings("norms") == {"power": 1.0}

    assert RunStep("norms", folder, (("power", "3"),)).words == ["norms", str(folder), "--power=3"]
    with pytest.raises(JobError, match="'size'"):
        RunStep("norms", folder, (("size", "3"),))
    assert capsys.readouterr().err.count("error") == 0


def test_new_row__is_run_by_resume_and_an_undeclared_item_is_refused(
    norms, shared_study, tmp_path, monkeypatch
):
    folder = shutil.copytree(shared_study, tmp_path / "study")
    pipeline.resume(folder, {}, Progress.silent())
    assert open_study(folder).state("norms") == "done"
    monkeypatch.setitem(STEPS, "norms", Step(**{**norms.__dict__, "outputs": ("lengths",)}))
    with pytest.raises(RuntimeError, match=r"\['norms'\]"):
        pipeline.run_step("norms", folder, {"redo": True}, Progress.silent())


def table_of_steps() -> str:
    """The table of docs/study_folder.md."""
    lines = ["| step | what it does | reads | writes | function |", "|---|---|---|---|---|"]
    for step in STEPS.values():
        reads, writes = (", ".join(f"`{item}`" for item in some) for some in (step.inputs, step.outputs))
        lines.append(f"| `{step.name}` | {step.summary} | {reads} | {writes} | `{step.function}` |")
    return "\n".join(lines)


def test_the_document_of_the_study_folder_lists_the_steps():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert table_of_steps() in text, "run: python -m tests.study.test_steps"


def update_document() -> None:
    """Replace the table of steps in docs/study_folder.md by the one that the rows give now."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition("| step | what it does |")
    _, _, after = rest.partition("\n\n")
    DOCUMENT.write_text(f"{before}{table_of_steps()}\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    update_document()
