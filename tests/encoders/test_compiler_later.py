"""torchvision as it is, without torch's compiler until somebody calls it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.encoders import compiler_later
from core.encoders.compiler_later import COMPILER, FUNCTION, UTILITIES

LATER = f"""
import sys
import core.encoders.registry
import torch, torchvision
assert {COMPILER!r} not in sys.modules and {UTILITIES!r} not in sys.modules
from torchvision.ops import roi_align
module = sys.modules["torchvision.ops.roi_align"]
image, whole = torch.arange(16.0).view(1, 1, 4, 4), torch.tensor([[0, 0, 0, 4.0, 4]])
pooled = roi_align(image, whole, (1, 1), aligned=True)
assert float(pooled) == 7.5, pooled
assert "roi_align" in torch.jit.script(roi_align).code
assert module.{FUNCTION}("cpu") in (True, False)
import torch._dynamo.utils
assert sys.modules[{UTILITIES!r}] is torch._dynamo.utils
assert torch._dynamo.utils.{FUNCTION}("cpu") == module.{FUNCTION}("cpu")
"""
TIMM = f"""
import sys
import core.encoders.registry
import timm, torch
from timm.layers import disable_compiler
assert {COMPILER!r} not in sys.modules and torch.compiler.disable is not disable_compiler
@disable_compiler
def doubled(x, *, plus=0):
    return 2 * x + plus
assert doubled(3, plus=1) == 7 and doubled.__name__ == "doubled" and {COMPILER!r} not in sys.modules
import torch._dynamo
assert doubled(3, plus=1) == 7
broken = torch.compile(lambda x: doubled(x) + 1, backend="eager", fullgraph=True)
try:
    broken(torch.ones(2))
except torch._dynamo.exc.Unsupported:
    pass
else:
    raise AssertionError("it was compiled")
"""
OTHER_VERSION = f"""
import sys
from core.encoders import compiler_later
with compiler_later._with_stand_in():
    from torch._dynamo.utils import istype
import torch._dynamo.utils
assert istype is torch._dynamo.utils.istype and sys.modules[{UTILITIES!r}] is torch._dynamo.utils
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [LATER, TIMM, OTHER_VERSION], ids=["torchvision", "timm", "other version"]
)
def test_compiler__is_imported_when_it_is_called(program):
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_stand_in__is_there_for_one_module_only(monkeypatch):
    monkeypatch.setitem(sys.modules, UTILITIES, sys)
    with compiler_later._with_stand_in():
        from torch._dynamo.utils import is_compile_supported
    assert is_compile_supported is compiler_later._is_compile_supported
    assert UTILITIES not in sys.modules
    finder = compiler_later.CompilerLater()
    assert finder.find_spec("torchvision.ops.poolers", None) is None
    compiler_later.put_off_compiler()
    assert sum(isinstance(one, compiler_later.CompilerLater) for one in sys.meta_path) == 1
