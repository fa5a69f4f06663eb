"""What produced the weights that this package trained itself."""
