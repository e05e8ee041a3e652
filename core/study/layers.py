"""A basis of a study is a study of its own, `STUDY/bases/NAME`: a layer over the one that it is of.

What does not depend on the features (images, thumbnails, probe, answers, neighbours …) lies in the study
below and shows through; `representations` are the codes; the classifiers' weights go through the decoder; on
top lies what the steps have made in the basis. Only the last is in the manifest of the layer's own folder.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.common.command_line import basis_of, command_line
from core.errors import DamagedManifest, StudyError, did_you_mean
from core.study import manifest as manifests
from core.study.chunked_array import ChunkedArray, chunk_name
from core.study.steps import STEPS

FOLDER = "bases"
UNITS = "units"  # of the encoder, which are no basis; no basis is called so
SHOWN_THROUGH = "below"  # of a step or an item that shows through
COMPUTED = "made"  # of an item that is computed as it is read: by CODES, WEIGHTS or BIAS
CODES, WEIGHTS, BIAS = "codes", "weights", "bias"
READERS = ("probe", "head", "head_hidden")  # of representations, with weights and bias; beside answer_NAME
ROWS = 16 << 20  # entries of a dense block


def below(folder: Path) -> Path | None:
    """The study that a folder is a layer of; None for a study that is none.

    >>> below(Path("studies/demo"))
    """
    study, basis = basis_of(folder)
    return study if basis else None


def layer(study: Path, basis: str) -> Path:
    """The folder of a study for what is made in one of its bases; it need not exist.

    >>> layer(Path("studies/demo"), "sae").as_posix()
    'studies/demo/bases/sae'
    """
    return study / FOLDER / basis


def name_of(folder: Path) -> str:
    """What a study is called: the name of its folder, for a basis after that of its study."""
    whole, name = below(folder), folder.resolve().name
    return name if whole is None else f"{whole.resolve().name}/{name}"


def home(folder: Path, whole: Path | None, entry: Mapping[str, Any]) -> Path:
    """The study folder in which an item lies: that of the study below for what shows through a basis."""
    return whole if whole is not None and SHOWN_THROUGH in entry else folder


def by_home(
    folder: Path, whole: Path | None, items: Mapping[str, dict[str, Any]]
) -> list[tuple[Path, dict[str, dict[str, Any]]]]:
    """The items of a study that lie on disk, by the folder, of the study or a basis, in which they do."""
    by_folder: dict[Path, dict[str, dict[str, Any]]] = {}
    for name, entry in items.items():
        if COMPUTED not in entry:
            by_folder.setdefault(home(folder, whole, entry), {})[name] = entry
    return [*by_folder.items()]


def read_layered(folder: Path) -> dict[str, Any]:
    """The manifest of a study, or of a basis with what shows through.

    Raises:
        DamagedManifest, StudyError: as `core.study.manifest.read_manifest`; the study has no such basis.
    """
    whole = below(folder)
    if whole is None:
        return manifests.read_manifest(folder)
    of = manifests.read_manifest(whole)
    card = _card_of(of, whole, folder.name)
    has_own = (folder / manifests.MANIFEST).exists()
    layer_manifest = manifests.read_manifest(folder) if has_own else manifests.empty_manifest()
    if any(
        {SHOWN_THROUGH, COMPUTED} & entry.keys()
        for part in ("steps", "items")
        for entry in layer_manifest[part].values()
    ):
        what = "says of its own items that they lie in another study"
        raise DamagedManifest(folder / manifests.MANIFEST, what, f"Delete '{folder}'")
    return _layered(of, layer_manifest, folder.name, card)


def write_layered(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a study, or what is a basis's own of its."""
    manifests.write_manifest(folder, {**manifest, **of_its_own(manifest)})


