"""The topics of research and what they add: the one place of the workbench that names them.

A topic is a folder of `core/research` with a module `topic`, whose TOPIC says what it adds to the tables of
the workbench: steps, commands, charts, image sets, parts of a training. The workbench imports nothing else of
it. What is heavy is named as "module:name" and imported when it is used, so a topic loads no torch.

A new topic is one name in TOPICS and one such folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from core.config.step import Step

TOPICS = (
    "published_figures",
    "salient_imagenet",
    "transfer_learning",
    "domains",
    "fourier",
    "shortcuts",
    "changed_inputs",
    "visual_tokens",
    "transfer",
)  # in the order in which lists show them


@dataclass(frozen=True)
class ImageSet:
    """A kind of images that a study can be of: `kind?option=value`, and `kind` alone where `bare`.

    Attributes:
        source: names a class with `from_spec(spec, opener, seed)` and `reopen(description, reopener)`; both
            functions open the sources within it.
    """

    kind: str
    source: str
    bare: bool = False


@dataclass(frozen=True)
class Topic:
    """The additions of a topic of research to the workbench.

    Attributes:
        steps: rows of `core.study.steps.STEPS`. items: what its commands write into a study, by command.
        options: of commands of the workbench, such as "probe --curves", with the function that each asks for.
        commands: name functions that add a command to the parser; `add(commands)`.
        code_options: options of these commands whose value may name code to run.
        charts: name charts of studies, `core.charts.chart.Chart`.
        folder_charts: names a tuple of charts of folders, `core.charts.chart.FolderChart`.
        image_sets: for `core.data.images`. training: names a part of a training,
            `core.training.config.TrainingSection`.
        previews: names augmentations by name, `core.training.preview.Preview`.
        contrastive_loss: names a function (TrainConfig, **options of NT-Xent) -> loss of SimCLR and MoCo, or
            None where the settings ask for no other than NT-Xent.
    """

    steps: tuple[Step, ...] = ()
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    code_options: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    folder_charts: str = ""
    image_sets: tuple[ImageSet, ...] = ()
    training: str = ""
    previews: str = ""
    contrastive_loss: str = ""


@cache
def topics() -> tuple[Topic, ...]:
    """Import by its name what each topic of research adds to the workbench, in the order of TOPICS."""
    return tuple(import_module(f"core.research.{name}_topic").TOPIC for name in TOPICS)


def function_of_option(option: str) -> Any:
    """Import a function of a topic of research by the name of the workbench's option that asks for it."""
    return function_named({name: row for topic in topics() for name, row in topic.options.items()}[option])


def function_named(name: str) -> Any:
    """Import the function or class that a table of the workbench names as "module:name"."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
