"""The table of poolings: from real small studies, complete, and not computed twice."""

from __future__ import annotations

import pytest

from benchmarks.evidence import poolings
from core.store import open_study


@pytest.mark.slow
def test_main__prints_the_numbers_of_the_studies_and_resumes(tmp_path, capsys):
    words = ["-o", str(tmp_path), "--images", "glyphworld?train=60&val=40", "--workers", "0"]
    words += ["--pools", "gap", "max"]
    poolings.main(words)
    printed = capsys.readouterr().out
    studies = {pool: open_study(tmp_path / pool) for pool in ("gap", "max")}
    assert [study.summary("embed")["encoder"]["pool"] for study in studies.values()] == ["gap", "max"]
    for pool, study in studies.items():
        assert f"| {pool} | {study.summary('probe')['top1']:.3f} (" in printed
        for _, row in study.table("quality_metrics").iterrows():
            assert f"{row['auroc']:.3f} ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})" in printed
    correct = [poolings.correct_of(study) for study in studies.values()]
    assert len(correct[0]) == 40 and f"{(correct[1] - correct[0]).mean():.3f} (" in printed
    made = [study.manifest for study in studies.values()]
    poolings.main(words)
    assert capsys.readouterr().out == printed
    assert [open_study(study.path).manifest for study in studies.values()] == made
