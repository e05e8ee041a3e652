"""Leave notes, tags, doubts and names in a study, and take them away again.

Every change touches one entry of one image or feature; see `core.storage.kept_file` for changes made at once.
All functions raise TraceError for a text that may not be kept, and StudyError where the study holds no such
image or feature, or cannot be written to.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from core.errors import TraceError, did_you_mean
from core.reader import StudyReader
from core.traces import limits
from core.traces.traces import KEPT, UNSURE, FeatureTrace, ImageTrace, Traces, kept_traces, traces_home


def set_note(study: StudyReader, image_id: str, note: str, *, seen: str | None = None) -> None:
    """Replace the note on an image; an empty one removes it.

    Args:
        seen: the note that is to be replaced; TraceError if it is another by now. None: whatever it is.
    """
    _change_image(study, image_id, lambda one: replace(one, note=_in_place_of(one.note, note, seen)))


def set_tags(
    study: StudyReader, image_id: str, tags: Iterable[str], *, seen: Iterable[str] | None = None
) -> None:
    """Replace all tags of an image.

    Args:
        seen: the tags that are to be replaced; what others add and remove meanwhile stays so. None: all;
            none of them: the tags are added.
    """
    given = limits.checked_tags(tags)
    _change_image(study, image_id, lambda one: replace(one, tags=_merged(one.tags, given, seen)))


def mark_wrong_label(
    study: StudyReader, image_id: str, suggested: str | None = UNSURE, *, seen: str | None = None
) -> None:
    """Mark the label of an image as wrong.

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
    """Replace the note on a feature as `set_note` does."""
    _change_feature(study, feature, lambda one: replace(one, note=_in_place_of(one.note, note, seen)))


def set_feature_tags(
    study: StudyReader, feature: int, tags: Iterable[str], *, seen: Iterable[str] | None = None
) -> None:
    """Replace all tags of a feature as `set_tags` does."""
    given = limits.checked_tags(tags)
    _change_feature(study, feature, lambda one: replace(one, tags=_merged(one.tags, given, seen)))


def save_view(study: StudyReader, name: str, address: str) -> str:
    """Keep the address of a page under a name; return the name as kept.

    Args:
        address: a page and its query, without the study: "images?where=label%3Ddog".
    """
    if not (clean := limits.checked_name(name)):
        raise TraceError("a view needs a name with letters, such as 'dogs under snow'")

    def changed(traces: Traces) -> Traces:
        if traces.views.get(clean, address) != address:
            raise TraceError(f"a view '{clean}' already exists; choose another name, or remove that one")
        return replace(traces, views={**traces.views, clean: address})

    _change(traces_home(study.path), changed)
    return clean


def remove_view(study: StudyReader, name: str) -> None:
    """Forget a saved view; one that is gone already is no error."""

    def without_view(traces: Traces) -> Traces:
        views = {key: view for key, view in traces.views.items() if key != name}
        return replace(traces, views=views)

    _change(traces_home(study.path), without_view)


def _in_place_of(now: str, new: str, seen: str | None) -> str:
    """The new text, unless somebody has replaced the one that its writer saw by a third."""
    if seen is not None and now not in (seen, new):
        held = f"it is '{' '.join(now.split()):.200}' now" if now else "it is empty now"
        raise TraceError(f"somebody else has changed this meanwhile: {held}; save yours again to replace it")
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
        held = f"it has 0 to {n_features - 1}" if n_features else "its images are not embedded yet"
        raise TraceError(f"no feature {feature} in this study; {held}")
    number = int(feature)

    def changed(traces: Traces) -> Traces:
        new = change(traces.features.get(number, FeatureTrace()))
        return replace(traces, features={**traces.features, number: new})

    _change(study.path, changed)


def _change(folder: Path, change: Callable[[Traces], Traces]) -> None:
    KEPT.change(folder, lambda: change(kept_traces(folder)).content())
