"""Tests of dashboard/state."""
