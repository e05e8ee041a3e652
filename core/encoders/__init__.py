"""Encoders: a model without its head, the matching image transform, and the layer that maps come from."""
