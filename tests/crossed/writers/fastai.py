"""What fastai writes: Learner.save and Learner.export."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from fastai.vision.all import ImageDataLoaders, Resize, vision_learner
from torch import nn

from tests.crossed.kit import Cases, Written, many_pictures, outputs, plain_pixels, trained

SIZE, NAMES = 64, ("ant", "bee", "cat")


def learner(folder: Path, **settings: Any) -> Any:
    for number, one in enumerate(many_pictures(12)):
        place = folder / "data" / NAMES[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        one.save(place / f"{number}.png")
    loaders = ImageDataLoaders.from_folder(
        folder / "data",
        valid_pct=0.5,
        seed=1,
        item_tfms=Resize(SIZE),
        bs=2,
        num_workers=0,
        device=torch.device("cpu"),
    )
    torch.manual_seed(0)
    made = vision_learner(loaders, torchvision.models.resnet18, pretrained=False, path=folder, **settings)
    made.model = trained(made.model)
    return made


def saved(folder: Path, *, way: str, **settings: Any) -> Written:
    made = learner(folder, **settings)
    path = "{folder}/models/net.pth"
    if way == "export":
        made.export("net.pkl")
        path = "{folder}/net.pkl"
    elif way == "state":
        torch.save(made.model.state_dict(), folder / "net.pth")
        path = "{folder}/net.pth"
    else:
        made.save("net", with_opt=way == "with_opt")
    pixels, model = plain_pixels(SIZE), made.model.eval()
    features = outputs(lambda x: model[0](x).mean((2, 3)), pixels)
    return Written(
        spec=path,
        options={"input_size": SIZE},
        pixels=pixels,
        logits=outputs(model, pixels),
        features=features,
        refused=way == "export",
    )


LINEAR = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 3))
CASES: Cases = {
    ("Learner.save", "resnet18, its own head"): partial(saved, way="with_opt"),
    ("Learner.save, with_opt false", "resnet18, its own head"): partial(saved, way="without"),
    ("Learner.save", "resnet18, concat_pool false"): partial(saved, way="with_opt", concat_pool=False),
    ("Learner.save", "resnet18, custom_head of one Linear"): partial(
        saved, way="with_opt", custom_head=LINEAR
    ),
    ("torch.save(learn.model.state_dict())", "resnet18, its own head"): partial(saved, way="state"),
    ("Learner.export", "resnet18"): partial(saved, way="export"),
}
