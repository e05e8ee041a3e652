"""What two encoders know of the latents of a dictionary that they share (docs/method.md 18.8). No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.bases.basis import UNITS, Basis, codes_of
from core.bases.twins import COLUMNS, FEWEST, SIDES, mark_of
from core.common.command_line import command_line
from core.common.dataframes import numbers, safe_divide
from core.common.formatting import counted, percent
from core.comparison.compare import EVERYTHING
from core.comparison.features import UNLIKE
from core.comparison.images import Shared, shared_images
from core.comparison.text import columns_text, markdown_table
from core.errors import SettingsError
from core.measures.concept_features import LABEL, known_concepts
from core.slices.evaluate import result_column
from core.slices.inspection.words import feature_words
from core.slices.slice import Slice
from core.store import Study

# images for each feature of an encoder, with which a read-out that fails says that it lacks something
ENOUGH = 2
KNOWS, LACKS = 0.9, 0.8  # AUROC from which an encoder knows where a latent is active; below which it does not
BOTH, FIRST, OTHER, BETWEEN = "both", "first", "other", "between"
PRINTED = 10  # latents of either side
AMOUNTS = ("n", "accuracy_first", "accuracy_other", "only_first_right", "only_other_right")


@dataclass(frozen=True)
class SharedDictionary:
    """The latents of two encoders over the images of a slice.

    Attributes:
        shared: the images that both have, of the slice. basis: of the first study.
        frame: latent; words, "; " between them; concept, the known class or word of an attribute that is most
            alike ("" below UNLIKE), and its likeness (Jaccard: of images with either, the share with both);
            known_to: BOTH, FIRST or OTHER (the one that knows what the other lacks), BETWEEN (not clear), ""
            (too few images tell); COLUMNS of `core.bases.twins`; and of the evaluation images on which the
            latent is active n, the accuracy of either study (NaN without answers), and how many only one of
            them answers right. Most different AUROC first.
        codes: of all images of the first study, sparse.
    """

    shared: Shared
    basis: Basis
    frame: pd.DataFrame
    codes: Any

    @property
    def names(self) -> list[str]:
        return self.shared.names

    @property
    def about(self) -> dict[str, Any]:
        """See `about_other`."""
        about = about_other(self.basis)
        assert about is not None
        return about

    def known_to(self, side: str) -> pd.DataFrame:
        """The latents of one side, the most different ones first."""
        return self.frame.loc[self.frame["known_to"] == side].reset_index(drop=True)

    def strongest(self, latent: int, n: int) -> list[int]:
        """Rows (of the first study) of the evaluation images of the slice with its largest codes."""
        rows = self.shared.rows[0, _looked_at(self.shared)]
        values = self.codes[rows][:, [latent]].toarray()[:, 0]
        order = np.argsort(-values, kind="stable")[:n]
        return rows[order[values[order] > 0]].tolist()

    def verdicts(self, rows: list[int]) -> list[tuple[float, float]]:
        """For images of the first study whether each study answers right: 1, 0 or NaN."""
        at = np.searchsorted(self.shared.rows[0], rows)
        pairs = zip(self.shared.studies, self.shared.rows[:, at], strict=True)
        sides = [result_column(study, "correct")[here] for study, here in pairs]
        return list(zip(*map(np.ndarray.tolist, sides), strict=True))


def judgeable_latents(n_images: int, k: int) -> int:
    """How many latents, k of them active on each of n_images evaluation images, most of which can be judged.

    An average latent is then active on twice the FEWEST images that judge one.

    >>> judgeable_latents(1000, 32)
    1600
    """
    return n_images * k // (2 * FEWEST)


def bases_shared_with(study: Study, other: Study) -> list[str]:
    """The bases of a study whose codes are shared with another one, as that is now."""
    if not other.has("representations"):
        return []
    mark = mark_of(other.in_basis(UNITS))
    return [
        name for name, one in study.bases.items() if (about := about_other(one)) and about["mark"] == mark
    ]


def about_other(basis: Basis) -> dict[str, Any] | None:
    """What the card of a basis says of a second encoder (`core.bases.joint`).

    Returns:
        mark, width, n_fitted, and r2 of both; None for a basis of one encoder, or a card that is not sound.
    """
    about = basis.card.get("with")
    if not isinstance(about, dict) or not isinstance(about.get("mark"), str):
        return None
    r2, counts = about.get("r2"), (about.get("width"), about.get("n_fitted"))
    if not isinstance(r2, list) or len(r2) != len(SIDES) or not all(isinstance(one, int) for one in counts):
        return None
    return about if all(one is None or isinstance(one, float | int) for one in r2) else None


def shared_dictionary(
    study: Study, other: Study, name: str | None = None, *, among: Slice = EVERYTHING
) -> SharedDictionary:
    """Read a shared dictionary beside the answers of both studies.

    Args:
        name: of the basis; None: that in which the first study is read, else the only one that they share.
    Raises:
        SettingsError: there is none, or there are several. StudyError, SliceError: as `compare`.
    """
    whole = study.in_basis(UNITS)
    names, name = bases_shared_with(whole, other), name or (study.basis.name if study.basis else None)
    if not names and (swapped := bases_shared_with(other.in_basis(UNITS), whole)):
        words = command_line("compare", other.path, whole.path, shared=swapped[0])
        raise SettingsError(f"'{swapped[0]}' is a basis of '{other.path}'; name that study first: {words}")
    if not names:
        raise SettingsError(
            f"'{study.path}' shares no dictionary with '{other.path}' as it is now. To fit one: "
            f"{command_line('basis', study.path, kind='topk', name='shared', **{'with': other.path})}"
        )
    if name is None and len(names) > 1:
        raise SettingsError(f"which dictionary? --shared NAME, one of: {', '.join(names)}")
    name = name or names[0]
    if name not in names:
        raise SettingsError(f"'{name}' is not shared with '{other.path}'; shared are: {', '.join(names)}")
    shared = shared_images([study, other]).narrowed(among)
    basis = whole.bases[name]
    codes = _sparse(whole, basis)
    return SharedDictionary(shared, basis, _frame(whole, shared, basis, codes), codes)


def _sparse(study: Study, basis: Basis) -> Any:
    """(n_images, M) scipy CSR array."""
    from scipy.sparse import csr_array

    held = codes_of(study, basis)
    shape = (study.n_images, int(basis.card["size"]))
    return csr_array((held.values, held.features, held.indptr), shape=shape)


def _frame(study: Study, shared: Shared, basis: Basis, codes: Any) -> pd.DataFrame:
    table = study.table(basis.table, ["latent", *COLUMNS])
    words = feature_words(study.in_basis(basis.name))
    sides = known_to(numbers(table, "told_by_first"), numbers(table, "told_by_other"))
    frame = table.assign(
        words=["; ".join(words.get(latent, [])) for latent in table["latent"]], known_to=sides
    )
    rows = shared.rows[:, _looked_at(shared)]
    active = (codes[rows[0]] != 0).astype(np.float64)  # (n, M), sparse
    pairs = zip(shared.studies, rows, strict=True)
    first, other = (result_column(one, "correct")[here] for one, here in pairs)
    right = {
        "accuracy_first": first,
        "accuracy_other": other,
        "only_first_right": (first == 1) & (other == 0),
        "only_other_right": (first == 0) & (other == 1),
    }
    frame["concept"], frame["likeness"] = _most_alike(study, codes)
    frame["n"] = np.asarray(active.sum(0)).ravel().astype(int)
    for column, values in right.items():
        judged = np.isfinite(values.astype(float))
        sums = active.T @ np.where(judged, values, 0).astype(float)
        is_share = column.startswith("accuracy")
        frame[column] = safe_divide(sums, active.T @ judged.astype(float)) if is_share else sums.astype(int)
    apart = np.nan_to_num(np.abs(numbers(frame, "told_by_first") - numbers(frame, "told_by_other")), nan=-1)
    columns = ["latent", "words", "concept", "likeness", "known_to", *COLUMNS, *AMOUNTS]
    return frame.iloc[np.argsort(-apart, kind="stable")][columns].reset_index(drop=True)


def _most_alike(study: Study, codes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of each latent the known concept that is most alike, (M,) object and float64.

    Classes are compared on the images with a label, since others may be of any.
    """
    names, has = known_concepts(study)
    n_latents = codes.shape[1]
    if not names:
        return np.full(n_latents, "", object), np.full(n_latents, np.nan)
    active = (codes != 0).astype(np.float64)
    both = (active.T @ has.T.astype(np.float64)).T  # (n_concepts, M)
    labelled = study.column("images", "label").notna().to_numpy(np.float64)
    n_active = np.stack([np.asarray(active.sum(0)).ravel(), labelled @ active])  # (2, M)
    of_class = np.array([name.startswith(LABEL) for name in names], int)
    either = has.sum(1)[:, None] + n_active[of_class] - both
    likeness = safe_divide(both, either, empty=0.0)
    best = likeness.argmax(0)
    most = likeness[best, np.arange(n_latents)]
    return np.where(most >= UNLIKE, np.array(names, object)[best], ""), most


