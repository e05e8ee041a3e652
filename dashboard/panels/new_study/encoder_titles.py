"""The shipped encoders by the names that a reader sees."""

ASSETS = {  # in this order
    "efficientnet_lite0": "EfficientNet-Lite0 (ImageNet-1k), for photographs",
    "simclr_glyphworld": "SimCLR on the embedded world",
    "simclr_q_glyphworld": "SimCLR on the embedded world, fine-tuned for Q-Scores",
    "simclr_cifar10": "SimCLR on CIFAR-10, for images of 32 pixels",
}


def encoder_title(spec: str) -> str:
    """The title of a shipped encoder; any other is called by its SPEC.

    >>> encoder_title("asset:simclr_glyphworld"), encoder_title("torchvision:resnet50")
    ('SimCLR on the embedded world', 'torchvision:resnet50')
    """
    family, _, name = spec.partition(":")
    return ASSETS.get(name, spec) if family == "asset" else spec
