"""Trained networks: weights, importers and the runtimes that execute them."""
