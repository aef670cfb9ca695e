# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials from maps: a Principled BSDF, its pictures packed, at their size in metres."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bpy

_DATA = {"height", "normal", "roughness"}  # maps that are no colours
_COLUMN, _ROW = 320, 300  # of the node editor
_BLEND = 0.2  # of the sides where they meet


@dataclass(frozen=True)
class Map:
    """A map: 0..1, float32, row by row from the top, one or three values for each pixel."""

    pixels: Sequence[float]
    wide: int
    high: int

    @property
    def channels(self) -> int:
        """Values for each pixel."""
        return len(self.pixels) // (self.wide * self.high)


def build(
    name: str,
    maps: Mapping[str, Map],
    side: float,
    depth: float = 0.0,
    metallic: float = 0.0,
    boxed: bool = False,
) -> bpy.types.Material:
    """A material of the maps `colour`, `normal` (OpenGL), `roughness` and `height`, all optional.

    A tile is `side` wide and the relief `depth` deep, in the scene's units. The UVs are taken to be
    in these units too; where they are not, `boxed` lays the tiles on from six sides instead.
    Nothing is left behind if it fails.
    """
    made: list[Any] = []
    try:
        images = {
            key: _image(f"{name} {key}", one, key in _DATA, made) for key, one in maps.items()
        }
        material = bpy.data.materials.new(name)
        made.append((bpy.data.materials, material))
        material.use_nodes = True
        _wire(material.node_tree, images, side, depth, metallic, boxed)
    except BaseException:
        for owner, one in reversed(made):
            owner.remove(one)
        raise
    return material


def _image(name: str, one: Map, data: bool, made: list[Any]) -> bpy.types.Image:
    """A picture that is packed into the file."""
    image = bpy.data.images.new(name, one.wide, one.high)
    made.append((bpy.data.images, image))
    image.colorspace_settings.name = "Non-Color" if data else "sRGB"
    values, channels = array("f", one.pixels), one.channels
    pixels = array("f", bytes(16 * one.wide * one.high))
    line = one.wide * channels
    for row in range(one.high):
        taken = values[(one.high - 1 - row) * line : (one.high - row) * line]  # from the bottom
        start, stop = 4 * row * one.wide, 4 * (row + 1) * one.wide
        for channel in range(3):
            pixels[start + channel : stop : 4] = taken[channel % channels :: channels]
        pixels[start + 3 : stop : 4] = array("f", [1.0]) * one.wide
    image.pixels.foreach_set(pixels)
    image.pack()
    return image


def _wire(
    tree: bpy.types.NodeTree,
    images: Mapping[str, bpy.types.Image],
    side: float,
    depth: float,
    metallic: float,
    boxed: bool,
) -> None:
    tree.nodes.clear()

    def node(kind: str, column: int, row: int) -> Any:
        made = tree.nodes.new(kind)
        made.location = (column * _COLUMN, -row * _ROW)
        return made

    place, scale = node("ShaderNodeTexCoord", -4, 0), node("ShaderNodeMapping", -3, 0)
    shader, output = node("ShaderNodeBsdfPrincipled", 0, 0), node("ShaderNodeOutputMaterial", 1, 0)
    scale.inputs["Scale"].default_value = (1 / side,) * 3
    shader.inputs["Metallic"].default_value = metallic
    tree.links.new(place.outputs["Object" if boxed else "UV"], scale.inputs["Vector"])
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    textures = {}
    for row, (name, image) in enumerate(images.items()):
        texture = textures[name] = node("ShaderNodeTexImage", -2, row)
        texture.image, texture.label = image, name
        if boxed:
            texture.projection, texture.projection_blend = "BOX", _BLEND
        tree.links.new(scale.outputs["Vector"], texture.inputs["Vector"])
    if "colour" in textures:
        tree.links.new(textures["colour"].outputs["Color"], shader.inputs["Base Color"])
    if "roughness" in textures:
        tree.links.new(textures["roughness"].outputs["Color"], shader.inputs["Roughness"])
    if boxed and "height" in textures:  # a normal map is of UVs
        bump = node("ShaderNodeBump", -1, 1)
        bump.inputs["Distance"].default_value = depth
        tree.links.new(textures["height"].outputs["Color"], bump.inputs["Height"])
        tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    elif "normal" in textures:
        normal = node("ShaderNodeNormalMap", -1, 1)
        tree.links.new(textures["normal"].outputs["Color"], normal.inputs["Color"])
        tree.links.new(normal.outputs["Normal"], shader.inputs["Normal"])
    if "height" in textures and depth > 0:
        relief = node("ShaderNodeDisplacement", 0, 2)
        relief.inputs["Scale"].default_value = depth
        tree.links.new(textures["height"].outputs["Color"], relief.inputs["Height"])
        tree.links.new(relief.outputs["Displacement"], output.inputs["Displacement"])
