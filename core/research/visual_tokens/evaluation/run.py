"""Try models on tests of composition, blind checks first: `compositionality` (docs/method.md 16.6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import known_mean
from core.common.statistics.intervals import mean_interval
from core.data.sources.glyphworld import GlyphworldSource
from core.errors import SettingsError, unknown_name
from core.jobs.progress import Progress
from core.research.visual_tokens.evaluation import blind
from core.research.visual_tokens.evaluation.aro import aro_benchmarks
from core.research.visual_tokens.evaluation.benchmark import Benchmark
from core.research.visual_tokens.evaluation.clustered import clustered_wilson
from core.research.visual_tokens.evaluation.compositional import (
    PAIR_CHANCE,
    choice_scores,
    cosines,
    pair_scores,
)
from core.research.visual_tokens.evaluation.judges import BLOCK, Judge, open_judge
from core.research.visual_tokens.evaluation.planted_tests import (
    N_ITEMS,
    TESTS,
    planted_benchmarks,
    training_captions,
)
from core.research.visual_tokens.evaluation.stored_tokens import check_images_of, check_pictures_of
from core.research.visual_tokens.evaluation.winoground import winoground_benchmark
from core.research.visual_tokens.store import TokenFolder

BENCHMARKS = ("glyphworld", "aro", "winoground")
COMPOSED = "glyphworld?preset=compose&train=12000&val=2000&seed=0"
BLIND_CAPTIONS = 3000  # from which the bigram model learns


def open_benchmarks(
    name: str, root: str | None, *, tests: Sequence[str] = TESTS, n: int = N_ITEMS, seed: int = 0
) -> list[Benchmark]:
    """Open the tests of a benchmark.

    Args:
        root: folder of the files; for glyphworld, a specification of a composed world.
    Raises:
        SettingsError: an unknown benchmark, or no root where files are needed. TokenError: no such files.
    """
    if name not in BENCHMARKS:
        raise SettingsError(unknown_name(f"no benchmark '{name}'", name, BENCHMARKS, "Benchmarks"))
    if name == "glyphworld":
        return planted_benchmarks(GlyphworldSource.from_spec(root or COMPOSED), tests=tests, n=n, seed=seed)
    if root is None:
        raise SettingsError(f"where are the files of {name}? Give --root DIR")
    return aro_benchmarks(root, seed=seed) if name == "aro" else [winoground_benchmark(root)]


def benchmark_source(name: str, root: str | None) -> GlyphworldSource | None:
    """Return the source of a benchmark's pictures; None where they are files of its own."""
    return GlyphworldSource.from_spec(root or COMPOSED) if name == "glyphworld" else None


def blind_checks(
    benchmarks: Sequence[Benchmark], judge: Judge, bigrams: blind.Bigrams | None
) -> list[blind.BlindCheck]:
    """Try a bigram model, and the judge's own text tower with a constant image, on every test."""
    checks = []
    for benchmark in benchmarks:
        if bigrams is not None:
            score = bigrams.score
            checks.append(
                blind.blind_check(
                    benchmark, "bigrams", lambda captions, s=score: np.array([s(c) for c in captions])
                )
            )
        constant = judge.pictures(Benchmark(benchmark.name, benchmark.items[:BLOCK], benchmark.read)).mean(0)
        checks.append(
            blind.blind_check(
                benchmark, "constant image", lambda captions, c=constant: cosines(judge.texts(captions), c)
            )
        )
    return checks


@dataclass(frozen=True)
class SwapScore:
    """The scores of one model on one test."""

    test: str
    model: str
    measure: str
    value: float
    low: float
    high: float
    chance: float
    n: int
    n_undefined: int


def try_judge(judge: Judge, benchmark: Benchmark) -> tuple[list[SwapScore], pd.DataFrame]:
    """Score a model on a test.

    Returns:
        the outcomes, with 95 % intervals over pictures; and a table of items: test, model, picture, caption,
        other, group, right (in [0, 1]), margin (the true caption's cosine above the best other one's).
    """
    places = {key: row for row, key in enumerate(benchmark.keys)}
    row_of_caption = {caption: row for row, caption in enumerate(benchmark.captions)}
    images, texts = judge.pictures(benchmark), judge.texts(benchmark.captions)
    if benchmark.pairs:
        return _try_pairs(judge.name, benchmark, images, texts, places, row_of_caption)
    items = benchmark.choices
    likeness = [
        cosines(texts[[row_of_caption[c] for c in item.captions]], images[places[item.picture]])
        for item in items
    ]
    right = choice_scores(likeness)
    table = pd.DataFrame(
        {
            "test": benchmark.name,
            "model": judge.name,
            "picture": [item.picture for item in items],
            "caption": [item.captions[0] for item in items],
            "other": [item.captions[1] if len(item.captions) > 1 else "" for item in items],
            "group": [item.group for item in items],
            "right": right,
            "margin": [c[0] - c[1:].max() if len(c) > 1 else np.nan for c in likeness],
        }
    )
    chance = blind.mean_chance(benchmark)
    outcomes = [
        _outcome(benchmark.name, judge.name, "accuracy", right, chance, table["picture"].to_numpy(str))
    ]
    groups, guessing = table["group"].to_numpy(object), np.array([1 / len(item.captions) for item in items])
    members = [(groups == group) & np.isfinite(right) for group in dict.fromkeys(groups)]
    members = [member for member in members if member.sum() >= benchmark.least_group]
    mean, low, high, n = mean_interval(np.array([known_mean(right[member]) for member in members]))
    if n > 1:
        chance = known_mean(known_mean(guessing[member]) for member in members)
        low, high = np.clip((low, high), 0, 1).tolist()  # NaN stays NaN
        outcomes.append(
            SwapScore(benchmark.name, judge.name, "mean over groups", mean, low, high, chance, n, 0)
        )
    return outcomes, table


