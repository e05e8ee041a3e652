"""Reports: they hold what the study holds, need nothing else, and show every name as text."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from core.analysis.recommendation import advice
from core.analysis.trust_check import read_check
from core.answers.class_logits import NOT_SWITCHED_OFF
from core.answers.requests import add_answer
from core.common.formatting import percent
from core.common.step_facts import ConceptsFacts
from core.errors import SettingsError, StudyError
from core.measures import saved_slices
from core.measures.corrected_accuracy import before_corrections
from core.measures.finder import worst_slices
from core.measures.label_issues import doubted_errors, errors_in_doubt
from core.measures.slice import Slice
from core.publish import image_sections, report_page, report_sections
from core.publish.report import write_report
from core.publish.report_page import Source, page, parts, picture
from core.publish.report_sections import _confusions, accuracy, command_lines
from core.store import Study, open_study
from core.study import label_decisions
from core.study.progress import Progress
from tests.command_line import runner
from tests.manifests import edited_manifest
from tests.sampling import sample
from tests.sentences import as_record, numbers
from tests.synthetic import make_seen_study, make_study

HOSTILE = "<script>window.stolen=1</script>"
NAMES = ("ant", HOSTILE, '"><img src=x onerror=alert(1)>', "&amp; bee")


class Seen(HTMLParser):
    """What a browser would make of a page: tags, addresses, visible text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.said, self._silent = "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._silent = tag in ("script", "style")
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        self.said += "" if self._silent else data


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seen_study(tmp_path_factory.mktemp("report") / "seen", n_train=40, n_val=24)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("hostile") / "odd", n_train=40, n_val=24, class_names=NAMES)


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts by plotly.js: quick, and what a machine without a browser gets."""

    def none() -> str:
        raise SettingsError("no browser")

    monkeypatch.setattr(report_page, "find_browser", none)


def read(path: Path) -> tuple[str, Seen]:
    text = path.read_text(encoding="utf-8")
    return text, Seen(text)


@pytest.mark.slow
def test_report__says_what_the_study_says(seen, tmp_path, no_browser):
    study = open_study(seen)
    text, found = read(write_report([study], tmp_path / "report.html"))
    quality, overlap = study.summary("quality"), study.summary("overlap")
    assert f"{100 * study.summary('probe')['top1']:.1f} %" in found.said
    assert f"{quality['q_auroc']:.3f}" in found.said and f"base rate {quality['base_rate']:.3f}" in found.said
    trust = read_check(study)
    assert trust is not None and trust.sentence in found.said and trust.facts in found.said
    assert "AUGRC (lower is better)" in found.said
    assert f"{overlap['miou_core']:.3f} (" in found.said
    for anchor in ("holds", "accuracy", "quality", "premise", "features", "worst", "heatmaps", "overlap"):
        assert anchor in found.ids
    for line in command_lines(study):
        assert line in found.said
    opening = text[: text.index("<nav")]  # what its features look at is seen before the list of chapters
    assert 3 < opening.count('alt="heatmap of ') == opening.count("<img")
    assert 0 < opening.index("<h3") < opening.index("<img")  # below a heading
    assert found.tags.count("img") > 40  # samples, top images, worst images, heatmaps
    assert found.tags.count("math") >= 5


@pytest.mark.exhaustive("test_report__says_what_the_study_says, by the probe")
@pytest.mark.slow
def test_report__by_another_answer_has_the_numbers_that_no_answer_changes(seen, tmp_path, no_browser):
    folder = shutil.copytree(seen, tmp_path / "study")
    add_answer(folder, "knn", None, {"device": "cpu"}, Progress.silent())
    study = open_study(folder)
    _, found = read(write_report([study.answering("knn")], tmp_path / "report.html"))
    quality = study.summary("quality")
    assert (
        f"{quality['rankme']:.1f}" in found.said and f"{100 * quality['near_zero_share']:.1f} %" in found.said
    )


@pytest.mark.exhaustive("tests/answers counts these images")
@pytest.mark.slow
def test_report__of_a_drawn_split_that_an_answer_does_not_need_counts_every_image(seen, tmp_path, no_browser):
    folder = shutil.copytree(seen, tmp_path / "study")
    images = open_study(folder).images
    images[["image_id"]].assign(predicted=images["label"]).to_csv(tmp_path / "told.csv", index=False)
    add_answer(folder, str(tmp_path / "told.csv"), None, {"device": "cpu"}, Progress.silent())
    with edited_manifest(folder) as manifest:
        manifest["steps"]["embed"]["summary"]["split_given"] = False
    study = open_study(folder).answering("told")
    text, found = read(write_report([study], tmp_path / "report.html"))
    assert "beside 0 others" in found.said and study.is_val.all()
    for label, n in images["label"].value_counts().items():
        assert f"<td>{label}</td><td>0</td><td>{n}</td>" in re.sub(r"<(t[dh])[^>]*>", r"<\1>", text).replace(
            "\n", ""
        )


def test_slices__that_could_be_chance_are_not_listed(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_train=40, n_val=60, pictures=False))
    assert (worst_slices(study)["q"] > 0.05).all() and len(worst_slices(study))
    assert image_sections.slices(Source(study)) == [parts.paragraph(image_sections.NONE_WORSE)]
    bare = open_study(make_study(tmp_path / "bare", n_train=20, n_val=8, labels=False, pictures=False))
    assert image_sections.slices(Source(bare)) == [parts.paragraph(image_sections.NONE_JUDGED)]


def test_slices__a_saved_one_counts_the_images_of_the_report_that_are_in_it(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_train=40, n_val=60, pictures=False))
    saved_slices.save(study.path, "mine", Slice.parse("label=ant"))
    right = study.table("probe")["correct"].fillna(False).to_numpy(bool)
    ants = (study.images["label"] == "ant").to_numpy() & study.is_val
    assert 0 < (n := int((right & ants).sum())) < ants.sum()
    of_right = Source(study.where(Slice.parse("split=val correct=true")))
    assert f"{n} images: label=ant" in "".join(image_sections.slices(of_right))


def test_quality__without_verdicts_is_the_reason_and_no_table_of_nothing(tmp_path):
    folder = make_study(tmp_path / "bare", n_train=30, n_val=12, labels=False)
    with edited_manifest(folder) as manifest:
        manifest["steps"]["quality"]["summary"]["dead_share"] = 0.375
    source = Source(open_study(folder))
    said = "".join(report_sections.quality(source))
    assert "the images have no labels" in said and "not defined" not in said and "<table" not in said
    assert percent(0.375) in "".join(report_sections.premise(source))
    source.facts["q_score"] = 0.5
    lowest = report_sections.worst_images(source)[1]
    assert numbers(lowest) == ["0", "12", "0"] and report_sections.SOME_FIRST not in lowest


def test_failures__what_cannot_be_switched_off_is_one_sentence(seen, tmp_path):
    folder = shutil.copytree(seen, tmp_path / "study")
    with edited_manifest(folder) as manifest:
        manifest["steps"]["failures"]["summary"]["interventions"] = NOT_SWITCHED_OFF
    assert image_sections.failures(Source(open_study(folder)))[-1] == parts.paragraph(NOT_SWITCHED_OFF)


@pytest.mark.parametrize(("captions", "is_shown"), [(None, False), ("words.txt", True)])
def test_reason__without_captions_gives_no_option_of_a_command(captions, is_shown):
    skipped = "give --captions PATH"
    study = SimpleNamespace(
        why_skipped=lambda step: skipped, settings=lambda step: {"captions": captions}, missing=dict
    )
    reason = Source(cast(Study, study)).reason("concepts")
    assert reason and ("--captions" in reason) == is_shown


def test_concepts__of_a_captioner_name_it():
    facts = ConceptsFacts(n_explained_features=1, clip="tiny", captioner="mine:caption", alpha=0.5)
    explained = pd.DataFrame(columns=["n_images", "group", "words", "clip_cosine", "interpretable"])
    study = SimpleNamespace(facts=lambda _: facts, table=lambda _: explained)
    said = str(image_sections.concepts(Source(cast(Study, study)))[0])
    assert said.startswith("<p>1 feature was put into words with tiny and mine:caption; ")


@pytest.mark.exhaustive("tests/study/test_missing.py has the reasons")
@pytest.mark.slow
def test_report__missing_steps_say_what_to_run(seen, tmp_path, no_browser):
    _, found = read(write_report([open_study(seen)], tmp_path / "report.html"))
    assert "no captions" in found.said or "python -m core concepts" in found.said


@pytest.mark.slow
@pytest.mark.parametrize("interactive", sample([True, False], 1))
def test_report__needs_nothing_else(seen, tmp_path, no_browser, interactive):
    text, found = read(write_report([open_study(seen)], tmp_path / "report.html", interactive=interactive))
    assert found.addresses
    assert all(address.startswith(("data:image/", "#")) for address in found.addresses)
    assert not {"link", "iframe", "object", "base", "form"} & set(found.tags)
    assert "@import" not in text.split("<script>")[0] and "url(" not in text.split("<script>")[0]
    assert '"showSendToCloud": false' in text  # living charts, since there is no browser to draw them


@pytest.mark.slow
def test_report__names_stay_text(hostile, tmp_path, no_browser):
    text, found = read(write_report([open_study(hostile)], tmp_path / "report.html"))
    assert HOSTILE in found.said and NAMES[2] in found.said and "&amp; bee" in found.said
    assert not found.handlers
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) > 3 and not any(HOSTILE.removesuffix("</script>") in script for script in scripts)


@pytest.mark.slow
def test_report__twice_the_same(hostile, tmp_path, monkeypatch):
    monkeypatch.setattr(
        report_page, "render_all", lambda figures, kind, drawn_one: [b"<svg/>" for _ in figures]
    )
    monkeypatch.setattr(report_page, "find_browser", lambda: "some browser")
    study = open_study(hostile)
    first, second = (write_report([study], tmp_path / f"{n}.html").read_bytes() for n in (1, 2))
    assert first == second
    assert b"<script" not in first and b"script-src" not in first  # the policy then forbids any


@pytest.mark.exhaustive("test_report__says_what_the_study_says, with labels")
@pytest.mark.slow
def test_report__unlabelled_study(tmp_path, no_browser):
    study = open_study(make_study(tmp_path / "bare", n_train=30, n_val=12, labels=False))
    _, found = read(write_report([study], tmp_path / "report.html"))
    assert "without labels" in found.said and "nan" not in found.said.lower().split("definitions")[0]


@pytest.mark.slow
def test_report__comparison(seen, tmp_path, no_browser):
    other = shutil.copytree(seen, tmp_path / "other")
    text, found = read(write_report([open_study(seen), open_study(other)], tmp_path / "both.html"))
    assert "seen / other" in found.said
    assert "AUROC of Q" in found.said and "0.000 (0.000 to 0.000)" in found.said
    assert {"numbers", "sides", "holds-0", "holds-1", "settings-1"} <= set(found.ids)


def test_report__studies_that_share_no_image(seen, hostile, tmp_path):
    with pytest.raises(StudyError, match="share"):
        write_report([open_study(seen), open_study(hostile)], tmp_path / "both.html")
    assert not (tmp_path / "both.html").exists()


@pytest.mark.parametrize("name", ["report.pdf", "report", "."])
def test_report__file(hostile, tmp_path, name):
    with pytest.raises(SettingsError):
        write_report([open_study(hostile)], tmp_path / name)


def test_command__writes_and_says_where(hostile, tmp_path, capsys, no_browser):
    said = runner(capsys)("report", hostile, "-o", tmp_path / "report.html")
    assert said.code == 0 and "report.html" in said.out
    assert "study" in runner(capsys)("report", tmp_path / "nothing", "-o", tmp_path / "r.html").error


def test_page__escapes_everything():
    intro = [parts.paragraph(HOSTILE), picture(b"", "jpeg", alt='" onclick="x')]
    made = page(HOSTILE, intro, [])
    found = Seen(made)
    assert not found.handlers and "script" not in found.tags
    cells = Seen(str(parts.table([HOSTILE], [[HOSTILE, "0.5"]])))
    assert "script" not in cells.tags and cells.said.count(HOSTILE) == 2


def test_report__classes_have_their_names_and_the_first_words_recommend_a_score(tmp_path, no_browser):
    names = ("n01440764", "n02099601", "n03126707", "n99999999")
    study = open_study(
        make_study(tmp_path / "named", n_train=60, n_val=40, class_names=names, pictures=False)
    )
    text, found = read(write_report([study], tmp_path / "report.html"))
    classes = found.said.partition("Classes")[2].partition("Most common confusions")[2]
    assert "tench" in found.said and "crane (n03126707)" in found.said and "n99999999" in found.said
    assert "golden retriever" in classes
    assert not re.search("(?<![=>,])n01440764", found.said)  # an id only where a filter is written out
    assert advice(study) in Seen(text[: text.index("<nav")]).said


def test_table__numbers_stand_to_the_right_whatever_their_sign():
    cells = [["0.5", "+0.5", "\N{MINUS SIGN}0.5", "-0.5", 7, "ant", "", "-"]]
    text = str(parts.table(["a"] * 8, cells))
    assert text.count('<td class="number">') == 5 and text.count("<td>") == 3


def test_accuracy__names_the_errors_whose_label_people_corrected(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_train=20, n_val=12))
    is_wrong = study.table("probe")["correct"].to_numpy(float) == 0
    wrong, *others = np.flatnonzero(study.is_val & is_wrong).tolist()
    names, answer = study.images["image_id"], study.table("probe")["predicted"].iat[wrong]
    doubted = Source(study).doubts
    of_errors = [doubted[row] for row in (wrong, *others) if row in doubted]
    assert errors_in_doubt(of_errors, 1 + len(others)) in "".join(_confusions(Source(study)))
    for row in doubted:
        label_decisions.decide_label(study, names.iat[row], study.images["label"].iat[row])  # it is right
    before = Source(study)
    assert doubted and not before.doubts and "in doubt" not in "".join(_confusions(before))
    label_decisions.decide_label(study, names.iat[wrong], answer)
    source = Source(study)
    line = as_record(doubted_errors(study, study.is_val))
    assert (line.kind, line.n, line.of) == ("errors_mended", 1, 1 + len(others))
    assert line in "".join(_confusions(source))
    assert doubted_errors(study, ~study.is_val & False) == ""
    assert set(source.lines(wrong)) - set(before.lines(wrong)) == {source.doubts[wrong]}
    assert list(source.doubts) == [wrong]
    said = "".join(accuracy(source))
    assert before_corrections(study, study.is_val) in said
