"""New study: choose images and an encoder, see at once what was found, start, and follow what runs."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.config.options import in_form
from core.config.settings import FORM
from core.encoders.readout import ASSETS
from core.errors import PeregrineError, SettingsError
from core.study.commands import Analyze
from core.study.jobs import Job, log_tail, read_job, read_report
from core.study.missing import nothing
from core.study.write_access import guest_is_asking
from dashboard.components import widgets
from dashboard.components.form_fields import option_field, path_field
from dashboard.components.job_follower import follow, start_button, why_not
from dashboard.components.tooltips import plain
from dashboard.jobs import allowed_paths, launcher
from dashboard.panels import (
    augmentations,
    dry_run_panel,
    findings,
    folder_field,
    further_steps,
    job_list,
    new_study_request,
    study_progress,
)
from dashboard.panels.dry_run_panel import found_panel
from dashboard.panels.other_encoders import other_encoders_menu
from dashboard.state import served_studies, session

ENCODERS = {
    new_study_request.ASSET: "Shipped with Peregrine",
    new_study_request.CHECKPOINT: "A checkpoint file",
    new_study_request.TORCHVISION: "torchvision, pretrained",
    new_study_request.TIMM: "timm, pretrained",
}
MASKS = {
    new_study_request.NO_MASKS: "None",
    new_study_request.MASK_FOLDER: "A folder",
    new_study_request.SALIENT: "Salient ImageNet",
}
WORDS = {
    new_study_request.NO_WORDS: "None",
    new_study_request.WORD_FILE: "A caption file",
    new_study_request.GLYPH_WORDS: "Glyphworld's captions",
}
MORE = "Options: architecture, input size, masks, words and more"
WEIGHTS = (".pt", ".pth", ".ckpt", ".tar", ".bin", ".safetensors")
TABLES = (".csv", ".tsv", ".parquet", ".json", ".txt")
CAPTIONS = (".txt", ".csv", ".tsv", ".parquet")
OF_FOLDERS = ("class_level", "group_level")
OF_FILES = ("range", "transparency")
TITLE = 90  # pixels of a numbered title
SHOW_CHECK = 1.0  # seconds between two looks at a running check


def new_study_page() -> None:
    widgets.page_header(
        "New study", "Choose images and an encoder. What is found is shown before anything is computed."
    )
    if guest_is_asking():
        widgets.empty_state("This link is read-only", nothing("read_only"))
        return
    left, right = st.columns([5, 6], gap="large")
    with left:
        asked, name = _form()
    with right:
        check = _command_of_check(asked)
        if check is not None:
            st.header("What was found")
            _check(check, lambda: _start(asked, name), own=asked.encoder == new_study_request.CHECKPOINT)
    job_list.jobs_section(but=check and launcher.folder_of(check))
    further_steps.section()
    augmentations.section(further_steps.chosen_study())


def _form() -> tuple[new_study_request.StudyRequest, str]:
    """The choices and the name; each is part of the address, so that a reload keeps them."""
    asked = _images()
    asked |= _encoder(asked["images"])
    name = _name(str(asked["images_path"]))
    with st.expander(MORE, key="new_more", on_change="rerun", bind="query-params"):
        architecture, options = dry_run_panel.own_encoder_fields(asked["encoder"])
        asked |= _masks() | _words()
        options |= _options(asked["images"])
    return new_study_request.StudyRequest(**asked, architecture=architecture, options=options), name


@widgets.stable_container
def _images() -> dict[str, str]:
    images, path = _kind("1. Images", "Images", new_study_request.IMAGES, "new_images"), ""
    if images == new_study_request.FOLDER:
        about = "CLASS/IMAGE, with or without train/ and val/, or flat without labels."
        path = path_field("Image folder", key="new_images_path", folder=True, help=about)
        folder_field.folder_field(
            "Or drop a folder, or pictures, here",
            about="Folders in the folder name the classes.",
            path_key="new_images_path",
        )
    elif images == new_study_request.TABLE:
        about = "Columns path, label, perhaps split; or a file of Hugging Face, COCO, FiftyOne, Label Studio."
        path = path_field("Table", key="new_images_table", endings=TABLES, help=about)
    return {"images": images, "images_path": path}


@widgets.stable_container
def _encoder(images: str) -> dict[str, str]:
    encoder = _kind("2. Encoder", "Encoder", ENCODERS, "new_encoder")
    if encoder == new_study_request.CHECKPOINT:
        text = path_field("Checkpoint", key="new_checkpoint", endings=WEIGHTS)
    elif encoder == new_study_request.ASSET:
        of_world = images == new_study_request.GLYPHWORLD  # a choice of its own, as another encoder suits it
        names = sorted(ASSETS, key=lambda name: "glyphworld" not in name) if of_world else ASSETS
        titles = {name: ASSETS[name] for name in names}
        text = _choice("Which encoder", titles, "new_world_asset" if of_world else "new_asset")
    else:
        sample = "resnet50" if encoder == new_study_request.TORCHVISION else "vit_small_patch16_224"
        about = "Its weights are fetched once, from the network."
        text = _text("Architecture", f"new_{encoder}", sample, about)
    return {"encoder": encoder, "encoder_text": text}


@widgets.stable_container
def _name(images_path: str) -> str:
    """The name that is typed, else that of the images, followed by a number where a study has it already."""
    usual = new_study_request.usual_name(images_path, served_studies.studies_folder())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**3. Name**", width=TITLE)
        typed = st.text_input(
            "Name of the study, a folder in the studies folder",
            key="new_name",
            bind="query-params",
            placeholder=usual or "mine",
            max_chars=60,
            label_visibility="collapsed",
        )
    return (typed or "").strip() or usual


@widgets.stable_container
def _masks() -> dict[str, str]:
    options = {"masks": _choice("Masks of the objects", MASKS, "new_masks")}
    if options["masks"] != new_study_request.NO_MASKS:
        about = "core/… and spurious/… with names like the images, or Salient ImageNet's own layout."
        options["masks_path"] = path_field("Mask folder", key="new_masks_path", folder=True, help=about)
    return options


@widgets.stable_container
def _words() -> dict[str, str]:
    options = {"words": _choice("Captions, to name features with", WORDS, "new_words")}
    if options["words"] == new_study_request.WORD_FILE:
        options["words_path"] = path_field("Captions", key="new_words_path", endings=CAPTIONS, folder=True)
    if options["words"] != new_study_request.NO_WORDS:
        about = "Any CLIP of open_clip, as MODEL@WEIGHTS; asset:glyphworld is shipped for the embedded world."
        options["clip"] = _text("CLIP", "new_clip", "ViT-B-32@openai", about)
    return options


@widgets.stable_container
def _options(images: str) -> dict[str, str]:
    """The fields that the options of `analyze` ask for; only folders have levels, and only files pixels."""
    left_out = () if images == new_study_request.FOLDER else OF_FOLDERS
    left_out += OF_FILES if images == new_study_request.GLYPHWORLD else ()
    shown = [one for one in in_form(FORM) if one.name not in left_out]
    return {option.name: option_field(option) for option in shown}


def _kind(title: str, label: str, options: dict[str, str], key: str) -> str:
    """A numbered title, and beside it of which kind the choice below it is."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{title}**", width=TITLE)
        return _choice(label, options, key, shows_label=False)


