"""Answers: what says which images are classified correctly (docs/method.md 3.6)."""
