"""Files as other libraries write dictionaries, and what each library's forward pass gives, in plain numpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

M, R, K = 10, 6, 3
Codes = Callable[[np.ndarray], np.ndarray]
Decoded = Callable[[np.ndarray, np.ndarray], np.ndarray]


def weights(seed: int = 0, width: int = R, size: int = M) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    decoder = rng.standard_normal((size, width))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    parts = {
        "W": decoder + 0.1 * rng.standard_normal((size, width)),  # encoder, (M, r)
        "D": decoder,
        "b": 0.1 * rng.standard_normal(size),
        "o": 0.3 * rng.standard_normal(width),
        "t": np.abs(0.2 * rng.standard_normal(size)),
    }
    return {name: one.astype(np.float32) for name, one in parts.items()}


def topk(pre: np.ndarray, k: int, *, relu: bool = True) -> np.ndarray:
    z = np.zeros_like(pre)
    for row, one in enumerate(pre):
        for latent in np.argsort(-one)[:k]:
            z[row, latent] = max(one[latent], 0) if relu else one[latent]
    return z


def relu(pre: np.ndarray) -> np.ndarray:
    return np.maximum(pre, 0)


@dataclass(frozen=True)
class Case:
    """One way in which a library writes a dictionary.

    Attributes:
        write: (folder) -> what is loaded. codes: vectors (n, r) float64 -> (n, M).
        decoded: codes and the vectors themselves -> (n, r).
    """

    library: str
    name: str
    write: Callable[[Path], Path]
    codes: Codes
    decoded: Decoded = lambda codes, _: codes @ weights()["D"] + weights()["o"]


def tensors(**arrays: np.ndarray) -> dict[str, torch.Tensor]:
    return {name.replace("__", "."): torch.from_numpy(np.array(one)) for name, one in arrays.items()}


def with_settings(folder: Path, name: str, settings: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(settings), encoding="utf-8")


def sae_lens(folder: Path, w: dict[str, np.ndarray], *, at: float | None = None, **settings: Any) -> Path:
    arrays = {"W_enc": np.ascontiguousarray(w["W"].T), "W_dec": w["D"], "b_enc": w["b"], "b_dec": w["o"]}
    if settings.get("architecture") == "jumprelu":
        arrays["threshold"] = w["t"]
    if at is not None:
        arrays["topk_threshold"] = np.array(at)
    save_file(tensors(**arrays), folder / "sae_weights.safetensors")
    base = {"d_in": w["D"].shape[1], "d_sae": len(w["D"]), "apply_b_dec_to_input": True}
    with_settings(folder, "cfg.json", {**base, "normalize_activations": "none", **settings})
    return folder


def saev(folder: Path, w: dict[str, np.ndarray], header: dict[str, Any], **more: np.ndarray) -> Path:
    path = folder / "sae.pt"
    arrays = {
        "W_enc": np.ascontiguousarray(w["W"].T),
        "b_enc": w["b"],
        "W_dec": w["D"],
        "b_dec": w["o"],
        **more,
    }
    with path.open("wb") as file:
        file.write((json.dumps(header) + "\n").encode())
        torch.save(tensors(**arrays), file)
    return path


def torch_file(path: Path, **arrays: np.ndarray) -> Path:
    torch.save(tensors(**arrays), path)
    return path


def layer_normalised(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(1, keepdims=True)
    return centred / (centred.std(1, ddof=1, keepdims=True) + 1e-5)


def undone(decoded: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Where `layer_normalised` vectors came from."""
    return decoded * x.std(1, ddof=1, keepdims=True) + x.mean(1, keepdims=True)


