"""Human-robot perception from RGB-D: skeletons, object poses and imitation targets."""