def _choice(
    label: str, options: dict[str, str], key: str, help: str | None = None, *, shows_label: bool = True
) -> str:
    picked = st.selectbox(
        label,
        list(options),
        format_func=lambda one: options[one],
        key=key,
        bind="query-params",
        help=help,
        label_visibility="visible" if shows_label else "collapsed",
    )
    return picked or next(iter(options))


def _text(label: str, key: str, sample: str, help: str | None = None) -> str:
    return st.text_input(label, key=key, bind="query-params", placeholder=sample, help=help) or ""


def _command_of_check(asked: new_study_request.StudyRequest) -> Analyze | None:
    """The dry run, or None with a line that says what is missing or wrong."""
    if missing := asked.missing:
        still = f"Still to choose: {' and '.join(missing)}."
        st.info(still, icon=":material/info:")
        st.button("Start", key="new_start_not_yet", icon=":material/play_arrow:", disabled=True, help=still)
        findings.time_estimate(further_steps.chosen_study())
        if allowed_paths.roots():
            st.caption(
                f"You can pick files inside {plain(allowed_paths.spoken_roots())}. "
                f"To allow other folders set `{allowed_paths.ROOTS}`, and for addresses such as "
                f"`s3://bucket/photos` `{allowed_paths.URLS}`."
            )
        else:
            st.info(
                "No folder of this computer may be chosen yet: drop one, put images in `data/`, or name "
                f"folders in `{allowed_paths.ROOTS}`. The embedded world needs no folder.",
                icon=":material/folder_off:",
            )
        return None
    try:
        return asked.command(served_studies.studies_folder() / "new", dry_run=True)
    except SettingsError as error:
        st.error(plain(error), icon=":material/error:")
        return None


