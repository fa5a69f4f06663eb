"""Recorded RGB-D streams, read without ROS: a folder of images, or a bag in the MCAP format."""
