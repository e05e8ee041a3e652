"""Bases of features: dictionaries that turn representations into sparse codes."""
