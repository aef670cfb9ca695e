"""Shapes: solids from a network, as meshes."""
