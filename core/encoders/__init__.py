"""Encoders: a model without its head, the matching image transform, and the layer that maps come from."""

from core.encoders.compiler_later import put_off_compiler

put_off_compiler()
