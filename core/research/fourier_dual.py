"""Two encoders, for images and for frequency images (Kalibhat, dissertation, section 5.6.1, Fig. 5.5)."""

import torch
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.utils import dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from core.training.backbones import build_backbone
from core.training.config import TrainConfig
from core.training.method import Method
from core.training.methods import nt_xent
from core.training.objective import SimCLRSettings, own_settings
from core.training.process_group import at_least_single, gathered

FREQUENCY = "frequency"


class DualEncoder(Method):
    """SimCLR between g_im of the left view and g_freq of the right one, trained together.

    The two share no weights, nor do their heads. `backbone` is g_im, which is probed; g_freq is exported
    beside it. The loss is NT-Xent over the 2N outputs; with `cross_only`, an output's negatives are only
    those of the other encoder.
    """

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        self.frequency_backbone, n_frequency = build_backbone(config.arch, config.stem, config.crop_size)
        self.head = SimCLRProjectionHead(n_features, config.head_hidden, config.head_out)
        self.frequency_head = SimCLRProjectionHead(n_frequency, config.head_hidden, config.head_out)
        self.criterion = nt_xent(config)
        self.cross_only = own_settings(config.objective, SimCLRSettings).cross_only
        self.temperature = config.temperature

    def loss(self, views: Tensor, local: Tensor | None = None) -> Tensor:
        left, _ = views.chunk(2)
        return self.loss_of(self.backbone(left), views, local)

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        """Scalar loss for given raw = backbone(left views), (B, n_features)."""
        _, right = views.chunk(2)
        left_out = at_least_single(self.head(raw))
        right_out = at_least_single(self.frequency_head(self.frequency_backbone(right)))
        if self.cross_only:
            return cross_info_nce(left_out, right_out, temperature=self.temperature)
        return self.criterion(left_out, right_out)

    def companions(self) -> dict[str, nn.Module]:
        return {FREQUENCY: self.frequency_backbone}


def cross_info_nce(left: Tensor, right: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE of images and frequency images (research) with negatives of the other side, as in CLIP.

    mean over i of (-log softmax_j(l_i . r_j / tau) - log softmax_j(r_i . l_j / tau)) / 2 at j = i

    Args:
        left, right: (B, d) outputs of the two encoders, image after image; scaled to length 1 here.
    Returns:
        scalar, in nats; log of the number of images for outputs that are all equal.
    """
    left, right = normalize(left, dim=1), normalize(right, dim=1)
    positives = torch.arange(len(left), device=left.device) + dist.rank() * len(left)
    pairs = ((left, gathered(right)), (right, gathered(left)))
    return sum(cross_entropy(a @ b.T / temperature, positives) for a, b in pairs) / 2  # type: ignore[return-value]
