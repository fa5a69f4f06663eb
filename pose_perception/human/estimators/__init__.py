"""Keypoint estimators, one file each."""