def _try_pairs(
    model: str,
    benchmark: Benchmark,
    images: np.ndarray,
    texts: np.ndarray,
    places: Mapping[str, int],
    row_of_caption: Mapping[str, int],
) -> tuple[list[SwapScore], pd.DataFrame]:
    items = benchmark.pairs
    shown = np.array([[places[key] for key in item.pictures] for item in items])
    words = np.array([[row_of_caption[caption] for caption in item.captions] for item in items])
    cosine = cosines(texts[words][:, :, None], images[shown][:, None])  # (n, caption, image)
    scores = pair_scores(cosine)
    table = pd.DataFrame(
        {
            "test": benchmark.name,
            "model": model,
            "picture": [item.pictures[0] for item in items],
            "caption": [item.captions[0] for item in items],
            "other": [item.captions[1] for item in items],
            "group": [item.group for item in items],
            "right": scores.group,
            "margin": cosine[:, 0, 0] - cosine[:, 1, 0],
        }
    )
    outcomes = [
        _outcome(benchmark.name, model, name, values, PAIR_CHANCE[name])
        for name, values in scores._asdict().items()
    ]
    for group in sorted(set(table["group"])) if len(set(table["group"])) > 1 else []:
        text_scores = scores.text[(table["group"] == group).to_numpy()]
        outcomes.append(_outcome(benchmark.name, model, f"text, {group}", text_scores, PAIR_CHANCE["text"]))
    return outcomes, table


def _outcome(
    test: str, model: str, measure: str, right: np.ndarray, chance: float, pictures: np.ndarray | None = None
) -> SwapScore:
    """The mean of `right` with its interval; several items of one picture are not independent."""
    there = np.isfinite(right)
    scored = right[there]
    pictures = np.arange(len(right)) if pictures is None else pictures
    low, high = clustered_wilson(scored, pictures[there])
    value = float(scored.mean()) if len(scored) else float("nan")
    return SwapScore(test, model, measure, value, low, high, chance, len(scored), len(right) - len(scored))


def compositionality(
    models: Sequence[str],
    benchmark: str,
    *,
    root: str | None = None,
    tokens: str | None = None,
    n: int = N_ITEMS,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Try models on a benchmark.

    Args:
        say: prints a line; the blind checks are printed before any model is tried.
        tokens: folder with tokens of the benchmark's pictures; the others' are extracted.
    Returns:
        blind: rows of BlindCheck with `leaky`; results: rows of SwapScore with `leaky`; dropped, notes: by
        test; items: the table of all items.
    """
    if not models:
        raise SettingsError("which model? Give FILE.safetensors or a CLIP such as asset:glyphworld")
    tests = open_benchmarks(benchmark, root, n=n, seed=seed)
    folder = TokenFolder(tokens) if tokens else None
    if folder is not None and benchmark == "glyphworld":
        check_images_of(folder, root or COMPOSED)
    elif folder is not None:
        check_pictures_of(folder, tests)
    judges = [open_judge(model, folder, device=device) for model in models]
    bigrams = None
    if benchmark == "glyphworld":
        with progress.stage("captions"):
            source = GlyphworldSource.from_spec(root or COMPOSED)
            bigrams = blind.Bigrams(training_captions(source, n=BLIND_CAPTIONS, seed=seed))
    with progress.stage("blind checks", total=len(judges), unit="models") as bar:
        checks = []
        for judge in judges:
            checks += [(judge.name, check) for check in blind_checks(tests, judge, bigrams)]
            bigrams = None  # the same for every model
            bar.update(1)
    for model, check in checks:
        say(blind_line(model, check))
    outcomes, tables = [], []
    with progress.stage("tests", total=len(judges) * len(tests), unit="tests") as bar:
        for judge in judges:
            for test in tests:
                of_judge, table = try_judge(judge, test)
                outcomes += of_judge
                tables.append(table)
                bar.update(1)
    leaky = blind.leaky_tests(check for _, check in checks)
    return {
        "benchmark": benchmark,
        "blind": [{"of": model, **asdict(check), "leaky": check.leaky} for model, check in checks],
        "results": [{**asdict(one), "leaky": one.test in leaky} for one in outcomes],
        "dropped": {test.name: test.dropped for test in tests},
        "notes": {test.name: list(test.notes) for test in tests if test.notes},
        "items": pd.concat(tables, ignore_index=True),
    }


def blind_line(model: str, check: blind.BlindCheck) -> str:
    """Say in one line what a blind model reaches, and whether the test is leaky."""
    who = check.model if check.model == "bigrams" else f"{check.model} ({model})"
    verdict = "LEAKY: no claim can be made from it" if check.leaky else "at chance"
    between = f"{check.low:.1%} to {check.high:.1%}, chance {check.chance:.1%}"
    return f"blind {check.test}, {who}: {check.share:.1%} ({between}): {verdict}"
