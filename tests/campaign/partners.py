"""Studies of strangers: as the partner of a comparison, and written to a tracker."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from core.errors import FORESEEN, SettingsError, user_message
from core.publish import trackers
from core.store import open_study
from core.study.manifest import read_manifest
from tests.browser.hostile import CLASSES, FILE, WORD
from tests.campaign.outcome import Outcome
from tests.compare.comparable import second_study
from tests.dashboard.conftest import new_components, open_in_app, read_settings
from tests.manifests import edited_manifest, write_tables
from tests.study.flips import files_of
from tests.synthetic import make_seen_study, make_study

LONG = "x" * 100_000
ABSURD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 10**18, float("nan"), float("inf"), "", WORD, LONG, "a\nb"),
    *([], {}, [1, 2], [None] * 3, {"a": 1}),
)
TEXTS = (WORD, LONG, "", "a\nb", "nan", "../../x", "\N{RIGHT-TO-LEFT OVERRIDE}abc")
NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 1e308, 0.0)
Change = Callable[[np.random.Generator, pd.DataFrame, str], pd.DataFrame]
CHANGES: dict[str, Change] = {
    "no rows": lambda rng, table, name: table.iloc[:0],
    "fewer rows": lambda rng, table, name: table.iloc[: max(len(table) // 2, 1)],
    "rows twice": lambda rng, table, name: pd.concat([table, table], ignore_index=True),
    "rows in another order": lambda rng, table, name: table.sample(frac=1, random_state=1, ignore_index=True),
    "the same row again and again": lambda rng, table, name: table.iloc[[0] * len(table)],
    "without a column": lambda rng, table, name: table.drop(columns=name),
    "another name of a column": lambda rng, table, name: table.rename(columns={name: WORD}),
    "texts": lambda rng, table, name: table.assign(**{name: TEXTS[int(rng.integers(len(TEXTS)))]}),
    "numbers": lambda rng, table, name: table.assign(**{name: NUMBERS[int(rng.integers(len(NUMBERS)))]}),
    "nothing": lambda rng, table, name: table.assign(**{name: None}),
}


def spoil(rng: np.random.Generator, study: Path) -> str:
    """Change one thing of a study; return what. It is sound by its checksums, but for a file that is cut."""
    while True:
        with suppress(TypeError, ValueError, LookupError, AttributeError):  # what cannot be written
            return _spoiled(rng, study)


def _spoiled(rng: np.random.Generator, study: Path) -> str:
    items = read_manifest(study)["items"]
    kind = rng.choice(["table", "summary", "entry", "file"], p=[0.6, 0.2, 0.1, 0.1])
    if kind == "table":
        tables = [name for name, entry in items.items() if entry["kind"] == "table"]
        name = str(rng.choice(tables))
        frame = pd.read_parquet(study / f"{name}.parquet")
        what, column = str(rng.choice(list(CHANGES))), str(rng.choice(list(frame.columns)))
        write_tables(study, **{name: CHANGES[what](rng, frame, column)})
        return f"{name}.{column}: {what}"
    if kind == "file":
        files = files_of(study)
        one = files[int(rng.integers(len(files)))]
        os.truncate(one, int(rng.integers(one.stat().st_size + 1)))
        return f"{one.name} cut"
    value = ABSURD[int(rng.integers(len(ABSURD)))]
    with edited_manifest(study) as manifest:
        steps = [step["summary"] for step in manifest["steps"].values() if step["summary"]]
        held = steps[int(rng.integers(len(steps)))]
        if kind == "entry":
            held = manifest["items"][str(rng.choice(list(items)))]
        key = str(rng.choice(list(held)))
        held[key] = value
    return f"{kind} {key}: {value!r:.60}"


def partners(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Compare with a study of a stranger: the page stands, and says what is wrong in a line."""
    outcome, kept, served = Outcome(), folder / "kept", folder / "studies"
    demo = make_study(served / "demo", n_train=80, n_val=40)
    second_study(demo, kept)
    components, met = new_components(), Counter[str]()
    read_settings()
    variables = {"PEREGRINE_STUDIES": str(served), "PEREGRINE_STATE": str(folder / "state")}
    with patch.dict(os.environ, variables):
        for _ in range(n):
            shutil.rmtree(served / "second", ignore_errors=True)
            shutil.copytree(kept, served / "second")
            what = spoil(rng, served / "second")
            app = open_in_app(components, "compare", study="demo", compare_with="second")
            outcome.tried += 1
            met[what.partition(" ")[0].partition(".")[0]] += 1
            said = [str(one.value) for one in (*app.error, *app.warning)]
            outcome.refused += bool(said)
            if app.exception:
                outcome.went_wrong(f"{what}: {app.exception[0].message[:300]}")
            if any("\n" in one.strip() or "this is a bug" in one for one in said):
                outcome.lines += 1
                outcome.examples.append(f"{what}: {said}"[:500])
    outcome.note = ", ".join(f"{name} {count}" for name, count in met.most_common(8))
    return outcome


def exported_runs(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """A study of a stranger as a run of each tracker that is there: whole, or a line and no half run."""
    outcome, met = Outcome(), Counter[str]()
    kept = make_seen_study(folder / "kept", class_names=CLASSES, tail=FILE)
    with patch.object(trackers, "find_browser", _none), patch.dict(os.environ, _environment(folder)):
        there = [name for name in ("tensorboard", "mlflow") if _is_there(name, folder)]
        for number in range(n):
            study, runs = folder / "a study", folder / f"runs{number}"
            shutil.rmtree(study, ignore_errors=True)
            shutil.copytree(kept, study)
            what = "untouched" if number < len(there) else spoil(rng, study)
            tracker = there[number % len(there)]
            outcome.tried += 1
            met[tracker] += 1
            try:
                trackers.track(open_study(study), tracker, runs, features=3)
            except FORESEEN as error:
                outcome.said(f"error: {user_message(error)}\n", what)
                if tracker == "tensorboard" and runs.exists() and list(runs.iterdir()):
                    outcome.lost += 1
                    outcome.examples.append(f"{what}: a half run is left")
            except Exception as error:
                outcome.went_wrong(f"{tracker}, {what}: {type(error).__name__}: {error}"[:400])
            else:
                if tracker == "tensorboard" and not list(runs.iterdir()):
                    outcome.went_wrong(f"{what}: no run")
    outcome.note = ", ".join(f"{name} {count}" for name, count in met.items())
    return outcome


def _none() -> str:
    raise SettingsError("no browser")


def _environment(folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}


def _is_there(name: str, folder: Path) -> bool:
    try:
        trackers.check_tracker(name, folder / "none")
    except SettingsError:
        return False
    return True
