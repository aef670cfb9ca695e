"""The DCGAN (Radford et al. 2016) that synthesised pictures are measured against.

It makes 64 x 64 px from a latent and a domain with about as many weights as the composer, and is
trained with its authors' settings on the same crops. It is measured in steps and not in minutes,
since machines differ. What it has reached is kept in out/dcgan.pt, so that it can be trained
beforehand, in parts: `python benchmarks/dcgan.py --steps 5000`.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
import results
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training import data
from triptych.training.image.synthesis import domains
from triptych.training.image.synthesis.domains import DOMAINS
from triptych.training.image.synthesis.nets import LATENT
from triptych.training.image.upscale import as_batch

KEPT = results.OUT / "dcgan.pt"
_CROPS = 6000  # of each domain, as many as the composer's
_SAVE_EVERY = 120.0  # seconds


class Dcgan(nn.Module):
    """Latents and domains to pictures N x 3 x 64 x 64 in -1..1."""

    def __init__(self, count: int, width: int = 32) -> None:
        super().__init__()
        self.domain = nn.Embedding(count, LATENT)
        sizes = (2 * LATENT, 8 * width, 4 * width, 2 * width, width)
        layers: list[nn.Module] = []
        for place, (a, b) in enumerate(itertools.pairwise(sizes)):
            step = (1, 0) if place == 0 else (2, 1)
            layers += [nn.ConvTranspose2d(a, b, 4, *step, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor, domain: Tensor) -> Tensor:
        """The pictures."""
        made: Tensor = self.layers(torch.cat([latent, self.domain(domain)], 1)[..., None, None])
        return made


class Discriminator(nn.Module):
    """Pictures and domains to logits N."""

    def __init__(self, count: int, width: int = 32) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 4 * width, 8 * width)
        layers: list[nn.Module] = []
        for place, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers.append(nn.Conv2d(a, b, 4, 2, 1, bias=place == 0))
            layers += [nn.BatchNorm2d(b)] if place else []
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, count, 4))

    def forward(self, pictures: Tensor, domain: Tensor) -> Tensor:
        """The logits."""
        rows = torch.arange(len(domain))
        made: Tensor = self.layers(pictures).flatten(1)[rows, domain]
        return made


def trained(least: int, batch: int, seed: int = 0) -> tuple[Dcgan, int, float]:
    """A DCGAN trained for that many steps at least, with what is kept; its steps, its minutes (the
    time that all its threads worked).

    Raises ValueError when what is kept was trained with another batch.
    """
    torch.manual_seed(seed)
    made, judge = Dcgan(len(DOMAINS)), Discriminator(len(DOMAINS))
    nets = nn.ModuleList([made, judge])
    for module in nets.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
    first, second = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in nets)
    steps, seconds = 0, 0.0
    if KEPT.is_file():
        kept = torch.load(KEPT, weights_only=True)
        nets.load_state_dict(kept["nets"])
        first.load_state_dict(kept["first"])
        second.load_state_dict(kept["second"])
        steps, seconds = kept["steps"], kept["seconds"]
        if kept["batch"] != batch:
            raise ValueError(f"{KEPT} was trained with another batch: remove it")

    def keep() -> None:
        KEPT.parent.mkdir(exist_ok=True)
        state = {
            "nets": nets.state_dict(),
            "first": first.state_dict(),
            "second": second.state_dict(),
            "steps": steps,
            "seconds": seconds,
            "batch": batch,
        }
        torch.save(state, KEPT.with_suffix(".new"))
        KEPT.with_suffix(".new").replace(KEPT)

    if steps < least:
        rng = np.random.default_rng([seed, steps])
        crops = domains.small(domains.load(data.data_root()), _CROPS, seed)
        torch.manual_seed(seed + steps)
        which = torch.arange(batch) % len(DOMAINS)
        saved = seconds
        while steps < least:
            began = time.process_time()
            drawn = [crops[int(n)][int(rng.integers(_CROPS))] for n in which]
            real = 2 * as_batch(drawn, torch.device("cpu")) - 1
            false = made(torch.randn(batch, LATENT), which)
            second.zero_grad()
            loss = F.softplus(-judge(real, which)).mean()
            loss = loss + F.softplus(judge(false.detach(), which)).mean()
            loss.backward()
            second.step()
            first.zero_grad()
            F.softplus(-judge(false, which)).mean().backward()
            first.step()
            steps += 1
            seconds += time.process_time() - began
            if seconds - saved > _SAVE_EVERY:
                keep()
                saved = seconds
        keep()
    return made.eval(), steps, seconds / 60


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=9000, help="in all (default 9000)")
    options.add_argument("--batch", type=int, default=32, help="pictures in a step (default 32)")
    options.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    print(trained(given.steps, given.batch)[1], "steps")
