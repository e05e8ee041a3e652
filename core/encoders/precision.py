"""In which numeric type an encoder multiplies (docs/method.md 1.5)."""

import torch

from core.errors import SettingsError

NATIVE = ("avx512_bf16", "amx_bf16", "sve_bf16")  # instructions that multiply bfloat16
FULL = "float32"
REDUCED = ("bfloat16", "mixed")  # one thing; the second is its former name


def multiplies_bfloat16() -> bool:
    """Return True if this processor has instructions that multiply bfloat16: it is slower without them."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in NATIVE)


def reduced_type(precision: str) -> str:
    """Return "bfloat16" by any of its names, else "float32"."""
    return REDUCED[0] if precision in REDUCED else FULL


def working_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of an encoder's products; their sums are in single precision.

    Args:
        precision: "float32", "bfloat16" (or "mixed"), or "auto": bfloat16 on CUDA, float32 elsewhere. A GPU
            without bfloat16 takes float16.
    """
    if precision == FULL or (precision == "auto" and device.type != "cuda"):
        return torch.float32
    on_gpu = device.type == "cuda"
    old_gpu = on_gpu and not torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.float16 if old_gpu else torch.bfloat16


def check_precision(precision: str, device: torch.device) -> None:
    """Raise SettingsError for bfloat16 on a processor that can only imitate it."""
    if precision in REDUCED and device.type == "cpu" and not multiplies_bfloat16():
        raise SettingsError(
            f"--precision {precision}: this processor does not multiply bfloat16 (it has none of "
            f"{', '.join(NATIVE)}), so it would be slower and less accurate. Leave the option out"
        )