def latent_words(row: Mapping[str, Any]) -> str:
    """What a latent of `frame` is called: its words, else the concept that is most alike."""
    like = (
        f"like {row['concept'].replace('=', ' ')} ({percent(row['likeness'], 0)})" if row["concept"] else ""
    )
    return row["words"] or like


def _looked_at(shared: Shared) -> np.ndarray:
    """(n_shared,) bool: the evaluation images; where there are none, all images."""
    return shared.judged if shared.judged.any() else np.ones(shared.n_images, bool)


def read_out_note(data: SharedDictionary) -> str:
    """Say where too few images were fitted on for "lacks" to mean much; "" elsewhere."""
    about = data.about
    width = max(int(about["width"]), data.shared.studies[0].in_basis(UNITS).array("representations").shape[1])
    n_fitted = about["n_fitted"]
    if n_fitted >= ENOUGH * width:
        return ""
    return (
        f"read-outs were fitted on {counted(n_fitted, 'image')} with up to {width:,} features, so that an "
        f"encoder lacks a latent may say only that the images are few ({ENOUGH * width:,} or more tell)"
    )


def known_to(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Who knows a latent, by the AUROC of both encoders (M,): BOTH, FIRST, OTHER, BETWEEN; "" is unknown."""
    conditions = [
        ~(np.isfinite(first) & np.isfinite(other)),
        (first >= KNOWS) & (other >= KNOWS),
        (first >= KNOWS) & (other < LACKS),
        (other >= KNOWS) & (first < LACKS),
    ]
    return np.select(conditions, ["", BOTH, FIRST, OTHER], BETWEEN)


def shared_finding(data: SharedDictionary) -> str:
    """Say in one sentence how much both know, and what either lacks."""
    n_told = int(np.count_nonzero(data.frame["known_to"].to_numpy() != ""))
    if not n_told:
        return f"No latent of {data.basis.name} is active on enough images to tell who knows it"
    first, other = data.names
    n = {side: len(data.known_to(side)) for side in (BOTH, FIRST, OTHER)}
    return (
        f"Of {counted(n_told, 'shared latent')}, both encoders know {n[BOTH]:,}; {first} lacks {n[OTHER]:,} "
        f"that {other} knows, {other} lacks {n[FIRST]:,} that {first} knows"
    )


def shared_rows(data: SharedDictionary, side: str, most: int = PRINTED) -> list[list[str]]:
    """A table of text of the latents of one side; the titles first."""
    areas, right = ([f"{what} {name}" for name in data.names] for what in ("AUROC", "right"))
    rows = [["latent", "words", *areas, "images", *right]]
    for row in data.known_to(side).head(most).to_dict("records"):
        areas = (f"{row[column]:.2f}" for column in ("told_by_first", "told_by_other"))
        right = (percent(row[f"accuracy_{one}"]) for one in ("first", "other"))
        rows.append(
            [f"{data.basis.name}/{row['latent']}", latent_words(row), *areas, f"{row['n']:,}", *right]
        )
    return rows


def shared_report(data: SharedDictionary) -> dict[str, Any]:
    """Return everything as a JSON-able dict."""
    return {
        "studies": data.names,
        "basis": data.basis.name,
        "n_judged": int(data.shared.judged.sum()),
        "r2": data.about["r2"],
        "finding": shared_finding(data),
        "note": read_out_note(data),
        "latents": data.frame.to_dict("records"),
    }


def shared_text(data: SharedDictionary, *, as_markdown: bool = False) -> str:
    """Return what `compare --shared` prints, or the same as Markdown."""
    first, other = data.names
    r2 = zip(data.about["r2"], data.names, strict=True)
    explained = " and ".join(f"{one:.2f} of {name}" for one, name in r2 if one is not None)
    lines = [f"{shared_finding(data)}.", f"{data.basis.name} explains R2 {explained}."]
    lines += [f"note: {note}" for note in (read_out_note(data), *data.shared.notes) if note]
    for side, has, lacks in ((OTHER, other, first), (FIRST, first, other)):
        rows = shared_rows(data, side)
        if len(rows) > 1:
            title = f"What {has} knows and {lacks} lacks"
            lines += ["", f"## {title}\n" if as_markdown else f"{title}:"]
            lines.append("\n".join(markdown_table(rows)) if as_markdown else columns_text(rows))
    return "\n".join(lines)
