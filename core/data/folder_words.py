"""Names of folders that say what lies in them: splits, masks, containers of images, groups, domains."""

import re
from collections.abc import Collection

from core.data.source import SPLIT_NAMES

# Words in the name of a split's folder, beside those that a split is called by alone.
SPLIT_WORDS = {
    **SPLIT_NAMES,
    **dict.fromkeys(("trainval", "trn"), "train"),
    **dict.fromkeys(("dev", "eval", "evaluation"), "val"),
    **dict.fromkeys(("tst", "gallery", "query"), "test"),
}
# What may stand beside one of them: `training_set`, `seg_train`, `Final_Test`, `bounding_box_train`.
BESIDE_SPLIT = frozenset(
    ("set", "data", "dataset", "images", "imgs", "img", "seg", "final", "bounding", "box", "split", "folder")
    + ("public", "private", "new", "small", "large", "full", "all", "obj", "wider")
)
UNLABELLED_BESIDE = frozenset(
    ("pred", "prediction", "predict", "unlabeled", "unlabelled", "extra", "distractors")
)
SYSTEM = frozenset(
    (
        "@eadir",
        "$recycle.bin",
        "__pycache__",
        "system volume information",
        "lost+found",
        "__macosx",
        "#recycle",
    )
)
# Folders of images that say nothing of their classes.
CONTAINERS = frozenset(
    (
        "images",
        "image",
        "imgs",
        "img",
        "jpegimages",
        "jpeg",
        "jpg",
        "jpgs",
        "png",
        "pngs",
        "photos",
        "pictures",
    )
    + ("pics", "data", "rgb", "frames", "raw", "originals", "leftimg8bit", "image_2", "dataset")
)
# Masks for certain, by their folder's name.
MASKS = frozenset(
    ("ground_truth", "groundtruth", "ground-truth", "ground truth", "segmentationclass", "segmentationobject")
    + ("segmentationclassaug", "segmentationclassraw", "trimaps", "segmentation_masks", "gt_masks", "gtfine")
    + ("groundtruths", "masks_machine", "segmasks", "trainannot", "valannot", "testannot")
)
# Masks where their pictures look like it and are named like images.
PERHAPS_MASKS = frozenset(
    (
        "mask",
        "masks",
        "gt",
        "gts",
        "label",
        "labels",
        "annotation",
        "annotations",
        "anns",
        "annots",
        "seg",
        "segs",
    )
    + (
        "segmentation",
        "segmentations",
        "segmentationmask",
        "segmentationmasks",
        "instance",
        "instances",
        "panoptic",
    )
    + ("truth", "semantic")
)
MASK_FILE = re.compile(
    r"^(?P<image>.+?)[ _.-]+(?:merged_|binary_|seg_)?"
    r"(?:masks?|gt|ground_?truth|segmentation|seg|segmented|label|labels|labelids|trimap|annotation|anno|matte)"
    r"(?:[ _.-]\w+)?$",
    re.IGNORECASE,
)
MASK_FIRST = re.compile(r"^(?:masks?|gt|seg|labels?)[_.-](?P<image>.+)$", re.IGNORECASE)
MASK_WORDS = ("mask", "gt", "truth", "seg", "label", "trimap", "anno", "matte")  # one is in each name
# One of these before a number: what is called so is one unit of the data.
GROUPS = frozenset(
    ("patient", "subject", "person", "case", "slide", "lesion", "animal", "participant", "pat", "sub")
)
# Styles, places, light, seasons, views, corruptions: levels of folders that are seldom classes.
DOMAINS = frozenset(
    (
        "photo",
        "photos",
        "sketch",
        "sketches",
        "art",
        "art_painting",
        "cartoon",
        "clipart",
        "painting",
        "product",
    )
    + (
        "real",
        "real_world",
        "realworld",
        "real world",
        "infograph",
        "quickdraw",
        "synthetic",
        "rendition",
        "toy",
        "tattoo",
    )
    + (
        "amazon",
        "webcam",
        "dslr",
        "caltech",
        "caltech10",
        "caltech101",
        "labelme",
        "sun",
        "sun09",
        "voc2007",
        "pascal",
    )
    + (
        "desert",
        "jungle",
        "dirt",
        "mountain",
        "snow",
        "beach",
        "land",
        "water",
        "grass",
        "autumn",
        "dim",
        "rock",
    )
    + (
        "outdoor",
        "indoor",
        "indoors",
        "outdoors",
        "day",
        "night",
        "dusk",
        "dawn",
        "summer",
        "winter",
        "spring",
        "rain",
    )
    + ("fog", "sunny", "cloudy", "clear", "front", "back", "side", "left", "right", "top", "bottom", "rear")
    + (
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
    )
    + (
        "frost",
        "brightness",
        "contrast",
        "elastic_transform",
        "pixelate",
        "jpeg_compression",
        "speckle_noise",
    )
    + ("gaussian_blur", "spatter", "saturate", "clean", "original", "augmented", "mixed_rand", "mixed_same")
    + (
        "mixed_next",
        "only_fg",
        "only_bg_b",
        "only_bg_t",
        "no_fg",
        "black",
        "white",
        "red",
        "green",
        "blue",
        "color",
    )
    + ("colour", "gray", "grey", "grayscale", "source", "target")
)
# Groups of living things, above species: of iNaturalist and the like.
TAXA = frozenset(
    (
        "actinopterygii",
        "amphibia",
        "animalia",
        "arachnida",
        "aves",
        "chromista",
        "fungi",
        "insecta",
        "mammalia",
    )
    + ("mollusca", "plantae", "protozoa", "reptilia", "bacteria", "archaea", "viruses")
)
# Cameras of a car or a robot, as nuScenes, Waymo and KITTI call their folders; what stands beside them there.
CAMERA = re.compile(r"^(?:cam|camera)[_-]\w+$|^image_\d{1,2}$", re.IGNORECASE)
DRAWN_MAPS = frozenset(("maps",))
BESIDE_CAMERAS = DRAWN_MAPS | {"samples", "sweeps"}
SCENE_FILE = re.compile(r"_(?:leftImg8bit|rightImg8bit|rgb_anon)$")  # Cityscapes and what is called like it
WORDNET_ID = re.compile(r"^n\d{8}$")
NUMBERED = re.compile(r"^(?P<word>[A-Za-z]*?)[ _.-]?\d+$")
# Of records, such as p10000032 and B04_R1; of quantities, such as 40X; of folders that only spread files.
CODE = re.compile(r"^[A-Za-z]{1,2}[ _-]?\d+(?:[ _-]?[A-Za-z]{0,2}\d+)*$")
QUANTITY = re.compile(r"^\d+[ _]?[A-Za-z]{1,2}$")
HASH = re.compile(r"^[0-9a-f]{1,3}$")
OF_GROUP = re.compile(r"^(?P<word>[A-Za-z]+)[ _.-]?\d+(?:[ _.-]\w+)?$")
UNLABELLED = frozenset(("_unlabeled", "no_label"))  # of FiftyOne's exports, of datumaro's


