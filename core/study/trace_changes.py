"""Leave notes, tags, doubts and names in a study, on one image or many, and take them away again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import TraceError, did_you_mean
from core.study import trace_limits
from core.study.reader import StudyReader
from core.study.traces import KEPT, UNSURE, FeatureTrace, ImageTrace, Traces, kept_traces, traces_home

# Change the traces of many images at once, and take that back.
#
# from core.study import trace_changes
# done = many.change_images(study, image_ids, add=["doubtful"], wrong_label="bird")
# many.take_back(study, done)
#
# A change is one write: where one image may not be changed, none is.


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
    """Change the traces (tags, notes, doubts) that people left on some images of a study.

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
    new, gone, line = (
        trace_limits.checked_tags(add),
        set(trace_limits.checked_tags(remove)),
        trace_limits.checked_note(note),
    )
    names = list(dict.fromkeys(image_ids))
    rows = study.rows_held(names)
    if absent := [name for name in names if name not in rows]:
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
    """Take back a change of a study's traces, but for what others changed since; return on how many images.

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
    """Replace what people left on images of a study by what `change` makes of id and trace, in one write."""
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


# Leave notes, tags, doubts and names in a study, and take them away again.
#
# Every change touches one entry of one image or feature; see `core.study.kept_file` for changes made at
# once. All functions raise TraceError for a text that may not be kept, and StudyError where the study holds
# no such image or feature, or cannot be written to.


def set_note(study: StudyReader, image_id: str, note: str, *, seen: str | None = None) -> None:
    """Replace a person's note on an image of a study; an empty one removes it.

    Args:
        seen: the note that is to be replaced; TraceError if it is another by now. None: whatever it is.
    """
    _change_image(study, image_id, lambda one: replace(one, note=_in_place_of(one.note, note, seen)))


def set_tags(
    study: StudyReader, image_id: str, tags: Iterable[str], *, seen: Iterable[str] | None = None
) -> None:
    """Replace all tags that people left on an image of a study.

    Args:
        seen: the tags that are to be replaced; what others add and remove meanwhile stays so. None: all;
            none of them: the tags are added.
    """
    given = trace_limits.checked_tags(tags)
    _change_image(study, image_id, lambda one: replace(one, tags=_merged(one.tags, given, seen)))


def mark_wrong_label(
    study: StudyReader, image_id: str, suggested: str | None = UNSURE, *, seen: str | None = None
) -> None:
    """Mark the label of an image as wrong, a trace that people leave on a study.

    Args:
        suggested: the class that it should have, or `UNSURE`; None or an empty text removes the mark.
        seen: the mark that is to be replaced, as in `set_note`.
    """
    class_names = list(study.class_names)
    if suggested and suggested != UNSURE and suggested not in class_names:
        raise TraceError(f"no class '{suggested}' in this study.{did_you_mean(suggested, class_names)}")
    mark = suggested or ""
    _change_image(
        study, image_id, lambda one: replace(one, wrong_label=_in_place_of(one.wrong_label, mark, seen))
    )


def name_feature(study: StudyReader, feature: int, name: str, *, seen: str | None = None) -> None:
    """Give a feature a name, which is shown instead of its words; an empty one removes it.

    Args:
        seen: the name that is to be replaced, as in `set_note`.
    """
    _change_feature(study, feature, lambda one: replace(one, name=_in_place_of(one.name, name, seen)))


def note_feature(study: StudyReader, feature: int, note: str, *, seen: str | None = None) -> None:
    """Replace a person's note on a feature of a study as `set_note` does."""
    _change_feature(study, feature, lambda one: replace(one, note=_in_place_of(one.note, note, seen)))


def set_feature_tags(
    study: StudyReader, feature: int, tags: Iterable[str], *, seen: Iterable[str] | None = None
) -> None:
    """Replace all tags that people left on a feature of a study, as `set_tags` does."""
    given = trace_limits.checked_tags(tags)
    _change_feature(study, feature, lambda one: replace(one, tags=_merged(one.tags, given, seen)))


def save_view(study: StudyReader, name: str, address: str) -> str:
    """Keep the address of a page of a study under a name; return the name as kept.

    Args:
        address: a page and its query, without the study: "images?where=label%3Ddog".
    """
    if not (clean := trace_limits.checked_name(name)):
        raise TraceError("a view needs a name with letters, such as 'dogs under snow'")

    def changed(traces: Traces) -> Traces:
        if traces.views.get(clean, address) != address:
            raise TraceError(f"a view '{clean}' already exists; choose another name, or remove that one")
        return replace(traces, views={**traces.views, clean: address})

    _change(traces_home(study.path), changed)
    return clean


def remove_view(study: StudyReader, name: str) -> None:
    """Forget a saved view of a study; one that is gone already is no error."""

    def without_view(traces: Traces) -> Traces:
        views = {key: view for key, view in traces.views.items() if key != name}
        return replace(traces, views=views)

    _change(traces_home(study.path), without_view)


def _in_place_of(now: str, new: str, seen: str | None) -> str:
    """The new text, unless somebody has replaced the one that its writer saw by a third."""
    if seen is not None and now not in (seen, new):
        state = f"it is '{' '.join(now.split()):.200}' now" if now else "it is empty now"
        raise TraceError(f"somebody else has changed this meanwhile: {state}; save yours again to replace it")
    return new


def _merged(now: Iterable[str], given: tuple[str, ...], seen: Iterable[str] | None) -> tuple[str, ...]:
    before = set(now if seen is None else seen)
    return tuple((set(now) | set(given) - before) - (before - set(given)))


def _change_image(study: StudyReader, image_id: str, change: Callable[[ImageTrace], ImageTrace]) -> None:
    study.row_of(image_id)

    def changed(traces: Traces) -> Traces:
        new = change(traces.images.get(image_id, ImageTrace()))
        return replace(traces, images={**traces.images, image_id: new})

    _change(traces_home(study.path), changed)


def _change_feature(study: StudyReader, feature: int, change: Callable[[FeatureTrace], FeatureTrace]) -> None:
    stored = study.manifest["items"].get("representations")
    n_features = stored["shape"][1] if stored else 0
    if isinstance(feature, bool) or int(feature) != feature or not 0 <= feature < n_features:
        choice = f"it has 0 to {n_features - 1}" if n_features else "its images are not embedded yet"
        raise TraceError(f"no feature {feature} in this study; {choice}")
    number = int(feature)

    def changed(traces: Traces) -> Traces:
        new = change(traces.features.get(number, FeatureTrace()))
        return replace(traces, features={**traces.features, number: new})

    _change(study.path, changed)


def _change(folder: Path, change: Callable[[Traces], Traces]) -> None:
    KEPT.change(folder, lambda: change(kept_traces(folder)).content())
