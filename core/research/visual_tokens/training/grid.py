"""The grid of visual tokens: with and without additive attention, its controls and its baselines.

Every arm sees the same scenes and, for a seed, the same captions in the same order. FOLDER/tokens holds the
tokens, which are extracted once.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.command_line import command_line
from core.common.csv_text import write_csv
from core.concepts.clip.clip import load_clip
from core.data.sources.glyphworld import GlyphworldSource
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row, checkpoint
from core.research.visual_tokens.evaluation.benchmark import Benchmark
from core.research.visual_tokens.evaluation.blind import Bigrams
from core.research.visual_tokens.evaluation.judges import ClipJudge, Judge, ModelJudge
from core.research.visual_tokens.evaluation.planted_tests import planted_benchmarks, training_captions
from core.research.visual_tokens.evaluation.retrieval import retrieval
from core.research.visual_tokens.evaluation.run import BLIND_CAPTIONS, SwapScore, blind_checks, try_judge
from core.research.visual_tokens.extract import extract_tokens
from core.research.visual_tokens.settings import ExtractConfig
from core.research.visual_tokens.store import TokenFolder
from core.research.visual_tokens.training.config import TokenTrainConfig
from core.research.visual_tokens.training.data import VAL_TAG, open_captions
from core.research.visual_tokens.training.model import load_token_model
from core.research.visual_tokens.training.train import train_tokens
from core.research.visual_tokens.training.verdict import token_verdicts
from core.training.files import log_path
from core.worlds.glyphworld.scenes import Dice

ARMS: dict[str, dict[str, Any]] = {  # arm: what differs from "tokens"
    "tokens": {},
    "plain": {"additive": False},
    "shuffled": {"shuffle_graph": True},
    "patches": {"source": "grid", "additive": False, "boxes": True},
    "tokens-noimage": {"image_token": False},
    "plain-noimage": {"additive": False, "image_token": False},
    "tokens-boxes": {"boxes": True},
    "plain-boxes": {"additive": False, "boxes": True},
    "tokens-onehot": {"source": "onehot"},
    "plain-onehot": {"source": "onehot", "additive": False},
    "mean": {"attention": False, "additive": False},
    "vit": {"vision": "vit"},
    "clip-finetuned": {"vision": "clip"},
    "clip": {"vision": "none"},  # as it is
}
AGAINST = {  # arm: what it is compared with
    "tokens": "plain",
    "shuffled": "plain",
    "tokens-noimage": "plain-noimage",
    "tokens-boxes": "plain-boxes",
    "tokens-onehot": "plain-onehot",
    "mean": "plain",
    "patches": "tokens",
    "vit": "tokens",
    "clip-finetuned": "tokens",
    "clip": "tokens",
}
SWITCHES = ("vision", "source", "additive", "image_token", "boxes", "attention", "shuffle_graph")
USUAL: dict[str, Any] = {
    "vision": "tokens",
    "source": "planted",
    "additive": True,
    "image_token": True,
    "boxes": False,
    "attention": True,
    "shuffle_graph": False,
}
SOURCES = {  # the extraction of each source of tokens
    "planted": ExtractConfig(),
    "onehot": ExtractConfig(segmenter="onehot"),
    "grid": ExtractConfig(segmenter="grid", relations="none"),
}
CPU: dict[str, Any] = {
    "images": "glyphworld?preset=compose&train=12000&val=2000&seed=0",
    "epochs": 30,
    "batch_size": 256,
    "lr": 5e-4,
    "width": 128,
    "layers": 4,
    "heads": 4,
    "context": 24,
    "image_size": 96,
    "patch": 16,
    "items": 1000,
}
SHORT = {
    **CPU,
    "images": "glyphworld?preset=compose&train=6000&val=1000&seed=0",
    "epochs": 12,
    "batch_size": 128,
    "items": 500,
}
PAPER = {**CPU, "epochs": 100, "lr": 5e-5, "width": 512, "layers": 8, "heads": 8, "context": 77}
TRAINING = ("epochs", "batch_size", "lr", "width", "layers", "heads", "context", "image_size", "patch")


def token_arms(values: Values) -> list[GridCell]:
    """List the arms, those that decide the claim first."""
    return [GridCell(name, {k: {**USUAL, **changes}[k] for k in SWITCHES}) for name, changes in ARMS.items()]


def run_tokens(job: CellJob) -> Row:
    """Train one arm, and try it on retrieval and on the four planted tests."""
    columns, planted = job.cell.columns, shared_tokens(job, "planted")
    stored = shared_tokens(job, columns["source"])
    source = GlyphworldSource.from_spec(job.values["images"])
    row: Row = {"rank_7": math.nan, "seconds_a_step": math.nan, "loss": math.nan}
    if columns["vision"] == "none":
        judge: Judge = ClipJudge(job.cell.arm, load_clip(SOURCES["planted"].clip))
    else:
        config = cell_settings(job, stored, planted)
        train_tokens(config, progress=job.progress)
        model = load_token_model(job.output)
        judge = ModelJudge(job.cell.arm, model, stored if columns["vision"] == "tokens" else None)
        row |= training_row(job, model)
    tests = planted_benchmarks(source, n=job.values["items"])
    blind = leaks(job.folder, tests, judge, source)
    outcomes = [outcome for test in tests for outcome in try_judge(judge, test)[0]]
    return {**columns_of_tests(outcomes), **held_out(judge, planted, tests[0]), **row, **blind}


def shared_tokens(job: CellJob, source: str) -> TokenFolder:
    """Return the tokens of the grid's scenes, extracted by the first cell that needs them."""
    path = job.folder / "tokens" / source
    return extract_tokens(job.values["images"], path, SOURCES[source], progress=job.progress)


