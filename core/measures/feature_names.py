"""What features are called: their words and what tells them apart, else the class of most of their strongest
images, else nothing but their number."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import safe_divide
from core.common.dataframes import words as texts
from core.common.formatting import joined
from core.measures.evaluate import class_column
from core.measures.intervals import wilson
from core.measures.slice_features import STRONGEST, classes_tell, feature_classes
from core.measures.slice_words import SCENE, feature_words, features_on_object, named_from, words_apart
from core.study.reader import StudyReader
from core.study.traces import read_traces

NOTABLE = 0.1  # share of the images of a feature from which on a class names it
CLEARER = 2.0  # times its share among all images: a class that tells features apart
MOST_CLASSES = 2  # of a feature with the words of others
JUDGED, MAJORITY = (
    16,
    0.5,
)  # strongest images of a feature without words, and the share above which a class names it
MOST_PRODUCTS = 2**35  # of weights with representations, some seconds


def feature_names(study: StudyReader, *, named: bool = True, between: str = ", ") -> dict[int, str]:
    """Return what each feature is called: the name that people gave it, else its words, else the class that
    holds most of its strongest images (`majority_class`): "strong on ball". Features without any are missing,
    and are called by their number: a list of classes that have nothing in common would say nothing. No class
    stands in the name of a feature that fires most often (on evaluation images) on one that is not in it.

    Of several features with the same words each says which classes it is strong on, at most two; those that
    still share a name say a further word of their own, then another class, as far as there are such: "yellow,
    on cat", "yellow, sand, on cat", "yellow, on cat and fish". Where the
    heat lies on the object and the words are seen only around it, the classes come first: "cat with grass".

    Args:
        named: False for names without those that people gave. between: what stands between words.
    Raises:
        DamagedTraces: the names that people gave cannot be read.
    """
    given = read_traces(study.path).feature_names if named else {}
    firing = {one: of.name for one, of in feature_classes(study).items() if not of.few}
    on = {one: some for one, some in strongest_classes(study).items() if firing.get(one, some[0]) in some}
    majority = {one: name for one, name in majority_class(study).items() if firing.get(one, name) == name}
    wordless = {one: f"strong where it answers {name}" for one, name in majority_answer(study).items()}
    wordless |= {one: f"strong on {with_class_names(name)}" for one, name in majority.items()}
    words = {one: some for one, some in feature_words(study, named=False).items() if one not in given}
    places = named_from(study)
    around = {one for one in features_on_object(study) if places.get(one) == SCENE}
    worded = around & on.keys() & words.keys()
    classes = {feature: on[feature] for feature in worded if not _says(words[feature], on[feature])}
    classes |= classes_apart(words, on) if classes_tell(study) else {}

    def called() -> dict[int, str]:
        names = {}
        for feature, some in words.items():
            first = feature in around and not _says(some, study.class_names)
            names[feature] = _with_classes(between.join(some), classes.get(feature, ()), first=first)
        return names

    for feature, word in words_apart(study, called()).items():
        words[feature] = [*words[feature], word]
    for feature, name in strongest_apart(study, called()).items():
        named_classes = [*classes.get(feature, ()), name]
        if firing.get(feature, name) in named_classes:
            classes[feature] = named_classes
    told_apart = {feature: with_class_names(name) for feature, name in called().items()}
    return wordless | told_apart | given


def _with_classes(words: str, classes: Sequence[str], *, first: bool) -> str:
    if not classes:
        return words
    return f"{joined(classes)} with {words}" if first else f"{words}, on {joined(classes)}"


def _says(words: Sequence[str], classes: Sequence[str]) -> bool:
    return any(name in word for name in classes for word in words)


def classes_apart(words: Mapping[int, Sequence[str]], on: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """Tell apart features named by the same words: return the classes that do so.

    Those of `on`, where the words do not say the first of them already.
    """
    alike = Counter(tuple(some) for some in words.values())
    shared = [feature for feature, some in words.items() if alike[tuple(some)] > 1]
    with_classes = [feature for feature in shared if feature in on]
    return {feature: on[feature] for feature in with_classes if not _says(words[feature], on[feature][:1])}


def strongest_apart(study: StudyReader, names: Mapping[int, str]) -> dict[int, str]:
    """Return a class that tells a feature from the others of the same name, where there is one.

    It is the class, not yet in the name, that makes up `NOTABLE` or more of the images on which the feature
    is strongest, is among those of `_shown_classes`, and whose share has the lower end of its interval
    furthest above its share among those of the others of the name.
    """
    if len(set(names.values())) == len(names) or not len(counts := _strongest_counts(study)):
        return {}
    shown, apart = _shown_classes(study), {}
    for name, features in pd.Series(names, dtype=str).groupby(names).groups.items():
        usable = ~np.array([one in str(name) for one in study.class_names])
        for feature in features if len(features) > 1 else ():
            mine, others = counts[feature], counts[list(features)].sum(0) - counts[feature]
            excess = wilson(mine, mine.sum())[0] - safe_divide(others, others.sum())
            telling = usable & shown[feature] & (safe_divide(mine, mine.sum()) >= NOTABLE) & (excess > 0)
            if telling.any():
                apart[int(feature)] = study.class_names[int(np.where(telling, excess, -np.inf).argmax())]
    return apart


def _strongest_counts(study: StudyReader) -> np.ndarray:
    """(n_features, n_classes) int64: of the stored images on which each feature is strongest those of each
    class; no rows where it is not known.
    """
    if not (len(study.class_names) and study.has("top_images")):
        return np.zeros((0, len(study.class_names)), np.int64)
    return _count_classes(study, study.vector("top_images"))


def _count_classes(study: StudyReader, rows: np.ndarray) -> np.ndarray:
    """(n_features, n_classes) int64: the images of each class among rows (n_features, m), -1 for none."""
    return _count_codes(class_column(study, "label"), rows, len(study.class_names))


def _count_codes(codes: np.ndarray, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """(n_features, n_classes) int64: the rows of each code among rows (n_features, m), -1 for none."""
    features, places = np.nonzero(rows >= 0)
    code = codes[rows[features, places]]
    cells = features[code >= 0] * n_classes + code[code >= 0]
    return np.bincount(cells, minlength=len(rows) * n_classes).reshape(len(rows), n_classes)


def _first_held_out(study: StudyReader) -> tuple[np.ndarray, np.ndarray]:
    """The first `STRONGEST` evaluation images among the stored ones on which each feature is strongest, which
    pages show: rows (n_features, m), -1 for others; and (n_features, 1) bool, whether there are as many.
    """
    top = study.vector("top_images")
    held_out = (top >= 0) & study.is_val[top]
    first = np.where(held_out & (held_out.cumsum(1) <= STRONGEST), top, -1)
    return first, held_out.sum(1, keepdims=True) >= STRONGEST


def _shown_classes(study: StudyReader) -> np.ndarray:
    """(n_features, n_classes) bool: the classes that two or more have of the `STRONGEST` evaluation images on
    which a feature is strongest: an encoder may know its train images by heart, and be strong on others. All,
    of a feature with fewer evaluation images among its stored strongest ones.
    """
    first, enough = _first_held_out(study)
    return (_count_classes(study, first) > 1) | ~enough


def _clear_classes(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(n_features, n_classes) bool: the classes whose share of a feature's strongest images (counts) has the
    lower end of its interval above `CLEARER` times their share of all images (sizes), or above half-way from
    that share to 1, which is less where a class holds more than a third.
    """
    low = wilson(counts, np.broadcast_to(counts.sum(1, keepdims=True), counts.shape))[0]
    share = safe_divide(sizes, sizes.sum())
    return low > np.minimum(CLEARER * share, (1 + share) / 2)


