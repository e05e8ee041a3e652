"""Why a study lacks something: as data, and as the sentence that commands print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.publish.summary import info
from core.store import open_study
from core.study.missing import LEFT_OUT, NO_LABELS, REASONS, Missing
from core.study.steps import STEPS, in_analysis
from core.study.writer import write_study
from tests.manifests import edited_manifest
from tests.small import write_small_study


def command(step: str, folder: Path, *more: str) -> str:
    return " ".join(["python -m core", step, str(folder), *more])


def test_missing__the_steps_that_were_not_run(tmp_path):
    study = write_small_study(tmp_path / "s", features=False)
    missing = study.missing()
    assert list(missing) == [name for name in in_analysis() if name != "embed" and not STEPS[name].optional]
    run = command("features", study.path)
    assert missing["features"] == Missing(None, "features", "missing", "not run yet", run)
    assert str(missing["features"]) == f"not run yet. Run: {run}"
    said = missing["features"].sentence
    assert (said.kind, said.what, said.why) == ("not_computed", STEPS["features"].title, "not run yet")
    assert STEPS["features"].title in said and missing["features"].reason in said and run not in said
    assert not missing["features"].redo
    assert study.why_missing("top_images") == Missing("top_images", "features", "missing", "not run yet", run)
    assert study.why_missing("images") is None


def test_missing__stale_where_an_input_has_changed(tmp_path):
    folder = write_small_study(tmp_path / "s").path
    images = open_study(folder).images
    with write_study(folder) as writer, writer.step("embed", {}) as step:
        step.table("images", images.iloc[::-1])
    study, run = open_study(folder), command("quality", folder)
    stale = Missing("quality", "quality", "stale", REASONS["stale"], run)
    assert study.why_missing("quality") == stale
    assert study.missing()["quality"].state == "stale"
    assert str(stale) == f"{REASONS['stale']}. Run: {run}"


def test_missing__made_with_older_formulas_is_stale(tmp_path):
    folder = write_small_study(tmp_path / "s").path
    assert "quality" not in open_study(folder).missing()
    quality = open_study(folder).table("quality")
    with edited_manifest(folder) as manifest:
        del manifest["steps"]["quality"]["inputs"]["@formulas"]
    study, run = open_study(folder), command("quality", folder)
    assert not study.has("quality") and study.state("quality") == "stale"
    why = "made from inputs or formulas that have changed since"
    assert study.missing()["quality"] == Missing(None, "quality", "stale", why, run)
    assert info(study)["missing"]["quality"] == f"{why}. Run: {run}"
    with write_study(folder) as writer:
        settings, inputs = study.settings("quality"), tuple(study.manifest["steps"]["quality"]["inputs"])
        assert not writer.is_current("quality", settings, inputs)  # so that running it redoes it
        with writer.step("quality", settings, inputs) as step:
            step.table("quality", quality)
        assert writer.is_current("quality", settings, inputs)
    assert "quality" not in open_study(folder).missing()


ITEMS = ("features", "quality", "neighbours", "firing_by_feature_rows", "representations")


@pytest.mark.parametrize("item", ITEMS)
def test_damaged_item__names_its_file_its_step_and_the_command(tmp_path, item):
    folder = write_small_study(tmp_path / "s").path
    entry = open_study(folder).manifest["items"][item]
    file = f"{item}.parquet" if entry["kind"] == "table" else f"{item}/00000.npy"
    (folder / file).unlink()
    study = open_study(folder)
    study.set_damage_aside()
    missing = study.why_missing(item)
    run = command(entry["step"], folder, "--redo")
    fault = study.damage[item]
    assert fault.startswith(f"{file} is ")
    assert missing == Missing(item, entry["step"], "damaged", f"damaged: {fault}", run)
    assert missing is not None and missing.redo and study.missing()[entry["step"]] == missing
    said = missing.sentence
    assert (said.kind, said.what) == ("damaged", STEPS[entry["step"]].title) and said.why.endswith(fault)


def test_skipped_item__says_why_and_offers_no_command(tmp_path):
    folder = write_small_study(tmp_path / "s").path
    with write_study(folder) as writer, writer.step("overlap", {}) as step:
        step.summary = {"skipped": "there are no masks"}
    study = open_study(folder)
    assert "overlap" not in study.missing()
    missing = study.why_missing("overlap_summary")
    assert missing is not None and "there are no masks" in missing.reason
    assert missing == Missing("overlap_summary", "overlap", "skipped", missing.reason)
    assert (missing.sentence.kind, missing.sentence.what) == ("skipped", STEPS["overlap"].title)
    assert missing.sentence.why == missing.reason
    assert str(missing) == missing.reason


def test_item_that_its_step_did_not_make__says_so_and_offers_no_command(tmp_path):
    missing = write_small_study(tmp_path / "s").why_missing("class_means_correct")
    assert missing is not None and missing.state == "skipped" and not missing.redo and not missing.command
    assert missing.reason == LEFT_OUT
    assert (missing.sentence.what, missing.sentence.why) == (STEPS["quality"].title, LEFT_OUT)


def test_item_that_needs_labels__says_that_there_are_none(tmp_path):
    study = write_small_study(tmp_path / "s", labels=False)
    missing = study.why_missing("class_means_correct")
    assert missing is not None and missing.state == "skipped" and not missing.command
    assert (missing.sentence.kind, missing.sentence.why) == ("skipped", NO_LABELS)


def test_item_that_no_step_writes(tmp_path):
    missing = write_small_study(tmp_path / "s").why_missing("holidays")
    assert missing is not None and missing == Missing("holidays", "", "missing", missing.reason)
    assert missing.reason and missing.sentence.kind == "not_held"


def test_item_of_a_command_beside_the_steps__is_known_from_the_manifest(tmp_path):
    folder = write_small_study(tmp_path / "s").path
    with edited_manifest(folder) as manifest:
        manifest["steps"]["transfer"] = {"settings": {}, "inputs": {}, "summary": {}, "outputs": ["moved"]}
        manifest["items"]["moved"] = manifest["items"]["neighbours"] | {"step": "transfer"}
    study = open_study(folder)
    study.set_damage_aside()
    missing = study.why_missing("moved")
    assert missing is not None and (missing.step, missing.state) == ("transfer", "damaged")


def test_info__json_holds_the_same_sentences(tmp_path):
    study = write_small_study(tmp_path / "s", features=False)
    sentences = json.loads(json.dumps(info(study)["missing"]))
    assert sentences == {step: str(missing) for step, missing in study.missing().items()}
    assert sentences["map"] == f"not run yet. Run: {command('map', study.path)}"


def test_digest__says_what_is_held_and_the_key_also_where(tmp_path):
    one, other = (write_small_study(tmp_path / name) for name in ("one", "other"))
    assert one.digest == other.digest and one.key != other.key
    assert one.key == f"{one.path.resolve()}#{one.digest}"
    (one.path / "features.parquet").unlink()
    one.set_damage_aside()
    assert one.digest != other.digest and one.key.endswith(one.digest)
