"""CLIP through open_clip, which only this module imports: images and texts in, unit vectors out."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.common.assets import asset, asset_names
from core.common.device import resolve_device
from core.common.inside import read_json_file
from core.common.picture_bytes import image_file
from core.common.records import Templates
from core.data.decode import CLIP_SIDE, decode, reduced
from core.encoders.assumptions import assumed
from core.encoders.clip_towers import SETTINGS, agreed_pixels, has_quick_gelu, silent_logs
from core.encoders.fast_inference import FULL, pack_linears, reduced_type, working_dtype
from core.encoders.passes import pictures_a_pass
from core.encoders.spec import parse_spec
from core.encoders.transform import without_ends
from core.errors import ClipError, did_you_mean
from core.study.manifest import digest
from core.study.uploads import HEAD, check_picture
from core.worlds.captions import WordTokenizer

# CLIP through open_clip, which only this module imports: images and texts in, unit vectors out.


FORMAT = 1
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PATIENCE = 10  # seconds until a hub that does not answer is out of reach
IMAGE_BATCH, TEXT_BATCH = 64, 256
_say = Templates.beside(__file__)


class Clip:
    """An image tower, a text tower, and the preprocessing of images and texts.

    `fingerprint` is the sha256 of everything that embeddings of texts depend on: weights, configuration and
    precision; `picture_fingerprint` that of embeddings of images. `width` is the number of entries of an
    embedding. `image_precision` is that of the study whose images are read (docs/method.md 1.5); vectors of
    texts are kept for all studies.
    """

    image_precision: str = FULL

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Any],
        preprocess: Callable[[Image.Image], Tensor],
        *,
        name: str,
        configuration: dict[str, Any],
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        notes: Sequence[str] = (),
    ) -> None:
        self.notes = list(notes)  # what was assumed of it
        self.name, self.tokenizer, self.preprocess = name, tokenizer, preprocess
        self.configuration, self.precision = configuration, precision
        self.device = resolve_device(device)
        self.model: Any = model.to(self.device, PRECISIONS[precision]).eval()
        with torch.no_grad():
            tokens = torch.as_tensor(tokenizer(["a"])).to(self.device)
            self.width = int(self.model.encode_text(tokens).shape[1])

    def __reduce__(self) -> Any:
        """A process that shares work loads the weights itself."""
        return _load_again, (self.name, str(self.device), self.precision, self.image_precision)

    @property
    def fingerprint(self) -> str:
        if not hasattr(self, "_fingerprint"):
            settings = {**self.configuration, "precision": self.precision}
            digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
            for name, tensor in sorted(self.model.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def packed(self) -> "Clip":
        """Let its linear layers multiply by the faster library; its weights change no more."""
        if self.device.type == "cpu" and self.precision == "fp32":
            pack_linears(self.model)
        return self

    @property
    def picture_fingerprint(self) -> str:
        precision = reduced_type(self.image_precision)
        return self.fingerprint if precision == FULL else digest([self.fingerprint, precision])

    def embed_images(self, images: Sequence[Image.Image], *, pad: bool = False) -> np.ndarray:
        """(n, width) float32 unit rows. `pad`: pad crops to squares, so that nothing is cropped away.

        Without it, only the centre of a very long, thin image is seen, as by an encoder (`without_ends`).
        """
        rows = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(images), IMAGE_BATCH):
            part = [image.convert("RGB") for image in images[start : start + IMAGE_BATCH]]
            part = [padded(image, self.fill) if pad else without_ends(image) for image in part]
            rows.append(self.embed_pixels(torch.stack([self.preprocess(image) for image in part])))
        return np.concatenate(rows)

    @torch.no_grad()
    def embed_pixels(self, pixels: Tensor) -> np.ndarray:
        """(n, width) float32 unit rows of images (n, 3, S, S), preprocessed."""
        pixels = pixels.to(self.device, PRECISIONS[self.precision])
        dtype = working_dtype(self.image_precision, self.device)
        passes = pixels.split(pictures_a_pass(self.device.type, pixels[0].numel()))
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            return np.concatenate([_unit(self.model.encode_image(one)) for one in passes])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, width) float32 unit rows. A text longer than the context is truncated."""
        rows = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(texts), TEXT_BATCH):
            tokens = torch.as_tensor(self.tokenizer(list(texts[start : start + TEXT_BATCH])))
            rows.append(_unit(self.model.encode_text(tokens.to(self.device))))
        return np.concatenate(rows)

    @property
    def temperature(self) -> float:
        """Return the factor of cosines in training: 100 for OpenAI's models, 22 for the embedded one."""
        return float(self.model.logit_scale.exp().item())

    @property
    def fill(self) -> tuple[int, int, int]:
        """Return the padding colour: the mean of the images that the model was trained on."""
        mean = self.configuration.get("preprocess_cfg", {}).get("mean") or (0.5, 0.5, 0.5)
        red, green, blue = (round(255 * value) for value in mean)
        return red, green, blue


