"""Executables: thin shells around the pipelines."""
