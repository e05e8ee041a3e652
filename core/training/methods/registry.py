"""The self-supervised methods by name: one class each, of which the trainer uses nothing but `Method`."""

from torch import nn

from core.topics import function_of_option
from core.training.config import TrainConfig, has_two_encoders
from core.training.methods.base import Method
from core.training.methods.clustering import DINO, SwAV
from core.training.methods.contrastive import MoCo, SimCLR
from core.training.methods.predictive import BYOL, SimSiam
from core.training.methods.redundancy import BarlowTwins, VICReg
from core.training.objective import method_name

METHODS: dict[str, type[Method]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "swav": SwAV,
    "byol": BYOL,
    "dino": DINO,
    "simsiam": SimSiam,
    "vicreg": VICReg,
    "barlow": BarlowTwins,
}


def build_method(name: str, backbone: nn.Module, n_features: int, config: TrainConfig) -> Method:
    """Build the named method around a backbone. Raises SettingsError."""
    if has_two_encoders(config):
        return function_of_option("train [objective] dual")(backbone, n_features, config)
    return METHODS[method_name(name)](backbone, n_features, config)
