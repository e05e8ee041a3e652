"""The name that a sample of a shard would have in a folder of images, so that both are split alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from core.data.sources.source import SPLIT_NAMES

JOINT = "__"  # between class and name, as in dog__0001.jpg


def name_in_folder(member: str, label: str | None) -> str:
    """The id, `CLASS/NAME.ext`, that a folder source gives to the file which a shard stores as `member`.

    * A folder of that class on the way: what begins there (`x/dog/1.jpg` of "dog" is `dog/1.jpg`), with a
      folder train/ or val/ directly above it.
    * `CLASS__NAME.ext`: the class is taken off. Not from `CLASS_NAME.ext`, as many data sets, ImageNet among
      them, name the files in the class's folder so.
    * Else `CLASS/NAME.ext`; the path as it is where its folders are not the label (classes by number).
    * No label: the bare name, as in a flat folder.
    """
    *folders, name = member.removeprefix("./").split("/")
    if label is None:
        return name
    if label in folders:
        at = folders.index(label)
        above = at - 1 if at and folders[at - 1] in SPLIT_NAMES else at
        return "/".join([*folders[above:], name])
    if name.startswith(label + JOINT) and name != label + JOINT:
        return f"{label}/{name.removeprefix(label + JOINT)}"
    return "/".join([*(folders or [label]), name])


def names_to_split_by(
    members: Sequence[str], labels: Sequence[str | None], image_ids: Sequence[str]
) -> list[str]:
    """The names in a folder; where one occurs twice there can have been no such folder, and ids decide."""
    names = [name_in_folder(member, label) for member, label in zip(members, labels, strict=True)]
    counts = Counter(zip(labels, names, strict=True))
    return [
        name if counts[label, name] == 1 else image_id
        for name, label, image_id in zip(names, labels, image_ids, strict=True)
    ]
