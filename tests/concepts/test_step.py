"""The step `concepts` as a whole, with a CLIP that sees colours: tables, contrast, resuming, bad input."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.common.group_names import group_features, group_name, is_joint
from core.common.step_facts import ConceptsFacts
from core.concepts import clip_and_captions as concept_tools
from core.concepts import concepts_step as concept_step
from core.concepts.caption_words import PHOTOGRAPHS, concepts_of
from core.concepts.clip_and_captions import Tools
from core.concepts.concepts_step import compute_concepts
from core.concepts.photograph_clips import DEFAULT_CLIP
from core.config import ConceptsConfig, as_settings
from core.errors import SettingsError
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import StepRun, write_study
from tests.analysis.heatmap_studies import make, make_images
from tests.command_line import contents
from tests.concepts import reference_concepts as reference
from tests.concepts import reference_naming as naming
from tests.concepts.fakes import ColourBank, ColourClip, colour_tools, unit
from tests.tables import rows_where

pytestmark = pytest.mark.slow

USUAL = {
    "k": 1.5, "min_images": 2, "split": "all", "beta": 0.3, "captions": "colours", "naming": "falcon",
}  # fmt: skip


NARROW = {"encoder": "timm:test_resnet?output_stride=8", "input_size": 64, "resize": 64}  # 96 features


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concepts")
    return make(folder / "study", make_images(folder / "images"), NARROW)


def run(folder, clip=None, **options):
    """Run the step in a study; returns it and its config."""
    config = ConceptsConfig(**USUAL | options)
    with pytest.MonkeyPatch.context() as patch, write_study(folder) as writer:
        patch.setattr(concept_step, "open_tools", lambda *_: colour_tools(config, clip))
        with writer.step("concepts", as_settings(config), ("representations", "images")) as step:
            compute_concepts(open_study(folder), step, config, StepRun(Progress.silent()))
    return open_study(folder), config


@pytest.fixture(scope="module")
def explained(embedded, tmp_path_factory):
    return run(shutil.copytree(embedded, tmp_path_factory.mktemp("studies") / "explained"))


def h_of(study):
    raw = study.vector("representations").astype(np.float64)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def columns(study, table):
    return study.manifest["items"][table]["columns"]


def test_tables__have_the_columns_that_are_promised(explained):
    study, _ = explained
    for table, promised in {
        "concepts": ["group", "rank", "word", "kind", "score", "kept", "discarded_by"],
        "groups": ["group", "n_images", "clip_cosine", "interpretable"],
        "captions": ["group", "image_id", "rank", "caption", "cosine", "confidence"],
        "highly_activating": ["group", "image_id"],
        "counterfactuals": ["group", "image_id", "rank", "score"],
    }.items():
        assert columns(study, table)[: len(promised)] == promised


def test_what_is_explained__is_what_the_representations_say(explained):
    study, config = explained
    h = h_of(study)
    alpha = reference.alpha_of(h, 1.5)
    assert study.summary("concepts")["alpha"] == pytest.approx(alpha)
    ids = study.images["image_id"]
    sets = {str(i): rows for i, rows in enumerate(reference.activating_sets(h, alpha)) if len(rows) > 2}
    groups = reference.groups(h > alpha)
    sets |= {"_".join(map(str, g)): r for g, r in groups.items() if len(r) > 2 and len(g) > 1}
    active = study.table("highly_activating")
    images_of = {str(group): set(part["image_id"]) for group, part in active.groupby("group")}
    assert images_of == {name: set(ids[rows]) for name, rows in sets.items()}
    table = study.table("groups")
    assert dict(zip(table["group"], table["n_images"], strict=True)) == {
        group_name(group): len(rows) for group, rows in groups.items()
    }
    assert study.summary("concepts")["n_explained_features"] == sum(not is_joint(name) for name in sets)


def test_captions_and_words__are_those_of_the_crops(explained):
    """Everything after the boxes again, slowly, for some features."""
    study, config = explained
    bank = ColourBank()
    text = unit([np.array(v) for v in colour_rows(bank)])
    h = h_of(study)
    alpha = reference.alpha_of(h, 1.5)
    captions, active = study.table("captions"), study.table("highly_activating")
    concepts, against = study.table("concepts"), study.table("counterfactuals")
    rows_of = {image: row for row, image in enumerate(study.images["image_id"])}
    n_discarded = 0
    for group in active["group"].unique()[:12]:
        mine = rows_where(active, active["group"] == group)
        words, confidence = [], []
        for image_id, *box in mine[["image_id", "left", "top", "right", "bottom"]].itertuples(index=False):
            picture = study.image(image_id).crop(tuple(int(side) for side in box))
            crop_words, scores = best_captions(picture, text, bank)
            words.append(crop_words)
            confidence.append(scores)
            given = rows_where(captions, (captions["group"] == group) & (captions["image_id"] == image_id))
            assert_allclose(given["cosine"], scores, atol=1e-5)
            assert given["rank"].tolist() == [1, 2, 3, 4, 5]
        scores = reference.word_scores(words, confidence)
        features = list(group_features(group))
        counter = reference.counterfactuals(
            h, features, [rows_of[i] for i in mine["image_id"]], config.beta, 10
        )
        theirs = rows_where(against, against["group"] == group)
        assert [rows_of[i] for i in theirs["image_id"]] == [row for row, _ in counter]
        assert_allclose(theirs["score"], [dot for _, dot in counter], rtol=1e-6)
        whole = [best_captions(study.image(row), text, bank) for row, _ in counter]
        common = reference.word_scores([w for w, _ in whole], [s for _, s in whole]) if whole else {}
        ours = rows_where(concepts, concepts["group"] == group)
        for word, score, is_kept, by in ours[["word", "score", "kept", "discarded_by"]].itertuples(
            index=False
        ):
            assert score == pytest.approx(scores[word], abs=1e-5)
            assert is_kept == (common.get(word, 0.0) < 0.1)
            holders = {study.images["image_id"][row] for (row, _), (w, _) in zip(counter, whole, strict=True)
                       if any(word in caption for caption in w)}  # fmt: skip
            assert set(by.split("; ") if by else []) == (set() if is_kept else holders)
            n_discarded += not is_kept
        expected = sorted((w for w, s in scores.items() if s >= 0.08 and common.get(w, 0.0) < 0.1),
                          key=lambda w: (-round(scores[w], 6), w))  # fmt: skip
        assert ours[ours["kept"]]["word"].tolist() == expected[:6]
        assert ours["rank"].tolist() == list(range(1, len(ours) + 1))
        assert ours["kept"].tolist() == sorted(ours["kept"], reverse=True)
    assert n_discarded and concepts["kept"].any()  # both kinds, or the test says little
    assert alpha > 0


def colour_rows(bank):
    from tests.concepts.fakes import COLOURS

    return [COLOURS[caption.split()[0]] for caption in bank.captions]


def best_captions(picture, text, bank):
    cosine = unit([np.asarray(picture).mean((0, 1))])[0].astype(float) @ text.T.astype(float)
    best = np.argsort(-cosine, kind="stable")[:5]
    return [[word.text for word in concepts_of(bank.captions[i])] for i in best], cosine[best]


def crops_of(study, group):
    active = study.table("highly_activating")
    sides = active.loc[active["group"] == group, ["image_id", "left", "top", "right", "bottom"]]
    return [
        study.image(i).crop((int(a), int(b), int(c), int(d)))
        for i, a, b, c, d in sides.itertuples(index=False)
    ]


def check_cosines(study, group, least):
    about = study.table("explained").set_index("group")
    crops = crops_of(study, group)
    rows = unit([np.asarray(crop).mean((0, 1)) for crop in crops])
    for name, diagonal in (("clip_cosine", False), ("clip_cosine_with_diagonal", True)):
        expected = reference.mean_pairwise_cosine(rows, diagonal)
        assert about.at[group, name] == pytest.approx(expected, abs=1e-5)
    alike = len(crops) > least and about.at[group, "clip_cosine"] > 0.8
    assert about.at[group, "interpretable"] == alike


def test_cosines__are_means_over_pairs_of_crops(explained):
    study, _ = explained
    groups = study.table("explained")["group"][:5]
    assert len(groups)
    for group in groups:
        check_cosines(study, group, 2)


def test_groups__have_the_cosine_of_their_own_images(study_path):
    study, _ = run(study_path(n_train=20, n_val=100, n_features=8), k=0.2, split="val")
    groups = study.table("groups").set_index("group")
    joint = [name for name in study.table("explained")["group"] if is_joint(name)]
    single = rows_where(groups, (groups["n_features"] == 1) & (groups["n_images"] > 1)).index
    assert joint and len(single)
    for group in joint:
        check_cosines(study, group, 2)
        assert (
            groups.at[group, "clip_cosine"]
            == study.table("explained").set_index("group").at[group, "clip_cosine"]
        )
    val = np.flatnonzero(study.is_val)
    h = h_of(study)[val]
    exact = reference.groups(h > study.summary("concepts")["alpha"])
    explained = set(study.table("explained")["group"])
    for group in single:
        if group in explained:
            rows = unit([np.asarray(study.image(int(val[q]))).mean((0, 1)) for q in exact[(int(group),)]])
            expected = reference.mean_pairwise_cosine(rows, False)
            assert groups.at[group, "clip_cosine"] == pytest.approx(expected, abs=1e-5)
    assert not groups.loc[groups["clip_cosine"].isna(), "interpretable"].any()
    assert not groups.loc[groups["n_images"] <= 2, "interpretable"].any()
    summary = study.summary("concepts")
    assert summary["n_interpretable_groups"] == groups["interpretable"].sum()


def test_gamma_auto__lies_half_way_between_all_crops_and_one(explained, tmp_path):
    study, _ = run(shutil.copytree(explained[0].path, tmp_path / "study"), gamma="auto")
    crops = [crop for group in study.table("explained")["group"] for crop in crops_of(study, group)]
    usual = reference.mean_pairwise_cosine(
        unit([np.asarray(crop).mean((0, 1)) for crop in crops[:150]]), False
    )
    summary = study.summary("concepts")
    assert summary["gamma"] == pytest.approx((1 + summary["usual_cosine"]) / 2)
    assert summary["usual_cosine"] == pytest.approx(usual, abs=0.05)  # of the first 150 crops only
    about = study.table("explained")
    assert (
        about["interpretable"] == (about["clip_cosine"] > summary["gamma"]) & (about["n_images"] > 2)
    ).all()


def test_running_again__gives_the_same_bytes_and_embeds_nothing(explained, tmp_path):
    study, _ = explained
    folder = shutil.copytree(study.path, tmp_path / "again")
    clip = ColourClip()
    run(folder, clip)
    assert clip.seen == 0
    assert contents(folder) == contents(study.path)


def test_an_interrupted_run__goes_on_and_ends_with_the_same_bytes(embedded, explained, tmp_path, monkeypatch):
    class Tired(ColourClip):
        def embed_images(self, images, *, pad=False):
            if self.seen > 60:
                raise KeyboardInterrupt
            return super().embed_images(images, pad=pad)

    from core.concepts import crops

    monkeypatch.setattr(crops, "CROPS_A_FILE", 20)
    monkeypatch.setattr(crops, "BATCH_IMAGES", 2)
    folder = shutil.copytree(embedded, tmp_path / "study")
    first = Tired()
    with pytest.raises(KeyboardInterrupt):
        run(folder, first)
    second = ColourClip()
    study, _ = run(folder, second)
    whole = ColourClip()
    other, _ = run(shutil.copytree(embedded, tmp_path / "other"), whole)
    assert 0 < second.seen < whole.seen
    assert contents(folder) == contents(other.path)
    for table in ("concepts", "captions"):
        pd.testing.assert_frame_equal(study.table(table), explained[0].table(table))


def test_other_options__use_again_what_is_embedded(explained, tmp_path):
    folder = shutil.copytree(explained[0].path, tmp_path / "study")
    clip = ColourClip()
    study, _ = run(folder, clip, min_score=0.5, n_captions=2, confidence="softmax")
    assert clip.seen == 0 and study.table("captions")["rank"].max() == 2
    run(folder, clip, threshold=0.9)
    assert clip.seen > 0


def test_features_by_name__are_resumable_one_by_one(embedded, explained, tmp_path):
    names = [name for name in explained[0].table("explained")["group"] if not is_joint(name)][:2]
    first, second = map(int, names)
    folder = shutil.copytree(embedded, tmp_path / "study")
    clip = ColourClip()
    study, _ = run(folder, clip, features=(first,))
    assert study.table("explained")["group"].tolist() == [str(first)]
    before = clip.seen
    study, _ = run(folder, clip, features=(first, second))
    ours = explained[0].table("concepts")
    added = set(study.table("highly_activating").query("group == @names[1]")["image_id"])
    added |= set(study.table("counterfactuals").query("group == @names[1]")["image_id"])
    assert clip.seen - before <= len(added) * 2
    for name in names:
        pd.testing.assert_frame_equal(
            study.table("concepts").query("group == @name").reset_index(drop=True),
            rows_where(ours, ours["group"] == name).reset_index(drop=True),
        )


def test_without_crops__captions_are_those_of_whole_images(embedded, tmp_path):
    study, _ = run(shutil.copytree(embedded, tmp_path / "study"), crop=False)
    active = study.table("highly_activating")
    assert (active["right"] == 90).all() and (active["bottom"] == 70).all()
    captions = study.table("captions")
    assert captions.groupby(["image_id", "rank"])["caption"].nunique().eq(1).all()


def test_softmax__is_a_share_of_the_bank(embedded, tmp_path):
    study, _ = run(shutil.copytree(embedded, tmp_path / "study"), confidence="softmax", n_captions=24)
    sums = study.table("captions").groupby(["group", "image_id"])["confidence"].sum()
    assert_allclose(np.asarray(sums), 1.0, rtol=1e-4)  # all 24 captions of the bank


def test_no_counterfactual__keeps_the_words_and_says_so(embedded, tmp_path):
    study, _ = run(shutil.copytree(embedded, tmp_path / "study"), beta=2.0)
    about, summary = study.table("explained"), study.summary("concepts")
    assert (about["n_counterfactuals"] == 0).all() and study.table("concepts")["kept"].any()
    assert study.table("counterfactuals").empty
    assert summary["n_without_counterfactuals"] == len(about)
    assert any("no counterfactual image at beta = 2" in note for note in summary["notes"])
    assert (about["largest_beta"] < 1).all()


def test_by_majority__words_are_those_that_most_images_show(embedded, explained, tmp_path):
    """Words from the images and the bank again, slowly, for some features; all else is as with FALCON."""
    study, _ = run(shutil.copytree(embedded, tmp_path / "study"), naming="majority")
    bank = ColourBank()
    text = unit([np.array(v) for v in colour_rows(bank)]).astype(float)
    cosine, texts = [], []
    for image in study.images["image_id"]:
        row = unit([np.asarray(study.image(image)).mean((0, 1))])[0].astype(float) @ text.T
        best = np.argsort(-row, kind="stable")[:20]
        cosine.append(row[best])
        texts.append([{word.text for word in concepts_of(bank.captions[i])} for i in best])
    rows_of = {image: row for row, image in enumerate(study.images["image_id"])}
    active, concepts = study.table("highly_activating"), study.table("concepts")
    pd.testing.assert_frame_equal(active, explained[0].table("highly_activating"))
    n_named = 0
    for group in active["group"].unique()[:8]:
        positions = [rows_of[i] for i in active.loc[active["group"] == group, "image_id"]]
        expected = naming.kept(cosine, texts, 100.0, positions)
        ours = rows_where(concepts, (concepts["group"] == group) & concepts["kept"])
        assert set(ours["word"]) <= set(expected) and len(ours) == min(len(expected), 6)
        for word, score, elsewhere in ours[["word", "score", "elsewhere"]].itertuples(index=False):
            assert (score, elsewhere) == pytest.approx(expected[word], nan_ok=True)
        n_named += len(ours)
    summary = study.summary("concepts")
    assert summary["naming"] == "majority" and (summary["min_score"], summary["counter_score"]) == (0.45, 0.5)
    assert n_named and explained[0].summary("concepts")["naming"] == "falcon"
    assert (
        concepts[["auc", "auc_low", "auc_high"]].isna().to_numpy().all()
    )  # nobody knows what these images show


def test_k_too_high__says_which_would_do(embedded, tmp_path):
    folder = shutil.copytree(embedded, tmp_path / "study")
    with pytest.raises(SettingsError, match=r"at k = 40; the largest k that leaves one is \d"):
        run(folder, k=40.0)
    n_images = open_study(folder).n_images
    study, _ = run(folder, k="auto", min_images=n_images)
    assert f"there are {n_images} probe images" in study.summary("concepts")["skipped"]


def test_wrong_options__are_refused(embedded, tmp_path):
    folder = shutil.copytree(embedded, tmp_path / "study")
    for wrong, message in (
        ({"confidence": "sigmoid"}, "unknown confidence"),
        ({"k": -1.0}, "k must be a number"),
        ({"threshold": 0.0}, "crop threshold"),
        ({"n_captions": 0}, "n_captions must be at least 1"),
        ({"split": "test"}, "unknown split"),
        ({"gamma": "half"}, "gamma must be a cosine or 'auto'"),
        ({"naming": "votes"}, "unknown naming 'votes'"),
    ):
        with pytest.raises(SettingsError, match=message):
            run(folder, **wrong)


def test_without_a_bank__the_step_is_skipped(embedded, tmp_path):
    study, _ = run(shutil.copytree(embedded, tmp_path / "study"), captions=None)
    assert "no caption bank: give --captions" in study.summary("concepts")["skipped"]
    assert not study.has("concepts")


def test_captions__of_photographs_are_the_shipped_words_where_a_clip_of_them_is_here(embedded, monkeypatch):
    study = open_study(embedded)

    def chosen(**options):
        config = ConceptsConfig(**options)
        return concept_tools.captions_of(study, config), concept_tools.clip_of(study, config)

    monkeypatch.setattr(concept_tools, "clip_is_here", lambda spec: spec == "RN50@openai")
    assert chosen() == (PHOTOGRAPHS, "RN50@openai")
    assert chosen(captions="mine.txt") == ("mine.txt", "RN50@openai")
    assert chosen(clip="ViT-B-32@mine.pt") == (PHOTOGRAPHS, "ViT-B-32@mine.pt")
    assert chosen(clip="asset:glyphworld") == (None, "asset:glyphworld")  # it knows no photographs
    monkeypatch.setattr(concept_tools, "clip_is_here", lambda spec: False)
    assert chosen() == (None, DEFAULT_CLIP)


@pytest.mark.parametrize("n_by_chance", [0.0, None])
def test_shipped_words__that_name_no_more_than_by_chance_are_refused(
    embedded, tmp_path, monkeypatch, n_by_chance
):
    class Blind(ColourClip):
        def embed_images(self, images, *, pad=False):
            return unit(np.random.default_rng(0).integers(0, 256, (len(images), 3)))

    monkeypatch.setattr(ColourBank, "name", PHOTOGRAPHS)
    if n_by_chance is not None:  # as if words that are dealt at random named nothing
        monkeypatch.setattr(concept_step, "n_named_by_chance", lambda *_, **__: n_by_chance)
    study, _ = run(shutil.copytree(embedded, tmp_path / "study"), Blind(), crop=False, naming="majority")
    is_refused = n_by_chance is None
    assert study.has("concepts") != is_refused
    assert ("does not know such pictures" in study.summary("concepts").get("skipped", "")) == is_refused
    assert study.facts(ConceptsFacts).captions == PHOTOGRAPHS  # which a page tells from "no captions"


def test_ready_representations__have_whole_images_and_a_note(study_path):
    study, _ = run(study_path(n_train=20, n_val=20), split="val")
    assert any("no encoder" in note for note in study.summary("concepts")["notes"])
    assert (study.table("highly_activating")["right"] == 48).all()


def test_images_that_are_gone__are_left_out_and_counted(explained, tmp_path):
    folder = make(tmp_path / "study", make_images(tmp_path / "images"), NARROW)
    lost = explained[0].table("highly_activating")["image_id"].iloc[0]
    (tmp_path / "images" / lost).unlink()
    study, _ = run(folder)
    assert study.summary("concepts")["n_missing"] == 1
    assert any("1 images are missing" in note for note in study.summary("concepts")["notes"])
    active = study.table("highly_activating")
    gone = rows_where(active, active["image_id"] == lost)
    assert len(gone) and gone["left"].isna().all() and gone["cosine"].isna().all()
    assert lost not in set(study.table("captions")["image_id"])


def test_a_captioner__replaces_the_bank(embedded, tmp_path):
    folder = shutil.copytree(embedded, tmp_path / "study")
    config = ConceptsConfig(**USUAL | {"captions": None, "captioner": "tests.concepts.test_step:say"})
    with pytest.MonkeyPatch.context() as patch, write_study(folder) as writer:
        tools = Tools(ColourClip(), None, None, say, config)
        patch.setattr(concept_step, "open_tools", lambda *_: tools)
        with writer.step("concepts", as_settings(config)) as step:
            compute_concepts(open_study(folder), step, config, StepRun(Progress.silent()))
    study = open_study(folder)
    captions = study.table("captions")
    assert set(captions["caption"]) == {"a green boat", "a red dog"} and set(captions["rank"]) == {1, 2}
    assert captions["cosine"].isna().all()
    words = study.table("concepts").query("kept")
    assert set(words["word"]) <= {"boat", "dog", "green", "red", "green boat", "red dog"}
    assert study.summary("concepts")["captioner"].endswith(":say")


def say(image):
    """A captioner."""
    return [("a red dog", 0.3), ("a green boat", 0.2)]


def test_load_captioner__refuses_what_is_not_there():
    from core.concepts.clip_and_captions import load_captioner
    from core.encoders.trusted_code import allowing

    with allowing("tests.concepts.test_step:say"):
        assert load_captioner("tests.concepts.test_step:say") is not None
    for spec in ("nowhere:say", "core.config:nothing", "core.config"):
        with allowing(spec), pytest.raises(SettingsError, match="cannot load the captioner"):
            load_captioner(spec)


class WarmClip(ColourClip):
    """Trained at another temperature than the paper's."""

    temperature = 25.0


def test_another_clip__thresholds_are_scaled_stored_and_said(explained, tmp_path):
    copy = shutil.copytree(explained[0].path, tmp_path / "study")
    study, _ = run(copy, WarmClip(), gamma=None)
    summary = study.summary("concepts")
    best = study.table("captions").query("rank == 1")["cosine"].mean()
    assert summary["fitting_cosine"] == pytest.approx(best, abs=1e-3)
    assert summary["min_score"] == pytest.approx(0.08 * summary["fitting_cosine"] / 0.284)
    assert summary["counter_score"] == pytest.approx(0.1 * summary["fitting_cosine"] / 0.284)
    assert summary["gamma"] == pytest.approx((1 + summary["usual_cosine"]) / 2)
    assert summary["clip_temperature"] == 25
    assert any("thresholds are scaled" in note for note in summary["notes"])
    kept = study.table("concepts")
    assert kept["score"].min() >= summary["min_score"]
