"""New study: choose images and an encoder, see at once what was found, start, and follow what runs."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import JobError, SettingsError
from core.job_commands import Analyze
from core.jobs import Job, log_tail, read_job, read_report
from dashboard import catalogue, further_steps, job_list, roots, state, widgets, wish
from dashboard.explain import plain
from dashboard.found import found_panel
from dashboard.jobs import launcher
from dashboard.picker import path_field
from dashboard.place import own_place

IMAGES = {
    wish.FOLDER: "A folder",
    wish.TABLE: "A table of paths and labels",
    wish.GLYPHWORLD: "The embedded world",
}
ENCODERS = {
    wish.CHECKPOINT: "A checkpoint file",
    wish.ASSET: "Shipped with Peregrine",
    wish.TORCHVISION: "torchvision, pretrained",
    wish.TIMM: "timm, pretrained",
}
MASKS = {wish.NO_MASKS: "None", wish.MASK_FOLDER: "A folder", wish.SALIENT: "Salient ImageNet"}
WORDS = {wish.NO_WORDS: "None", wish.WORD_FILE: "A caption file", wish.GLYPH_WORDS: "Glyphworld's captions"}
ABOUT_EPSILON = (
    "A feature fires on an image when it lies this many standard deviations above the image's mean. "
    "auto picks the largest of 4, 3.5, 3, 2.5, 2, 1.5 and 1 that suits these images. The paper uses 4."
)
SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "encoders"
WEIGHTS = (".pt", ".pth", ".ckpt", ".tar", ".bin", ".safetensors")
TABLES = (".csv", ".tsv", ".parquet")
CAPTIONS = (".txt", ".csv", ".tsv", ".parquet")
ASSETS = tuple(sorted(path.stem for path in SHIPPED.glob("*.safetensors")))
SHOW_CHECK = 1.0  # seconds between two looks at a running check


def page() -> None:
    widgets.page_header(
        "New study", "Choose images and an encoder. What is found is shown before anything is computed."
    )
    left, right = st.columns([5, 6], gap="large")
    with left:
        asked = _form()
        name = st.text_input(
            "Name of the study",
            key="new_name",
            bind="query-params",
            placeholder="mine",
            max_chars=60,
            help="It becomes a folder in the studies folder.",
        )
    with right:
        st.subheader("What was found")
        check = _command_of_check(asked)
        if check is not None and _check(check):
            _start(asked, name or "")
    job_list.jobs_section()
    further_steps.section()


def _form() -> wish.Wish:
    """The choices; every one is part of the address, so that a reload keeps them."""
    asked = _images() | _encoder()
    with st.expander("Masks, words and more", key="new_more", on_change="rerun", bind="query-params"):
        asked |= _masks() | _words()
        asked["epsilon"] = _text("When a feature fires (epsilon)", "new_epsilon", wish.AUTO, ABOUT_EPSILON)
    return wish.Wish(**asked)


@own_place
def _images() -> dict[str, str]:
    images, path = _choice("Images", IMAGES, "new_images"), ""
    if images == wish.FOLDER:
        about = "CLASS/IMAGE, with or without train/ and val/, or flat without labels."
        path = path_field("Image folder", key="new_images_path", folder=True, help=about)
    elif images == wish.TABLE:
        about = "Columns path and label, and split where there is one."
        path = path_field("Table", key="new_images_table", endings=TABLES, help=about)
    return {"images": images, "images_path": path}


@own_place
def _encoder() -> dict[str, str]:
    encoder, architecture = _choice("Encoder", ENCODERS, "new_encoder"), ""
    if encoder == wish.CHECKPOINT:
        text = path_field("Checkpoint", key="new_checkpoint", endings=WEIGHTS)
        label = "Architecture (if the file does not tell)"
        architecture = _text(label, "new_architecture", "resnet18 or timm:NAME")
    elif encoder == wish.ASSET:
        text = _choice("Which", dict(zip(ASSETS, ASSETS, strict=True)), "new_asset")
    else:
        sample = "resnet50" if encoder == wish.TORCHVISION else "vit_small_patch16_224"
        about = "Its weights are fetched once, from the network."
        text = _text("Architecture", f"new_{encoder}", sample, about)
    return {"encoder": encoder, "encoder_text": text, "architecture": architecture}


@own_place
def _masks() -> dict[str, str]:
    chosen = {"masks": _choice("Masks of what matters", MASKS, "new_masks")}
    if chosen["masks"] != wish.NO_MASKS:
        about = "core/… and spurious/… with names like the images, or Salient ImageNet's own layout."
        chosen["masks_path"] = path_field("Mask folder", key="new_masks_path", folder=True, help=about)
    return chosen


@own_place
def _words() -> dict[str, str]:
    chosen = {"words": _choice("Captions, to name features with", WORDS, "new_words")}
    if chosen["words"] == wish.WORD_FILE:
        chosen["words_path"] = path_field("Captions", key="new_words_path", endings=CAPTIONS, folder=True)
    if chosen["words"] != wish.NO_WORDS:
        about = "Any CLIP of open_clip, as MODEL@WEIGHTS; asset:glyphworld is shipped for the embedded world."
        chosen["clip"] = _text("CLIP", "new_clip", "ViT-B-32@openai", about)
    return chosen


def _choice(label: str, options: dict[str, str], key: str) -> str:
    picked = st.selectbox(
        label, list(options), format_func=lambda one: options[one], key=key, bind="query-params"
    )
    return picked or next(iter(options))


def _text(label: str, key: str, sample: str, help: str | None = None) -> str:
    return st.text_input(label, key=key, bind="query-params", placeholder=sample, help=help) or ""


def _command_of_check(asked: wish.Wish) -> Analyze | None:
    """The dry run, or None with a line that says what is missing or wrong."""
    if not asked.is_complete:
        st.caption("Nothing yet: choose images and an encoder.")
        if roots.roots():
            st.caption(
                f"Files can be chosen below {plain(roots.spoken_roots())}; `{roots.ROOTS}` names others."
            )
        else:
            st.info(
                "No folder may be chosen yet: the browser sees only what you name. Put images in `data/`, "
                f"or start with `{roots.ROOTS}=/photos:/models make dashboard`. "
                "The embedded world needs no folder.",
                icon=":material/folder_off:",
            )
        return None
    try:
        return asked.command(catalogue.studies_folder() / "new", dry_run=True)
    except SettingsError as error:
        st.error(plain(error), icon=":material/error:")
        return None


def _check(command: Analyze) -> bool:
    """Run the dry run, show how far it is, then what it found; True when all is well."""
    folder = launcher.folder_of(command)
    job = read_job(folder)
    if job is None or job.state in ("cancelled", "interrupted"):
        _stop_last_check(folder)
        try:
            job = launcher.start(command)
        except JobError as error:
            st.error(plain(error), icon=":material/error:")
            return False
    if job.running:
        _follow(folder)
        return False
    found = read_report(folder)
    again = st.empty()
    if job.state != "done" or found is None:
        st.error(plain(job.error or "the check said nothing; its log is below"), icon=":material/error:")
    else:
        found_panel(found)
    again.button(
        "Check again", icon=":material/refresh:", type="tertiary", on_click=launcher.remove, args=(folder,)
    )
    return job.state == "done" and found is not None


def _stop_last_check(folder: Path) -> None:
    """A check that nobody looks at any more only holds up the next."""
    last = state.recall("new_check")
    if last is not None and last != folder and (job := read_job(last)) is not None and job.running:
        launcher.stop(job, patience=0.2)
    state.choose("new_check", folder)


@st.fragment(run_every=SHOW_CHECK)
def _follow(folder: Path) -> None:
    job = read_job(folder)
    if job is None or not job.running:
        st.rerun()
    st.progress(len(job.stages_done) / max(job.stages_total, 1), text=_doing(job))
    st.caption("Looking at images, masks, captions and encoder; nothing is written.")
    if said := [line for line in log_tail(folder, 3).splitlines() if line.startswith("note:")]:
        st.caption(plain(said[-1]))


def _doing(job: Job) -> str:
    return f"Looking at the {job.stage} …" if job.stage not in (None, "starting") else "Starting …"


def _start(asked: wish.Wish, name: str) -> None:
    """The button that starts the command, and what may stand against it."""
    if not name.strip():
        st.caption("Give the study a name to begin.")
        return
    try:
        folder = roots.study_folder(name)
        command = asked.command(folder)
    except SettingsError as error:
        st.error(plain(error), icon=":material/error:")
        return
    running = read_job(folder)
    if running is not None and running.running:
        st.info("A job is running in this study; it is listed below.", icon=":material/pending:")
        return
    exists = (folder / catalogue.MANIFEST).is_file()
    if exists:
        st.info("This study is there already: only what changed is redone.", icon=":material/info:")
    st.button(
        "Continue the study" if exists else "Start",
        key="new_start",
        type="primary",
        icon=":material/play_arrow:",
        on_click=_begin,
        args=(command,),
    )
    with st.expander("The same in a terminal"):
        st.code(command.shell, language="bash", wrap_lines=True)


def _begin(command: Analyze) -> None:
    if reason := launcher.run(command):
        state.note(reason)


page()
