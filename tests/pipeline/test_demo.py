"""The settings of the embedded studies."""

from __future__ import annotations

import shutil

from core.cli import main
from core.config import NeighboursConfig
from core.pipeline import run
from core.store import open_study
from core.study.progress import Progress
from core.study.steps import in_analysis, settings_of
from tests.compare.comparable import add_concepts


def test_demo__in_the_background_builds_what_is_asked_for(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr("core.study.runner.start_job", lambda command, folder: started.append(command.words))
    asked = ["demo", "--single", "--fresh", "--studies", str(tmp_path)]
    assert main([*asked, "--background"]) == 0
    assert started == [["demo", f"--studies={tmp_path}", "--fresh", "--single"]]


def test_demo__measures_the_second_study_as_the_first(monkeypatch, shared_study, tmp_path):
    given = {}

    def kept(study, options, _, *, by_step):
        given[study] = {
            step: settings_of(step, {**options, **by_step.get(step, {})}) for step in in_analysis()
        }

    monkeypatch.setattr(run, "analyze", kept)
    folder = shutil.copytree(shared_study, tmp_path / run.FIRST).parent
    add_concepts(folder / run.FIRST, {"3": ["dog"]})
    study = open_study(folder / run.FIRST)
    chosen = [study.summary(step)[name] for step, name in (run.EPSILON, run.K)]
    for name in run.ENCODERS:
        run.build(folder, name, fresh=False, progress=Progress.silent())
    first, second = (given[folder / name] for name in run.ENCODERS)
    assert [first["features"].epsilon, first["concepts"].k] == ["auto", "auto"]
    assert [second["features"].epsilon, second["concepts"].k] == chosen
    differing = {step for step in first if first[step] != second[step]}
    assert differing == {"embed", "features", "concepts"}  # `neighbours` has another k
    assert second["neighbours"].k == NeighboursConfig().k != chosen[1]
    run.build(tmp_path / "empty", "demo-finetuned", fresh=False, progress=Progress.silent())
    alone = given[tmp_path / "empty" / "demo-finetuned"]
    assert [alone["features"].epsilon, alone["concepts"].k] == ["auto", "auto"]
