"""RGB-D scenes with exact ground truth."""