def _check(command: Analyze, start: Callable[[], None], *, own: bool) -> None:
    """Run the dry run, show how far it is, then what it found, with `start` where all is well; `own`: the
    encoder is a checkpoint."""
    folder = launcher.folder_of(command)
    job = read_job(folder)
    if job is None or job.state in ("cancelled", "interrupted"):
        _stop_last_check(folder)
        try:
            job = launcher.start(command)
        except PeregrineError as error:
            st.error(plain(error), icon=":material/error:")
            return
    if job.running:
        follow(folder, _looking, every=SHOW_CHECK)
        return
    report = read_report(folder)
    again = st.empty()
    if job.state != "done" or report is None:
        st.error(plain(job.error or "the check said nothing; its log is below"), icon=":material/error:")
        if own and (where := dry_run_panel.where_named(job.error or "")):
            st.info(plain(where), icon=":material/tune:")
    else:
        found_panel(report, start, own=own)
    again.button(
        "Check again", icon=":material/refresh:", type="tertiary", on_click=launcher.remove, args=(folder,)
    )


def _stop_last_check(folder: Path) -> None:
    """A check that nobody looks at any more only holds up the next."""
    last = session.recall("new_check")
    if last is not None and last != folder and (job := read_job(last)) is not None and job.running:
        launcher.stop(job, patience=0.2)
    session.set_widget("new_check", folder)


def _other_encoders(folder: Path) -> None:
    """The menu of further encoders on the images of a study that is there, several at once."""
    try:
        study = served_studies.open_current(folder)
    except PeregrineError:  # what opens the study says so
        return
    if study.has("images"):
        other_encoders_menu(study, kind="tertiary")


def _looking(job: Job) -> None:
    text = f"Looking at the {job.stage} …" if job.stage not in (None, "starting") else "Starting …"
    st.progress(len(job.stages_done) / max(job.stages_total, 1), text=text)
    st.caption("Looking at images, masks, captions and encoder; nothing is written.")
    if notes := [line for line in log_tail(job.folder, 3).splitlines() if line.startswith("note:")]:
        st.caption(plain(notes[-1]))


def _start(asked: new_study_request.StudyRequest, name: str) -> None:
    """The button that starts the command, and what may stand against it."""
    if not name:
        st.caption("Give the study a name to begin.")
        return
    try:
        folder = allowed_paths.study_folder(name)
        command = asked.command(folder)
    except SettingsError as error:
        st.error(plain(error), icon=":material/error:")
        return
    job = read_job(folder)
    if job is not None and job.running:
        st.info("A job is running in this study; you may close this page.", icon=":material/pending:")
        follow(folder, study_progress.bar)
        return
    exists = (folder / served_studies.MANIFEST).is_file()
    with st.container(horizontal=True, gap="small"):
        if exists:
            st.button(
                "Open the study",
                key="new_open",
                type="primary",
                icon=":material/arrow_forward:",
                on_click=session.go_to_study,
                args=(name,),
            )
        reason = start_button(
            command,
            "Continue the study" if exists else "Start",
            key="new_start",
            kind="secondary" if exists else "primary",
            about="This study is there already: only what changed is redone." if exists else None,
            then=lambda job: session.set_widget(
                "new_name", name
            ),  # a proposed one, though a study has it now
        )
        if exists:
            _other_encoders(folder)
    why_not(reason)
    with st.expander("The same in a terminal"):
        st.code(command.shell, language="bash", wrap_lines=True)


new_study_page()
