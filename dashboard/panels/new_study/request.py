"""What a reader asks for in the view *New study*, as a command. No streamlit."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import POOLINGS, TOKEN_NORMS, TOKENS
from core.errors import SettingsError
from core.jobs.commands import Analyze
from dashboard.jobs import allowed_paths

FOLDER, TABLE, GLYPHWORLD = "folder", "table", "glyphworld"
IMAGES = {FOLDER: "A folder", TABLE: "A table of paths and labels", GLYPHWORLD: "The embedded world"}
CHECKPOINT, ASSET, TORCHVISION, TIMM = "checkpoint", "asset", "torchvision", "timm"
NO_MASKS, MASK_FOLDER, SALIENT = "none", "masks", "salient_imagenet"
OPTIONS: Mapping[str, str] = {MASK_FOLDER: "masks", SALIENT: "salient_imagenet"}  # that name masks
NO_WORDS, WORD_FILE, GLYPH_WORDS = "none", "file", "glyphworld"
AUTO = "auto"
CLASS_LEVELS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class StudyRequest:
    """Every field is a text as it was typed or chosen; nothing is checked yet."""

    images: str = FOLDER
    images_path: str = ""
    class_level: str = ""  # of the folders, one of CLASS_LEVELS; "": the first
    encoder: str = ASSET
    encoder_text: str = ""  # a path, the name of an asset, or an architecture
    architecture: str = ""  # of a checkpoint that does not say its own
    resize: str = ""  # pixels; this and the next four are of a checkpoint, and "" is what the file says
    input_size: str = ""  # pixels
    mean: str = ""  # R,G,B of pixels in [0, 1]
    std: str = ""
    head_classes: str = ""  # a file of the class names of its outputs
    pool: str = ""  # one of POOLINGS; "": the encoder's own way
    tokens: str = ""  # one of TOKENS; "": the transformer's own rule
    token_norm: str = ""  # one of TOKEN_NORMS; "": after the norm
    masks: str = NO_MASKS
    masks_path: str = ""
    words: str = NO_WORDS
    words_path: str = ""
    clip: str = ""
    epsilon: str = AUTO  # or a number of standard deviations

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
        return Analyze(
            study,
            images=self._images(),
            class_level=one_of("class level", self.class_level, CLASS_LEVELS),
            encoder=self._encoder(),
            pool=one_of("pooling", self.pool, POOLINGS),
            tokens=one_of("token rule", self.tokens, TOKENS),
            token_norm=one_of("token norm", self.token_norm, TOKEN_NORMS),
            epsilon=epsilon_of(self.epsilon),
            dry_run=dry_run,
            **self._of_checkpoint(),
            **mask_options(self.masks, self.masks_path),
            **word_options(self.words, self.words_path, self.clip),
        )

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

    def _of_checkpoint(self) -> dict[str, str]:
        if self.encoder != CHECKPOINT:
            return {}
        options = {
            "resize": pixels_of("resize", self.resize),
            "input_size": pixels_of("input size", self.input_size),
            "mean": colours_of("mean", self.mean),
            "std": colours_of("standard deviation", self.std, above=0),
        }
        if self.head_classes.strip():
            options["head_classes"] = allowed_paths.allowed_place(self.head_classes, folder=False)
        return options


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


def one_of(what: str, text: str, options: Sequence[str]) -> str:
    """A value of an option, or "" for the encoder's own way. Raises SettingsError."""
    if text and text not in options:
        raise SettingsError(f"unknown {what} '{text[:40]}'; choose one of {', '.join(options)}")
    return text


def epsilon_of(text: str) -> str:
    """What the option --epsilon takes: auto, also for an empty field, or a number above 0.

    >>> epsilon_of(" 3.50"), epsilon_of("Auto"), epsilon_of("")
    ('3.5', 'auto', 'auto')

    Raises:
        SettingsError: anything else.
    """
    word = text.strip().lower() or AUTO
    if word == AUTO:
        return AUTO
    value = _number(word)
    if not 0 < value < math.inf:
        raise SettingsError(f"epsilon '{text.strip()}': type auto, or a number above 0 such as 3 or 2.5")
    return f"{value:.12g}"


def pixels_of(what: str, text: str) -> str:
    """What --resize and --input-size take: a whole number above 0, or "" for an empty field.

    >>> pixels_of("resize", " 032 "), pixels_of("resize", "")
    ('32', '')

    Raises:
        SettingsError: anything else.
    """
    word = text.strip()
    if word and not (word.isascii() and word.isdecimal() and int(word[:9]) > 0):
        raise SettingsError(f"{what} '{word[:40]}': type a whole number of pixels such as 32")
    return word.lstrip("0")


def colours_of(what: str, text: str, *, above: float = -math.inf) -> str:
    """What --mean and --std take: three numbers R,G,B, or "" for an empty field.

    >>> colours_of("mean", " 0.50, .4,0"), colours_of("mean", "")
    ('0.5,0.4,0', '')

    Raises:
        SettingsError: anything else, or a number that is not above the given one.
    """
    if not text.strip():
        return ""
    values = [_number(part.strip()) for part in text.split(",")]
    if len(values) != 3 or not all(above < value < math.inf for value in values):
        bound = f" above {above:g}" * (above > -math.inf)
        raise SettingsError(
            f"{what} '{text.strip()[:60]}': type three numbers{bound}, of red, green and blue, such as "
            "0.5,0.5,0.5"
        )
    return ",".join(f"{value:.12g}" for value in values)


def mask_options(kind: str, path: str) -> dict[str, str]:
    """The options that name masks; none for no masks. Raises SettingsError as `roots.allowed`."""
    return {OPTIONS[kind]: allowed_paths.allowed_place(path, folder=True)} if kind in OPTIONS else {}


def word_options(kind: str, path: str, clip: str) -> dict[str, str]:
    """The options that name captions and a CLIP; none for no words. Raises SettingsError."""
    if kind == NO_WORDS:
        return {}
    captions = {"captions": "glyphworld" if kind == GLYPH_WORDS else allowed_paths.allowed_place(path)}
    return captions | ({"clip": allowed_paths.clip_spec(clip)} if clip.strip() else {})


def _number(word: str) -> float:
    """The number that a text is, NaN where it is none."""
    try:
        return float(word) if word.isascii() and "_" not in word else math.nan
    except ValueError:
        return math.nan


def _architecture(text: str) -> str:
    """`resnet18` or `timm:NAME`: the part of a SPEC before its checkpoint."""
    family, colon, name = text.strip().rpartition(":")
    if colon and family not in (TIMM, TORCHVISION):
        allowed_paths.encoder_name(text)
    return f"{family}{colon}{allowed_paths.encoder_name(name)}"