def name_words(name: str) -> list[str]:
    """Return the words of the name of a folder of images, in lower case.

    >>> name_words("Final_Test"), name_words("train.X1"), name_words("trainA"), name_words("val2017")
    (['final', 'test'], ['train', 'x1'], ['train', 'a'], ['val', '2017'])
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z]{3})(?=\d)", " ", name)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def split_of_folder(name: str) -> str | None:
    """Return the split that a folder's name says; None where other words stand beside it.

    >>> [split_of_folder(name) for name in ("training_set", "seg_test", "train.X1", "trainA", "bullet_train")]
    ['train', 'test', 'train', 'train', None]
    >>> [split_of_folder(name) for name in ("train2017", "val2017", "test_7")]
    ['train', 'val', 'test']
    """
    if (exact := SPLIT_WORDS.get(name.lower())) is not None:
        return exact
    words = name_words(name)
    splits = [word for word in words if word in SPLIT_WORDS]
    rest = [word for word in words if word not in SPLIT_WORDS]
    plain = all(word in BESIDE_SPLIT or re.fullmatch(r"[a-z]?\d{0,4}", word) for word in rest)
    return SPLIT_WORDS[splits[0]] if len(splits) == 1 and plain else None


def splits_alike(names: Collection[str]) -> dict[str, str]:
    """The splits that names of folders of images say, alike but for the split's word; train is one.

    >>> splits_alike(["asl_alphabet_train", "asl_alphabet_test", "cars_test"])
    {'asl_alphabet_train': 'train', 'asl_alphabet_test': 'test'}
    """
    alike: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = name_words(name)
        splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
        if len(splits) == 1:
            rest = tuple("*" if word in SPLIT_WORDS else word for word in words)
            alike.setdefault(rest, {})[name] = splits[0]
    candidates = [kinds for kinds in alike.values() if {"train"} < set(kinds.values())]
    return candidates[0] if len(candidates) == 1 else {}


def beside_split(name: str) -> str:
    """Return what stands behind the split in the name of a folder: the class of CycleGAN's `trainA`.

    >>> beside_split("trainA"), beside_split("train")
    ('A', '')
    """
    match = re.fullmatch(r"(?:train|test|val)_?([A-Z])", name)
    return match[1] if match else ""


def is_number(name: str) -> bool:
    """Whether the name of a folder of images is a number."""
    return name.isascii() and name.isdigit()


def counts_from_zero(names: Collection[str]) -> bool:
    """Return True for folders named 0, 1, 2 …: numbers of classes, where 1, 2, 3 and years are none.

    >>> counts_from_zero({"0", "1"}), counts_from_zero({"1", "2"}), counts_from_zero({"00", "01", "02"})
    (True, False, True)
    """
    return all(map(is_number, names)) and {int(name) for name in names} == set(range(len(names)))


def numbered_alike(names: Collection[str]) -> str | None:
    """Return the word before a number that all folders' names share ("" for none); None for others.

    >>> numbered_alike(["patient_001", "patient_2"]), numbered_alike(["10253", "9"]), numbered_alike(["cat"])
    ('patient', '', None)
    """
    matches = [NUMBERED.match(name) for name in names]
    words = {match["word"].lower() if match else None for match in matches}
    return words.pop() if len(words) == 1 else None


def name_groups(names: Collection[str]) -> bool:
    """Return True for folders named `patient_12` or WILDS' `patient_004_node_4`, all of one word.

    >>> name_groups(["patient_004_node_4", "patient_1"]), name_groups(["patient_1", "slide_1"])
    (True, False)
    """
    matches = [OF_GROUP.match(name) for name in names]
    words = {match["word"].lower() if match else "" for match in matches}
    return len(words) == 1 and not GROUPS.isdisjoint(words)


def are_codes(names: Collection[str]) -> bool:
    """Whether names of folders of images are codes of groups, as of patients, and no WordNet ids.

    >>> are_codes(["p10", "p11"]), are_codes(["B04_R1"]), are_codes(["cat"]), are_codes(["n01440764"])
    (True, True, False, False)
    """
    return all(CODE.match(name) and not WORDNET_ID.match(name) for name in names)


def are_hashed(names: Collection[str]) -> bool:
    """Return True for folders named by first hexadecimal digits, over which image files are spread.

    >>> are_hashed(["0", "1", "a"]), are_hashed(["0", "1"]), are_hashed(["a", "b"])
    (True, False, False)
    """
    is_short = len({len(name) for name in names}) == 1 and all(map(HASH.match, names))
    return is_short and any(map(is_number, names)) and not all(map(is_number, names))


def says_domain(name: str) -> bool:
    """Whether the name of a folder of images is that of a domain, as of a style of pictures."""
    return name.lower() in DOMAINS


def image_of_mask(stem: str) -> str | None:
    """Return the name of the image that a mask file's name says; None for another name.

    >>> image_of_mask("x_mask_1"), image_of_mask("mask_x"), image_of_mask("x")
    ('x', 'x', None)
    """
    match = MASK_FILE.match(stem) or MASK_FIRST.match(stem)
    return match["image"] if match else None


def may_hold_masks(name: str) -> bool:
    """Whether the name of a folder may say that it holds masks.

    >>> [may_hold_masks(name) for name in ("ground_truth", "lung_masks", "Mask", "with_mask", "cat")]
    [True, True, True, True, False]
    """
    return holds_masks(name) or any(word in PERHAPS_MASKS for word in [name.lower(), *name_words(name)])


def holds_masks(name: str) -> bool:
    """Return True for a folder's name that hardly means anything else than masks."""
    return name.lower() in MASKS
