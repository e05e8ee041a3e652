"""The part What would help of the page Errors: its numbers, the images that change side, the next study."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest

from core.analysis.remedies import (
    BROKEN,
    MENDED,
    WRONG,
    base_sentence,
    decided_since,
    error_groups,
    next_step,
    refit_errors,
    remedies_finding,
    remedy_name,
    remedy_row,
    remedy_table,
    untried_row,
    worst_sentence,
)
from core.common.step_facts import RemediesFacts
from core.encoders.head_file import read_head
from core.measures.slice import Slice
from core.publish.remedy_head import remedy_head
from core.store import Study, open_study
from core.study.label_decisions import corrected_labels, decide_label, decisions_digest
from core.study.writer import write_study
from dashboard.components.tooltips import plain
from dashboard.jobs import further_studies, launcher
from dashboard.panels.remedies import head_comparison
from tests.dashboard.conftest import all_text, tiles
from tests.dashboard.issues import write_issues
from tests.publish.test_label_forms import made as made
from tests.sentences import as_record

TAB = {"errors_tab": "What would help"}
FACTS = {"answer": "probe", "accuracy": 0.7, "accuracy_in_use": 0.65, "n": 40, "heads": ["refit", "slices"]}
WORST = {"worst_slice": "colour=blue", "n_worst_slice": 12, "worst_class": "cat", "n_worst_class": 21}


def write_remedies(folder: Path, *, low: float = 0.01, n_corrected: int = 0, n_errors: int = 0) -> Study:
    """As the step would leave them: slices gain, nobody corrected a label, two images change side.

    Args:
        n_errors: of the refit, at most 3 ants before cats; 0: as an older version wrote it, without them.
    """
    study = open_study(folder)
    ids = study.images["image_id"].tolist()
    numbers = {"accuracy": 0.75, "gain": 0.05, "low": low, "high": 0.09, "mended": 9, "broken": 1, "n": 40}
    rows = [untried_row("corrected", "nobody has corrected a label"), remedy_row("slices", numbers)]
    changed = pd.DataFrame(
        {
            "remedy": "slices",
            "image_id": ids[:2],
            "label": study.images["label"].tolist()[:2],
            "before": "bee",
            "after": "ant",
            "change": [MENDED, BROKEN],
        }
    )
    wrong = study.images.loc[study.images["label"].isin(["ant", "cat"]), ["image_id", "label"]]
    wrong = wrong.sort_values("image_id").groupby("label").head(3).head(n_errors)
    wrong = wrong.assign(remedy="refit", before="bee", after="bee", change=WRONG)
    changed = pd.concat([wrong, changed], ignore_index=True)
    names, n_features = study.class_names, 4
    weights = np.arange(2 * len(names) * (n_features + 1), dtype=np.float32)
    with write_study(folder) as writer, writer.step("remedies", {}, ("images",)) as step:
        step.table("remedies", remedy_table(rows))
        step.table("remedy_images", changed.astype("str"))
        step.table("remedy_classes", pd.DataFrame({"label": names}))
        step.vector("remedy_weights", weights.reshape(2, len(names), n_features + 1))
        step.summary = {**FACTS, **WORST, "n_fitted": 30, "best": "slices", "n_corrected": n_corrected}
    return open_study(folder)


def menus(app) -> list[str]:
    """The keys of the menus of a page."""
    return [one.proto.id.rpartition("-")[2] for one in app.get("popover")]


def test_page__says_what_gains_and_shows_what_changes_side(seen, open_page):
    study = write_remedies(seen)
    app = open_page("errors", study=seen.name, **TAB)
    assert not app.exception
    text = all_text(app)
    table = study.table("remedies")
    assert plain(str(remedies_finding(table))) in [one.value for one in app.header]
    assert str(base_sentence(study.facts(RemediesFacts))) in text
    assert app.selectbox(key="remedy").value == remedy_name("slices")  # the one that gains
    for row, change in enumerate((MENDED, BROKEN)):
        (tile,) = tiles(app, f"remedies_{change}")
        assert tile["id"] == row and tile["lines"][0].endswith(": before bee, after ant")
        assert tile["verdict"] == ""  # that of the answer in use would contradict the group
    app = open_page("errors", study=seen.name, where="correct=true label=cat", **TAB)
    assert not app.exception  # a filter narrows the lists, not the gains
    assert plain(str(remedies_finding(table))) in [one.value for one in app.header]


def test_page__leads_from_untried_corrections_to_the_labels(seen, open_page):
    write_issues(seen, 4)
    study = write_remedies(seen)
    app = open_page("errors", study=seen.name, **TAB)
    queries = [one.proto.query_string for one in app.get("page_link")]
    assert any(parse_qs(one).get("errors_tab") == ["Wrong labels"] for one in queries)
    worst = as_record(worst_sentence(study.facts(RemediesFacts), "blue things"))
    parts = [as_record(one) for one in worst.parts]
    assert parts[0].what == "blue things" and [one.n for one in parts] == [12, 21]
    assert any(part in all_text(app) for part in parts[1:])


def test_head__nothing_gains__none_is_chosen_and_a_next_step_is_shown(seen, open_page):
    study = write_remedies(seen, low=-0.01, n_corrected=2)
    assert remedies_finding(study.table("remedies")).kind == "none"
    app = open_page("errors", study=seen.name, **TAB)
    assert app.selectbox(key="remedy").value is None
    assert app.button(key="remedy_next_none").disabled
    galleries = [one.proto.id for one in app.get("bidi_component")]
    assert not any(one.endswith(f"remedies_{change}") for one in galleries for change in (MENDED, BROKEN))
    tables = study.table("remedies"), study.table("remedy_images")
    line = next_step(study.facts(RemediesFacts), *tables, has_issues=True)
    assert (line.kind, line.parts[0].kind, line.parts[0].n) == ("next_class_size", "not_ruled_out", 40)
    assert line.parts[0].value == pytest.approx(9.0)  # the end of the interval of slices
    assert str(line) in all_text(app)
    filters = [parse_qs(one.proto.query_string).get("where") for one in app.get("page_link")]
    assert [str(Slice(labels=("cat",), correct=False))] in filters  # of the worst class
    assert "desk_again" in menus(app)  # labels were corrected: the next study can be made here
    app = open_page("errors", study=seen.name, remedy=remedy_name("slices"), **TAB)
    (menu,) = [one.proto.popover for one in app.get("popover") if one.proto.popover.label == "Use this head"]
    assert menu.type == "secondary"


def test_refit__its_errors_are_listed_as_the_page_counts_them(seen, open_page):
    study = write_remedies(seen, low=-0.01, n_corrected=2, n_errors=5)
    errors = refit_errors(study.table("remedy_images"))
    facts = study.facts(RemediesFacts)
    (of_worst, worst), (of_others, others) = error_groups(facts, study.table("remedy_images"))
    assert (of_worst.n, of_worst.of, of_others.n, of_others.of) == (len(worst), 21, len(others), 19)
    assert len(worst) + len(others) == len(errors) == 5 and set(worst["label"]) == {"cat"}
    line = next_step(facts, study.table("remedies"), study.table("remedy_images"), has_issues=True)
    assert (line.kind, line.n, line.of) == ("next_class", len(worst), 21)
    app = open_page("errors", study=seen.name, **TAB)
    assert not app.exception and str(line) in all_text(app)
    for number, group in enumerate((worst, others)):
        assert [tile["id"] for tile in tiles(app, f"remedies_errors_{number}")] == [
            study.row_of(name) for name in group["image_id"]
        ]
    filters = [parse_qs(one.proto.query_string).get("where") for one in app.get("page_link")]
    assert [str(Slice(labels=("cat",), correct=False))] not in filters  # other errors, of other images


def test_next_step__blames_the_images_only_where_no_interval_reaches_a_gain(seen):
    study = write_remedies(seen, low=-0.01)
    facts, changed = study.facts(RemediesFacts), study.table("remedy_images")
    numbers = {"accuracy": 0.75, "gain": 0.0, "low": -0.01, "mended": 9, "broken": 9, "n": 40}
    for high, kind in ((0.02, "ruled_out"), (0.021, "not_ruled_out")):
        table = remedy_table([remedy_row("slices", numbers | {"high": high})])
        assert next_step(facts, table, changed, has_issues=False).parts[0].kind == kind
    table = remedy_table([untried_row("slices", "none"), remedy_row("refit", numbers | {"high": 0.5})])
    assert next_step(facts, table, changed, has_issues=False).parts[0].kind == "none_tried"


def test_page__without_the_step_has_the_button(seen, open_page):
    app = open_page("errors", study=seen.name, **TAB)
    assert not app.exception and any("remedies" in one.value for one in app.code)


@pytest.mark.slow
def test_next_study__has_the_head_and_can_be_compared(made, studies, open_page, monkeypatch):
    started = []
    monkeypatch.setattr(
        launcher, "start_job", lambda command, folder: started.append((command, folder)) or folder
    )
    place = studies / "labels"
    shutil.copytree(made.path, place)
    study = write_remedies(place)
    monkeypatch.setenv("PEREGRINE_ROOTS", str(made.path.parent))
    assert further_studies.why_not_again(study) is None
    further_studies.start_again(study, "labels-slices", "slices")
    ((command, folder),) = started
    assert folder == launcher.folder_of(command) == studies / "labels-slices"
    options = dict(command.options)
    weights, bias, names = remedy_head(study, "slices")
    read = read_head(options["head"])
    assert np.array_equal(read[0], weights) and np.array_equal(read[1], bias) and read[2] == names
    assert "head_classes" not in options
    kept = pd.read_parquet(options["images"]).set_index("image_id")
    assert kept["split"].tolist() == study.images["split"].tolist()
    settings = {"images": options["images"]}
    with write_study(studies / "next") as writer, writer.step("embed", settings) as step:
        step.table("images", study.images)
    assert list(further_studies.next_studies(study, further_studies.HEAD_OF)) == ["next"]
    assert list(further_studies.next_studies(study)) == []
    assert list(further_studies.corrected_studies(study)) == []  # its labels are those of before
    corrected = study.images.assign(label=corrected_labels(study))
    with write_study(studies / "after") as writer, writer.step("embed", settings) as step:
        step.table("images", corrected)
    assert list(further_studies.corrected_studies(study)) == ["after"]
    of, query = head_comparison(study, "next")  # the probes of both are the same
    assert of.path == studies / "next" and query == {"compare_what": "Answers", "compare_answer": "probe"}


def test_page__says_that_people_decided_since_with_the_button(seen, open_page):
    study = write_remedies(seen)
    assert "remedies_again" not in str(open_page("errors", study=seen.name, **TAB).button)
    image_id, label = study.images.loc[0, ["image_id", "label"]]
    decide_label(study, image_id, label)
    app = open_page("errors", study=seen.name, **TAB)
    assert not app.exception and app.button(key="run_remedies_again")
    with write_study(study.path) as writer, writer.step("remedies", {}, ("images",)) as step:
        step.summary = {**FACTS, "decisions": decisions_digest(study)}
    assert decided_since(open_study(study.path)) == ""
    decide_label(study, image_id, next(name for name in study.class_names if name != label))
    assert decided_since(open_study(study.path)) != ""
