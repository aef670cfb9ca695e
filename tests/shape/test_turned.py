"""Bodies of revolution."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.shape.turned import Turned, is_round

NODES = 24
ALONG = np.linspace(-1, 1, NODES)
X, Y, Z = np.meshgrid(ALONG, ALONG, ALONG, indexing="ij")
CUP = np.abs(np.hypot(X, Z) - 0.5 - 0.3 * Y) - 0.08
SQUARE = np.maximum(np.abs(X), np.abs(Z)) - 0.6


def latent(far: np.ndarray, depth: float = 0.8) -> np.ndarray:
    return np.concatenate([far.reshape(-1), [0.8, 1.0, depth]]).astype(np.float32)[None]


@pytest.mark.parametrize(
    ("far", "depth", "wanted"), [(CUP, 0.8, True), (CUP, 0.6, False), (SQUARE, 0.8, False)]
)
def test_what_is_round_is_seen(far: np.ndarray, depth: float, wanted: bool):
    assert is_round(latent(far, depth), NODES) == wanted


def test_a_handle_is_seen():
    handle = np.maximum(np.abs(Z), np.abs(Y)) - 0.15 + 9 * (X < 0.5)
    assert not is_round(latent(np.minimum(CUP, handle)), NODES)


def test_what_is_turned_is_the_same_all_around():
    def rippled(points: np.ndarray) -> np.ndarray:
        angle = np.arctan2(points[:, 2], points[:, 0])
        far = np.hypot(points[:, 0], points[:, 2]) - 0.5
        made: np.ndarray = (far + 0.02 * np.cos(8 * angle)).clip(-0.1, 0.1).astype(np.float32)
        return made

    turned = Turned(rippled, 64, 0.9, 0.1)
    rng = np.random.default_rng(0)
    angle, height = rng.uniform(0, 7, 200), rng.uniform(-0.9, 0.9, 200)
    for radius, wanted in ((0.45, -0.05), (0.5, 0.0), (0.56, 0.06), (0.8, 0.1), (1.3, 0.1)):
        points = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], 1)
        np.testing.assert_allclose(turned(points.astype(np.float32)), wanted, atol=4e-3)
