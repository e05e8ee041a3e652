"""Name a sample of a shard as in a folder of images, so that both are split in the same way."""

from collections import Counter
from collections.abc import Sequence

from core.data.sources.source import split_named

JOINT = "__"  # between class and name, as in dog__0001.jpg


def name_in_folder(member: str, label: str | None) -> str:
    """Return the id, `CLASS/NAME.ext`, that a folder source gives to the file stored as `member`.

    * A folder of that class in the path: what starts there (`x/dog/1.jpg` of "dog" is `dog/1.jpg`), with a
      folder train/ or val/ directly above it.
    * `CLASS__NAME.ext`: the class is removed. Not from `CLASS_NAME.ext`, because many data sets, ImageNet
    among them, name the files in the class's folder this way.
    * Else `CLASS/NAME.ext`; the path unchanged if its folders are not the label (classes by number).
    * No label: the bare name, as in a flat folder.
    """
    *folders, name = member.removeprefix("./").split("/")
    if label is None:
        return name
    if label in folders:
        at = folders.index(label)
        above = at - 1 if at and split_named(folders[at - 1]) else at
        return "/".join([*folders[above:], name])
    if name.startswith(label + JOINT) and name != label + JOINT:
        return f"{label}/{name.removeprefix(label + JOINT)}"
    return "/".join([*(folders or [label]), name])


def names_to_split_by(
    members: Sequence[str], labels: Sequence[str | None], image_ids: Sequence[str]
) -> list[str]:
    """Return the names in a folder; if one occurs twice, there was no such folder, and ids are used."""
    names = [name_in_folder(member, label) for member, label in zip(members, labels, strict=True)]
    counts = Counter(zip(labels, names, strict=True))
    return [
        name if counts[label, name] == 1 else image_id
        for name, label, image_id in zip(names, labels, image_ids, strict=True)
    ]
