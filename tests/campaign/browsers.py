"""Two who write on one image or feature at once: what was typed is in the study, or its writer is told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any
from unittest.mock import patch

import numpy as np
from streamlit.testing.v1 import AppTest

from core.errors import TraceError
from core.store import Study, open_study
from core.study import trace_changes
from core.study.traces import FeatureTrace, ImageTrace, read_traces
from tests.campaign.outcome import Outcome
from tests.dashboard.conftest import new_components, open_in_app, read_settings
from tests.synthetic import make_study

AT_ONCE = 4  # writers
Kept = Callable[[ImageTrace | FeatureTrace], object]
FIELDS: dict[str, Kept] = {
    "note": lambda one: one.note,
    "tags": lambda one: one.tags,
    "name": lambda one: getattr(one, "name", ""),
    "label": lambda one: getattr(one, "wrong_label", ""),
}
SAVE: dict[str, Callable[..., None]] = {
    "note": trace_changes.set_note,
    "tags": trace_changes.set_tags,
    "name": trace_changes.name_feature,
    "label": trace_changes.mark_wrong_label,
}


def writers(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Calls at the same moment by several who have seen the same: none is taken back unsaid."""
    study = open_study(make_study(folder / "demo", pictures=False))
    outcome, met = Outcome(), Counter[str]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(n):
            kind = str(rng.choice(list(FIELDS)))
            of = 0 if kind == "name" else str(study.images["image_id"][0])
            before, barrier = _kept(study, kind, of), Barrier(AT_ONCE)
            texts = [f"{kind} {number} {writer}" for writer in range(AT_ONCE)]
            if kind == "label":
                others = [str(name) for name in study.class_names if name != before]
                texts = [others[writer % 2] for writer in range(AT_ONCE)]
            said = list(pool.map(partial(_at_once, barrier, study, kind, of, before), texts))
            kept = _kept(study, kind, of)
            outcome.tried += 1
            outcome.refused += any(said)
            met[kind] += 1
            for text, problem in zip(texts, said, strict=True):
                if not problem and not _holds(kept, text):
                    outcome.lost += 1
                    outcome.examples.append(f"'{text}' was saved, and {kept!r} is there")
            if kind == "tags":
                trace_changes.set_tags(study, str(of), ())
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in met.items())
    return outcome


def _kept(study: Study, kind: str, of: str | int) -> Any:
    traces = read_traces(study.path)
    if isinstance(of, int):
        return FIELDS[kind](traces.features.get(of, FeatureTrace()))
    return FIELDS[kind](traces.images.get(of, ImageTrace()))


def _at_once(barrier: Barrier, study: Study, kind: str, of: Any, seen: Any, text: str) -> str:
    """Save what one of the writers typed; return why it could not be saved."""
    given = [*seen, text] if kind == "tags" else text
    barrier.wait()
    try:
        SAVE[kind](study, of, given, seen=seen)
    except TraceError as error:
        return str(error)
    return ""


def browsers(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Two browsers open one page; both type, and save one after the other."""
    study = open_study(make_study(folder / "studies" / "demo", pictures=False))
    images = [str(one) for one in study.images["image_id"]]
    outcome, met, components = Outcome(), Counter[str](), new_components()
    read_settings()
    variables = {"PEREGRINE_STUDIES": str(folder / "studies"), "PEREGRINE_STATE": str(folder / "state")}
    with patch.dict(os.environ, variables):
        for number in range(n):
            kind = ("image", "feature")[number % 2]
            of = images[number] if kind == "image" else str(number % 8)
            both = [_opened(components, kind, of) for _ in range(2)]
            typed = [_type(rng, study, app, kind, of, f"{number} {who}") for who, app in enumerate(both)]
            for app in both:
                app.button(key=f"trace_save_{of}").click().run()
            outcome.tried += 1
            met[kind] += 1
            for app, texts in zip(both, typed, strict=True):
                _look(outcome, study, app, (kind, of), texts)
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in met.items())
    return outcome


def _opened(components: object, kind: str, of: str) -> AppTest:
    """A page with the popover of its notes open: AppTest has no click for it."""
    app = open_in_app(components, kind, study="demo", **{kind: of})  # type: ignore[arg-type]
    app.session_state[f"trace_{kind}_{of}"] = True
    return app.run()


def _type(
    rng: np.random.Generator, study: Study, app: AppTest, kind: str, of: str, text: str
) -> dict[str, str]:
    """Type into some of the fields; return what, by field."""
    typed = {name: f"{name} {text}" for name in ("note", "tags") if rng.random() < 0.7}
    if "note" in typed:
        app.text_area(key=f"trace_note_{of}").set_value(typed["note"])
    if "tags" in typed:
        app.multiselect(key=f"trace_tags_{of}").set_value([typed["tags"]])
    if kind == "feature" and rng.random() < 0.7:
        typed["name"] = f"name {text}"
        app.text_input(key=f"trace_name_{of}").set_value(typed["name"])
    if kind == "image" and rng.random() < 0.7:
        typed["label"] = str(rng.choice(list(study.class_names)))
        app.selectbox(key=f"trace_label_{of}").set_value(typed["label"])
    return typed


def _look(outcome: Outcome, study: Study, app: AppTest, page: tuple[str, str], texts: dict[str, str]) -> None:
    """What was typed has to be in the study; where the page says why not, still in its field."""
    kind, of = page
    traces = read_traces(study.path)
    trace = traces.images.get(of) if kind == "image" else traces.features.get(int(of))
    fields: dict[str, Any] = {
        "note": app.text_area,
        "tags": app.multiselect,
        "name": app.text_input,
        "label": app.selectbox,
    }
    said = [one.value for one in app.warning]
    outcome.refused += bool(said)
    outcome.wrong += bool(app.exception)
    for name, text in texts.items():
        kept: Any = None if trace is None else FIELDS[name](trace)
        field = fields[name](key=f"trace_{name}_{of}").value
        in_study, in_field = (
            text == one or (name == "tags" and text in (one or ())) for one in (kept, field)
        )
        if not in_study and not (said and in_field):
            outcome.lost += 1
            outcome.examples.append(f"{kind} {name}: '{text}' typed, {kept!r} kept, {field!r} shown, {said}")


def _holds(value: Any, text: str) -> bool:
    """Return True for the text itself, and for tags that hold it."""
    return text == value if isinstance(value, str) else text in (value or ())
