"""Three-dimensional shapes: networks, losses, data, recipes."""
