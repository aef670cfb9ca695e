"""Restoring paintings that neither network has seen, of damage made here with fixed seeds.

The paintings are those of the corpus whose museum's label keeps them out of the recipes `restore`
and `inpaint`. Cracks, stains and scratches (see `triptych.training.image.damage`) are filled by
every method over the same mask: the one that our network found, and the true one. Noise and JPEG
blocks are taken away beside OpenCV's non-local means, colours are freshened beside Pillow's
automatic contrast. OpenCV and scikit-image are needed by this script and `inpaint` alone:
`pip install opencv-python-headless scikit-image`.
"""

from __future__ import annotations

import csv
import io
import itertools
from typing import Any

import cv2
import numpy as np
import results
import torch
from inpaint import by_biharmonic, by_opencv, compared
from PIL import Image, ImageOps

from triptych import bundle
from triptych.engine import Engine
from triptych.image.inpaint import INPAINT
from triptych.image.restore import TASK
from triptych.training import data
from triptych.training.image import damage, sets
from triptych.training.image.perceptual import SqueezeNet

SIDE = 384  # px of the square in the middle of a painting
NOTHING: dict[str, Any] = dict.fromkeys(
    ("scratches", "stains", "cracks", "noise", "blocks", "fading", "yellowing"), 0.0
)
FOUND = {"scratches": 0.5, "stains": 0.3, "cracks": 0.5}  # the task's defaults
OLDEST = ("114020", "141010", "141020", "114030", "092010", "093020")  # Giotto to Lippi, real age
HIDDEN = 0.25  # share that damage must hide of a pixel to be in the true mask

LEAST = 0.02  # share of a painting that the damage hides at least


def main() -> None:
    """Measure, publish, and write sheets to look at."""
    options = results.parser(__doc__ or "", "restore")
    options.add_argument("--pictures", type=int, default=40)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    bench = Bench(Engine(["cpu"], given.threads))
    paintings = held_out()[:: max(1, len(held_out()) // given.pictures)][: given.pictures]
    parts = [
        bench.fills(paintings),
        bench.finds(paintings),
        bench.cleans(paintings),
        bench.tones(paintings),
    ]
    note = (
        f"{len(paintings)} paintings, {SIDE} px. Perceptual: the mean absolute difference between "
        "the taps of SqueezeNet 1.1, summed."
    )
    results.publish(given, "Restoring", "\n\n".join([*parts, note]))
    results.card_metrics(given, bundle.get_bundle("restore", "restore"), bench.figures)
    results.OUT.mkdir(exist_ok=True)
    bench.sheet(paintings).save(results.OUT / "restore.png")
    bench.real().save(results.OUT / "restore_real.png")


def held_out() -> list[np.ndarray]:
    """The middles of the paintings that neither `restore` nor `inpaint` is trained on."""
    labelled = sets.paintings(data.data_root())[0]
    table = csv.DictReader(io.StringIO(labelled.read("index.csv").decode()))
    held = {row["file"] for row in table if row["label is public domain / open access"] != "1"}
    return [middle(p) for name, p in labelled.pictures() if name in held]


def middle(picture: Image.Image) -> np.ndarray:
    """The square of SIDE px in the middle, of a picture whose short side is at least that."""
    if min(picture.size) < SIDE:
        picture = data.fit(picture, SIDE)
    left, top = (picture.width - SIDE) // 2, (picture.height - SIDE) // 2
    return np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)))


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """0..1 as bytes."""
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)