def _unit(rows: Tensor) -> np.ndarray:
    rows = rows.float()
    return (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)).cpu().numpy()


def padded(image: Image.Image, fill: tuple[int, int, int]) -> Image.Image:
    """Centre an image in a square as large as its longer side, for CLIP."""
    side = max(image.size)
    return ImageOps.pad(image, (side, side), color=fill) if image.width != image.height else image


def load_clip(spec: str, *, device: str | torch.device = "cpu", precision: str = "fp32") -> Clip:
    """Load the CLIP that a name means: shipped, from a file, or of open_clip.

    Args:
        spec: `asset:glyphworld` (shipped), `PATH.json` (with its weights in `PATH.safetensors`),
            `ViT-B-32@openai` (an open_clip model and the tag of its weights, downloaded once),
            `ViT-B-32@FILE` (weights on this machine), `ViT-B-32?force_quick_gelu=true@FILE` (with SETTINGS of
            open_clip, of both towers), `hf-hub:ORGANISATION/MODEL`, `local-dir:FOLDER`.
        device: auto, cpu, cuda, cuda:1 … precision: fp32, fp16 or bf16.
    Raises:
        ClipError: unknown model or tag, or weights that are missing, cannot be downloaded or do not fit.
    """
    if precision not in PRECISIONS:
        raise ClipError(f"unknown precision '{precision}'; use {', '.join(PRECISIONS)}")
    torch_device = resolve_device(device)
    if spec.startswith("asset:"):
        return _load_asset(_shipped(spec.removeprefix("asset:")), spec, torch_device, precision)
    if spec.endswith(".json"):
        return _load_asset(Path(spec), spec, torch_device, precision)
    with silent_logs():
        return _load_open_clip(spec, torch_device, precision)


@lru_cache(maxsize=1)
def _load_again(spec: str, device: str, precision: str, image_precision: str) -> Clip:
    """Load a CLIP again in another process, in the precisions that it had."""
    clip = load_clip(spec, device=device, precision=precision).packed()
    clip.image_precision = image_precision
    return clip


