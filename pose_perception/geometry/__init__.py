"""Cameras, poses, filters and depth maps. Needs NumPy and OpenCV only."""
