"""The only place, with nodes, that knows ROS."""
