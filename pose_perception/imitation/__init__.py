"""Robot arms that do what a person's arms do: targets from skeletons, and joints from targets."""
