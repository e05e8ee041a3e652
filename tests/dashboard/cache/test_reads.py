"""What the cached reads promise, and what the server loads before anybody asks."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from core.charts import maps
from core.common.score_names import available_scores
from core.errors import UnreadableImage
from core.measures import saved_slices
from core.measures.evaluate import asked_columns, column_values
from core.measures.slice import Slice
from core.measures.slice_features import count_firing_images
from core.store import Study, open_study
from core.study.label_decisions import decide_label, with_decisions
from core.study.traces import UNSURE
from dashboard.cache import concept_reads, heatmap_reads, highlight_reads, map_reads, reads
from dashboard.server import warm_up
from tests import small
from tests.browser.harness import run_apart
from tests.dashboard.conftest import unescaped
from tests.synthetic import make_study

pytestmark = pytest.mark.usefixtures("unread")


def test_images__of_columns_in_several_tables_the_first_is_taken(studies):
    study = open_study(studies / "demo")
    frame = reads.images(study).frame()
    assert "split" in study.columns("probe") and "confidence" in study.columns("quality")
    assert frame.columns.is_unique
    assert frame["confidence"].equals(study.table("probe")["confidence"])
    assert set(study.columns("quality")) <= set(frame.columns)


def test_what_cannot_be_read_now_is_there_once_it_is_back(seen, monkeypatch):
    study = open_study(seen)
    box = (0.0, 0.0, 32.0, 24.0)

    def gone(*_):
        raise UnreadableImage("the disk is away")

    def read() -> tuple[bool, bool]:
        masked = heatmap_reads.masked_rows(study)["core"].any()
        return bool(concept_reads.crop_url(study, 0, box)), bool(masked)

    with monkeypatch.context() as away:
        away.setattr(Study, "image", gone)
        away.setattr(Study, "masks", property(gone))
        assert read() == (False, False)
    assert read() == (True, True)


def test_images__a_column_is_read_when_it_is_asked_for(studies):
    study = open_study(studies / "demo")
    images, scores = reads.images(study), reads.scores(study)
    assert "q_score" in images and "absent" not in images
    assert not study.kept_columns
    mine = images["correct"]
    mine.iloc[0] = None
    assert images["correct"].notna().all()
    assert [*study.kept_columns] == [("quality", "correct")]
    assert scores == tuple(available_scores(images.frame()))
    with pytest.raises(KeyError):
        images["absent"]


def test_classes_tell__is_counted_once_for_all_runs_of_the_map(studies, monkeypatch):
    study, names_tell, counted = open_study(studies / "demo"), maps.names_tell, []
    monkeypatch.setattr(maps, "names_tell", lambda names: counted.append(names) or names_tell(names))
    answers = {map_reads.classes_tell(study) for _ in range(3)}
    assert len(counted) == 1 and answers == {names_tell(study.images["label"].to_numpy(object))}


def test_facts_of__are_those_of_each_row_and_nobody_else_s(studies):
    study = open_study(studies / "demo")
    frame = reads.images(study)
    facts = reads.facts_of(study, [7, 3, 7])
    assert [one["image_id"] for one in facts] == frame["image_id"].iloc[[7, 3, 7]].tolist()
    facts[0]["image_id"] = "changed"
    assert reads.image_facts(study, 7)["image_id"] == frame["image_id"].iat[7]
    assert set(facts[1]) == set(reads.FACTS)


def test_facts_of__few_are_kept(studies, monkeypatch):
    study = open_study(studies / "demo")
    monkeypatch.setattr(reads, "MOST_FACTS", 10)
    for row in range(40):
        assert reads.facts_of(study, [row])[0]["image_id"] == reads.images(study)["image_id"].iat[row]
    assert len(reads._known_facts(study)) <= 11


def test_warm__reads_the_first_study_while_the_server_starts(studies, monkeypatch):
    read = threading.Event()
    monkeypatch.setattr(highlight_reads, "finding", lambda study, population: read.set())

    async def serve() -> None:
        async with warm_up.lifespan(None):  # type: ignore[arg-type]  (the app is not used)
            assert await asyncio.to_thread(read.wait, 30)

    run_apart(serve())


def test_warm__a_damaged_study_is_left_to_its_page(studies, open_page):
    (studies / "demo" / "images.parquet").write_bytes(b"nothing")
    warm_up.load()
    app = open_page("overview", study="demo")
    assert not app.exception
    assert "images.parquet" in unescaped(app.error[0].value)


def test_warm__without_studies_nothing_is_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "none"))
    monkeypatch.setattr(highlight_reads, "finding", lambda study, population: read.append(study))
    warm_up.load()
    assert read == []


def test_with_traces__classes_that_are_wordnet_ids_have_their_names(tmp_path):
    folder = make_study(tmp_path / "study", n_classes=2, class_names=("n02093754", "n01440764"))
    listed = reads.with_traces(open_study(folder), [0, 1, 2])
    names = {"n02093754": "Border terrier", "n01440764": "tench"}
    assert listed["label_name"].tolist() == [names[one] for one in listed["label"]]
    assert listed["predicted_name"].tolist() == [names[one] for one in listed["predicted"]]


def test_with_traces__a_corrected_label_stands_where_somebody_decided_alone(tmp_path):
    study = small.write_small_study(tmp_path / "study")
    ids = small.image_ids()
    for row, name in ((0, "cat"), (1, "dog"), (2, UNSURE)):
        decide_label(study, ids[row], name)
    listed = reads.with_traces(study, [0, 1, 2, 3, 7])
    assert listed["corrected_label"].tolist() == ["cat", "dog", "", "", ""]
    made = with_decisions(study, listed.loc[:, ["image_id"]])
    assert made["corrected_label"].fillna("").tolist() == listed["corrected_label"].tolist()


def test_with_traces__further_columns_have_the_values_by_which_a_filter_decides(seen):
    study = open_study(seen)
    where, rows = Slice.parse("core_energy=0.3.. split=val tag=odd"), [5, 3, 40]
    further = asked_columns(where, study)
    assert further == ["core_energy"]  # tags are there already
    listed = reads.with_traces(study, rows, further)
    expected = column_values(study, "core_energy").to_numpy()[rows]
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(listed["core_energy"], expected)


def test_asked_columns__also_of_a_saved_slice(tmp_path):
    study = small.write_small_study(tmp_path / "study")
    saved_slices.save(study.path, "low", Slice.parse("confidence=..0.5"))
    assert asked_columns(Slice.parse("@low n_firing=1.."), study) == ["n_firing", "confidence"]


def test_features_to_show__fire_on_an_image_that_is_shown_also_where_few_are_discriminative(unlabelled_study):
    """As of a network that is not trained: cards without a picture say nothing."""
    study = open_study(unlabelled_study)
    fires = count_firing_images(study, [study.is_val])[0]
    fires_somewhere = set(np.flatnonzero(fires).tolist())
    few = set(np.flatnonzero(study.discriminative).tolist())
    assert few - fires_somewhere and fires_somewhere - few
    shown = highlight_reads.features_to_show(study, Slice(split="val"), len(fires))
    assert len(shown) == len(set(shown)) and set(shown) == fires_somewhere
