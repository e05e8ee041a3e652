"""Change the traces of many images at once, and take that back.

from core.traces import many
done = many.change_images(study, image_ids, add=["doubtful"], wrong_label="bird")
many.take_back(study, done)

A change is one write: where one image may not be changed, none is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from core.errors import TraceError, did_you_mean
from core.reader import StudyReader
from core.traces import limits
from core.traces.traces import KEPT, UNSURE, ImageTrace, kept_traces, traces_home


@dataclass(frozen=True)
class ChangedTraces:
    """What a change did: the traces of the images that it changed, before and after it."""

    before: Mapping[str, ImageTrace]
    after: Mapping[str, ImageTrace]

    def __len__(self) -> int:
        return len(self.after)


def change_images(
    study: StudyReader,
    image_ids: Iterable[str],
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    wrong_label: str | Mapping[str, str] | None = None,
    note: str = "",
) -> ChangedTraces:
    """Change what people left on some images.

    Args:
        add, remove: tags. wrong_label: the class that the images should have, or `UNSURE`; an empty text
            takes the mark away; one text for all, or one by image id (images without one keep theirs); None
            leaves all as they are. note: is put below the note of an image, where that does not hold it.
    Returns:
        what was changed; images that were so before are not in it.
    Raises:
        TraceError: a text may not be kept, or an image would have too much of it; nothing is changed then.
        StudyError: the study holds no such image, or cannot be written to.
    """
    new, gone, line = limits.checked_tags(add), set(limits.checked_tags(remove)), limits.checked_note(note)
    names = list(dict.fromkeys(image_ids))
    held = study.rows_held(names)
    if absent := [name for name in names if name not in held]:
        study.row_of(absent[0])
    labels = wrong_label if isinstance(wrong_label, Mapping) else dict.fromkeys(names, wrong_label)
    for label in {label for label in labels.values() if label and label != UNSURE}:
        if label not in study.class_names:
            raise TraceError(f"no class '{label}' in this study.{did_you_mean(label, study.class_names)}")

    def changed(name: str, now: ImageTrace) -> ImageTrace:
        label = labels.get(name)
        has_line = f"\n{line}\n" in f"\n\n{now.note}\n"
        tags = (set(now.tags) - gone) | set(new)
        own_label = now.wrong_label if label is None else label
        return replace(
            now, tags=tags, wrong_label=own_label, note=now.note if has_line else f"{now.note}\n{line}"
        )

    return rewrite(study, names, changed)


def take_back(study: StudyReader, done: ChangedTraces) -> int:
    """Take a change back. What somebody else has changed since stays; return on how many images.

    Tags that others have added or removed stay so beside it.
    """
    left: set[str] = set()

    def restored(name: str, now: ImageTrace) -> ImageTrace:
        before, after = done.before[name], done.after[name]
        tags_before, tags_after = set(before.tags), set(after.tags)
        added, removed = tags_after - tags_before, tags_before - tags_after
        tags = (set(now.tags) | removed) - added
        parts = {}
        for part in ("note", "wrong_label", "right_label"):
            if getattr(now, part) == getattr(after, part):
                parts[part] = getattr(before, part)
            elif getattr(before, part) != getattr(after, part):
                left.add(name)
        return replace(now, tags=tags, **parts)

    rewrite(study, list(done.after), restored)
    return len(left)


def rewrite(
    study: StudyReader, names: list[str], change: Callable[[str, ImageTrace], ImageTrace]
) -> ChangedTraces:
    """Replace the traces of images by what `change` makes of an id and its trace, in one write."""
    folder, before = traces_home(study.path), dict[str, ImageTrace]()
    after: dict[str, ImageTrace] = {}

    def content() -> dict:
        traces = kept_traces(folder)
        for name in names:
            now = traces.images.get(name, ImageTrace())
            if (new := change(name, now)) != now:
                before[name], after[name] = now, new
        return replace(traces, images={**traces.images, **after}).content()

    KEPT.change(folder, content)
    return ChangedTraces(before, after)
