"""What a reader asks for in the view *New study*, as a command. No streamlit."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.config.options import Option, in_form
from core.config.settings import FORM, OF_CHECKPOINT
from core.study.commands import Analyze
from dashboard.jobs import allowed_paths

FOLDER, TABLE, GLYPHWORLD = "folder", "table", "glyphworld"
IMAGES = {FOLDER: "A folder", TABLE: "A table of paths and labels", GLYPHWORLD: "The embedded world"}
CHECKPOINT, ASSET, TORCHVISION, TIMM = "checkpoint", "asset", "torchvision", "timm"
NO_MASKS, MASK_FOLDER, SALIENT = "none", "masks", "salient_imagenet"
NAMING_MASKS: Mapping[str, str] = {MASK_FOLDER: "masks", SALIENT: "salient_imagenet"}
NO_WORDS, WORD_FILE, GLYPH_WORDS = "none", "file", "glyphworld"


@dataclass(frozen=True)
class StudyRequest:
    """Every field is a text as it was typed or chosen; nothing is checked yet."""

    images: str = FOLDER
    images_path: str = ""
    encoder: str = ASSET
    encoder_text: str = ""  # a path, the name of an asset, or an architecture
    architecture: str = ""  # of a checkpoint that does not say its own
    options: Mapping[str, str] = field(default_factory=dict)  # texts of the form's fields for OPTIONS
    masks: str = NO_MASKS
    masks_path: str = ""
    words: str = NO_WORDS
    words_path: str = ""
    clip: str = ""

    @property
    def missing(self) -> list[str]:
        """What is still to be chosen: images and an encoder, and what was begun beside them."""
        needed = {
            "the images": self.images == GLYPHWORLD or self.images_path.strip(),
            "the encoder": self.encoder_text.strip(),
            "the masks": self.masks == NO_MASKS or self.masks_path.strip(),
            "the captions": self.words != WORD_FILE or self.words_path.strip(),
        }
        return [name for name, given in needed.items() if not given]

    def command(self, study: Path, *, dry_run: bool = False) -> Analyze:
        """The command that makes the study, every path resolved.

        Raises:
            SettingsError: something may not be chosen or is not there; one line says what.
        """
        return Analyze.of(
            study,
            dry_run=dry_run,
            images=self._images(),
            encoder=self._encoder(),
            **self._options(),
            **mask_options(self.masks, self.masks_path),
            **word_options(self.words, self.words_path, self.clip),
        )

    def _options(self) -> dict[str, str]:
        """What the fields of the form give, each as its command takes it."""
        shown = in_form(FORM) + (in_form(OF_CHECKPOINT) if self.encoder == CHECKPOINT else [])
        return {one.name: _read(one, self.options.get(one.name, "")) for one in shown}

    def _images(self) -> str:
        if self.images == GLYPHWORLD:
            return "glyphworld"
        return allowed_paths.allowed_place(self.images_path, folder=self.images == FOLDER)

    def _encoder(self) -> str:
        if self.encoder == CHECKPOINT:
            path = allowed_paths.allowed_place(self.encoder_text, folder=False)
            return f"{_architecture(self.architecture)}@{path}" if self.architecture.strip() else path
        name = allowed_paths.encoder_name(self.encoder_text)
        return f"timm:{name}?pretrained=true" if self.encoder == TIMM else f"{self.encoder}:{name}"


def usual_name(images_path: str, studies: Path) -> str:
    """A name for a study of some images: that of their folder or file, and a number where it is taken.

    >>> usual_name("data/holiday", Path("nowhere")), usual_name(" /x/list.csv ", Path("nowhere"))
    ('holiday', 'list')
    """
    stem = Path(images_path.strip()).stem[:50]
    if not stem:
        return ""
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not (studies / name).exists())


def _read(option: Option, text: str) -> str:
    """The value of an option that was typed or chosen. Raises SettingsError, also for a file out of reach."""
    value = option.read(text)
    return allowed_paths.allowed_place(value, folder=False) if value and option.described["names"] else value


def mask_options(kind: str, path: str) -> dict[str, str]:
    """The options that name masks; none for no masks. `FOLDER?value=1` says which values are the mask.

    Raises:
        SettingsError: as `allowed_paths.allowed_place`.
    """
    if kind not in NAMING_MASKS:
        return {}
    folder, mark, values = path.strip().partition("?") if kind == MASK_FOLDER else (path, "", "")
    return {NAMING_MASKS[kind]: f"{allowed_paths.allowed_place(folder, folder=True)}{mark}{values}"}


def word_options(kind: str, path: str, clip: str) -> dict[str, str]:
    """The options that name captions and a CLIP; none for no words. Raises SettingsError."""
    if kind == NO_WORDS:
        return {}
    captions = {"captions": "glyphworld" if kind == GLYPH_WORDS else allowed_paths.allowed_place(path)}
    return captions | ({"clip": allowed_paths.clip_spec(clip)} if clip.strip() else {})


def _architecture(text: str) -> str:
    """`resnet18` or `timm:NAME`: the part of a SPEC before its checkpoint."""
    family, colon, name = text.strip().rpartition(":")
    if colon and family not in (TIMM, TORCHVISION):
        allowed_paths.encoder_name(text)
    return f"{family}{colon}{allowed_paths.encoder_name(name)}"