class Bench:
    """The measurements, with one engine and one judge."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.judge = engine, SqueezeNet()
        self.figures: dict[str, tuple[float, str]] = {}

    def restored(self, picture: np.ndarray, **wish: Any) -> np.ndarray:
        """Our restoring of a picture of bytes, of nothing but what is wished."""
        values = picture.astype(np.float32) / 255
        made = TASK.run(values, engine=self.engine, **{**NOTHING, **wish}).made
        return as_bytes(np.asarray(made))

    def row(self, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Means over (made, truth) of dB, structural similarity and perceptual distance."""
        means: np.ndarray = np.mean([compared(self.judge, a, b) for a, b in pairs], 0)
        return means

    def fills(self, paintings: list[np.ndarray]) -> str:
        """Every method over the mask that was found and over the true one."""

        def ours(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
            values = picture.astype(np.float32) / 255
            mask = hole.astype(np.float32)
            return as_bytes(np.asarray(INPAINT.run(values, engine=self.engine, mask=mask).made))

        fillers = {
            "Telea": by_opencv(cv2.INPAINT_TELEA),
            "Navier-Stokes": by_opencv(cv2.INPAINT_NS),
            "biharmonic": by_biharmonic,
            "ours": ours,
        }
        cases = []
        for number, truth in enumerate(paintings):
            over = overlaid(truth, number)
            damaged = as_bytes(over.picture)
            found = self.restored(damaged, **FOUND, result="mask")[..., 0] > 127
            cases.append((truth, damaged, found, over.shares.max(2) > HIDDEN))
        rows: list[list[Any]] = [
            ["none", "damaged", *self.told([(d, t) for t, d, _, _ in cases]), ""]
        ]
        for place, title in ((2, "found"), (3, "true")):
            means = {}
            for name, fill in fillers.items():
                pairs = []
                for case in cases:
                    hole = case[place]
                    made = fill(case[1], hole) if hole.any() and not hole.all() else case[1]
                    pairs.append((np.where(hole[..., None], made, case[1]), case[0]))
                means[name] = self.row(pairs)
            for name, mean in means.items():
                others = [m for other, m in means.items() if other != "ours"]
                best = all(mean[0] > m[0] and mean[1] > m[1] and mean[2] < m[2] for m in others)
                verdict = results.verdict(best) if name == "ours" else ""
                rows.append([title, name, *shown(mean), verdict])
            self.figures[f"PSNR, held-out paintings, {title} damage filled"] = (
                float(means["ours"][0]),
                "dB",
            )
        head = ("mask", "filled by", "PSNR, dB", "SSIM", "perceptual", "best in all")
        return results.table(head, rows)

    def told(self, pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[str]:
        """`row`, as words."""
        return shown(self.row(pairs))

    def finds(self, paintings: list[np.ndarray]) -> str:
        """How much of each kind of damage is found at the defaults, and how much of what is found
        is damage."""
        kinds = {kind: [0, 0, 0] for kind in damage.KINDS}
        for number, truth in enumerate(paintings):
            over = overlaid(truth, number)
            for place, kind in enumerate(damage.KINDS):
                wish = {kind: FOUND[kind], "grow": 1, "result": "mask"}
                found = self.restored(as_bytes(over.picture), **wish)[..., 0] > 127
                there, partly = over.shares[..., place] > HIDDEN, over.shares.max(2) > 0.02
                counts = (int((found & there).sum()), int(there.sum()))
                kinds[kind][0] += counts[0]
                kinds[kind][1] += counts[1]
                kinds[kind][2] += int((found & ~grown(partly)).sum())
        area = len(paintings) * SIDE**2
        rows = [
            [kind, f"{hit / max(1, there):.0%}", f"{wrong / area:.2%}"]
            for kind, (hit, there, wrong) in kinds.items()
        ]
        return results.table(("damage", "found of it", "of the picture found wrongly"), rows)

    def cleans(self, paintings: list[np.ndarray]) -> str:
        """Noise and blocks."""
        means: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for number, truth in enumerate(paintings):
            harmed = grained(truth, number)
            ways = {
                "damaged": harmed,
                "non-local means": cv2.fastNlMeansDenoisingColored(harmed, None, 5, 5, 7, 21),
                "ours": self.restored(harmed, noise=1.0, blocks=1.0),
            }
            for name, made in ways.items():
                means.setdefault(name, []).append((np.asarray(made), truth))
        told = {name: self.row(pairs) for name, pairs in means.items()}
        ours = told.pop("ours")
        best = all(ours[0] > m[0] and ours[1] > m[1] and ours[2] < m[2] for m in told.values())
        rows: list[list[Any]] = [[name, *shown(mean), ""] for name, mean in told.items()]
        rows.append(["ours", *shown(ours), results.verdict(best)])
        self.figures["PSNR, held-out paintings, noise and blocks taken away"] = (
            float(ours[0]),
            "dB",
        )
        head = ("noise and blocks", "PSNR, dB", "SSIM", "perceptual", "best in all")
        return results.table(head, rows)

    def tones(self, paintings: list[np.ndarray]) -> str:
        """Faded and yellowed colours: the mean error of a colour in codes."""
        errors: dict[str, list[float]] = {}
        for number, truth in enumerate(paintings):
            rng = np.random.default_rng((6, number))
            aged = as_bytes(damage.aged(truth.astype(np.float32) / 255, damage.any_tone(rng)))
            ways = {
                "aged": aged,
                "automatic contrast": np.asarray(
                    ImageOps.autocontrast(Image.fromarray(aged), cutoff=0.5)
                ),
                "ours": self.restored(aged, fading=1.0, yellowing=1.0),
            }
            for name, made in ways.items():
                apart = np.abs(made.astype(np.float32) - truth)
                errors.setdefault(name, []).append(float(apart.mean()))
        means = {name: float(np.mean(values)) for name, values in errors.items()}
        best = means["ours"] < min(v for k, v in means.items() if k != "ours")
        rows: list[list[Any]] = [
            [name, f"{mean:.2f}", results.verdict(best) if name == "ours" else ""]
            for name, mean in means.items()
        ]
        self.figures["mean error of aged colours restored, held-out paintings"] = (
            means["ours"],
            "codes",
        )
        return results.table(("colours", "mean error, codes of 255", "nearest"), rows)

    def sheet(self, paintings: list[np.ndarray]) -> Image.Image:
        """With all kinds of damage at once: damaged, the mask found, restored, the original."""
        shown_ones = paintings[:: max(1, len(paintings) // 8)][:8]
        made = Image.new("RGB", (4 * SIDE, SIDE * len(shown_ones)))
        for row, truth in enumerate(shown_ones):
            rng = np.random.default_rng((7, row))
            tone = damage.any_tone(rng)
            base = damage.aged(truth.astype(np.float32) / 255, tone)
            over = damage.overlaid(base, rng).picture
            harmed = as_bytes(damage.saved(damage.noisy(over, rng), rng))
            found = self.restored(harmed, **FOUND, result="mask")
            wish = {"noise": 0.7, "blocks": 0.7, "fading": 0.8, "yellowing": 0.8}
            whole = self.restored(harmed, **FOUND, **wish)
            for column, one in enumerate((harmed, found, whole, truth)):
                made.paste(Image.fromarray(one), (column * SIDE, row * SIDE))
        return made

    def real(self) -> Image.Image:
        """The oldest paintings, with what time did to them: as they are, the mask, restored at the
        task's defaults."""
        labelled = sets.paintings(data.data_root())[0]
        made = Image.new("RGB", (3 * SIDE, SIDE * len(OLDEST)))
        for row, name in enumerate(OLDEST):
            _, picture = next((n, p) for n, p in labelled.pictures() if n.startswith(name))
            seen = middle(picture)
            values = seen.astype(np.float32) / 255
            whole = as_bytes(np.asarray(TASK.run(values, engine=self.engine).made))
            found = self.restored(seen, **FOUND, result="mask")
            for column, one in enumerate((seen, found, whole)):
                made.paste(Image.fromarray(one), (column * SIDE, row * SIDE))
        return made


def overlaid(truth: np.ndarray, number: int) -> damage.Overlay:
    """A painting under damage that hides a part of it, the same whenever it is asked for."""
    for attempt in itertools.count():
        rng = np.random.default_rng((4, number, attempt))
        over = damage.overlaid(truth.astype(np.float32) / 255, rng)
        if (over.shares.max(2) > HIDDEN).mean() > LEAST:
            return over
    raise AssertionError


def grained(truth: np.ndarray, number: int) -> np.ndarray:
    """A painting with noise, with JPEG blocks or with both, the same whenever it is asked for."""
    for attempt in itertools.count():
        rng = np.random.default_rng((5, number, attempt))
        made = as_bytes(damage.saved(damage.noisy(truth.astype(np.float32) / 255, rng), rng))
        if np.abs(made.astype(int) - truth).mean() > 1:
            return made
    raise AssertionError


def grown(mask: np.ndarray, by: int = 2) -> np.ndarray:
    """The mask, spread by some px."""
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel)) > 0


def shown(mean: np.ndarray) -> list[str]:
    """dB, structural similarity and perceptual distance as words."""
    return [f"{mean[0]:.2f}", f"{mean[1]:.4f}", f"{mean[2]:.4f}"]


if __name__ == "__main__":
    main()