def strongest_classes(study: StudyReader) -> dict[int, list[str]]:
    """Name features by the classes of the images on which they are strongest, the most common first.

    At most `MOST_CLASSES` each: those that are clear there (`_clear_classes`) and that pages show
    (`_shown_classes`). Features without are missing.
    """
    counts, names = _strongest_counts(study), study.class_names
    if not len(counts):
        return {}
    clear = _clear_classes(counts, _class_sizes(study)) & _shown_classes(study)
    order = np.argsort(np.where(clear, -counts, 1), axis=1, kind="stable")[:, :MOST_CLASSES]
    on = {}
    for feature, codes in enumerate(order.tolist()):
        on[feature] = [names[code] for code in codes if clear[feature, code]]
    return {one: some for one, some in on.items() if some}


def _class_sizes(study: StudyReader) -> np.ndarray:
    codes = class_column(study, "label")
    return np.bincount(codes[codes >= 0], minlength=len(study.class_names))


def majority_class(study: StudyReader) -> dict[int, str]:
    """Return the class of more than `MAJORITY` of the `JUDGED` images on which a feature is strongest, and of
    the first `STRONGEST` evaluation images among the stored ones where there are as many, if it is clear
    there (`_clear_classes`). Features without such a class are missing.
    """
    if not (len(study.class_names) and study.has("top_images")):
        return {}
    counts = _count_classes(study, study.vector("top_images")[:, :JUDGED])
    first, enough = _first_held_out(study)
    shown = _is_majority(_count_classes(study, first)) | ~enough
    return _the_one(
        _is_majority(counts) & shown & _clear_classes(counts, _class_sizes(study)), study.class_names
    )


def _is_majority(counts: np.ndarray) -> np.ndarray:
    return safe_divide(counts, counts.sum(1, keepdims=True), empty=0.0) > MAJORITY


def _the_one(marked: np.ndarray, names: Sequence[str]) -> dict[int, str]:
    """The name of the one class that is marked in a row of (n_features, n_classes), of rows with one."""
    return {int(one): names[code] for one, code in np.argwhere(marked).tolist()}


def majority_answer(study: StudyReader) -> dict[int, str]:
    """Return what the encoder's own linear head answers on more than `MAJORITY` of the `JUDGED` strongest
    images of a feature, where images have no classes to tell apart, if it is clear there (`_clear_classes`;
    all images are those on which any feature is strongest). Empty with concepts, whose words say more, and
    without named outputs. In a basis it answers on the images, not on what latents rebuild of them.
    """
    whole = study.in_units()
    has_head = all(map(whole.has, ("head_weights", "head_bias", "head_classes"))) and study.has("top_images")
    if len(study.class_names) > 1 or study.has("concepts") or not has_head:
        return {}
    names = [name.partition(",")[0].strip() for name in texts(whole.table("head_classes", ["name"]), "name")]
    top = study.vector("top_images")[:, :JUDGED]
    rows, weights = np.unique(top[top >= 0]), whole.vector("head_weights")
    if not all(names) or len(rows) * weights.size > MOST_PRODUCTS:
        return {}
    logits = whole.array("representations").rows(rows) @ weights.T + whole.vector("head_bias")
    codes = np.full(study.n_images, -1)
    codes[rows] = logits.argmax(1)
    counts = _count_codes(codes, top, len(names))
    sizes = np.bincount(codes[rows], minlength=len(names))
    return _the_one(_is_majority(counts) & _clear_classes(counts, sizes), names)
