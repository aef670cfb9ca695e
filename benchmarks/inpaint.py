"""Inpainting on Kodak at 256 and 512 px, by the share of the picture that is missing.

Free-form strokes, the same for every method; ours as the command does it by itself, which lays
compact parts of a hole of patches and leaves the rest to the network. Peaks, structure and
perceptual distance are of the whole picture with the fill in it. Beside OpenCV's two methods and
scikit-image's biharmonic, which this script and `restore` need:
`pip install opencv-python-headless scikit-image`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import results
import torch
from skimage.metrics import structural_similarity
from skimage.restoration import inpaint_biharmonic
from upscale_crisp import perceptual_distance

from triptych.engine import Engine
from triptych.image.inpaint import INPAINT
from triptych.training import data
from triptych.training.image.holes import hole_of
from triptych.training.image.perceptual import SqueezeNet

BINS = ((0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5))
Filler = Callable[[np.ndarray, np.ndarray], np.ndarray]


def by_opencv(method: int) -> Filler:
    """One of OpenCV's methods, with a radius of 5 px."""

    def fill(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        made = cv2.inpaint(picture, hole.astype(np.uint8), 5, method)
        return np.asarray(made)

    return fill


def by_biharmonic(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The biharmonic equation, hole by hole."""
    made = inpaint_biharmonic(picture / 255, hole, channel_axis=2, split_into_regions=True)
    return (made.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def main() -> None:
    """Measure and publish."""
    options = results.parser(__doc__ or "", "inpaint")
    options.add_argument("--pictures", type=int, default=24)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    engine, judge = Engine(["cpu"], given.threads), SqueezeNet()

    def ours(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        values = picture.astype(np.float32) / 255
        made = INPAINT.run(values, engine=engine, mask=hole.astype(np.float32)).made
        return (made * 255 + 0.5).astype(np.uint8)

    fillers: dict[str, Filler] = {
        "Telea": by_opencv(cv2.INPAINT_TELEA),
        "Navier-Stokes": by_opencv(cv2.INPAINT_NS),
        "biharmonic": by_biharmonic,
        "ours": ours,
    }
    archive = data.data_root() / "bench" / "kodak24" / "kodak24.zip"
    kodak = [p for _, p in data.open_source(archive, "for evaluation").pictures()][: given.pictures]
    rows: list[list[Any]] = []
    for size in (256, 512):
        for low, high in BINS:
            found = {name: [] for name in fillers}  # type: dict[str, list[list[float]]]
            for number, picture in enumerate(kodak):
                truth = np.asarray(centre(data.fit(picture, size), size))
                hole = hole_of(size, size, low, high, number)
                for name, fill in fillers.items():
                    broken = np.where(hole[..., None], np.uint8(128), truth)
                    begun = time.perf_counter()
                    made = fill(broken, hole)
                    taken = time.perf_counter() - begun
                    whole = np.where(hole[..., None], made, truth)
                    found[name].append([*compared(judge, whole, truth), taken])
            means = {name: np.mean(values, 0) for name, values in found.items()}
            for name, (psnr, ssim, apart, taken) in means.items():
                others = [m for n, m in means.items() if n != "ours"]
                best = all(psnr > m[0] and ssim > m[1] and apart < m[2] for m in others)
                verdict = results.verdict(best) if name == "ours" else ""
                figures = (f"{psnr:.2f}", f"{ssim:.4f}", f"{apart:.4f}", f"{1000 * taken:.0f}")
                rows.append([size, f"{low:.0%}-{high:.0%}", name, *figures, verdict])
    head = ("px", "missing", "method", "PSNR, dB", "SSIM", "perceptual", "ms", "best in all")
    note = (
        "Means over Kodak's pictures. Perceptual: the mean absolute difference between the taps of "
        "SqueezeNet 1.1, summed."
    )
    results.publish(given, "Inpainting", f"{results.table(head, rows)}\n\n{note}")


def centre(picture: Any, size: int) -> Any:
    """The middle of a picture whose short side is `size`."""
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))


def compared(judge: SqueezeNet, made: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Peak signal-to-noise ratio in dB, structural similarity, perceptual distance."""
    error = np.mean((made.astype(np.float64) - truth) ** 2)
    psnr = 10 * np.log10(255**2 / max(error, 1e-10))
    ssim = structural_similarity(made, truth, channel_axis=2)
    return float(psnr), float(ssim), perceptual_distance(judge, made, truth)


if __name__ == "__main__":
    main()
