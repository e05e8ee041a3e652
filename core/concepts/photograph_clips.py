"""CLIPs of photographs that open_clip can get: a fixed table of names, sizes and licences. No torch."""

from dataclasses import dataclass

from core.common.command_line import command_line
from core.errors import ClipError, did_you_mean


@dataclass(frozen=True)
class PhotographClip:
    """A CLIP of open_clip.

    Attributes:
        name: MODEL@TAG. megabytes: of its weights, 10^6 bytes, four a parameter. licence: of the weights.
        pictures: what it was trained on.
    """

    name: str
    megabytes: int
    licence: str
    pictures: str


PHOTOGRAPH_CLIPS = (  # where several are on a computer, the first names features
    PhotographClip("ViT-B-32@openai", 605, "MIT", "400 million pictures of the web, by OpenAI"),
    PhotographClip("ViT-B-32@laion2b_s34b_b79k", 605, "MIT", "LAION-2B"),
    PhotographClip("ViT-B-32@datacomp_xl_s13b_b90k", 605, "MIT", "DataComp-1B"),
    PhotographClip("ViT-B-16@datacomp_xl_s13b_b90k", 598, "MIT", "DataComp-1B"),
    PhotographClip("ViT-L-14@datacomp_xl_s13b_b90k", 1710, "MIT", "DataComp-1B"),
    PhotographClip("RN50@openai", 408, "MIT", "400 million pictures of the web, by OpenAI"),
)
DEFAULT_CLIP = PHOTOGRAPH_CLIPS[0].name  # as in the paper on FALCON
FETCH_CLIP = command_line("fetch", "clip", DEFAULT_CLIP)


def photograph_clip(name: str) -> PhotographClip:
    """Return the row of a CLIP of photographs to download for concepts and the search, by its name.

    Raises:
        ClipError: there is none; the message lists those that there are.
    """
    by_name = {one.name: one for one in PHOTOGRAPH_CLIPS}
    if name not in by_name:
        listed = ", ".join(f"{clip.name} ({clip.megabytes:,} MB)" for clip in PHOTOGRAPH_CLIPS)
        raise ClipError(f"no CLIP '{name}' to fetch.{did_you_mean(name, list(by_name))} There are {listed}")
    return by_name[name]
