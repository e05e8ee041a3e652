"""The pages of the dashboard: one table that the sidebar, the tour, links and redirects read."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

HOME = "overview"
NEW_STUDY = "new_study"
IMAGE_PAGE = "image"
CONFUSED, ANSWERED = "failure_true", "failure_predicted"  # the classes of a confusion that is open


@dataclass(frozen=True)
class Page:
    """One page. A page without a group is reached from others: the page of a feature, of an image.

    `name` is its address and its file in `views`, `question` what it answers, shown under the title. `within`
    is the page that the sidebar marks while this one is open, where it is not this one.
    """

    name: str
    title: str
    icon: str
    question: str
    group: str = ""
    within: str = ""


PAGES = {
    page.name: page
    for page in (
        Page(
            "overview",
            "Overview",
            ":material/visibility:",
            "What this encoder sees, and where it goes wrong",
            "Study",
        ),
        Page(
            "images",
            "Images",
            ":material/photo_library:",
            "Which images are these, and what does the encoder make of them?",
            "Study",
        ),
        Page(
            "map",
            "Map",
            ":material/scatter_plot:",
            "Which images does the encoder find similar?",
            "Study",
        ),
        Page(
            "features",
            "Features",
            ":material/apps:",
            "Which features fire, on what, and where do they look?",
            "Features",
        ),
        Page(
            "heatmaps",
            "Heatmaps",
            ":material/local_fire_department:",
            "Where do the features look when the answer is right, and when it is wrong?",
            "Features",
        ),
        Page(
            "masks",
            "Masks and mIoU",
            ":material/center_focus_strong:",
            "Do heatmaps lie on the object or on the background?",
            "Features",
        ),
        Page("errors", "Errors", ":material/error:", "Which images are misclassified, and why?", "Errors"),
        Page(
            "predicting_errors",
            "Predicting errors",
            ":material/speed:",
            "Which score tells which images are misclassified?",
            "Errors",
        ),
        Page(
            "compare",
            "Compare",
            ":material/difference:",
            "Which of two encoders is better on the same images, and where?",
            "Work",
        ),
        Page(
            "figures",
            "Figures",
            ":material/picture_as_pdf:",
            "Figures and images on one page, for a paper",
            "Work",
        ),
        Page(
            "new_study",
            "New study",
            ":material/add_circle:",
            "Choose images and an encoder, and follow the jobs",
        ),
        Page(
            "feature",
            "Feature",
            ":material/lightbulb:",
            "What does this feature look at, and what does it do?",
            within="features",
        ),
        Page("image", "Image", ":material/image:", "What does the encoder see in this image?"),
    )
}
GROUPS = ("Study", "Features", "Errors", "Work")
WITHOUT_STUDY = (NEW_STUDY,)  # pages that need none
# Addresses of earlier versions: the page that took over, and what it has to show.
MOVED: dict[str, tuple[str, dict[str, str]]] = {
    HOME: ("", {}),  # the page at the root
    "quality": ("predicting_errors", {}),
    "interpretability": ("masks", {}),
    "compare_groups": ("heatmaps", {"heat_part": "Mean representations"}),
    "slices": ("errors", {}),
    "failures": ("errors", {"errors_tab": "Confusions"}),
    "figure_sheet": ("figures", {}),
    "decompose": ("image", {}),
    "concepts": ("features", {"features_as": "Words"}),
    "groups": ("features", {"features_as": "Groups"}),
}
# Parts of those addresses that have another name now.
RENAMED = {
    "concepts": {"concept_word": "features_find"},
    "decompose": {"decompose_image": "image", "decompose_of": "image_of"},
}


def moved_to(name: str, query: str) -> str:
    """Return the address that replaces an old one, with its query string.

    >>> moved_to("quality", "study=demo&where=label%3Dant")
    '/predicting_errors?study=demo&where=label%3Dant'
    >>> moved_to("slices", ""), moved_to("failures", "study=demo")
    ('/errors', '/errors?study=demo&errors_tab=Confusions')
    >>> moved_to("overview", "study=demo")
    '/?study=demo'
    >>> moved_to("concepts", "concept=12"), moved_to("concepts", "concept=3_98")
    ('/feature?feature=12', '/features?features_as=Groups&group=3_98')
    """
    asked = parse_qsl(query, keep_blank_values=True)
    page, parameters = MOVED[name]
    if name == "concepts" and (unit := dict(asked).get("concept")):  # a feature, or a group of several
        asked = [(key, value) for key, value in asked if key not in ("concept", "concept_word")]
        page, parameters = (
            ("features", {"features_as": "Groups", "group": unit})
            if "_" in unit
            else ("feature", {"feature": unit})
        )
    renamed = RENAMED.get(name, {})
    asked = urlencode([*((renamed.get(key, key), value) for key, value in asked), *parameters.items()])
    return f"/{page}?{asked}" if asked else f"/{page}"


def of_confusion(true: str, predicted: str) -> dict[str, str]:
    """The parts of the address of *Errors* that open one confusion."""
    return {CONFUSED: true, ANSWERED: predicted, "errors_tab": "Confusions"}
