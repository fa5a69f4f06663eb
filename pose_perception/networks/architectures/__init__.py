"""Networks whose weights bring no graph with them: one module each, with a function `build_network`."""
