"""6D poses of objects: of known meshes, and of a few categories without one."""
