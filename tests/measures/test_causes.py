"""Shares of errors by cause, and the false rates, counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.charts.causes import error_causes
from core.measures.causes import COLUMNS, RATES, cause_rates, order_of_causes
from core.measures.image_columns import CAUSES, UNEXPLAINED, cause_name
from core.measures.intervals import wilson
from core.measures.slice import Slice
from core.pictures.cause_words import (
    cause_sentence,
    evidence_text,
    image_sentences,
    sampled_sentence,
    shares_sentence,
    unjudged_sentence,
)
from core.publish.export_files import export_table
from core.store import Study, open_study
from core.study import label_decisions, trace_changes
from core.study.traces import UNSURE
from tests import small
from tests.pictures.planted import plant_causes
from tests.sentences import as_record


def rows_of(
    image: str, gap: float, holding: tuple[str, ...], *, why: str, reference: bool = False
) -> list[dict]:
    return [
        {
            "image_id": image,
            "cause": cause,
            "outcome": "holds" if cause in holding else "no" if cause != "crop" else "not tried",
            "gap": gap,
            "why": why,
            "reference": reference,
        }
        for cause in CAUSES
    ]


@pytest.fixture
def rates() -> pd.DataFrame:
    errors = [
        *rows_of("a", -1.0, ("turn", "feature"), why="turn"),
        *rows_of("b", -1.0, ("feature",), why="feature"),
        *rows_of("c", -9.0, (), why=UNEXPLAINED),
        *rows_of("d", -1.0, (), why="too few to tell"),
    ]
    right = [
        row for one in range(40) for row in rows_of(f"ref{one}", -1.0, ("turn",), why="", reference=True)
    ]
    for one in range(60):  # of the 40 with a small gap 4 are wrongly explained by a turn, of the others none
        holding = ("turn",) if one < 4 else ()
        right += rows_of(f"right{one}", -1.0 if one < 40 else -9.0, holding, why="")
    return cause_rates(pd.DataFrame(errors), pd.DataFrame(right)).set_index("cause")


def test_cause_rates__by_hand(rates):
    assert [rates.index.name, *rates.columns] == list(RATES)
    assert rates["n"].to_dict() == {
        **dict.fromkeys(CAUSES, 0),
        "turn": 1,
        "feature": 2,
        UNEXPLAINED: 1,
        "too few to tell": 1,
    }
    assert rates["n_first"].sum() == 4 == rates.loc["turn", "n_errors"]
    assert rates.loc["feature", "share"] == 0.5
    low, high = wilson(2, 4)
    assert rates.loc["feature", ["low", "high"]].tolist() == [float(low), float(high)]
    assert rates.loc["turn", "n_right"] == 60
    assert rates.loc["turn", "false_rate"] == pytest.approx(4 / 60)
    # the 30 nearest of three errors are the first with the gap 1, 4 of them wrong; of the other those with 9
    expected = (3 * 4 / 30 + 4 / 30 * 0) / 4
    nine = 20 * 0 + 4  # 20 of gap 9, then 10 of gap 1 in the order of the images
    assert rates.loc["turn", "false_rate_alike"] == pytest.approx(expected + nine / 30 / 4)
    assert rates.loc[UNEXPLAINED, ["false_rate", "false_rate_alike"]].isna().all()
    assert rates.loc["crop", ["false_rate", "false_rate_alike"]].isna().all()
    assert rates.loc["crop", "n_tried"] == 0 and rates.loc["turn", "n_tried"] == 4


def test_cause_rates__undefined_without_errors_or_with_few_right_images():
    none = pd.DataFrame(rows_of("a", -1.0, (), why=UNEXPLAINED))
    right = pd.DataFrame([row for one in range(29) for row in rows_of(f"r{one}", -1.0, ("turn",), why="")])
    few = cause_rates(none, right).set_index("cause")
    assert few["false_rate"].isna().all() and few.loc[UNEXPLAINED, "share"] == 1
    empty = cause_rates(none.iloc[:0], right)
    assert empty["share"].isna().all() and (empty["n_errors"] == 0).all()
    assert shares_sentence(empty) == ""


def test_cause_rates__over_groups_is_wider():
    errors = [row for one in range(40) for row in rows_of(f"e{one}", -1.0, ("turn",) * (one % 4 < 2), why="")]
    right = pd.DataFrame(rows_of("r", -1.0, (), why=""))
    alone = cause_rates(pd.DataFrame(errors), right).set_index("cause").loc["turn"]
    groups = np.array([one % 4 for one in range(40)])  # all of a group agree
    grouped = cause_rates(pd.DataFrame(errors), right, groups).set_index("cause").loc["turn"]
    assert grouped["share"] == alone["share"] == 0.5
    assert grouped["high"] - grouped["low"] > 1.5 * (alone["high"] - alone["low"])


def test_cause_rates__shares_are_of_the_judged_errors():
    errors = [row for one in range(7) for row in rows_of(f"e{one}", -1.0, ("turn",) * (one == 0), why="turn")]
    table = pd.DataFrame(errors)
    is_turn, is_feature = table["cause"] == "turn", table["cause"] == "feature"
    table.loc[is_turn & table["image_id"].isin(["e4", "e5", "e6"]), "outcome"] = "too few"
    table.loc[is_feature, "outcome"] = "too few"
    right = pd.DataFrame(rows_of("r", -1.0, (), why=""))
    rates = cause_rates(table, right).set_index("cause")
    low, high = wilson(1, 4)
    assert rates.loc["turn", ["share", "low", "high"]].tolist() == [0.25, float(low), float(high)]
    assert rates.loc["turn", ["n", "n_errors", "n_too_few"]].tolist() == [1, 7, 3]
    assert rates.loc["feature", ["share", "low", "high"]].isna().all()
    assert rates.loc["label", "share"] == 0 and rates.loc["label", "n_too_few"] == 0
    grouped = cause_rates(table, right, np.array([0, 0, 1, 1, 2, 2, 2])).set_index("cause")
    assert grouped.loc["turn", "share"] == 0.25
    drawn = error_causes(rates.reset_index())
    names = [str(name) for name in drawn.layout.yaxis.ticktext]
    assert any(name.endswith("(1 of 4)") for name in names)
    assert not any(cause_name("feature") in name for name in names), "of none that was judged"


def test_unjudged_sentence__only_where_an_error_was_not_judged(rates):
    assert as_record(unjudged_sentence(rates.reset_index())).n == 1
    assert unjudged_sentence(rates.assign(n=0).reset_index()) == ""


def test_order_of_causes__label_then_gain_then_neighbours():
    cause = np.array(["neighbours", "crop", "label", "turn"], object)
    order = order_of_causes(cause, np.array([9.0, 1.0, 0.1, 2.0]))
    assert cause[order].tolist() == ["label", "turn", "crop", "neighbours"]


def row_of_table(cause: str, rank: int = 1, **more: object) -> dict:
    row = {"cause": cause, "rank": rank, "why": cause, "label": "cat", "predicted": "dog", "gain": 2.5}
    return row | {"threshold": 1.25, "suggested": "fox", "value": 0.75, "usual": 0.25, "degrees": 90.0,
                  "feature": 7, "measure": "brightness", "by_decision": None,
                  "outcome": "no"} | more  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES)
def test_cause_sentence__carries_its_numbers(cause):
    said = cause_sentence(row_of_table(cause))
    assert said.kind == {"picture": "brightness"}.get(cause, cause)
    if cause in ("label", "neighbours"):
        assert said.value == 0.75
    else:
        assert (said.value, said.chance, said.what) == (2.5, 1.25, "cat")
    assert {"turn": said.n == 90, "feature": said.n == 7}.get(cause, said.n is None)


def test_cause_sentence__says_which_way_a_picture_is_unusual():
    told = [
        cause_sentence(row_of_table("picture", measure="contrast", value=one, usual=0.2))
        for one in (0.1, 0.3)
    ]
    assert [one.kind for one in told] == ["contrast", "contrast"] and told[0].why != told[1].why
    assert cause_sentence(row_of_table("picture", measure="sharpness")).kind == "sharpness"


def test_image_sentences__best_first_or_why_there_is_none():
    both = pd.DataFrame([row_of_table("crop", 2), row_of_table("turn", 1), row_of_table("feature", 0)])
    assert [one.kind for one in image_sentences(both)] == ["turn", "crop"]
    none = pd.DataFrame([row_of_table("crop", 0, why=UNEXPLAINED)])
    assert [one.kind for one in image_sentences(none)] == ["unexplained"]
    (few,) = image_sentences(both.assign(rank=0, outcome="too few"))
    assert (few.kind, few.what) == ("few", "cat")
    tried = [as_record(one) for one in few.names]
    assert [one.kind for one in tried] == ["few_crop", "few_turn", "few_feature"]
    assert [one.n for one in tried[1:]] == [90, 7]


def test_image_sentences__beside_a_doubt_about_the_label_name_what_was_tried():
    label, crop = row_of_table("label", 1), row_of_table("crop", 0, outcome="too few", gain=1.0)
    turn = row_of_table("turn", 0, outcome="too few", gain=2.0)
    _, few = image_sentences(pd.DataFrame([label, crop, turn]))
    assert few.kind == "doubt_few"
    assert [as_record(one).kind for one in few.names] == ["few_turn", "few_crop"]  # the best first
    _, none = image_sentences(pd.DataFrame([label, row_of_table("crop", 0, outcome="no")]))
    assert none.kind == "doubt_unexplained"
    judged = image_sentences(pd.DataFrame([label, row_of_table("turn", 2), crop]))
    assert [one.kind for one in judged] == ["label", "turn"]
    decided = row_of_table("label", 1, by_decision="changed", corrected_label="dog")
    assert len(image_sentences(pd.DataFrame([decided, crop]))) == 1


@pytest.mark.parametrize("measure", ["brightness", "contrast", "sharpness"])
def test_image_sentences__name_what_they_cannot_judge(measure):
    rows = pd.DataFrame([row_of_table("picture", 0, measure=measure, outcome="too few")])
    (said,) = image_sentences(rows)
    assert (said.kind, [as_record(one).kind for one in said.names]) == ("few_one", [f"few_{measure}"])


def test_shares_sentence__counts_first_causes(rates):
    said = as_record(shares_sentence(rates.reset_index()))
    assert (said.kind, said.n) == ("shares", 4) and len(said.names) == 4
    assert sampled_sentence(4, 4) == "" and as_record(sampled_sentence(4, 9)).of == 9


TRAIN, FIRST, SECOND = (small.image_ids()[at] for at in (1, 3, 6))  # the errors of the small study


@pytest.fixture
def judged(tmp_path: Path) -> Study:
    """Models out of fold doubt the labels of all three errors; a crop explains the first one, too."""
    small.write_small_study(tmp_path / "study")
    return plant_causes(
        tmp_path / "study", {TRAIN: ("label",), FIRST: ("label", "crop"), SECOND: ("label", "turn")}
    )


def whys(study: Study) -> dict[str, str]:
    return dict(study.table("causes").drop_duplicates("image_id")[["image_id", "why"]].to_numpy())


def test_decisions__stand_in_place_of_what_models_make_of_a_label(judged: Study) -> None:
    before = judged.table("causes")
    assert tuple(before) == COLUMNS and before["by_decision"].isna().all()
    assert judged.table("cause_rates")["n_decided"].eq(0).all()
    label_decisions.decide_label(judged, FIRST, "cat")  # it is right
    label_decisions.decide_label(judged, SECOND, "dog")  # corrected to the answer
    label_decisions.decide_label(judged, TRAIN, UNSURE)
    assert whys(judged) == {TRAIN: "label", FIRST: "crop", SECOND: "label"}
    table = judged.table("causes").set_index(["image_id", "cause"])
    assert not table.loc[(FIRST, "label"), "holds"] and table.loc[(FIRST, "crop"), "rank"] == 1
    assert table.loc[SECOND].query("holds").index.tolist() == ["label"], "others asked for the wrong label"
    rates = judged.table("cause_rates").set_index("cause")
    assert rates.loc[["label", "crop", "turn"], "n_first"].tolist() == [2, 1, 0]
    assert rates.loc["label", ["n_decided", "n"]].tolist() == [2, 2] and rates.loc["turn", "n_tried"] == 1
    one = {name: image_sentences(rows) for name, rows in judged.table("causes").groupby("image_id")}
    kinds = {name: [text.kind for text in texts] for name, texts in one.items()}
    assert kinds == {TRAIN: ["taken_for_wrong"], FIRST: ["crop"], SECOND: ["corrected_to_answer"]}
    assert len(as_record(shares_sentence(judged.table("cause_rates"))).names) == 2


def test_decisions__are_read_wherever_causes_are(judged: Study, tmp_path: Path) -> None:
    """Filters, slices and exports; and what is taken back is as before."""
    narrowed = judged.where("split=val")
    assert narrowed.table("cause_rates").set_index("cause").loc["label", "n_first"] == 2
    done = label_decisions.decide_label(judged, FIRST, "cat")
    assert narrowed.table("cause_rates").set_index("cause").loc["label", "n_first"] == 1
    by_label = Slice(extras={"why": ("label",)})
    assert FIRST not in judged.images.loc[by_label.mask(judged), "image_id"].tolist()
    export_table(judged, "causes", tmp_path / "causes.csv")
    written = pd.read_csv(tmp_path / "causes.csv").drop_duplicates("image_id").set_index("image_id")
    assert written.loc[FIRST, ["why", "by_decision"]].tolist() == ["crop", "kept"]
    trace_changes.take_back(judged, done)
    pd.testing.assert_frame_equal(judged.table("causes"), open_study(judged.path).table("causes"))
    assert whys(judged)[FIRST] == "label" and by_label.mask(judged).sum() == 3


def test_cause_sentence__of_a_label_that_was_corrected_to_a_third_class() -> None:
    row = row_of_table("label", by_decision="changed", corrected_label="fox")
    assert (cause_sentence(row).kind, cause_sentence(row).what) == ("corrected", "fox")
    assert "fox" in evidence_text(row) and "fox" not in evidence_text(row | {"by_decision": "unsure"})
