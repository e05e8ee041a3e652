"""What features are called: their words and what tells them apart, else the classes they are strong on,
else the answers that the encoder's own head gives there."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.dataframes import safe_divide
from core.common.dataframes import words as texts
from core.common.formatting import joined
from core.common.statistics.intervals import wilson
from core.reader import StudyReader
from core.slices.evaluate import class_column
from core.slices.features.classes import classes_tell
from core.slices.features.similar import STRONGEST, typical_of_strongest
from core.slices.inspection.words import SCENE, feature_words, features_on_object, named_from, words_apart
from core.traces.traces import read_traces

NOTABLE = 0.1  # share of the images of a feature from which on a class names it
CLEARER = 2.0  # times its share among all images: a class that tells features apart
MOST_CLASSES = 2  # of a feature without words, or with the words of others
MOST_APART = 4  # of one that shares the first two with another
MOST_PRODUCTS = 2**35  # of weights with representations, some seconds


def feature_names(study: StudyReader, *, named: bool = True, between: str = ", ") -> dict[int, str]:
    """Return what each feature is called: the name that people gave it, else its words, else its classes,
    else, without concepts, what the encoder's own head answers on its strongest images.

    Of several features with the same words each says which classes it is strong on, at most two; those that
    still share a name say a further word of their own, then another class, as far as there are such: "yellow,
    on cat", "yellow, sand, on cat", "yellow, on cat and fish". Where the
    heat lies on the object and the words are seen only around it, the classes come first: "cat with grass".
    A feature without words is called by the classes of its strongest images: "strong on ball and insect".
    Features of which nothing is known are missing.

    Args:
        named: False for names without those that people gave. between: what stands between words.
    Raises:
        DamagedTraces: the names that people gave cannot be read.
    """
    given = read_traces(study.path).feature_names if named else {}
    on, answered = strongest_classes(study), answers_on_strongest(study)
    wordless = {one: f"strong where it answers {joined(some)}" for one, some in answered.items()}
    wordless |= {one: f"strong on {with_class_names(joined(some))}" for one, some in on.items()}
    words = {one: some for one, some in feature_words(study, named=False).items() if one not in given}
    places = named_from(study)
    around = {one for one in features_on_object(study) if places.get(one) == SCENE}
    classes = {one: on[one] for one in around & on.keys() & words.keys() if not _says(words[one], on[one])}
    classes |= classes_apart(words, on) if classes_tell(study) else {}

    def called() -> dict[int, str]:
        return {
            feature: _with_classes(
                between.join(some),
                classes.get(feature, ()),
                first=feature in around and not _says(some, study.class_names),
            )
            for feature, some in words.items()
        }

    for feature, word in words_apart(study, called()).items():
        words[feature] = [*words[feature], word]
    for feature, name in strongest_apart(study, called()).items():
        classes[feature] = [*classes.get(feature, ()), name]
    told_apart = {feature: with_class_names(name) for feature, name in called().items()}
    return wordless | told_apart | given


def _with_classes(words: str, classes: Sequence[str], *, first: bool) -> str:
    if not classes:
        return words
    return f"{joined(classes)} with {words}" if first else f"{words}, on {joined(classes)}"


def _says(words: Sequence[str], classes: Sequence[str]) -> bool:
    return any(name in word for name in classes for word in words)


def classes_apart(words: Mapping[int, Sequence[str]], on: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """Return the classes that tell a feature from others of the same words: those of `on`, where the words do
    not say the first of them already.
    """
    alike = Counter(tuple(some) for some in words.values())
    shared = [feature for feature, some in words.items() if alike[tuple(some)] > 1]
    return {one: on[one] for one in shared if one in on and not _says(words[one], on[one][:1])}


def strongest_apart(study: StudyReader, names: Mapping[int, str]) -> dict[int, str]:
    """Return a class that tells a feature from the others of the same name, where there is one.

    It is the class, not yet in the name, that makes up `NOTABLE` or more of the images on which the feature
    is strongest, is among those of `_shown_classes`, and whose share has the lower end of its interval
    furthest above its share among those of the others of the name.
    """
    if len(set(names.values())) == len(names) or not len(counts := strongest_counts(study)):
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


def strongest_counts(study: StudyReader) -> np.ndarray:
    """(n_features, n_classes) int64: of the stored images on which each feature is strongest those of each
    class; no rows where it is not known.
    """
    if not (len(study.class_names) and study.has("top_images")):
        return np.zeros((0, len(study.class_names)), np.int64)
    return _count_classes(study, study.vector("top_images"))


def _count_classes(study: StudyReader, rows: np.ndarray) -> np.ndarray:
    """(n_features, n_classes) int64: the images of each class among rows (n_features, m), -1 for none."""
    n_classes, codes = len(study.class_names), class_column(study, "label")
    features, places = np.nonzero(rows >= 0)
    label = codes[rows[features, places]]
    cells = features[label >= 0] * n_classes + label[label >= 0]
    return np.bincount(cells, minlength=len(rows) * n_classes).reshape(len(rows), n_classes)


def _shown_classes(study: StudyReader) -> np.ndarray:
    """(n_features, n_classes) bool: the classes that two or more have of the `STRONGEST` evaluation images on
    which a feature is strongest, which pages show: an encoder may know its train images by heart, and be
    strong on others. All, of a feature with fewer evaluation images among its stored strongest ones.
    """
    top = study.vector("top_images")
    held_out = (top >= 0) & study.is_val[top]
    first = np.where(held_out & (held_out.cumsum(1) <= STRONGEST), top, -1)
    return (_count_classes(study, first) > 1) | (held_out.sum(1, keepdims=True) < STRONGEST)


def strongest_classes(study: StudyReader) -> dict[int, list[str]]:
    """Return the classes of the images on which a feature is strongest, the most common first, at most
    `MOST_CLASSES`: those whose share there has the lower end of its interval above `CLEARER` times their
    share of all, and that pages show there (`_shown_classes`). Features without are missing. Where classes
    have too few images for that (see `classes_tell`), the classes of the `MOST_CLASSES` most typical of its
    strongest images, and of the next, up to `MOST_APART`, where several features share them.
    """
    counts, labels, names = strongest_counts(study), class_column(study, "label"), study.class_names
    if not len(counts):
        return {}
    if len(names) > 1 and not classes_tell(study):
        return _first_apart(
            [
                [names[labels[row]] for row in rows if row >= 0 and labels[row] >= 0]
                for rows in typical_of_strongest(study, MOST_APART).tolist()
            ]
        )
    sizes = np.bincount(labels[labels >= 0], minlength=len(names))
    low = wilson(counts, np.broadcast_to(counts.sum(1, keepdims=True), counts.shape))[0]
    clear = (low > CLEARER * safe_divide(sizes, sizes.sum())) & _shown_classes(study)
    order = np.argsort(np.where(clear, -counts, 1), axis=1, kind="stable")[:, :MOST_CLASSES]
    on = {one: [names[code] for code in mine if clear[one, code]] for one, mine in enumerate(order.tolist())}
    return {one: some for one, some in on.items() if some}


def _first_apart(names: Sequence[Sequence[str]]) -> dict[int, list[str]]:
    """Return the first `MOST_CLASSES` names of each feature, and more where several share them."""
    first = {feature: list(dict.fromkeys(some[:MOST_CLASSES])) for feature, some in enumerate(names) if some}
    for n in range(MOST_CLASSES + 1, MOST_APART + 1):
        shared = Counter(map(frozenset, first.values()))
        for feature, some in first.items():
            if shared[frozenset(some)] > 1:
                first[feature] = list(dict.fromkeys(names[feature][:n]))
    return first


def answers_on_strongest(study: StudyReader) -> dict[int, list[str]]:
    """Return what the encoder's own linear head answers on the `MOST_CLASSES` most typical of the images on
    which each feature is strongest, and on more as in `strongest_classes`, whatever their labels. Empty with
    concepts, whose words say more, and without named outputs. In a basis it answers on the images, not on
    what latents rebuild of them.
    """
    whole = study if study.below is None else StudyReader(study.below)
    held = all(map(whole.has, ("head_weights", "head_bias", "head_classes"))) and study.has("top_images")
    if study.has("concepts") or not held:
        return {}
    names = [name.partition(",")[0].strip() for name in texts(whole.table("head_classes", ["name"]), "name")]
    top = typical_of_strongest(study, MOST_APART)
    rows, weights = np.unique(top[top >= 0]), whole.vector("head_weights")
    if not all(names) or len(rows) * weights.size > MOST_PRODUCTS:
        return {}
    logits = whole.array("representations").rows(rows) @ weights.T + whole.vector("head_bias")
    answers = dict(zip(rows.tolist(), logits.argmax(1).tolist(), strict=True))
    return _first_apart([[names[answers[row]] for row in mine if row >= 0] for mine in top.tolist()])
