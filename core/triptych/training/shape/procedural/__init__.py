"""Procedural shapes: seventeen families of furniture, vessels and plants, in metres."""

from triptych.training.shape.procedural.shape import FAMILIES, Shape, shape

__all__ = ["FAMILIES", "Shape", "shape"]
