"""Encoders: a model without its head, the transform its images need, and the layer its maps come from."""
