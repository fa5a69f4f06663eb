"""Accuracy against labels and ground truth."""
