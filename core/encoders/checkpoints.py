"""Load the weights of a recognised checkpoint into a model, strictly: every encoder key must match."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from core.common.addresses import located
from core.common.inside import MOST_BYTES, replacing
from core.common.remote_objects import local_copy, read_object, stat_all
from core.encoders.head_file import CLASSIFIERS, PRETEXT
from core.encoders.layouts import Layout
from core.errors import CheckpointError

# First parts of keys that never belong to a representation. The classifier of a named architecture is known
# from the architecture itself.
HEADS = frozenset((*CLASSIFIERS, *PRETEXT))
SHOWN = 3


@dataclass(frozen=True)
class LoadReport:
    """Which parts of a checkpoint were loaded where."""

    layout: str
    prefix: str
    matched: int
    missing: tuple[str, ...] = ()  # only BatchNorm counters, absent from old checkpoints; others are an error
    unexpected: tuple[str, ...] = ()  # always empty after a strict load
    dropped: dict[str, int] = field(default_factory=dict)  # group of keys -> count

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {key: list(one) if isinstance(one, tuple) else one for key, one in asdict(self).items()}


def copied_checkpoint(url: str) -> Path:
    """Return the path of a copy in the cache of weights by address, with the sidecar `url`.json beside it.

    Raises:
        CheckpointError: no such file, or not for these credentials. AddressRefused, RemoteError.
    """
    try:
        weights, sidecar = located(url), f"{located(url)}.json"
        _, beside = stat_all([weights, sidecar])  # again: either may have changed
        path = Path(local_copy(weights))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CheckpointError(f"cannot read the weights '{url}': {reason}. Check the address") from None
    with replacing(Path(f"{path}.json")) as temporary:
        temporary.write_bytes(read_object(sidecar, 0, MOST_BYTES) if beside else b"{}")
    return path


# What stands between a file and its network, by the ends of its keys, and the way out.
OBSTACLES = {
    r"\.lora_[AB]\.|\.lora_[AB]$|\.base_layer\.": "it holds LoRA adapters: merge them before saving (PEFT: "
    "model.merge_and_unload())",
    r"\._packed_params(\.|$)": "it is quantised by torch: save the weights before they are quantised",
    r"\.parametrizations\.|\.weight_g$": "its weights are parametrised: call remove_parametrizations before",
    r"\.weight_(orig|mask)$": "it is pruned: torch.nn.utils.prune.remove before saving",
}


def _obstacle(keys: Collection[str]) -> str:
    """What a file has to be freed of before it is a checkpoint's weights; "" for another file."""
    obstacles = (why for pattern, why in OBSTACLES.items() if any(re.search(pattern, key) for key in keys))
    return next(obstacles, "")


def load_strict(
    model: nn.Module, layout: Layout, *, name: str, hint: str = "", classifier: Collection[str] = ()
) -> LoadReport:
    """Load the encoder's weights into a model without a head.

    Args:
        name: name of the architecture in messages.
        classifier: keys of the architecture's own classifier, which the model lacks.
        hint: suggestion if the weights do not fit.
    Raises:
        CheckpointError: encoder keys are missing, unexpected or of a different shape; the message lists them.
    """
    expected = model.state_dict()
    head_of = {key: _head_of(key, expected, classifier) for key in layout.state}
    heads = Counter(head for head in head_of.values() if head)
    state = {key: tensor for key, tensor in layout.state.items() if not head_of[key]}
    missing = [key for key in expected if key not in state]
    counters = [key for key in missing if key.endswith("num_batches_tracked")]
    missing = [key for key in missing if key not in set(counters)]
    unexpected = [key for key in state if key not in expected]
    reshaped = []
    for key, value in expected.items():
        if key in state and state[key].shape != value.shape:
            shapes = f"{tuple(state[key].shape)} in the file, {tuple(value.shape)} in the model"
            reshaped.append(f"{key} {shapes}")
    problems = [
        _count(missing, "missing"),
        _count(unexpected, "unexpected"),
        _count(reshaped, "of a different shape"),
    ]
    if any(problems):
        hint = _obstacle(unexpected) or hint
        where = f"layout {layout.name}" + (f", prefix '{layout.prefix}'" if layout.prefix else "")
        raise CheckpointError(
            f"the checkpoint ({where}) does not fit {name}: {'; '.join(filter(None, problems))}"
            + (f". {hint}" if hint else "")
        )
    typed = {key: tensor.to(expected[key].dtype) for key, tensor in state.items()}
    expected.update(typed)  # the counters stay as they are; beside the tensors it says their version
    model.load_state_dict(expected)
    dropped = dict(layout.dropped) | {f"{layout.prefix}{head}": n for head, n in heads.items()}
    return LoadReport(layout.name, layout.prefix, len(state), tuple(counters), (), dropped)


def _head_of(key: str, expected: Collection[str], classifier: Collection[str]) -> str:
    """Return the name of the head that a key belongs to; "" for a key of the encoder."""
    if is_head(key, expected):
        return key.split(".")[0]
    return key.rpartition(".")[0] if key in classifier and key not in expected else ""


def is_head(key: str, expected: Collection[str]) -> bool:
    """Return True for a checkpoint's key of a head, queue or pretext task that the encoder lacks.

    The model is `expected`; a number is the place of a head behind a network in a Sequential.
    """
    first = key.split(".")[0]
    return (first in HEADS or first.isdigit()) and not any(name.split(".")[0] == first for name in expected)


def _count(keys: list[str], what: str) -> str:
    if not keys:
        return ""
    more = f", … {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    noun = "encoder key is" if len(keys) == 1 else "encoder keys are"
    return f"{len(keys)} {noun} {what} ({', '.join(keys[:SHOWN])}{more})"
