"""The options of every command: those of docs/commands.md, read as always."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.charts.catalogue import draw
from core.charts.options import FigureOptions
from core.cli import build_parser
from core.cli.dashboard import HOST, PORT
from core.cli.options import Formatter, Parser, add_options, default_text
from core.compare.compare import compare
from core.config import (
    AnswersConfig,
    BasisConfig,
    ConceptsConfig,
    EmbedConfig,
    FeaturesConfig,
    MapConfig,
    MaskOptions,
    ProbeConfig,
    RunOptions,
    option,
)
from core.config.options import OPTIONS
from core.errors import SettingsError
from core.measures.finder import worst_slices
from core.pictures import decomposition
from core.pipeline import run
from core.publish.export_files import export_frame
from core.publish.label_forms import USUAL_FORM
from core.research import transfer_learning_back_tests as back_tests
from core.research.changed_inputs_topic import PerturbedConfig, RobustConfig
from core.research.transfer_learning_transfer import transfer_probe
from core.research.transfer_topic import TransferConfig
from core.research.visual_tokens_config import TokenTrainConfig
from core.research.visual_tokens_extract import extract_tokens
from core.research.visual_tokens_topic import ExtractConfig
from core.study.steps import STEPS
from core.training.config import PAPER, RegularizerConfig, TrainConfig
from tests.cli.reference import API, REFERENCE, reference, subparsers, with_settings


def parameter(function: Callable[..., Any], name: str) -> Any:
    """The default of a parameter."""
    return inspect.signature(function).parameters[name].default


@pytest.mark.slow
def test_reference__is_what_the_parsers_say():
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run: python -m tests.cli.reference"
    written = API.read_text(encoding="utf-8")
    assert written == with_settings(written), "run: python -m tests.cli.reference"


@pytest.mark.slow
def test_every_command_has_help_debug_and_trust():
    for name, parser in subparsers().items():
        options = {option for action in parser._actions for option in action.option_strings}
        assert {"-h", "--help", "--debug", "--trust"} <= options, name


CONFIGS: dict[str, tuple[type, ...]] = {
    "demo": (EmbedConfig,),
    "analyze": (
        *(EmbedConfig, RunOptions, FeaturesConfig, ProbeConfig, AnswersConfig, MaskOptions, ConceptsConfig),
        MapConfig,
    ),
    "resume": (FeaturesConfig, RunOptions),
    "compare": (RunOptions,),
    "transfer": (TransferConfig, RunOptions),
    "export": (RunOptions,),
    "basis": (BasisConfig, RunOptions),
    "decompose": (RunOptions,),
    "figure": (FigureOptions,),
    "transfer-probe": (RunOptions, ProbeConfig, EmbedConfig),
    "perturbed": (PerturbedConfig, RunOptions),
    "robust-features": (RobustConfig, RunOptions),
    "extract-tokens": (EmbedConfig, ExtractConfig),
    "train-tokens": (TokenTrainConfig,),
    "train": (TrainConfig,),
    "finetune": (TrainConfig, RegularizerConfig),
    **{step.name: (step.config, RunOptions) for step in STEPS.values()},
}
# Defaults that no config holds: a parameter of the function that the command calls, or a constant.
ELSEWHERE: dict[tuple[str, str], Any] = {
    ("search", "top"): run.TOP,
    ("extract-tokens", "device"): parameter(extract_tokens, "device"),
    ("decompose", "top"): decomposition.TOP,
    ("transfer-probe", "corrupted"): back_tests.CORRUPTED,
    ("compare", "bootstrap"): parameter(compare, "resamples"),
    ("compare", "seed"): parameter(compare, "seed"),
    ("slices", "against"): parameter(worst_slices, "against"),
    ("slices", "min_images"): parameter(worst_slices, "min_images"),
    ("export", "combine"): parameter(export_frame, "combine"),
    ("export", "mask"): parameter(export_frame, "mask"),
    ("export", "as"): USUAL_FORM,
    ("figure", "style"): parameter(draw, "style"),
    ("figure", "font"): parameter(draw, "font"),
    ("dashboard", "port"): PORT,
    ("dashboard", "host"): HOST,
    ("transfer-probe", "bootstrap"): parameter(transfer_probe, "resamples"),
    ("finetune", "kind"): "q",
    ("perturbed", "epsilons"): default_text(PerturbedConfig().epsilons),
    **{("finetune", key): value for key, value in PAPER.items()},
}
IN_WORDS = re.compile(
    r"the best of six|those of the checkpoint|the encoder's own head|the kind, or the file"
    r"|as in CONFIG|configs/|\$PEREGRINE_STUDIES|the study's"
    r"|that of the study's concepts"
    r"|as the encoder was trained|a tenth of the epochs|the image's firing|all$|--\w+$|1e-05,0.0001,0.001$"
)


def stated_defaults() -> Iterator[tuple[str, str, str]]:
    """Command, destination and default of every option whose help text names a default."""
    for command, parser in subparsers().items():
        for action in parser._actions:
            stated = re.search(r"default: (.*)\)$", action.help or "")
            assert bool(stated) == ("default" in (action.help or "")), f"{command} {action.dest}"
            if stated:
                yield command, action.dest, stated[1]


@pytest.mark.slow
def test_defaults_in_help_texts__are_those_of_the_configs():
    n_values = 0
    for command, dest, stated in stated_defaults():
        fields = [
            field
            for config in CONFIGS.get(command, ())
            for field in dataclasses.fields(config)
            if field.name == dest and "help" in field.metadata
        ]
        if (command, dest) in ELSEWHERE:
            expected = ELSEWHERE[command, dest]
        elif IN_WORDS.search(stated) or (fields and stated == fields[0].metadata["left_out"]):
            continue
        else:
            assert fields, f"{command} {dest}: a default without a home"
            expected = fields[0].default
            stated = stated.partition(" for simclr")[0]
        if isinstance(expected, tuple):
            expected = ",".join(map(str, expected))
        same = stated == expected if isinstance(expected, str) else float(stated) == expected
        assert same, f"{command} {dest}: {stated} instead of {expected}"
        n_values += 1
    assert n_values > 60


def test_options_without_a_config__are_refused():
    parser = argparse.ArgumentParser()
    with pytest.raises(KeyError, match="low"):
        add_options(parser, FeaturesConfig, "low")


@dataclasses.dataclass(frozen=True)
class Planted:
    size: int = option("size", 3, unit="pixels", minimum=2, metavar="N")
    share: float | None = option("50 % of it", None, left_out="a half")
    kind: str = option("kind", "a", choices=("a", "b"), group="more")
    cut: bool = option("do not cut", True, flags=("--no-cut",))
    hidden: int = 7


@pytest.fixture
def planted() -> argparse.ArgumentParser:
    parser = Parser(prog="planted", formatter_class=Formatter)
    add_options(parser, Planted)
    return parser


def test_add_options__help_type_and_default_are_those_of_the_field(planted):
    shown = " ".join(planted.format_help().split())
    assert "--size N size (in pixels; default: 3)" in shown and "50 % of it (default: a half)" in shown
    assert "more: --kind {a,b} kind (default: a)" in shown and "hidden" not in shown
    given = planted.parse_args(["--size", "2", "--share", "0.5", "--kind", "b", "--no-cut"])
    assert vars(given) == {"size": 2, "share": 0.5, "kind": "b", "cut": False}
    assert vars(planted.parse_args([])) == {}


@pytest.mark.parametrize(("words", "message"), [
    (["--size", "1"], "'1' is not a whole number above 1"),
    (["--size", "x"], "'x' is not a whole number above 1"),
    (["--share", "x"], "'x' is not a number"),
    (["--kind", "c"], "invalid choice: 'c'"),
])  # fmt: skip
def test_add_options__refuses_what_the_field_does_not_allow(planted, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        planted.parse_args(words)
    assert ended.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(("words", "n"), [([], None), (["--calibrate"], 200), (["--calibrate", "50"], 50)])
def test_calibrate__has_a_number_of_its_own(words, n):
    parsed = build_parser().parse_args(["quality", "studies/mine", *words])
    assert getattr(parsed, "calibrate", None) == n


def test_analyze__lists_the_usual_options_and_the_rest_on_request(capsys):
    usual = {one.flag for one in OPTIONS.values() if one.described["usual"]} | {"--dry-run"}
    listed = {}
    for words in ("--help", "--help-all"):
        with pytest.raises(SystemExit):
            build_parser().parse_args(["analyze", words])
        listed[words] = set(re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.MULTILINE))
    assert listed["--help"] == usual | {"--json", "--help-all"} and len(usual) == 10
    assert listed["--help-all"] >= {one.flag for one in OPTIONS.values()} | listed["--help"]


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_option__of_a_form_takes_what_a_terminal_takes(option):
    if not option.described["form"]:
        return
    assert option.described["title"] and option.read("  ") == option.described["empty"]
    for typed in filter(None, option.described["titles"]):
        assert option.read(typed) == typed
        build_parser().parse_args(["analyze", "x", option.flag, typed])
    if option.described["minimum"] is not None:
        with pytest.raises(SettingsError, match=re.escape(option.title)):
            option.read("-1")


def test_numbers__are_read_alike_in_terminal_and_form(capsys):
    for flag, name, typed in (("--std", "std", "0,1,1"), ("--input-size", "input_size", "1_0")):
        with pytest.raises(SystemExit):
            build_parser().parse_args(["analyze", "x", flag, typed])
        with pytest.raises(SettingsError):
            OPTIONS[name].read(typed)
    assert OPTIONS["mean"].read("0.50") == "0.5,0.5,0.5"