def clip_is_here(spec: str) -> bool:
    """Return False for a CLIP whose weights would have to be downloaded first."""
    name, _, weights = spec.partition("@")
    name = name.partition("?")[0]
    if name.startswith(("asset:", "local-dir:")) or spec.endswith(".json"):
        return True
    if not _has_downloads():
        return Path(weights).is_file()
    from open_clip.pretrained import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME, get_pretrained_cfg

    if name.startswith("hf-hub:"):
        return _is_cached(name.partition(":")[2], HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    source = get_pretrained_cfg(name, weights)
    if repository := source.get("hf_hub"):  # organisation/model/file, where the file may be left out
        repository, _, file = repository.rpartition("/")
        file = file or HF_WEIGHTS_NAME
        safe = HF_SAFE_WEIGHTS_NAME if file == HF_WEIGHTS_NAME else f"{file.rpartition('.')[0]}.safetensors"
        return _is_cached(repository, safe, file)
    if url := source.get("url"):
        return (Path.home() / ".cache" / "clip" / url.rpartition("/")[2]).is_file()  # open_clip's own folder
    return Path(weights).is_file()


def fetch_weights(spec: str) -> Path:
    """Fetch the weights of a CLIP for words and search into open_clip's cache; return their file.

    `spec` is MODEL@TAG. Weights that are there are not fetched again. A connection that breaks
    is taken up again where it ended; of a download that fails nothing half is kept.

    Raises:
        ClipError: the hub is out of reach, or the download broke off.
    """
    from open_clip.pretrained import download_pretrained, get_pretrained_cfg

    name, _, tag = spec.partition("@")
    source = get_pretrained_cfg(name, tag)
    try:
        if not clip_is_here(spec):
            _reach_hub()
    except Exception as error:
        where = (_page(source), _of_file(name, source))
        raise ClipError(_say("out_of_reach", what=spec, why=_first_line(error), names=where)) from None
    try:
        with silent_logs():
            return Path(download_pretrained(source))
    except Exception as error:
        raise ClipError(_say("broke_off", what=spec, why=_first_line(error))) from None


def _page(source: Mapping[str, Any]) -> str:
    """Where a person finds the weights of a tag."""
    return source.get("url") or f"https://huggingface.co/{source.get('hf_hub', '').rstrip('/')}"


def _has_downloads() -> bool:
    """Return False where nothing was ever downloaded, which needs no open_clip to be loaded."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE).is_dir() or (Path.home() / ".cache" / "clip").is_dir()


def _is_cached(repository: str, *files: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(repository, file), str) for file in files)


def _shipped(name: str) -> Path:
    names = [name for name in asset_names("clip", ".json") if "." not in name]
    if name not in names:
        there = ", ".join(f"asset:{n}" for n in names) or "none in this installation; install it again"
        raise ClipError(f"no CLIP 'asset:{name}'.{did_you_mean(name, names)} Available: {there}")
    return asset(f"clip/{name}.json")


def _load_asset(path: Path, spec: str, device: torch.device, precision: str) -> Clip:
    weights = path.with_suffix(".safetensors")
    try:
        configuration = read_json_file(path)
        if configuration["format"] != FORMAT:
            raise ValueError(f"format {configuration['format']}, expected {FORMAT}")
        _refuse_foreign_parts(configuration["model_cfg"])
        model = build_model(configuration["model_cfg"])
        model.load_state_dict(load_file(weights))
        text = configuration["model_cfg"]["text_cfg"]
        tokenizer = WordTokenizer(configuration["tokenizer"]["words"], text["context_length"])
        preprocess = build_preprocess(configuration["preprocess_cfg"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ClipError(
            f"cannot load CLIP '{path}': {_first_line(error)}. Use asset:glyphworld, "
            "or a model of open_clip such as ViT-B-32@openai"
        ) from None
    return Clip(
        model,
        tokenizer,
        preprocess,
        name=spec,
        configuration=configuration,
        device=device,
        precision=precision,
    )


def _refuse_foreign_parts(model_cfg: dict[str, Any]) -> None:
    """Raise ValueError for towers of other libraries: a file beside weights must not trigger downloads."""
    for tower in ("vision_cfg", "text_cfg"):
        foreign = [key for key in model_cfg[tower] if key.startswith(("timm_", "hf_"))]
        if foreign:
            raise ValueError(f"'{foreign[0]}' names a model of another library")


def _load_open_clip(spec: str, device: torch.device, precision: str) -> Clip:
    import open_clip

    named, _, weights = spec.partition("@")
    name, settings = _settings(named)
    quick = _check_known(spec, name, weights)
    settings = {"force_quick_gelu": quick, **settings}
    try:
        if not clip_is_here(spec):
            _reach_hub()
        model, _, preprocess = open_clip.create_model_and_transforms(
            name, pretrained=weights or None, device="cpu", **settings, **_pixels(name, weights)
        )
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:
        raise ClipError(_cannot_load(spec, name, weights, error)) from None
    agreed = [assumed("open_clip_agreed", what=name)] if _pixels(name, weights) else []
    configuration = {
        "model_cfg": open_clip.get_model_config(name) or {},
        "preprocess_cfg": dict(getattr(model.visual, "preprocess_cfg", None) or {}),
        "quick_gelu": settings.pop("force_quick_gelu"),
        "open_clip": name,
        **settings,
    }
    return Clip(
        model,
        tokenizer,
        preprocess,  # type: ignore[arg-type]
        notes=agreed,
        name=spec,
        configuration=configuration,
        device=device,
        precision=precision,
    )


def _settings(named: str) -> tuple[str, dict[str, Any]]:
    """Take `NAME?force_quick_gelu=true` apart. Raises ClipError for a setting that there is not."""
    name, mark, _ = named.partition("?")
    settings = parse_spec(f"open_clip:{named}").arguments if mark else {}
    for setting in settings:
        if setting not in SETTINGS:
            hint = did_you_mean(setting, SETTINGS)
            raise ClipError(f"'{setting}' is not a setting of {name}.{hint} It has {', '.join(SETTINGS)}")
    return name, settings


def _pixels(name: str, weights: str) -> dict[str, Any]:
    """The options of open_clip on pixels for a file under a model's name: what all weights of it agree on."""
    if ":" in name or not Path(weights).is_file():
        return {}
    return {f"image_{key}": value for key, value in agreed_pixels(name).items()}


def _reach_hub() -> None:
    """Ask the hub once: huggingface_hub would ask for each file again and again, for a minute."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    get_session().head(constants.ENDPOINT, timeout=PATIENCE)


def _check_known(spec: str, name: str, weights: str) -> bool:
    """Return True if the weights were trained with QuickGELU; raise ClipError for an unknown model or tag.

    OpenAI's weights need that activation although the plain model names do not say so; without it the
    embeddings are slightly wrong.
    """
    import open_clip

    if ":" in name:  # hf-hub:, local-dir:
        return False
    models = open_clip.list_models()
    if name not in models:
        hint = did_you_mean(name, [*models, "asset:glyphworld"])
        raise ClipError(f"open_clip has no model '{name}'.{hint} Write MODEL@WEIGHTS, as in ViT-B-32@openai")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not weights:
        raise ClipError(
            f"which weights of {name}? Write {name}@TAG ({', '.join(tags) or 'no tags'}) or @FILE"
        )
    if weights in tags:
        return has_quick_gelu(name, weights)
    if not Path(weights).is_file():
        hint = did_you_mean(weights, tags)
        raise ClipError(
            f"'{spec}': no such file and no such tag.{hint} Tags of {name}: {', '.join(tags) or 'none'}"
        )
    return bool((open_clip.get_model_config(name) or {}).get("quick_gelu", False))


def _cannot_load(spec: str, name: str, weights: str, error: Exception) -> str:
    from open_clip.pretrained import get_pretrained_cfg

    settings = get_pretrained_cfg(name, weights) if weights and ":" not in name else {}
    reason = _first_line(error)
    if isinstance(error, ImportError):
        return f"{name} needs a package that is not installed ({reason}): pip install transformers"
    if not settings and ":" not in name:
        return f"the weights '{weights}' do not fit {name}: {reason}"
    source = (
        settings.get("url") or f"https://huggingface.co/{(settings.get('hf_hub') or name.partition(':')[2])}"
    )
    there = "local-dir:FOLDER" if ":" in name else _of_file(name, settings)
    return (
        f"cannot fetch the weights of '{spec}' ({reason}). Without a network: fetch {source} elsewhere and "
        f"give --clip {there}; asset:glyphworld needs no network"
    )


def _of_file(name: str, source: Mapping[str, Any]) -> str:
    """How a file of these weights is named: with the activation that they were trained with."""
    quick = source.get("quick_gelu") and "quickgelu" not in name
    return f"{name}{'-quickgelu' * bool(quick)}@FILE"


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:159] + "…"


def imagenet_names() -> Sequence[str]:
    """What the authors of CLIP call the 1,000 classes of ImageNet, in their order."""
    from open_clip import IMAGENET_CLASSNAMES

    return IMAGENET_CLASSNAMES


def imagenet_prompts(name: str) -> list[str]:
    """The 80 prompts that the authors of CLIP use for a class of ImageNet."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return [template(name) for template in OPENAI_IMAGENET_TEMPLATES]


def build_model(model_cfg: dict[str, Any]) -> nn.Module:
    """Build an untrained open_clip model from a configuration (`embed_dim`, `vision_cfg`, `text_cfg`)."""
    from open_clip import CLIP, CustomTextCLIP

    settings = {name: value for name, value in model_cfg.items() if name != "custom_text"}
    return (CustomTextCLIP if model_cfg.get("custom_text") else CLIP)(**settings)


def build_preprocess(preprocess_cfg: dict[str, Any]) -> Callable[[Image.Image], Tensor]:
    """Build what prepares images for the CLIP of words and search, from its configuration of open_clip."""
    from open_clip import image_transform

    options = {name: value for name, value in preprocess_cfg.items() if name not in ("size", "mode")}
    return image_transform(preprocess_cfg["size"], is_train=False, **options)  # type: ignore[return-value]


# What the process of a CLIP loads and answers: texts and pictures as vectors. [torch]


PREVIEW = 96  # pixels of the longer side of the picture that is shown beside what it found


def clip_answers(
    spec: str,
) -> tuple[dict[str, Any], Callable[[dict[str, Any], bytes | None], dict[str, Any]]]:
    """Load a CLIP whose weights are on this computer; its facts, and what answers a request."""
    if not clip_is_here(spec):
        raise ClipError(f"the weights of {spec} are not on this computer")
    clip = load_clip(spec)

    def answer(request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        if data is None:
            return {"arrays": {"vector": clip.embed_texts([str(request["text"])])[0].astype("<f4")}}
        check_picture(data[:HEAD], len(data))
        picture = reduced(decode(data), CLIP_SIDE)
        vector = clip.embed_images([picture])[0].astype("<f4")
        picture.thumbnail((PREVIEW, PREVIEW))
        return {"arrays": {"vector": vector, "preview": np.frombuffer(image_file(picture), np.uint8)}}

    return {"fingerprint": clip.fingerprint, "width": clip.width, "clip": clip.name}, answer
