"""People: keypoints, lifting to metric 3D, tracking."""
