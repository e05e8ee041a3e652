"""The pages of the dashboard: one table that the sidebar, the tour and links read."""

from dataclasses import dataclass

HOME = "overview"
NEW_STUDY = "new_study"
IMAGE_PAGE = "image"
TRY_PICTURE = "try_picture"
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
        Page("map", "Map", ":material/scatter_plot:", "Which images does the encoder find similar?", "Study"),
        Page(
            "try_picture",
            "Try a picture",
            ":material/add_photo_alternate:",
            "What does the encoder make of a picture of yours, and of parts of it?",
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
        Page("compare", "Compare", ":material/difference:", "Which is better, and on which images?", "Work"),
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
ALSO_WITHOUT_STUDY = (TRY_PICTURE,)  # pages of a study that do something where there is none


def of_confusion(true: str, predicted: str) -> dict[str, str]:
    """The parts of the address of *Errors* that open one confusion."""
    return {CONFUSED: true, ANSWERED: predicted, "errors_tab": "Confusions"}
