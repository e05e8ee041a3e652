"""The input of a network's own classifier as its representation."""

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from core.encoders.layers import find_layer

ACTIVATIONS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)  # that may follow the last Linear of a classifier


class ClassifierInput(nn.Module):
    """A network that ends in a classifier, whose representation is what the classifier reads.

    The classifier stays in `base`, under the name `layer`.
    """

    def __init__(self, base: nn.Module, layer: str) -> None:
        super().__init__()
        self.base = base
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        inputs: list[Tensor] = []

        def keep(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            inputs.append(arguments[0].clone())

        with find_layer(self.base, self.layer).register_forward_pre_hook(keep):
            self.base(x)
        return inputs[-1]


@torch.no_grad()
def final_linear(model: nn.Module, x: Tensor) -> str | None:
    """Return the name of the Linear whose output, or a softmax of it, is what the model returns.

    Only the layer that runs last counts: a network that ends in `nn.Identity` ends in no Linear.
    """
    names = {module: name for name, module in model.named_modules() if name and not any(module.children())}
    ran: list[tuple[nn.Module, Tensor, Tensor]] = []

    def keep(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            ran.append((module, inputs[0], output))

    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_hook(keep))
        raw = model(x)
    while ran and isinstance(ran[-1][0], ACTIVATIONS):
        ran.pop()
    if not ran or not isinstance(ran[-1][0], nn.Linear) or ran[-1][1].ndim != 2:
        return None
    module, _, logits = ran[-1]
    shapes = logits, logits.softmax(1), logits.log_softmax(1), logits.sigmoid()
    ends = any(raw.shape == out.shape and torch.allclose(raw, out, atol=1e-5) for out in shapes)
    return names[module] if ends else None
