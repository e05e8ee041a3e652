"""The page of one feature: its images, its charts, its words with their evidence, and the way to the next."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.predictor import without_features
from core.analysis.removal import harm, harm_finding, random_gains, switched_off_table
from core.answers.class_logits import class_push
from core.common.captions import split_images
from core.common.formatting import counted
from core.measures.feature_names import feature_names
from core.measures.feature_rates import feature_differences
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.measures.slice_features import at_levels, class_firing, feature_activations, similar_features
from core.store import open_study
from core.study.writer import write_study
from dashboard.cache import feature_reads, reads
from dashboard.components import chart as chart_module
from dashboard.components import widgets
from dashboard.panels import one_feature
from dashboard.panels.feature_cards import VERDICTS
from tests.concepts.worded import MARKUP
from tests.dashboard.conftest import all_text, drawn_cards, drawn_charts, forget, grid, spec, tiles, unescaped
from tests.sampling import sample
from tests.synthetic import make_study


@pytest.fixture
def demo(studies):
    return open_study(studies / "demo")


def busiest(study, where: str = "split=val") -> int:
    mask = population(study, Slice.parse(where))[0]
    return int(np.argmax(class_firing(study, mask)[0].sum(1)))


def rows_of(study, table: str, group: str) -> list[int]:
    frame = study.table(table)
    return [int(study.row_of(name)) for name in frame.loc[frame["group"] == group, "image_id"]]


def in_order(study) -> list[int]:
    """The features that fire, as the page Features lists them without a filter."""
    listed = feature_reads.in_order(study, Slice(split="val"), feature_reads.Listing())
    return listed["feature"].tolist()


def test_header__name_verdict_and_sentence(seen, open_page):
    study = open_study(seen)
    verdicts = study.table("overlap_by_feature").drop_duplicates("feature").set_index("feature")["verdict"]
    feature = int(verdicts.index[(verdicts == "core").to_numpy()][0])
    app = open_page("feature", study="seen", feature=str(feature))
    assert not app.exception
    assert app.title[0].value.startswith(feature_names(study).get(feature, f"Feature {feature}"))
    assert ":green-badge[on the object]" in all_text(app)


def test_header__a_long_name_is_shortened_and_stands_whole_behind_the_question_mark(
    demo, open_page, monkeypatch
):
    name = "brick walls, black, Japanese spaniel, Brabancon griffon and Tibetan terrier"
    monkeypatch.setattr("dashboard.panels.one_feature.title_and_note", lambda *_: (name, "#3"))
    title = open_page("feature", study="demo", feature="3").title[0]
    assert title.value.startswith(name.replace(" terrier", "…")) and title.help == name


def test_sentence__states_rate_and_best_class(demo, open_page):
    feature = busiest(demo)
    said = all_text(open_page("feature", study="demo", feature=str(feature)))
    counts = class_firing(demo, demo.is_val)[0][feature]
    assert f"Feature {feature} " in said
    assert f" {demo.class_names[int(np.argmax(counts))]}, {counts.max()} of {counts.sum()} images)" in said


def test_sentence__of_few_images_counts_them_once(demo, open_page):
    counts = class_firing(demo, demo.is_val)[0].sum(1)
    feature = int(np.flatnonzero(counts == 1)[0])
    said = all_text(open_page("feature", study="demo", feature=str(feature)))
    assert "(1 image);" in said and "1 images" not in said


def test_sentence__of_a_slice(demo, open_page):
    mask, others = population(demo, Slice.parse("label=ant"))
    row = feature_differences(demo, mask, others).iloc[0]
    said = all_text(open_page("feature", study="demo", feature=int(row["feature"]), where="label=ant"))
    n = int(mask.sum())
    assert f"{round(row['rate'] * n)} of {n} images of ant ({100 * row['rate']:.1f} %)" in said
    assert f"{100 * row['rate_against']:.1f} %" in said


@pytest.mark.slow
def test_images__most_and_least_active_of_the_filter(demo, open_page):
    feature = busiest(demo)
    for where in ("split=val", "split=train label=bee"):
        mask = population(demo, Slice.parse(where))[0]
        rows, values = feature_activations(demo, feature, mask)
        app = open_page("feature", study="demo", feature=feature, where=where)
        levels = at_levels(rows, 6) if len(rows) > 6 else {"top": rows}
        for level, some in levels.items():
            if len(some):
                shown = tiles(app, f"feature_{level}")
                assert [tile["id"] for tile in shown] == some.tolist()
                known = dict(zip(rows.tolist(), values, strict=True))
                assert [tile["badge"] for tile in shown] == [f"{known[row]:.2f}" for row in some.tolist()]


@pytest.mark.exhaustive("test_images__most_and_least_active… has these tiles")
@pytest.mark.slow
def test_images__with_heatmaps_or_without(seen, open_page):
    study = open_study(seen)
    feature = busiest(study)
    app = open_page("feature", study="seen", feature=feature)
    for tile in tiles(app, "feature_top"):
        assert tile["src"].startswith("overlay/seen/") and f"features={feature}" in tile["src"]
        assert feature in study.heatmap_reader.features_of(tile["id"])
    app = open_page("feature", study="seen", feature=feature, feature_look="Image")
    assert all(tile["src"].startswith("thumb/seen/") for tile in tiles(app, "feature_top"))


def test_images__all_of_them(demo, open_page):
    feature = busiest(demo)
    rows = feature_activations(demo, feature, demo.is_val)[0]
    shown = tiles(open_page("feature", study="demo", feature=feature, feature_all="true"), "feature_every")
    assert [tile["id"] for tile in shown] == rows[:48].tolist()


def test_images__few_stand_in_one_row(demo, open_page):
    counts = class_firing(demo, demo.is_val)[0].sum(1)
    feature = int(np.flatnonzero((counts > 0) & (counts <= 6))[0])
    rows = feature_activations(demo, feature, demo.is_val)[0]
    app = open_page("feature", study="demo", feature=feature)
    assert [tile["id"] for tile in tiles(app, "feature_top")] == rows.tolist()
    assert "In the middle" not in all_text(app)


def test_images__truth_first(demo, open_page):
    wrong = demo.table("probe").set_index("image_id")
    feature = busiest(demo, "correct=false")
    app = open_page("feature", study="demo", feature=feature, where="correct=false")
    for tile in tiles(app, "feature_top"):
        row = wrong.loc[demo.images["image_id"].iat[tile["id"]]]
        assert tile["lines"] == [f"{row['true']} → {row['predicted']}"]


def test_a_feature_that_never_fires__where_it_is_largest(demo, open_page):
    mask = population(demo, Slice.parse("label=ant"))[0]
    counts = class_firing(demo, mask)[0].sum(1)
    tops = demo.vector("top_images")
    held = [f for f in np.flatnonzero(counts == 0) if mask[tops[f][tops[f] >= 0]].any()]
    app = open_page("feature", study="demo", feature=int(held[0]), where="label=ant")
    rows = tops[held[0]]
    wanted = [row for row in rows[rows >= 0].tolist() if mask[row]][:12]
    assert [tile["id"] for tile in tiles(app, "feature_largest")] == wanted


@pytest.mark.slow
def test_buttons__walk_along_the_list(demo, open_page):
    wanted = in_order(demo)
    app = open_page("feature", study="demo", feature=str(wanted[0]))
    assert app.button(key="feature_previous").disabled
    assert f"1 of {len(wanted)}" in all_text(app)
    app.button(key="feature_next").click().run()
    assert app.query_params["feature"] in (str(wanted[1]), [str(wanted[1])])
    assert not app.button(key="feature_previous").disabled
    last = open_page("feature", study="demo", feature=str(wanted[-1]))
    assert last.button(key="feature_next").disabled


@pytest.mark.exhaustive("test_buttons__walk_along_the_list presses them")
@pytest.mark.slow
def test_buttons__keep_the_order_of_the_list(demo, open_page):
    app = open_page("feature", study="demo", feature="7", sort="By number", dead="1")
    app.button(key="feature_next").click().run()
    query = {name: app.query_params[name] for name in ("feature", "sort", "dead")}
    assert {name: value[0] if isinstance(value, list) else value for name, value in query.items()} == {
        "feature": "8",
        "sort": "By number",
        "dead": "1",
    }
    back = next(link.proto for link in app.get("page_link") if link.proto.label == "All features")
    assert "features_sort=By+number" in back.query_string and "features_dead=true" in back.query_string


def test_unknown_feature_in_link__is_dropped_with_a_note(demo, open_page):
    app = open_page("feature", study="demo", feature="4711")
    assert not app.exception
    assert "'4711'" in app.info[0].value
    first = in_order(demo)[0]
    assert app.title[0].value.startswith(feature_names(demo).get(first, f"Feature {first}"))


def test_without_a_number__the_first_of_the_list(demo, open_page):
    app = open_page("feature", study="demo")
    assert app.query_params["feature"] in (str(in_order(demo)[0]), [str(in_order(demo)[0])])


def test_classes__shares_over_all_classes_the_filter_marked(demo, open_page):
    feature = busiest(demo)
    app = open_page("feature", study="demo", feature=feature, where="label=ant")
    bar = spec(app, "feature_classes")["data"][0]
    counts, _ = class_firing(demo, demo.is_val)
    shares = 100 * counts[feature] / counts[feature].sum()
    wanted = dict(zip(demo.class_names, shares, strict=True))
    for name, share in zip(bar["y"], grid(bar["x"]), strict=True):
        if name in wanted:
            assert share == pytest.approx(wanted[name])
    assert len(set(bar["marker"]["color"])) >= 2


def test_histogram__holds_the_stored_counts_and_the_filters_images(demo, open_page):
    feature = busiest(demo)
    app = open_page("feature", study="demo", feature=feature, where="label=ant")
    bars, ticks = spec(app, "feature_histogram")["data"]
    assert grid(bars["customdata"])[:, 3].sum() == demo.vector("activation_histogram")[feature].sum()
    mask = population(demo, Slice.parse("label=ant"))[0]
    wanted = feature_activations(demo, feature, mask)[1]
    assert grid(ticks["x"]).tolist() == pytest.approx(wanted.tolist())


def test_captions__name_the_images_of_their_numbers_once(demo, open_page, monkeypatch):
    drawings = {}
    monkeypatch.setattr(chart_module, "chart_menu", drawings.__setitem__)
    open_page("feature", study="demo", feature=busiest(demo))
    assert {"feature_histogram", "feature_classes", "feature_push"} <= drawings.keys()
    assert drawings["feature_histogram"].table.among is None  # its bars are of train images
    for drawing in drawings.values():
        among = drawing.table.among
        assert among is None or among.split == "val" and split_images("train") not in drawing.alt


def test_push__what_the_probe_adds(demo, open_page):
    feature = busiest(demo)
    rows = demo.vector("top_images")[feature]
    begin, end = demo.vector("firing_by_feature_ptr")[feature : feature + 2]
    fires = np.intersect1d(rows[rows >= 0], demo.vector("firing_by_feature_rows")[begin:end])
    assert 0 < len(fires) < np.count_nonzero(rows >= 0)
    wanted = class_push(demo, feature, fires)
    app = open_page("feature", study="demo", feature=feature)
    bar = spec(app, "feature_push")["data"][0]
    assert grid(bar["x"]).tolist() == pytest.approx(wanted["push"].tolist())
    assert f"Pushes towards {wanted['label'].iat[0]}" in [part.value for part in app.header]


def test_heat__on_both_masks(seen, open_page):
    table = open_study(seen).table("overlap_by_feature")
    feature = int(table["feature"].iat[0])
    app = open_page("feature", study="seen", feature=feature)
    drawn = spec(app, "feature_heat")["data"][0]
    wanted = table.loc[(table["feature"] == feature) & table["lift"].notna(), "lift"]
    assert grid(drawn["x"]).tolist() == pytest.approx(wanted.tolist())
    core = table[(table["feature"] == feature) & (table["mask"] == "core")].iloc[0]
    times = f"{core['lift']:.1f} times that of a uniform heatmap"
    about = f"{100 * core['energy']:.0f} % of its heat lies on the object, {times} ({core['n']} images)"
    assert about in all_text(app)


def test_similar_features__by_shared_images(demo, open_page):
    feature = busiest(demo)
    wanted = similar_features(demo, feature, demo.is_val)
    wanted = wanted[wanted["both"] > 0].head(8)
    shown = drawn_cards(open_page("feature", study="demo", feature=feature), "feature_similar")
    assert [int(card["id"]) for card in shown] == wanted["feature"].tolist()
    assert [card["bars"][0]["text"] for card in shown] == [f"{100 * j:.0f} %" for j in wanted["jaccard"]]
    signs = [
        (card["bars"][1]["text"][0], value) for card, value in zip(shown, wanted["profile"], strict=True)
    ]
    assert {value < 0 for _, value in signs} == {True, False}  # or the signs say little
    assert all(sign == ("−" if value < 0 else "+") for sign, value in signs if abs(value) >= 0.005)


def test_unlabelled_study__says_why_there_are_no_classes(studies, shelf, unlabelled_study, open_page):
    shelf.serve("bare", unlabelled_study)
    app = open_page("feature", study="bare", feature="2")
    assert not app.exception
    assert "carry no labels" in all_text(app)


@pytest.mark.exhaustive("panels/test_filter_bar.py opens pages with a filter")
@pytest.mark.slow
@pytest.mark.parametrize("where", sample(["q_score=99..", "fires=3", "split=train", "correct=false"], 2))
def test_any_filter__without_an_exception(where, worded, open_page):
    for feature in ("3", "5"):
        assert not open_page("feature", study="seen", feature=feature, where=where).exception


@pytest.mark.parametrize(
    "lost",
    [("overlap",), ("heatmaps", "overlap"), ("failures", "concepts"), ("failures", "probe", "quality")],
)
def test_a_study_that_lacks_a_step(lost, worded, open_page):
    forget(worded.path, *lost)
    app = open_page("feature", study="seen", feature="3")
    assert not app.exception
    assert not app.error


def test_study_without_features__names_the_command(studies, open_page):
    forget(studies / "demo", "features", "quality")
    app = open_page("feature", study="demo")
    assert not app.exception
    assert any(code.value.startswith("python -m core features") for code in app.code)


# Words, and the evidence for them


def test_words__images_crops_and_heatmaps(worded, open_page):
    app = open_page("feature", study="seen", feature="3")
    assert not app.exception
    bars = spec(app, "concept_words")
    assert bars["layout"]["yaxis"]["ticktext"] == ["night sky", "blue", "redness"]
    assert grid(bars["data"][0]["x"]).tolist() == [0.5, 0.4, 0.3]
    shown = tiles(app, "concept_images")
    assert [tile["id"] for tile in shown] == rows_of(worded, "highly_activating", "3")
    assert [tile["badge"] for tile in shown[:2]] == ["0.90", "0.82"]
    for tile in shown:
        assert tile["src"].startswith(f"thumb/seen/{tile['id']}?")
        (crop,) = tile["beside"]  # the one whose box is unknown is shown whole
        assert crop.startswith("data:image/jpeg;base64,") or (tile is shown[1] and crop == tile["src"])


@pytest.mark.exhaustive("tests/concepts has the tables, test_captions… the part")
@pytest.mark.slow
def test_contrast__discarded_words_because_of_which_images(worded, open_page):
    asked = {"study": "seen", "concept_evidence": "Counterfactual images"}
    app = open_page("feature", feature="3", **asked)
    rows = rows_of(worded, "counterfactuals", "3")
    shown = tiles(app, "concept_counterfactuals")
    assert [tile["id"] for tile in shown] == rows
    assert [tile["lines"][1:] for tile in shown] == [["not grass"]] * 2
    discarded = next(frame.value for frame in app.dataframe if "n_images" in frame.value)
    assert discarded["word"].tolist() == ["grass"]
    assert discarded["n_images"].tolist() == [len(rows)]
    assert "stand without contrast" in all_text(open_page("feature", feature="7", **asked))


def test_captions__are_never_markup(worded, open_page):
    app = open_page("feature", study="seen", feature="3", concept_evidence="Captions")
    captions = next(frame.value for frame in app.dataframe if "caption" in frame.value)
    assert captions["caption"].tolist() == [MARKUP, "a sky"]
    assert not [part for part in app.markdown if MARKUP in part.value]


def test_without_words__says_why(worded, open_page):
    app = open_page("feature", study="seen", feature="5")
    assert "1 image " in all_text(app) and "concept_words" not in drawn_charts(app)


def test_without_the_step_concepts__its_command(worded, open_page):
    forget(worded.path, "failures", "concepts")
    app = open_page("feature", study="seen", feature="3")
    assert not app.exception
    assert any(code.value.startswith("python -m core concepts ") for code in app.code)


def test_a_step_that_found_nothing_to_do__says_why(worded, open_page):
    with write_study(worded.path) as writer, writer.step("concepts", {}) as step:
        step.summary = {"skipped": "for a *reason*"}
    for page, more in (("feature", {"feature": "3"}), ("features", {"features_as": "Words"})):
        app = open_page(page, study="seen", **more)
        assert not app.exception
        assert "for a *reason*." in unescaped(all_text(app)).lower()


@pytest.mark.parametrize(
    ("page", "more"),
    [
        ("feature", {"feature": "3"}),
        ("image", {"image_part": "Crops in words"}),
        ("features", {"features_as": "Words"}),
    ],
    ids=["feature", "image", "words"],
)
def test_without_captions__says_where_they_are_chosen(page, more, worded, open_page):
    with write_study(worded.path) as writer, writer.step("concepts", {"captions": None}) as step:
        step.summary = {"skipped": "no caption bank: give --captions PATH"}
    shown = {"image": str(worded.images["image_id"].iat[0])} if page == "image" else {}
    app = open_page(page, study="seen", **more, **shown)
    assert not app.exception
    said = unescaped(all_text(app))
    assert "No words yet" in said and "--captions" not in said
    assert "Choose the captions" in [link.proto.label for link in app.get("page_link")]


def test_without_masks__a_line_and_the_way_to_add_them(seen, open_page):
    with write_study(seen) as writer, writer.step("overlap", {}) as step:
        step.summary = {"skipped": "no masks: give --masks DIR"}
    app = open_page("feature", study="seen", feature="3")
    assert not app.exception
    said = unescaped(all_text(app))
    assert "--masks" not in said
    assert "Add masks" in [link.proto.label for link in app.get("page_link")]


def test_groups__that_it_belongs_to(worded, open_page):
    app = open_page("feature", study="seen", feature="1")
    links = [one.proto for one in app.get("page_link") if "features_as=Groups" in one.proto.query_string]
    table = worded.table("groups")
    several = table[(table["n_features"] > 1) & (table["n_images"] > 1)]
    wanted = [name for name in several["group"] if "1" in name.split("+")]
    assert "1+2" in wanted and len(links) == min(len(wanted), 12)
    assert any("group=1%2B2" in link.query_string for link in links)


def test_classes__of_an_image_each_take_no_column_and_long_names_are_short_in_titles(open_page, studies):
    long = "with a name for which no title has room"
    names = tuple(f"class {number} {long}" for number in range(28))
    study = open_study(
        make_study(studies / "apart", n_train=20, n_val=8, n_classes=28, class_names=names, pictures=False)
    )
    counts, _ = class_firing(study, study.is_val)
    several = int(counts.sum(1).argmax())
    assert counts.max() == 1 < counts[several].sum()
    app = open_page("feature", study="apart", feature=str(several), where=str(Slice(labels=names[20:22])))
    assert not app.exception
    assert not any("feature_classes" in name for name in drawn_charts(app))
    titles = [part.value for part in app.header]
    assert any("images of class 20 " in title and "…" in title for title in titles)
    assert not any(long in title for title in titles)


def test_sentence__says_that_images_without_a_label_are_not_among_those_of_a_class(partly, open_page):
    study = open_study(partly)
    on_val = np.bincount(
        np.repeat(np.arange(48), np.diff(study.vector("firing_by_feature_ptr"))),
        weights=study.is_val[study.vector("firing_by_feature_rows")],
        minlength=48,
    )
    labelled = class_firing(study, study.is_val)[0].sum(1)
    hidden = on_val > labelled  # it fires on images without a label
    feature = int(np.flatnonzero(hidden & (labelled > 0) & (labelled < 5))[0])
    other = int(np.flatnonzero(hidden & (labelled > 4))[0])
    app = open_page("feature", study="partly", feature=str(feature))
    of_images = counted(int(labelled[feature]), "labelled image")
    assert f"({of_images})" in all_text(app)
    assert any(f"on {on_val[feature]:.0f} of 40 evaluation images" in one.value for one in app.header)
    app = open_page("feature", study="partly", feature=str(other))
    of_images = f" of {labelled[other]} labelled images"
    assert of_images in all_text(app) and any(of_images in one.value for one in app.header)


def test_links__to_heatmaps_where_there_are_some(seen, open_page):
    label = "All heatmaps of this feature"
    links = [
        [one.proto.label for one in open_page("feature", study=name, feature="1").get("page_link")]
        for name in ("seen", "demo")
    ]
    assert [label in one for one in links] == [True, False]


def test_words__of_a_filter_whose_images_do_not_activate_it_do_not_blame_the_filter(worded, open_page):
    app = open_page("feature", study="seen", feature="3", where="split=train label=bee")
    assert not app.exception and "No images match" not in all_text(app)


def test_harm__is_the_accuracy_of_the_filter_with_and_without_it(demo, open_page):
    feature = busiest(demo)
    rows = np.flatnonzero(demo.is_val)
    asked, made = without_features(demo, rows, [feature])
    app = open_page("feature", study="demo", feature=str(feature))
    assert not app.exception
    finding = harm_finding(harm(made), random_gains(made))
    assert str(finding) in [unescaped(one.value) for one in app.header]
    table = switched_off_table(made)
    before, after = (widgets.percent(float(value)) for value in table["accuracy"].iloc[:2])
    assert after in [one.value for one in app.metric] and before in all_text(app)
    if made.flipped.any():
        assert [tile["id"] for tile in tiles(app, "harm_images")] == rows[made.flipped].tolist()[:24]


def test_harm__nothing_is_said_where_no_answer_can_be_asked_again(
    studies, shelf, unlabelled_study, open_page
):
    shelf.serve("unlabelled", unlabelled_study)
    app = open_page("feature", study="unlabelled", feature="1")
    assert not app.exception and not any("accuracy" in one.value for one in app.header)


def test_pdf__holds_what_the_menus_of_the_page_save(open_page, studies, monkeypatch):
    """The pictures first, then the charts in their order, below the name and the sentence of the feature."""
    handed = {}

    def sheet(of_page, title, text):
        handed.update(files=[one.table.table for one in of_page], title=title, text=text)
        return b"%PDF"

    monkeypatch.setattr(one_feature, "page_sheet", sheet)
    monkeypatch.setattr(one_feature, "print_problem", lambda: None)
    monkeypatch.setattr(
        one_feature.st, "download_button", lambda *_, key, data, **_more: handed.setdefault(key, data)
    )
    open_page("feature", study="demo", feature="3")
    assert handed["feature_page_pdf"]() == b"%PDF"
    assert handed["files"][:3] == [f"feature-3_{part}" for part in ("pictures", "classes", "push")]
    assert "3" in handed["title"]
    assert handed["text"].startswith("demo: ")


def test_pdf__says_where_its_heat_lies_what_its_name_is_worth_and_whether_it_harms(worded):
    where = Slice(split="val")
    listed = feature_reads.listed(worded, where)
    feature = int(listed.loc[(listed["verdict"] == "core").to_numpy(), "feature"].iat[0])
    _, made = without_features(worded, np.flatnonzero(worded.is_val), [feature])
    row = one_feature.rows_of(listed, feature)
    lines = one_feature.page_text(worded, where, row).splitlines()
    assert lines[0].startswith("seen: ")
    of_heat = [one for one in lines if VERDICTS["core"][0] in one]
    assert len(of_heat) == 1
    assert lines[-1].startswith(str(harm_finding(harm(made), random_gains(made))))
    judged = reads.name_verdict(worded, feature)
    assert judged is None or str(judged.sentence) in lines
    without_masks = one_feature.page_text(worded, where, row | {"verdict": ""}).splitlines()
    assert without_masks == [one for one in lines if one not in of_heat]
