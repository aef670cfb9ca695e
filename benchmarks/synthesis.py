"""Synthesised pictures beside crops of held-out paintings and photographs, and beside a DCGAN.

The features are the means and deviations of our perceptual network's taps over a picture of 256 px;
the Frechet distance is that of 24 principal components of them, for each domain. The judge is not
independent: the codec and the library of styles were trained against SqueezeNet, from which our
network was distilled, and the manner that brushwork is painted in against our network itself. The
DCGAN (dcgan.py) is trained with the same batch for at least as many steps as the bundle's card says
of the composer, and is enlarged by bicubic interpolation.
"""

from __future__ import annotations

import time
from typing import Any

import dcgan as peer
import numpy as np
import results
import torch
import torch.nn.functional as F
from material import frechet
from PIL import Image

from triptych import bundle
from triptych.engine import Engine
from triptych.image.synthesis import SYNTHESIZE
from triptych.training import data
from triptych.training.image.perceptual_export import load_perceptual
from triptych.training.image.synthesis import domains
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import LATENT
from triptych.training.image.upscale import as_batch

LARGE = 256
_COMPONENTS = 24
_NEAR = 6  # samples of a domain whose nearest training crop is shown


@torch.no_grad()
def features(judge: Any, pixels: np.ndarray) -> np.ndarray:
    """N x F of bytes N x H x W x 3."""
    found = []
    for one in pixels:
        taps = judge(as_batch([one], torch.device("cpu")))
        found.append(torch.cat([f for t in taps for f in (t.mean((2, 3)), t.std((2, 3)))], 1)[0])
    return torch.stack(found).numpy()


def seconds(engine: Engine) -> float:
    """The median of nine pictures of 256 px."""
    taken = []
    for seed in range(10):
        start = time.perf_counter()
        SYNTHESIZE.run(engine=engine, seed=seed, size="256")
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def main() -> None:
    """Measure, publish, and write sheets to look at."""
    options = results.parser(__doc__ or "", "synthesis")
    options.add_argument("--samples", type=int, default=300, help="pictures of each domain")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    engine = Engine(["cpu"], given.threads)
    speed = seconds(engine)
    shipped = bundle.get_bundle("synthesize", "synthesize")
    run = shipped.card.recipe["generator"]
    other, steps, minutes = peer.trained(int(run["steps"]), int(run["loop"]["batch"]))
    judge = load_perceptual()
    known = domains.load(data.data_root())
    held = domains.load(data.data_root(), held=True)
    rows: list[list[Any]] = []
    holds = True
    near = Image.new("RGB", (2 * _NEAR * 128, 128 * len(DOMAINS)))
    for number, domain in enumerate(DOMAINS):
        rng = np.random.default_rng(number)

        def crops(group: list[np.ndarray], domain: Any = domain, rng: Any = rng) -> np.ndarray:
            drawn = [domains.crop(group, domain, LARGE, rng) for _ in range(given.samples)]
            return np.stack(drawn)

        def ours(domain: Any = domain) -> np.ndarray:
            wish = {"domain": domain.name, "truncation": 1.0, "size": str(LARGE)}
            seeds = range(given.samples)
            made = [SYNTHESIZE.run(None, engine=engine, seed=seed, **wish).made for seed in seeds]
            return (np.stack(made) * 255 + 0.5).astype(np.uint8)

        def dcgan(number: int = number) -> np.ndarray:
            which = torch.full((given.samples,), number)
            with torch.no_grad():
                small = other(torch.randn(given.samples, LATENT), which) / 2 + 0.5
            large = F.interpolate(small, size=(LARGE, LARGE), mode="bicubic").clamp(0, 1)
            return (large.permute(0, 2, 3, 1).numpy() * 255 + 0.5).astype(np.uint8)

        pictures = {"training crops": crops(known[number]), "ours": ours(), "DCGAN": dcgan()}
        truth = features(judge, crops(held[number]))
        seen = {name: features(judge, pixels) for name, pixels in pictures.items()}
        middle, spread = seen["training crops"].mean(0), seen["training crops"].std(0) + 1e-6
        truth = (truth - middle) / spread
        scaled = {name: (one - middle) / spread for name, one in seen.items()}
        axes = np.linalg.svd(scaled["training crops"], full_matrices=False)[2][:_COMPONENTS].T
        far = {name: frechet(one @ axes, truth @ axes) for name, one in scaled.items()}

        def nearest(one: np.ndarray, scaled: Any = scaled) -> tuple[float, int]:
            apart = ((scaled["training crops"] - one) ** 2).mean(1)
            return float(np.sqrt(apart.min())), int(apart.argmin())

        own = float(np.median([nearest(one)[0] for one in scaled["ours"]]))
        real = float(np.median([nearest(one)[0] for one in truth]))
        best = far["ours"] < far["DCGAN"]
        holds &= best
        rows.append([domain.name, *far.values(), results.verdict(best), own, real])
        for place in range(_NEAR):
            match = pictures["training crops"][nearest(scaled["ours"][place])[1]]
            for column, one in enumerate((pictures["ours"][place], match)):
                small = Image.fromarray(one).resize((128, 128), Image.Resampling.LANCZOS)
                near.paste(small, ((2 * place + column) * 128, 128 * number))
    head = (
        "domain",
        "Frechet, training crops",
        "ours",
        "DCGAN",
        "ours is nearer",
        "nearest training crop to ours",
        "to held-out crops",
    )
    body = (
        f"{given.samples} pictures of each domain, truncation 1; the DCGAN was trained for "
        f"{steps} steps in {minutes:.0f} minutes of one thread, ours for {run['steps']} steps of "
        "as many pictures.\n\n"
        f"{results.table(head, rows)}\n\n"
        f"Nearer than the DCGAN in every domain: {results.verdict(holds)}. A picture of 256 px in "
        f"{speed:.3f} s (at most 0.2 s: {results.verdict(speed <= 0.2)})."
    )
    results.publish(given, "Synthesis", body)
    figures = {f"Frechet distance, {row[0]}": (float(row[2]), "") for row in rows}
    results.card_metrics(given, shipped, figures)
    results.OUT.mkdir(exist_ok=True)
    near.save(results.OUT / "synthesis_nearest.png")


if __name__ == "__main__":
    main()
