"""Objects on tables with exact ground truth: what the object networks learn from and are measured on."""
