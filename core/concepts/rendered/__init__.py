"""Tests of words and slices on newly rendered scenes of Glyphworld (docs/method.md 6.13, 9.2)."""
