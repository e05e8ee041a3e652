"""The tables of the fixed measurement, from studies of 64 images whose AUROCs are counted by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from benchmarks.evidence import score_evidence, score_goal
from core.common.formatting import signed
from core.config import QualityConfig
from core.measures.scores import score_causes, score_metrics
from core.storage.writer import write_study
from core.store import Study, open_study

TIMES = 8  # each image below occurs so often, which changes no AUROC
CORRECT = [1, 1, 1, 1, 0, 0, 0, 0]
PREDICTED = ["b", "b", "a", "a", "a", "a", "b", "b"]
Scores = dict[str, list[float]]
PAIRS = 16  # of a correct and a misclassified image
SCORES: Scores = {  # of the 16 pairs, how many are in order
    "q_score": [8, 7, 2, 1, 6, 5, 4, 3],  # 8
    "norm": [8, 7, 6, 4, 5, 3, 2, 1],  # 15
    "knn_similarity": [1, 2, 3, 4, 5, 6, 7, 8],  # 0
    "combined": [8, 7, 6, 3, 5, 4, 2, 1],  # 14
    "distinctiveness": [8, 7, 5, 3, 6, 4, 2, 1],  # 13
    "raw_distinctiveness": [8, 7, 6, 2, 5, 4, 3, 1],  # 13
    "soft_q": [np.nan] * 8,
    "whitened_norm": [2, 7, 1, 8, 3, 5, 6, 4],  # 8
    "confidence": [8, 7, 6, 5, 4, 3, 2, 1],  # 16
}
WEIGHTS = {
    "distinctiveness": 0.5,
    "raw_distinctiveness": 0.5,
    "norm": 0.5,
    "whitened_norm": 0.1,
    "knn_similarity": -0.4,
}
ENCODER = {"spec": "asset:another", "pool": "gap"}
FEW = QualityConfig(bootstrap=100)


def write(folder: Path, changed: Scores | None = None, *, encoder=ENCODER, config=FEW, causes=None) -> Path:
    """A study with the tables of `quality`, of two train images and 64 evaluation images."""
    values = {
        name: np.tile(np.array(value, float), TIMES) for name, value in (SCORES | (changed or {})).items()
    }
    scores, correct = pd.DataFrame(values), pd.Series(np.tile(CORRECT, TIMES), dtype=float)
    predicted = pd.Series(np.tile(PREDICTED, TIMES), dtype=object)
    outcome = correct.to_numpy()
    found = score_metrics(scores, outcome, predicted, resamples=config.bootstrap, seed=config.seed)
    val = scores.assign(correct=correct.astype(bool).astype("boolean"), split="val")
    train = pd.DataFrame(
        {"split": ["train"] * 2, "combined": 0.5, "confidence": 0.5, "correct": [True, False]}
    )
    quality = pd.concat([train.astype({"correct": "boolean"}), val], ignore_index=True)
    with write_study(folder) as writer:
        with writer.step("embed", {}) as step:
            step.table("images", quality[["split"]].assign(image_id=range(len(quality))))
            step.summary = {"encoder": encoder}
        with writer.step("quality", {}, ("images",)) as step:
            step.table("quality", quality)
            step.table("quality_metrics", found)
            step.summary = {"combined_weights": {"val": WEIGHTS}}
            if causes is not None:
                step.table("quality_by_cause", score_causes(scores, outcome, np.tile(causes, TIMES)))
    return folder


@pytest.fixture(scope="module")
def hand(tmp_path_factory) -> Study:
    return open_study(write(tmp_path_factory.mktemp("hand") / "hand"))


def measured(study: Study) -> score_evidence.Measured:
    return score_evidence.measure(study, study.name)


def cells(lines: list[str], first: str) -> list[str]:
    """The cells of the only row that begins with this one."""
    (line,) = [line for line in lines if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def pair_count(score: np.ndarray, correct: np.ndarray) -> float:
    right, wrong = score[correct == 1][:, None], score[correct == 0][None]
    return float(((right > wrong) + 0.5 * (right == wrong)).mean()) if right.size and wrong.size else np.nan


def test_resampled__matches_a_loop_over_pairs(hand):
    draws = measured(hand).draws
    table = hand.table("quality").iloc[2:]
    correct = table["correct"].to_numpy(float)
    for score in ("combined", "confidence"):
        values = table[score].to_numpy(float)
        for number in range(0, score_evidence.RESAMPLES, 50):
            rows = np.random.default_rng([0, number]).integers(0, len(table), len(table))
            assert_allclose(draws[score][number], pair_count(values[rows], correct[rows]))


def test_share__is_six_eighths_of_a_perfect_confidence(hand):
    found = measured(hand)
    value, low, high = found.share()
    assert value == (14 / PAIRS - 0.5) / 0.5 == 0.75
    assert_allclose([low, high], np.percentile(2 * found.draws["combined"] - 1, [2.5, 97.5]))
    assert score_goal.share_text(found) == f"75 % ({100 * low:.0f} to {100 * high:.0f})"


@pytest.mark.parametrize("like", ["q_score", "knn_similarity"], ids=["at chance", "below"])
def test_share__undefined_where_confidence_is_not_above_chance(hand, tmp_path, like):
    study = open_study(write(tmp_path / "study", {"confidence": SCORES[like]}))
    assert np.isnan(measured(study).share()).all()
    assert score_goal.share_text(measured(study)) == "not defined"
    result = score_evidence.verdict([measured(hand), measured(study)])
    assert result.least.name == "study" and not result.reaches_share


def test_share__has_no_interval_where_confidence_is_at_chance_on_a_resample(tmp_path):
    study = open_study(write(tmp_path / "study", {"confidence": [8, 7, 2, 1, 6, 5, 4, 0]}))  # 10 of 16
    assert score_goal.share_text(measured(study)) == "300 %"


def test_goals__over_all_and_without_those_that_chose_the_rule(hand, tmp_path):
    tuned = {"spec": "asset:simclr_q_glyphworld", "pool": "gap"}
    lower = open_study(write(tmp_path / "tuned", {"combined": SCORES["distinctiveness"]}, encoder=tuned))
    found = [measured(lower), *[measured(hand)] * 4]
    lines = list(score_goal.goals(found))
    draws = found[0].draws["combined"], found[1].draws["combined"]
    low, high = np.percentile((draws[0] + 4 * draws[1]) / 5, [2.5, 97.5])
    number, mean, first, share, second = cells(lines, "all")[1:]
    assert (number, first, second) == ("5", "reached", "reached")
    assert mean == f"{(13 / PAIRS + 4 * 14 / PAIRS) / 5:.3f} ({low:.3f} to {high:.3f})"
    assert re.fullmatch(r"62 % \(\d+ to \d+\), tuned", share)  # (13/16 - 1/2) / (1/2)
    number, mean, first, share, second = cells(lines, "without those that chose the rule")[1:]
    assert (number, first, second) == ("4", "reached", "reached")
    assert mean.startswith("0.875 (") and share.endswith(", hand") and share.startswith("75 % (")


@pytest.mark.parametrize(
    "combined, n, first, second",
    [
        (SCORES["combined"], 3, "too few encoders", "reached"),
        ([8, 7, 3, 2, 6, 5, 4, 1], 4, "not reached", "not reached"),  # 10 of 16, a quarter of the gain
    ],
)
def test_goals__not_reached(tmp_path, combined, n, first, second):
    found = [measured(open_study(write(tmp_path / "study", {"combined": combined})))] * n
    row = cells(list(score_goal.goals(found)), "all")
    assert (row[3], row[5]) == (first, second)
    assert not score_evidence.verdict(found).reaches_mean


def test_goals__with_no_encoder_left(tmp_path):
    study = open_study(write(tmp_path / "study", encoder={"spec": "asset:simclr_glyphworld", "pool": "gap"}))
    lines = list(score_goal.goals([measured(study)]))
    assert cells(lines, "without those that chose the rule")[1:] == ["0", *"––––"]
    assert "\n| study * |" in "\n".join(score_goal.encoders([measured(study)]))


def test_tuned__not_with_another_pooling(tmp_path):
    study = open_study(write(tmp_path / "study", encoder={"spec": "asset:simclr_glyphworld", "pool": "max"}))
    assert not measured(study).tuned


def test_encoders__with_base_rates_and_within_predicted_classes(hand):
    """Of class a 2 of 4 pairs are in order, of class b all 4; precision 1, 1, 1, 4/6 and 1, 1, 3/4, 4/5."""
    row = cells(list(score_goal.encoders([measured(hand)])), "hand")
    starts = ["64", "50.0 %", "0.875 (", "0.750 (", "1.000 (", "75 % (", "0.917 (", "0.887 ("]
    assert [cell.startswith(start) for cell, start in zip(row[1:], starts, strict=True)] == [True] * 8
    assert row[-1].endswith("; 0.500") and row[-2].endswith("; 0.500")


def test_differences__to_q_and_to_the_best_other_score(hand):
    found = measured(hand)
    row = cells(list(score_goal.differences([found])), "hand")
    ends = [found.value("combined", f"rival_difference_{end}") for end in ("low", "high")]
    assert row[1].startswith("0.500 (") and row[2].startswith("+0.375 (+")
    assert row[3].startswith("norm 0.938 (")
    assert row[4] == f"\N{MINUS SIGN}0.062 ({signed(ends[0], 3)} to {signed(ends[1], 3)})"


def test_members__say_which_are_at_or_below_chance(hand):
    row = cells(list(score_goal.members([measured(hand)])), "hand")
    *scores, summary = row[1:]
    by_name = dict(zip(score_goal.COMBINED, scores, strict=True))
    assert by_name["knn_similarity"] == "0.000 (0.000 to 0.063), **below**"
    assert by_name["whitened_norm"].startswith("0.500 (")
    assert by_name["whitened_norm"].endswith("), *at chance*")
    assert by_name["soft_q"] == "not defined"
    assert by_name["norm"].endswith(")") and by_name["distinctiveness"].endswith(")")
    assert summary == "whitened_norm, knn_similarity"
    said = dict(
        zip(score_goal.COMBINED, cells(list(score_goal.weights([measured(hand)])), "hand")[1:], strict=True)
    )
    assert said["knn_similarity"] == "\N{MINUS SIGN}0.40" and said["soft_q"] == "left out"


@pytest.mark.parametrize(
    "low, high, said",
    [(0.501, 0.6, ""), (0.5, 0.6, "*at chance*"), (0.4, 0.5, "*at chance*"), (0.4, 0.499, "**below**")],
)
def test_standing__by_the_ends_of_the_interval(hand, low, high, said):
    found = measured(hand)
    found.metrics.loc["norm", ["auroc_low", "auroc_high"]] = low, high
    assert score_goal.standing_of(found, "norm").removeprefix(", ") == said


def test_members__none_below(tmp_path):
    good: Scores = {score: SCORES["norm"] for score in score_goal.COMBINED}
    study = open_study(write(tmp_path / "study", good))
    row = cells(list(score_goal.members([measured(study)])), "study")
    assert row[-1] == "none"


def test_matrices__hold_every_number_beside_the_value_without_skill(hand):
    found = measured(hand)
    printed = score_goal.report([found, found])
    for metric, caption, baseline, _ in score_goal.MATRICES:
        block = printed[printed.index(f"{caption}.") :].split("\n\n")[1].splitlines()
        names = [line.split(" | ")[0].strip("| *") for line in block[2:]]
        if baseline:
            assert names.pop(0) == baseline
        assert set(names) == set(SCORES) - {"soft_q"} and names[:2] == ["confidence", "norm"]
        for name in names:
            row = cells(block, "**combined**" if name == "combined" else name)
            assert row[1] == ("yes" if name == "confidence" else "no")
            numbers = [found.value(name, f"{metric}{end}") for end in ("", "_low", "_high")]
            assert row[2] == row[3] == "{:.3f} ({:.3f} to {:.3f})".format(*numbers)
    assert "| *base rate* | – | 0.500 | 0.500 |" in printed
    assert printed.count("| *random order* | – | 0.500 | 0.500 |") == 1  # AURC
    assert printed.count("| *random order* | – | 0.250 | 0.250 |") == 1  # AUGRC
    assert "| **combined** | no | 0.156 (" in printed  # (1 - 14/16) / 4 + 1/8
    assert "* hand, soft_q: the score is undefined for every image." in printed
    assert not re.search(r"\b(nan|None|inf)\b", printed)


def test_by_cause__shows_the_scores_of_the_rule(tmp_path):
    causes = np.array(["none"] * 4 + ["small", "small", "faded", "faded"], object)
    printed = score_goal.report([measured(open_study(write(tmp_path / "study", causes=causes)))])
    block = printed[printed.index("study: AUROC by cause") :].splitlines()
    header, small, faded = block[2].split(" | "), cells(block, "small"), cells(block, "faded")
    assert header[2:] == ["combined", *score_goal.COMBINED, "q_score", "confidence |"]
    assert small[1] == faded[1] == "16"
    assert small[2].startswith("0.75 (")  # 8, 7, 6, 3 against 5, 4
    assert faded[2] == "1.00 (0.91 to 1.00)"  # against 2, 1
    assert small[5] == "not defined"  # soft Q


@pytest.mark.slow
def test_main__prints_the_studies_under_distinct_names(tmp_path, capsys):
    paths = [write(tmp_path / folder / "max") for folder in ("one", "two")] + [write(tmp_path / "top4")]
    score_goal.main([str(path) for path in paths])
    assert f"| score | labels | {paths[0]} | {paths[1]} | top4 |" in capsys.readouterr().out


def test_measure__says_what_to_run(tmp_path):
    bare = write(tmp_path / "bare", config=QualityConfig(bootstrap=0))
    with pytest.raises(
        SystemExit, match=r"bare: measured without resamples. Run: .* --redo --bootstrap 1000"
    ):
        measured(open_study(bare))
    one_sided = write(tmp_path / "undefined", {"combined": [np.nan] * 8})
    with pytest.raises(
        SystemExit, match=r"no AUROC of 'combined' \(the score is undefined for every image\)"
    ):
        measured(open_study(one_sided))


def test_measure__of_an_older_study(hand, monkeypatch):
    monkeypatch.setattr(score_evidence, "NEEDED", ("auroc", "a_later_column"))
    with pytest.raises(SystemExit, match=r"an older version measured it, without a_later_column. Run: "):
        measured(hand)


def test_measure__before_quality(tmp_path):
    with write_study(tmp_path / "early") as writer, writer.step("embed", {}) as step:
        step.table("images", pd.DataFrame({"image_id": ["a"], "split": ["val"]}))
    with pytest.raises(SystemExit, match=r"early: The step 'Quality scores' .* Run: python -m core quality"):
        measured(open_study(tmp_path / "early"))
