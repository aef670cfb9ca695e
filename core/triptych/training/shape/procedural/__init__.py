"""Procedural shapes: seventeen families of furniture, vessels and plants, in metres."""

from triptych.training.shape.procedural.shape import FAMILIES, GROWN, Shape, shape

__all__ = ["FAMILIES", "GROWN", "Shape", "shape"]