def of_its_own(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the steps and items that the manifest of a basis on disk has itself, not through its study."""
    return {
        part: {name: entry for name, entry in manifest[part].items() if SHOWN_THROUGH not in entry}
        for part in ("steps", "items")
    }


def _card_of(manifest: Mapping[str, Any], study: Path, name: str) -> dict[str, Any]:
    """What a study's manifest says of a basis; StudyError for no basis of that name, or an old one."""
    cards = {
        step.removeprefix("basis-"): entry["summary"].get("basis")
        for step, entry in manifest["steps"].items()
        if step.startswith("basis-")
    }
    card = cards.get(name)
    if not isinstance(card, dict):
        options = f"It has: {', '.join(cards)}" if cards else "It has none"
        raise StudyError(f"no basis '{name}' in '{study}'.{did_you_mean(name, cards)} {options}")
    if manifests.step_state(dict(manifest), f"basis-{name}") != "done":
        command = command_line("basis", study, kind=card.get("kind"), name=name)
        raise StudyError(f"the basis '{name}' of '{study}' is of earlier representations. Run: {command}")
    return card


def _layered(
    of: dict[str, Any], layer_manifest: dict[str, Any], name: str, card: dict[str, Any]
) -> dict[str, Any]:
    steps, items = {}, {}
    for step, entry in of["steps"].items():
        row = STEPS.get(step)
        is_shown = not row.is_of_basis if row else not step.startswith("basis-")
        if is_shown and manifests.step_state(of, step) == "done":
            outside = {key: value for key, value in entry["inputs"].items() if key.startswith("@")}
            steps[step] = {**entry, "inputs": outside, SHOWN_THROUGH: True}
    for item, entry in of["items"].items():
        if entry["step"] in steps and item != "head_logits":
            items[item] = {**entry, SHOWN_THROUGH: True}
    _through_decoder(of, items, name, card)
    encoder = steps["embed"]["summary"].get("encoder", {})
    is_nonnegative = card.get("activation") not in ("magnitude", "raw-topk")
    facts = {
        "n_features": card["size"],
        "nonnegative": is_nonnegative,
        # Of pooled vectors a map is a pre-activation cut at 0, which does not add up.
        "maps_add_up": is_nonnegative and card.get("on") == "positions",
    }
    embed = {**steps["embed"]["summary"], "encoder": {**encoder, **facts}}
    steps["embed"] = {**steps["embed"], "summary": embed}
    for step, entry in layer_manifest["steps"].items():
        items = {item: one for item, one in items.items() if one["step"] != step}
        steps[step] = entry
    return {**layer_manifest, "steps": steps, "items": {**items, **layer_manifest["items"]}}


def _through_decoder(of: dict[str, Any], items: dict[str, Any], name: str, card: Mapping[str, Any]) -> None:
    """Codes in place of the representations; weights of classifiers by what a latent adds to their logits."""
    parts = [of["items"][f"basis_{name}_{part}"] for part in ("count", "features", "values")]
    together = zip(*(part["chunks"] for part in parts), strict=True)
    chunks = []
    for of_parts in together:
        digest = manifests.digest([one["sha256"] for one in of_parts])
        chunks.append({"rows": of_parts[0]["rows"], "sha256": digest})
    made = {"kind": "array", "dtype": "<f4", "step": "embed", SHOWN_THROUGH: True}
    shape = [parts[0]["shape"][0], card["size"]]
    items["representations"] = {**made, "shape": shape, "chunks": chunks, COMPUTED: CODES}
    # A reconstruction is linear in the codes, but where each vector has its own scale, or an image has the
    # largest codes of its positions.
    pooled = of["steps"]["embed"]["summary"].get("encoder", {}).get("pool")
    is_mean = card.get("on") != "positions" or (card.get("pool_codes"), pooled) == ("mean", "gap")
    is_exact = is_mean and card.get("normalisation", "none") == "none"
    for item in [item for item in items if _kind_of(item)]:
        entry = items.pop(item)
        if not is_exact or _reads_unit_rows(of, item, entry):
            continue
        mark = manifests.digest([entry["chunks"], of["items"][f"basis_{name}_decoder"]["chunks"]])
        shape = [entry["shape"][0], *([card["size"]] if _kind_of(item) == WEIGHTS else [])]
        entry = {**entry, "dtype": "<f4", "shape": shape, COMPUTED: _kind_of(item)}
        items[item] = {**entry, "chunks": [{"rows": shape[0], "sha256": mark}]}


def _reads_unit_rows(of: Mapping[str, Any], item: str, entry: Mapping[str, Any]) -> bool:
    """Whether weights are of an answer that reads rows of length 1: each row has its own scale then."""
    answers = of["steps"][entry["step"]]["summary"].get("answers", {})
    facts = answers.get(item.removeprefix("answer_").rpartition("_")[0])
    return isinstance(facts, dict) and bool(facts.get("on_unit_rows"))


def _kind_of(item: str) -> str | None:
    """Whether a study's item is a classifier's weights or bias, which a basis reads through its decoder.

    >>> _kind_of("probe_weights"), _kind_of("answer_knn"), _kind_of("answer_head_bias")
    ('weights', None, 'bias')
    """
    of, _, ending = item.rpartition("_")
    reads = of in READERS or of.startswith("answer_")
    return ending if reads and ending in (WEIGHTS, BIAS) else None


def read_made(whole: Any, name: str, item: str, made: str) -> ChunkedArray:
    """Read an array of a study in a basis that is not on disk, but computed as it is read.

    Args:
        whole: the reader of the study below. name: of the basis. made: CODES, WEIGHTS or BIAS.
    """
    part = f"basis_{name}_{{}}".format
    decoder = part("decoder")
    if made == CODES:
        counts, features, values = (whole.array(part(one)) for one in ("count", "features", "values"))
        return DenseCodes(counts, features, values, int(whole.array(decoder).shape[0]))
    codes_of_basis = whole.vector(item).astype(np.float64)
    if made == WEIGHTS:
        return Computed(whole.path / item, (codes_of_basis @ whole.vector(decoder).T.astype(np.float64)))
    weights = whole.vector(item.removesuffix(BIAS) + WEIGHTS).astype(np.float64)
    return Computed(whole.path / item, codes_of_basis + weights @ whole.vector(part("offset")))


class DenseCodes(ChunkedArray):
    """(n, M) float32 codes, made dense as they are read from their sparse form.

    Args:
        counts: (n,) active latents of each image. features, values: which and how strongly, image after
            image, in chunks of the same images.
    """

    def __init__(self, counts: ChunkedArray, features: ChunkedArray, values: ChunkedArray, size: int):
        super().__init__(counts.folder, np.diff(counts.starts).tolist(), "float32", (size,))
        self.sparse = counts, features, values

    def _open(self, chunk: int) -> np.ndarray:
        start, stop = self.starts[chunk : chunk + 2].tolist()
        return self._dense(chunk, 0, stop - start)

    def entries(self, chunk: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each image of a chunk begins (n + 1,), its latents and their codes, image after image."""
        counts, features, values = self.sparse
        begin = np.concatenate([[0], np.cumsum(counts.chunk(chunk), dtype=np.int64)])
        latents, codes = features._sound(features.chunk(chunk)), values.chunk(chunk)
        if (np.diff(begin) < 0).any() or not begin[-1] == len(latents) == len(codes):
            raise counts.damage(f"{counts.folder.name}/{chunk_name(chunk)} does not count its latents")
        return begin, latents, codes

    def _dense(self, chunk: int, start: int, stop: int) -> np.ndarray:
        begin, features, values = self.entries(chunk)
        here = slice(begin[start], begin[stop])
        dense = np.zeros((stop - start, self.shape[1]), np.float32)
        rows = np.repeat(np.arange(stop - start), np.diff(begin[start : stop + 1]))
        dense[rows, features[here]] = values[here]
        return dense

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield pairs (number of the first row, block of rows), in order; a block is part of a chunk."""
        size = max(1, ROWS // max(1, self.shape[1]))
        for chunk in range(self.n_chunks):
            first, n = self.chunk_start(chunk), int(self.starts[chunk + 1] - self.starts[chunk])
            for start in range(0, n, size):
                yield first + start, self._dense(chunk, start, min(start + size, n))

    def rows(self, indices: Any) -> np.ndarray:
        """Return the rows at `indices`, in that order."""
        numbers = self._row_numbers(indices)
        dense = np.zeros((len(numbers), self.shape[1]), np.float32)
        homes = np.searchsorted(self.starts, numbers, side="right") - 1
        for chunk in np.unique(homes):
            begin, features, values = self.entries(int(chunk))
            places = np.flatnonzero(homes == chunk)
            mine = numbers[places] - self.starts[chunk]
            n = begin[mine + 1] - begin[mine]
            n_before = np.concatenate([[0], np.cumsum(n)[:-1]])
            at = np.repeat(begin[mine] - n_before, n) + np.arange(n.sum())
            dense[np.repeat(places, n), features[at]] = values[at]
        return dense


class Computed(ChunkedArray):
    """A small array that is computed, in one chunk."""

    def __init__(self, folder: Path, values: np.ndarray):
        super().__init__(folder, [len(values)], "float32", values.shape[1:])
        self.values = values.astype(np.float32)

    def _open(self, chunk: int) -> np.ndarray:
        return self.values
