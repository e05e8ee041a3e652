"""The view New study without a browser: what is checked, refused, started, and shown of jobs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from core.answers.kinds import KINDS as ANSWERS
from core.common.assets import asset_names, make_private, state_folder
from core.config.options import OPTIONS
from core.encoders import readout
from core.encoders.packaged import PACKAGED
from core.errors import SettingsError, UnreadableImage
from core.store import Study
from core.study.commands import AddAnswer, Analyze, Command, RemoveBasis, RunStep
from core.study.jobs import Job
from core.study.steps import STEPS, in_analysis
from dashboard.jobs import launcher
from dashboard.panels import job_list, new_study_request
from dashboard.panels.dry_run_panel import in_fields, nothing_to_evaluate
from dashboard.panels.other_encoders import TITLE
from tests.dashboard.conftest import all_text, forget, remember, stored_job, unescaped, write_progress
from tests.sentences import numbers

FOUND = {
    "images": {
        "kind": "folder",
        "n_images": 1234,
        "splits": {"train": 987, "val": 247},
        "n_classes": 2,
        "classes": {"cat": 1231, "<b>dog</b>": 3},
        "smallest_class": 3,
        "notes": ["test is ignored"],
        "unreadable_in_sample": ["cat/9.png: truncated"],
        "unread": ["test/"],
        "sampled": 48,
    },
    "encoder": {
        "spec": "asset:simclr_glyphworld",
        "layer": "layer4",
        "pool": "max",
        "n_features": 512,
        "transform": {"input_size": 96},
    },
    "checkpoint": {"layout": "MoCo", "matched": 120, "dropped": {"module.queue": 2}},
    "assumptions": ["transform assumed"],
    "samples": [
        {"image_id": "cat/1.png", "split": "val", "label": "cat", "thumbnail": "data:image/jpeg;base64,"}
    ],
    "masks": None,
    "captions": {"name": "c.txt", "n_captions": 22141, "first": ["a red car"]},
    "clip": {"name": "ViT-B-32@openai", "here": False},
    "seconds": 75.0,
    "bytes": 5e6,
    "free_bytes": 1e6,
}
ASKED = {"new_images": "The embedded world", "new_encoder": "Shipped with Peregrine"}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch):
    """Make every check end as given, without running it."""

    def end(**record: object) -> None:
        def start(command: Command, *, folder: Path) -> Job:
            words = ["python", "-m", "core", *command.words]
            write_progress(folder, **({"state": "done", "command": words} | record))
            (folder / "log.txt").write_text(f"$ {' '.join(words)}\nnote: x\n")
            (folder / "result.json").write_text(json.dumps(FOUND))
            return stored_job(folder)

        monkeypatch.setattr(launcher, "start_job", start)

    return end


def test_reachable_without_any_study(tmp_path, monkeypatch, open_page):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "none"))
    app = open_page("new_study")
    assert not app.exception and not app.error
    assert app.title[0].value == "New study"
    assert {"new_images", "new_encoder"} <= {one.key for one in app.selectbox}


def test_check__shows_what_was_found(studies, checked, open_page):
    checked()
    app = open_page("new_study", **ASKED, new_name="mine")
    app.run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric} == {
        "Images": "1,234",
        "Train": "987",
        "Evaluation": "247",
        "Classes": "2",
        "Features": "512",
    }
    said = all_text(app) + " ".join(box.value for box in app.warning).replace("\\", "")
    for part in (
        "120 tensors used, format MoCo; not of the representation: module.queue (2)",
        "22,141",
        "a red car",
    ):
        assert part in said
    assert "at layer4, maximum pooling, sees 96 × 96 pixels" in said
    assert "SimCLR on the embedded world; 512 features" in said
    for part in (
        "truncated",
        "Not read: test/. Only train/ and val/ are read, or test/ where there is no val/.",
        "smallest class has 3 images",
        "The disk has 1 MB free",
        "75 s",
    ):
        assert part in said
    assert "Start" in [button.label for button in app.button]


def test_check__warns_of_a_study_without_evaluation_images(studies, checked, open_page, monkeypatch):
    images = FOUND["images"] | {"splits": {"train": 1234}}
    monkeypatch.setitem(FOUND, "images", images)
    checked()
    app = open_page("new_study", **ASKED, new_name="mine")
    app.run()
    assert nothing_to_evaluate(images) in [unescaped(box.value) for box in app.warning]


def test_start__runs_the_command_in_the_new_folder(studies, checked, open_page, monkeypatch):
    checked()
    app = open_page("new_study", **ASKED, new_name="mine")
    app.run()
    started: list[tuple[Command, Path]] = []
    monkeypatch.setattr(launcher, "start_job", lambda command, folder: started.append((command, folder)))
    app.button(key="new_start").click().run()
    mine = studies / "mine"
    command = Analyze.of(mine, images="glyphworld", encoder="asset:simclr_glyphworld", epsilon="auto")
    assert started == [(command, mine)]


def test_study_that_is_there__offers_other_encoders_on_its_images(studies, checked, open_page):
    checked()
    for name, is_there in (("demo", True), ("mine", False)):
        app = open_page("new_study", **ASKED, new_name=name)
        app.run()
        assert not app.exception
        assert any(TITLE in str(block.proto) for block in app.get("popover")) is is_there, name


def test_name__is_that_of_the_folder_and_one_that_no_study_has(
    studies, checked, tmp_path, monkeypatch, open_page
):
    (tmp_path / "roots" / "demo").mkdir(parents=True)
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path / "roots"))
    checked()
    path = str(tmp_path / "roots" / "demo")
    app = open_page("new_study", new_images_path=path, new_encoder="Shipped with Peregrine")
    app.run()
    assert app.text_input(key="new_name").placeholder == "demo-2"  # the fixture holds a study called demo
    started: list[Path] = []
    monkeypatch.setattr(launcher, "start_job", lambda command, folder: started.append(folder))
    app.button(key="new_start").click().run()
    assert started == [studies / "demo-2"]
    assert app.text_input(key="new_name").value == "demo-2"


def test_form__opens_with_images_encoder_and_name_and_nothing_else(studies, open_page):
    app = open_page("new_study")
    folded = {field.key for field in app.expander[0].text_input} | {
        field.key for field in app.expander[0].selectbox
    }
    fields = {field.key for field in [*app.text_input, *app.selectbox]} - folded
    wanted = {"new_images", "new_images_path", "new_encoder", "new_asset", "new_name"}
    assert {key for key in fields if key and key.startswith("new_")} == wanted
    assert {"new_masks", "new_words", "new_pool", "new_epsilon"} <= folded


@pytest.mark.parametrize(
    ("chosen", "lacks"),
    [
        ({"new_encoder": "A checkpoint file"}, "Still to choose: the images and the encoder."),
        ({}, "Still to choose: the images."),
    ],
)
def test_half_a_form__says_what_is_missing(chosen, lacks, studies, open_page):
    assert lacks in [note.value for note in open_page("new_study", **chosen).info]


def test_failed_check__one_line_and_no_start(studies, checked, open_page):
    checked(state="failed", error="EncoderError: 3 keys are missing: conv1.weight …")
    app = open_page("new_study", **ASKED, new_name="mine")
    app.run()
    assert not app.exception
    assert "3 keys" in app.error[0].value.replace("\\", "")
    assert job_list.CHECK not in all_text(app)  # said once
    assert "Start" not in [button.label for button in app.button]
    assert "Check again" in [button.label for button in app.button]


@pytest.mark.parametrize("path", ["/etc", "../..", "{studies}"])
def test_outside_the_roots__refused_before_anything_runs(
    studies, started, tmp_path, monkeypatch, open_page, path
):
    (tmp_path / "roots").mkdir()
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path / "roots"))
    asked = ASKED | {"new_images": "A folder", "new_images_path": path.format(studies=studies)}
    app = open_page("new_study", **asked, new_name="mine")
    assert not app.exception
    assert "not below a folder that may be chosen" in app.error[0].value.replace("\\", "")
    assert started == []


@pytest.mark.parametrize(("name", "says"), [("../x", "name begins with"), ("", "Give the study a name")])
def test_bad_name__no_start(studies, checked, open_page, name, says):
    checked()
    app = open_page("new_study", **ASKED, new_name=name)
    app.run()
    said = all_text(app) + " ".join(box.value for box in app.error).replace("\\", "")
    assert says in said and "Start" not in [button.label for button in app.button]


def test_jobs__running_failed_and_done(studies, open_page):
    write_progress(studies / "new")
    write_progress(studies / "broken", state="failed", error="disk full: <script>")
    write_progress(studies / "demo", state="done")
    app = open_page("new_study")
    assert not app.exception
    labels = [button.label for button in app.button]
    assert "Cancel" not in labels and "Resume" not in labels  # not started here
    assert "disk full" in all_text(app) and f"Step 1 of {len(in_analysis())} · Representations" in all_text(
        app
    )


def test_jobs__done_ones_are_folded_except_the_latest_and_others_stay_in_sight(studies, open_page):
    for number in range(5):
        write_progress(studies / f"done{number}", state="done")
    write_progress(studies / "broken", state="failed", error="disk full")
    app = open_page("new_study")
    said = all_text(app)
    assert sum(f"done{number}" in said for number in range(5)) == 3 and "disk full" in said
    assert "2 earlier ones" in [one.label for one in app.expander]


def test_jobs__checks_and_searches_are_listed_only_where_they_failed(studies, open_page):
    check = ["python", "-m", "core", "analyze", "studies/new", "--dry-run"]
    search = ["python", "-m", "core", "search", "studies/demo", "a ball"]
    write_progress(studies / "a", command=check)
    write_progress(studies / "b", command=search, state="done")
    said = all_text(open_page("new_study"))
    assert job_list.CHECK not in said and "search" not in said.split("Jobs")[-1]
    write_progress(studies / "a", command=check, state="failed", error="no such folder")
    assert job_list.CHECK in all_text(open_page("new_study"))


def test_jobs__are_called_by_what_they_do(studies):
    demo = studies / "demo"
    words = (AddAnswer(demo).words, ["answers", str(demo)], RemoveBasis(demo, "topk").words)
    titles = [job_list.title(Job(folder=demo, command=("python", "-m", "core", *one))) for one in words]
    assert ANSWERS["knn"].title in titles[0] and STEPS["answers"].doing not in titles[0]
    assert STEPS["answers"].doing in titles[1]
    assert "topk" in titles[2] and job_list.KINDS["basis"] not in titles[2]


def test_jobs__a_failed_check_can_be_dismissed_and_not_be_resumed(studies, open_page):
    check = Analyze.of(studies / "new", images="text", encoder="asset:simclr_glyphworld", dry_run=True)
    folder = launcher.folder_of(check)
    make_private(state_folder())
    remember(folder, check)
    write_progress(folder, state="failed", error="no image in 'text'", command=["python", *check.words])
    app = open_page("new_study")
    assert "no image in 'text'" in all_text(app)
    assert "Resume" not in [button.label for button in app.button]
    app.button(key=f"dismiss_{folder}").click().run()
    assert "no image in 'text'" not in all_text(app) and not folder.exists()
    assert "Dismiss" not in [button.label for button in app.button]


def test_jobs__a_stopped_one_says_what_its_button_does(studies, open_page):
    remember(
        studies / "new", Analyze.of(studies / "new", images="glyphworld", encoder="asset:simclr_glyphworld")
    )
    error = "stopped; run the same command to resume"
    write_progress(studies / "new", state="cancelled", error=error)
    app = open_page("new_study")
    assert "Resume" in [button.label for button in app.button]
    assert "*Resume* continues where it stopped" in all_text(app) and error not in all_text(app)
    app = open_page(study="new")
    assert "was stopped." in all_text(app) and error not in all_text(app)


def test_cancelled_study__says_how_far_it_came_and_can_be_resumed_or_deleted(studies, started, open_page):
    command = Analyze.of(studies / "new", images="glyphworld", encoder="asset:simclr_glyphworld")
    remember(studies / "new", command)
    write_progress(studies / "new", state="cancelled", command=["python", "-m", "core", *command.words])
    app = open_page(study="new")
    said = all_text(app)
    assert "stopped" in said
    assert ["1", str(len(in_analysis()))] in [numbers(one.value) for one in app.markdown]
    assert "300 of 1,200" in said
    app.button(key=f"resume_{studies / 'new'}").click().run()
    assert started == [(command, studies / "new")]
    app.button(key="unfinished_delete").click().run()
    assert (studies / "new").exists() and "'new'" in unescaped(app.warning[1].value)  # in the popover
    assert not app.info  # which the popover would hide
    app.text_input(key="unfinished_delete_new").set_value("new").run()
    app.button(key="unfinished_delete").click().run()
    field = next(field for field in app.selectbox if field.label == "Study")
    assert not (studies / "new").exists() and field.value == "demo"


def test_jobs__both_studies_of_the_demo_are_told_apart(studies, open_page):
    command = ["python", "-m", "core", "demo", "--studies", str(studies)]
    for name in ("demo", "demo-finetuned"):
        write_progress(studies / name, state="done", command=command)
    said = all_text(open_page("new_study"))
    assert "**Build the demo: demo** done" in said
    assert "**Build the demo: demo-finetuned** done" in said


def test_cancel_and_resume__reach_the_jobs(studies, monkeypatch, open_page):
    calls = []
    monkeypatch.setattr(launcher, "cancel", lambda job, patience: calls.append(("cancel", job.folder.name)))
    monkeypatch.setattr(launcher, "start_job", lambda command, folder: calls.append(("resume", folder.name)))
    command = Analyze.of(studies / "broken", images="glyphworld", encoder="asset:simclr_glyphworld")
    remember(studies / "new", command, os.getpid())
    remember(studies / "broken", command)
    write_progress(studies / "new")
    write_progress(studies / "broken", state="interrupted", error="gone")
    app = open_page("new_study")
    app.button(key=f"cancel_{studies / 'new'}").click().run()
    app.button(key=f"resume_{studies / 'broken'}").click().run()
    assert calls == [("cancel", "new"), ("resume", "broken")]


def test_missing_step__has_a_run_button(studies, started, open_page):
    forget(studies / "demo", "neighbours", "probe", "quality")
    app = open_page("predicting_errors", study="demo")
    (button,) = [one for one in app.button if one.label == "Run"]
    button.click().run()
    assert started == [(RunStep("quality", studies / "demo"), studies / "demo")]


def test_further_steps__of_the_chosen_study(studies, started, open_page):
    forget(studies / "demo", "quality")
    app = open_page("new_study", study="demo")
    assert "Further steps of demo" in [title.value for title in app.header]
    app.button(key="run_further_quality").click().run()
    assert started == [(RunStep("quality", studies / "demo"), studies / "demo")]


def test_failed_epsilon__offers_the_one_that_works(studies, started, open_page):
    analyze = Analyze.of(
        studies / "mine", images="glyphworld", encoder="asset:simclr_glyphworld", epsilon="4"
    )
    remember(studies / "mine", analyze)
    write_progress(studies / "mine", state="failed", error="no feature fires", offer={"epsilon": 2.5})
    app = open_page("new_study")
    (button,) = [one for one in app.button if one.label == "Try epsilon 2.5"]
    button.click().run()
    [(command, folder)] = started
    assert folder == studies / "mine" and dict(command.options) == dict(analyze.options) | {"epsilon": "2.5"}


@pytest.mark.parametrize(
    ("typed", "given"),
    [("", "auto"), ("AUTO ", "auto"), ("2.5", "2.5"), ("7", "7"), ("0.75", "0.75"), ("0", "0")],
)
def test_epsilon__takes_auto_and_any_number_from_zero_on(studies, checked, open_page, typed, given):
    checked()
    app = open_page("new_study", **ASKED, new_name="mine", new_more="true", new_epsilon=typed)
    app.run()
    assert not app.exception and not app.error
    shown = [code.value for code in app.code]
    assert any(f"--epsilon={given}" in one.split() for one in shown)


@pytest.mark.parametrize(
    ("label", "given"),
    [(None, None), ("Strongest position", "max"), ("Average of the 4 strongest positions", "top4")],
)
def test_pooling__is_part_of_the_command_where_it_is_chosen(studies, checked, open_page, label, given):
    checked()
    chosen = {"new_pool": label} if label else {}
    app = open_page("new_study", **ASKED, new_name="mine", new_more="true", **chosen)
    app.run()
    assert not app.exception and not app.error
    (shown,) = {code.value for code in app.code if "analyze" in code.value and "mine" in code.value}
    assert (f"--pool={given}" in shown) if given else ("--pool" not in shown)


def test_tokens__are_part_of_the_command_where_they_are_chosen(studies, checked, open_page):
    checked()
    chosen = {"new_tokens": "CLS token, then the mean of the patch tokens"}
    chosen |= {"new_token_norm": "Before the final norm"}
    app = open_page("new_study", **ASKED, new_name="mine", new_more="true", **chosen)
    app.run()
    assert not app.exception and not app.error
    (shown,) = {code.value for code in app.code if "analyze" in code.value and "mine" in code.value}
    assert "--tokens=cls+mean" in shown and "--token-norm=before" in shown


def test_class_level__is_asked_for_folders_and_part_of_the_command(studies, checked, tmp_path, open_page):
    checked()
    images = ASKED | {"new_images": "A folder", "new_images_path": str(tmp_path)}
    app = open_page("new_study", **images, new_name="mine", new_more="true", new_class_level="Level 2")
    assert not app.exception
    assert "GROUP/CLASS/IMAGE" in app.selectbox(key="new_class_level").help
    asked = new_study_request.StudyRequest(
        images=new_study_request.GLYPHWORLD,
        options={"class_level": "2"},
        encoder=new_study_request.ASSET,
        encoder_text="x",
    )
    assert "--class-level=2" in asked.command(Path("mine")).words


def test_pixels__are_asked_for_files_and_part_of_the_command(studies, checked, tmp_path, open_page):
    checked()
    images = ASKED | {"new_images": "A folder", "new_images_path": str(tmp_path)}
    typed = {"new_range": "0,4095", "new_transparency": OPTIONS["transparency"].described["titles"]["drop"]}
    app = open_page("new_study", **images, new_name="mine", new_more="true", **typed)
    assert not app.exception
    assert app.text_input(key="new_range").value == "0,4095"
    assert app.selectbox(key="new_transparency").value == "drop"
    drawn = open_page("new_study", **ASKED, new_name="mine", new_more="true")  # a world has no such files
    assert "new_range" not in {field.key for field in drawn.text_input}
    options = {"range": "0,4095", "transparency": "drop"}
    asked = new_study_request.StudyRequest(
        images=new_study_request.GLYPHWORLD,
        options=options,
        encoder=new_study_request.ASSET,
        encoder_text="x",
    )
    assert {"--range=0,4095", "--transparency=drop"} <= set(asked.command(Path("mine")).words)


def test_folders__are_shown_as_they_are_read(studies, checked, tmp_path, monkeypatch, open_page):
    (tmp_path / "roots").mkdir()
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path / "roots"))
    levels = [
        {"level": "level 1", "role": "domain", "n_names": 2, "names": ["photo", "sketch"], "n_images": 9},
        {"level": "level 2", "role": "class", "n_names": 3, "names": ["cat", "dog", "elk"], "n_images": 9},
    ]
    told = {"how_read": "read as folders: two levels", "levels": levels, "other_level": 1}
    told["notes"] = [told["how_read"]]
    monkeypatch.setitem(FOUND, "images", FOUND["images"] | told)
    checked()
    images = ASKED | {"new_images": "A folder", "new_images_path": str(tmp_path / "roots")}
    app = open_page("new_study", **images, new_name="mine", new_more="true")
    app.run()
    assert not app.exception and "two levels" in " ".join(box.value for box in app.info)
    (frame,) = [one.value for one in app.dataframe if "read as" in one.value]
    assert list(frame["read as"]) == ["domain", "class"]
    app.button(key="new_other_level").click().run()
    assert not app.exception and app.selectbox(key="new_class_level").value == "1"


@pytest.fixture
def of_checkpoint(tmp_path, monkeypatch, studies, checked) -> dict[str, str]:
    """A form with a checkpoint, and beside it a file of class names."""
    (tmp_path / "roots").mkdir()
    for name in ("mine.pt", "classes.txt"):
        (tmp_path / "roots" / name).write_text("cat\ndog\n")
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path / "roots"))
    checked()
    path = str(tmp_path / "roots" / "mine.pt")
    return ASKED | {"new_encoder": "A checkpoint file", "new_checkpoint": path, "new_name": "mine"}


def test_own_encoder__how_it_sees_and_its_classes_are_part_of_the_command(of_checkpoint, open_page):
    classes = of_checkpoint["new_checkpoint"].replace("mine.pt", "classes.txt")
    typed = {"new_resize": "36", "new_input_size": "32", "new_mean": "0.49, 0.48,0.45", "new_std": ".2,.2,.2"}
    app = open_page("new_study", **of_checkpoint, **typed, new_head_classes=classes, new_more="true")
    app.run()
    assert not app.exception and not app.error
    (shown,) = {code.value for code in app.code if "analyze" in code.value and "mine" in code.value}
    options = {"--resize=36", "--input-size=32", "--mean=0.49,0.48,0.45", "--std=0.2,0.2,0.2"}
    assert options | {f"--head-classes={classes}"} <= set(shown.split())


def test_own_encoder__its_fields_are_of_a_checkpoint_only(studies, open_page):
    app = open_page("new_study", **ASKED, new_more="true", new_mean="1,2")
    keys = {field.key for field in app.text_input}
    assert not {"new_input_size", "new_mean", "new_head_classes"} & keys and not app.error
    asked = new_study_request.StudyRequest(
        images=new_study_request.GLYPHWORLD,
        encoder=new_study_request.ASSET,
        encoder_text="x",
        options={"resize": "32", "mean": "1,2"},
    )
    assert not {"mean", "resize"} & dict(asked.command(Path("mine")).options).keys()


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("new_resize", "0", "Resize: '0'"),
        ("new_input_size", "32 --seed 3", "Input size: '32 --seed 3'"),
        ("new_mean", "0.5,0.4", "Mean: '0.5,0.4'"),
        ("new_std", "0,1,1", "Standard deviation: '0,1,1'"),
        ("new_head_classes", "/etc/passwd", "not below a folder that may be chosen"),
    ],
)
def test_own_encoder__what_no_run_takes_is_refused(of_checkpoint, started, open_page, field, typed, says):
    app = open_page("new_study", **of_checkpoint, new_more="true", **{field: typed})
    assert not app.exception and says in app.error[0].value.replace("\\", "") and started == []


def test_own_encoder__what_its_fields_mend_stands_beside_start(of_checkpoint, open_page, monkeypatch):
    enlarged = "the images are enlarged to 176: an encoder of their size needs --resize 32 --input-size 32"
    no_output = "no classifier output matches elk: their images are excluded; see --head-classes FILE"
    monkeypatch.setitem(FOUND, "assumptions", [enlarged, no_output, "transform assumed"])
    app = open_page("new_study", **of_checkpoint)
    app.run()
    warned = [unescaped(box.value) for box in app.warning]
    assert in_fields(enlarged) in warned and in_fields(no_output) in warned
    assert "Resize 32" in in_fields(enlarged) and "Input size 32" in in_fields(enlarged)
    assert OPTIONS["head_classes"].title in in_fields(no_output)
    said = all_text(app)
    assert "transform assumed" in said and "--resize 32" not in said
    assert "Notes (2)" in [one.label for one in app.expander]


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        ("no known encoder layout; name the architecture: timm:NAME@PATH", True),
        ("the checkpoint has a deep stem (conv1.0 …); name the model: timm:resnet50d@PATH", True),
        ("there are no weights in it", False),
    ],
)
def test_own_encoder__the_page_says_where_its_architecture_is_named(
    of_checkpoint, checked, open_page, error, helps
):
    checked(state="failed", error=error)
    app = open_page("new_study", **of_checkpoint)
    app.run()
    where = (
        "under Options, Architecture (if the file does not tell): timm:NAME or torchvision:NAME, for example"
    )
    assert any(where in unescaped(box.value) for box in app.info) == helps


@pytest.mark.parametrize("field", ["pool", "tokens", "token_norm", "class_level"])
def test_request__an_unknown_way_to_read_is_refused(field):
    asked = new_study_request.StudyRequest(
        images=new_study_request.GLYPHWORLD,
        encoder=new_study_request.ASSET,
        encoder_text="x",
        options={field: "all"},
    )
    with pytest.raises(SettingsError, match=f"{re.escape(OPTIONS[field].title)}.* 'all'"):
        asked.command(Path("mine"))


@pytest.mark.parametrize("typed", ["-1", "nan", "inf", "1e999", "four", "2,5", "1_0", "3; rm x", "٣"])
def test_epsilon__anything_else_is_refused_before_anything_runs(studies, started, open_page, typed):
    app = open_page("new_study", **ASKED, new_name="mine", new_more="true", new_epsilon=typed)
    assert not app.exception
    assert f"'{typed}'" in unescaped(app.error[0].value) and "'auto'" in unescaped(app.error[0].value)
    assert started == []


def test_epsilon__default_and_help_are_in_plain_words(studies, open_page):
    app = open_page("new_study", **ASKED, new_more="true")
    field = app.text_input(key="new_epsilon")
    assert field.value == "" and field.placeholder == "auto"
    assert "4, 3.5, 3, 2.5, 2, 1.5 and 1" in field.help


def augmentations(open_page, **query):
    app = open_page("new_study", augmentations="true", **query)
    app.session_state["augmentations"] = True
    return app.run()


def pictures(app) -> list[str]:
    """Addresses of the two pictures, before and after."""
    return [
        part.partition("'")[0]
        for html in app.get("html")
        for part in str(html.proto.body).split("<img src='")[1:]
    ]


@pytest.mark.exhaustive("tests/training changes pictures")
@pytest.mark.slow
def test_augmentations__sliders_change_the_picture(seen, open_page):
    app = augmentations(open_page)
    assert not app.exception
    before, after = pictures(app)
    assert before != after and all(url.startswith("data:image/png;base64,") for url in (before, after))
    app.selectbox(key="augmentation").set_value("mask").run()
    masked = pictures(app)
    assert masked[0] == before and masked[1] not in (before, after)
    app.slider(key="augmentation_mask_fraction").set_value(0.9).run()
    assert pictures(app)[1] != masked[1]
    assert not app.exception


def test_augmentations__pictures_that_cannot_be_read(studies, open_page, monkeypatch):
    def gone(study, row):
        raise UnreadableImage(f"row {row} was moved")

    monkeypatch.setattr(Study, "image", gone)
    app = augmentations(open_page)
    assert not app.exception and not pictures(app)
    assert any("was moved" in error.value for error in app.error)


def test_augmentations__without_a_study(tmp_path, monkeypatch, open_page):
    monkeypatch.setenv("PEREGRINE_STUDIES", str(tmp_path / "none"))
    app = augmentations(open_page)
    assert not app.exception and not pictures(app)
    assert "Open a study first" in all_text(app)


def test_assets__are_the_shipped_encoders():
    assert sorted(readout.ASSETS) == sorted([*PACKAGED, *asset_names("encoders", ".safetensors")])


def test_path__taking_one_closes_the_list(studies, tmp_path, open_page, monkeypatch):
    roots = tmp_path / "roots"
    (roots / "photos").mkdir(parents=True)
    monkeypatch.setenv("PEREGRINE_ROOTS", str(roots))
    app = open_page("new_study")
    app.session_state["new_images_path_list"] = True
    app.session_state["new_images_path_at"] = roots / "photos"
    app.run()
    app.button(key="new_images_path_this").click().run()
    assert not app.exception
    assert app.text_input(key="new_images_path").value == str(roots / "photos")
    assert app.session_state["new_images_path_list"] is False


@pytest.mark.parametrize(
    ("images", "warning"),
    [
        ({"n_classes": 0, "splits": {"val": 90}}, "carry no labels"),
        ({"n_classes": 1, "splits": {"val": 90}}, "of one class"),
        ({"n_classes": 2, "splits": {"train": 2}}, "No image is left for evaluation"),
        ({"n_classes": 2, "splits": {"val": 4}}, "may be off by 49 points"),
        ({"n_classes": 2, "splits": {"val": 400}}, ""),
        ({"n_classes": 500, "splits": {"train": 500}, "n_known_to_classifier": 500}, ""),
    ],
)
def test_study_that_cannot_be_evaluated__is_warned_of(images, warning):
    text = nothing_to_evaluate(images)
    assert warning in text and bool(warning) == bool(text)