def cases() -> list[Case]:
    w = weights()
    wide = {name: one.astype(np.float64) for name, one in w.items()}
    W, D, b, o, t = (wide[name] for name in ("W", "D", "b", "o", "t"))

    def plain(x: np.ndarray) -> np.ndarray:
        return x @ W.T + b

    def shifted(x: np.ndarray) -> np.ndarray:
        return (x - o) @ W.T + b

    def dimensions(**more: Any) -> dict[str, Any]:
        return {"d_vit": R, "exp_factor": 2, **more}

    def visaebench(folder: Path, settings: dict[str, Any], **more: np.ndarray) -> Path:
        with_settings(folder, "config.json", settings)
        linear = {"encoder__weight": w["W"], "encoder__bias": w["b"], "decoder__weight": w["D"]}
        torch_file(folder / "sae.pt", **linear, decoder__bias=w["o"], **more)
        return folder

    def learned(folder: Path, settings: dict[str, Any], **more: np.ndarray) -> Path:
        with_settings(folder, "config.json", {"trainer": settings})
        linear = {"encoder__weight": w["W"], "encoder__bias": w["b"], "decoder__weight": w["D"].T}
        return torch_file(folder / "ae.pt", **linear, **more)

    def prisma(folder: Path, **settings: Any) -> Path:
        with_settings(folder, "config.json", {"d_in": R, "expansion_factor": 2, **settings})
        arrays = {"W_enc": w["W"].T, "W_dec": w["D"], "b_enc": w["b"], "b_dec": w["o"]}
        return torch_file(folder / "weights.pt", **arrays)

    rng = np.random.default_rng(5)
    norm = {
        "weight": rng.random(M) + 0.5,
        "bias": rng.standard_normal(M) / 9,
        "running_mean": rng.random(M) / 9,
    }
    norm = {
        name: one.astype(np.float32) for name, one in (norm | {"running_var": rng.random(M) + 0.5}).items()
    }

    def batch_normalised(x: np.ndarray) -> np.ndarray:
        spread = np.sqrt(norm["running_var"] + 1e-5)
        return (plain(x) - norm["running_mean"]) / spread * norm["weight"] + norm["bias"]

    def overcomplete(folder: Path, **more: np.ndarray) -> Path:
        final = {"encoder__final_block__0__weight": w["W"], "encoder__final_block__0__bias": w["b"]}
        final |= {f"encoder__final_block__1__{name}": one for name, one in norm.items()}
        more |= {"dictionary___weights": w["D"], "dictionary__multiplier": np.array(0.2, np.float32)}
        with_settings(folder, "config.json", {} if "thresholds" in more else {"top_k": K})
        return torch_file(folder / "sae.pt", **final, **more)

    def of_class(cls: str, **params: Any) -> dict[str, Any]:
        return {"cls": cls, "params": params}

    def above(pre: np.ndarray, threshold: Any) -> np.ndarray:
        return np.where(pre > threshold, relu(pre), 0)

    def plus_bias(codes: np.ndarray, x: np.ndarray) -> np.ndarray:
        return undone(codes @ D + o, x)

    def multiplied(codes: np.ndarray, _: np.ndarray) -> np.ndarray:
        return codes @ D * np.exp(0.2)

    lengths = np.linspace(0.5, 2, M)
    long = w | {"D": (w["D"] * lengths[:, None]).astype(np.float32)}
    schema = "schema"
    top = of_class("TopK", top_k=K)
    new = {
        "d_model": R,
        "d_sae": M,
        "activation": of_class("TopK", top_k=K, key="top-k", aux=of_class("AuxK")),
    }
    batched = {"d_model": R, "d_sae": M, "activation": of_class("BatchTopK", top_k=K, momentum=0.1)}
    f = partial(np.array, dtype=np.float32)
    return [
        Case(
            "SAELens",
            "standard",
            lambda p: sae_lens(p, w, architecture="standard"),
            lambda x: relu(shifted(x)),
        ),
        Case(
            "SAELens",
            "no-input-bias",
            lambda p: sae_lens(p, w, architecture="topk", k=K, apply_b_dec_to_input=False),
            lambda x: topk(plain(x), K),
        ),
        Case(
            "SAELens",
            "jumprelu",
            lambda p: sae_lens(p, w, architecture="jumprelu"),
            lambda x: above(shifted(x), t),
        ),
        Case(
            "SAELens",
            "old-topk-layer-norm",
            lambda p: sae_lens(
                p,
                w,
                activation_fn_str="topk",
                activation_fn_kwargs={"k": K},
                normalize_activations="layer_norm",
            ),
            lambda x: topk(shifted(layer_normalised(x)), K),
            plus_bias,
        ),
        Case(
            "SAELens",
            "codes-times-lengths",
            lambda p: sae_lens(p, long, architecture="topk", k=K, rescale_acts_by_decoder_norm=True),
            lambda x: topk(shifted(x) * lengths, K),
        ),
        Case(
            "SAELens",
            "batchtopk-in-training",
            lambda p: sae_lens(p, long, architecture="batchtopk", at=0.3, rescale_acts_by_decoder_norm=True),
            lambda x: above(shifted(x) * lengths, f(0.3)),
        ),
        Case("saev", "schema-0", lambda p: saev(p, w, dimensions(l1_coeff=0.1)), lambda x: relu(shifted(x))),
        Case(
            "saev",
            "schema-1a",
            lambda p: saev(p, w, {schema: 1, "cls": "TopK", "cfg": dimensions(top_k=K)}),
            lambda x: topk(shifted(x), K, relu=False),
        ),
        Case(
            "saev",
            "schema-1b",
            lambda p: saev(
                p, w, {schema: 1, "cls": "SparseAutoencoderConfig", "cfg": dimensions(activation=top)}
            ),
            lambda x: topk(plain(x), K, relu=False),
        ),
        *(
            Case(
                "saev",
                f"schema-{number}",
                lambda p, number=number: saev(p, w, {schema: number, "cfg": new, "lib": "0", "commit": "0"}),
                lambda x: topk(plain(x), K, relu=False),
            )
            for number in (2, 3, 4, 5)
        ),
        Case(
            "saev",
            "schema-5-batch",
            lambda p: saev(p, w, {schema: 5, "cfg": batched}, activation__threshold=f(0.3)),
            lambda x: above(plain(x), 0.3),
        ),
        Case("overcomplete", "topk", overcomplete, lambda x: topk(relu(batch_normalised(x)), K), multiplied),
        Case(
            "overcomplete",
            "jumprelu",
            lambda p: overcomplete(p, thresholds=np.log(w["t"])),
            lambda x: above(batch_normalised(x), t),
            multiplied,
        ),
        Case(
            "ViSAEBench",
            "topk",
            lambda p: visaebench(p, {"activation": "topk", "k": K, "input_dim": R, "hidden_dim": M}),
            lambda x: topk(relu(plain(x)), K),
        ),
        Case(
            "ViSAEBench",
            "batchtopk",
            lambda p: visaebench(p, {"activation": "batchtopk", "k": K}, _running_threshold=f(0.3)),
            lambda x: np.where(relu(plain(x)) >= f(0.3), relu(plain(x)), 0),
        ),
        Case(
            "ViSAEBench",
            "jumprelu",
            lambda p: visaebench(p, {"activation": "jumprelu"}, jump_thresholds=w["t"]),
            lambda x: above(plain(x), t),
        ),
        Case(
            "dictionary_learning",
            "topk",
            lambda p: learned(p, {"dict_class": "AutoEncoderTopK"}, b_dec=w["o"], k=np.array(K)),
            lambda x: topk(shifted(x), K),
        ),
        Case(
            "dictionary_learning",
            "standard",
            lambda p: learned(p, {"dict_class": "AutoEncoder"}, bias=w["o"]),
            lambda x: relu(shifted(x)),
        ),
        Case(
            "dictionary_learning",
            "new",
            lambda p: learned(p, {"dict_class": "AutoEncoderNew"}, decoder__bias=w["o"]),
            lambda x: relu(plain(x)),
        ),
        Case(
            "dictionary_learning",
            "batchtopk",
            lambda p: learned(
                p, {"dict_class": "BatchTopKSAE"}, b_dec=w["o"], k=np.array(K), threshold=f(0.3)
            ),
            lambda x: above(shifted(x), f(0.3)),
        ),
        Case(
            "encoder and decoder matrices",
            "jumprelu",
            lambda p: torch_file(
                p / "ae.pt", W_enc=w["W"].T, W_dec=w["D"], b_enc=w["b"], b_dec=w["o"], threshold=w["t"]
            ),
            lambda x: above(plain(x), t),
        ),
        Case(
            "dictionary_learning",
            "matryoshka",
            lambda p: torch_file(
                p / "ae.pt",
                W_enc=w["W"].T,
                W_dec=w["D"],
                b_enc=w["b"],
                b_dec=w["o"],
                threshold=f(0.3),
                group_sizes=np.array([4, 6]),
            ),
            lambda x: above(shifted(x), f(0.3)),
        ),
        Case("Prisma", "relu", lambda p: prisma(p, activation_fn_str="relu"), lambda x: relu(shifted(x))),
        Case(
            "Prisma",
            "topk-layer-norm",
            lambda p: prisma(
                p, activation_fn_str="topk", activation_fn_kwargs={"k": K}, normalize_activations="layer_norm"
            ),
            lambda x: topk(shifted(layer_normalised(x)), K),
            plus_bias,
        ),
    ]
