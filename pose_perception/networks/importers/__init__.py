"""Readers that turn network files into PyTorch modules."""