def cell_settings(job: CellJob, stored: TokenFolder, planted: TokenFolder) -> TokenTrainConfig:
    """Build the training of an arm; captions are drawn from the planted graphs in all."""
    switches = {name: job.cell.columns[name] for name in SWITCHES if name != "source"}
    return TokenTrainConfig(
        output=str(job.output),
        tokens=str(stored.path),
        captions=str(planted.path),
        **switches,
        **{name: job.values[name] for name in TRAINING},
        seed=job.cell.seed or 0,
        device="cpu" if job.device == "auto" else job.device,
        cache=job.cache,
        checkpoint_minutes=1.0,
    )


def training_row(job: CellJob, model: Any) -> Row:
    """Return the last loss, the learned weight of rank 7 above rank 0, and the time of a step."""
    log = pd.read_csv(log_path(job.output))
    weights = getattr(model.vision, "rank_weights", None) if job.cell.columns["additive"] else None
    return {
        "loss": float(log["loss"].iloc[-1]),
        "rank_7": math.nan if weights is None else float((weights[7] - weights[0]).detach()),
        "seconds_a_step": float(log["seconds"].iloc[-1] / log["step"].iloc[-1]),
    }


def columns_of_tests(outcomes: list[SwapScore]) -> Row:
    """Return the accuracy on each test of choices, and Winoground's three scores, in [0, 1]."""
    row: Row = {}
    for one in outcomes:
        name = one.test.removeprefix("glyphworld ")
        if one.measure == "accuracy":
            row[name] = one.value
        elif name == "winoground" and "," not in one.measure:
            row[f"pairs_{one.measure}"] = one.value
    return row


def held_out(judge: Judge, planted: TokenFolder, test: Benchmark) -> Row:
    """Search captions among all val scenes: one caption a scene, the same for every arm."""
    ids = planted.images.loc[planted.images["split"] == "val", "image_id"].tolist()
    captions = open_captions("", planted)
    ids = [image_id for image_id in ids if captions.has(image_id)]
    drawn_captions = [captions.draw(image_id, Dice(VAL_TAG, row)) for row, image_id in enumerate(ids)]
    return retrieval(judge.pictures(test.of_pictures(ids)), judge.texts(drawn_captions), drawn_captions)


def leaks(folder: Path, tests: list[Benchmark], judge: Judge, source: GlyphworldSource) -> Row:
    """Run the blind checks of a cell, keep them in FOLDER/blind, and name the leaky tests."""
    bigrams = Bigrams(training_captions(source, n=BLIND_CAPTIONS))
    checks = blind_checks(tests, judge, bigrams)
    table = pd.DataFrame([{**vars(check), "leaky": check.leaky} for check in checks])
    out = folder / "blind"
    out.mkdir(parents=True, exist_ok=True)
    write_csv(table, out / f"{judge.name}.csv")
    named = sorted({check.test.removeprefix("glyphworld ") for check in checks if check.leaky})
    return {"leaky": " ".join(named)}


MEASURES = {
    "relation": ("relation %", 100.0),
    "attribution": ("attribution %", 100.0),
    "order": ("order %", 100.0),
    "pairs_text": ("pairs: text %", 100.0),
    "pairs_image": ("pairs: image %", 100.0),
    "pairs_group": ("pairs: group %", 100.0),
    "text_to_image": ("text-to-image R@1 %", 100.0),
    "image_to_text": ("image-to-text R@1 %", 100.0),
}


def try_again(values: Values, folder: Path, cells: Sequence[GridCell]) -> str:
    """Return the command that tries models of the grid side by side; one source of tokens a command."""
    trained = [cell for cell in cells if cell.columns["vision"] == "tokens"] or list(cells)
    source = trained[0].columns["source"]
    seed = trained[0].seed
    alike = [cell for cell in trained if (cell.columns["source"], cell.seed) == (source, seed)]
    files = [str(checkpoint(folder, cell)) for cell in alike if cell.columns["vision"] != "none"]
    given = {"root": values["images"], "tokens": folder / "tokens" / source}
    return command_line("compositionality", ",".join(files[:2]) or SOURCES["planted"].clip, **given)


GRID = Grid(
    name="tokens",
    presets={"cpu": CPU, "short": SHORT, "paper": PAPER},
    arms=token_arms,
    run=run_tokens,
    measures=MEASURES,
    baseline=lambda values, arm: AGAINST.get(arm),
    seeds=3,
    verdicts=token_verdicts,
    follow_up=try_again,
)
