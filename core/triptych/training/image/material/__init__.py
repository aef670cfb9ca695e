"""Tileable materials: a codec of tiles, then a flow in the space of its codes."""
