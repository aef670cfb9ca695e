"""Recipes for music."""
