"""The dashboard: composes what `core` has computed, never computes itself, never imports torch."""
