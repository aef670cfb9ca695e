"""The recipe `shape-picture`: from one picture to the coordinates of the shape in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from triptych.bundle import Bundle, open_bundle
from triptych.shape.subject import SIDE
from triptych.training import data, export
from triptych.training.export import GraphExport, weights
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import glimpses, grids, pictures, real, render, samples, shape_export
from triptych.training.shape.code_net import k_means
from triptych.training.shape.glimpses import Glimpses
from triptych.training.shape.latents import Space, with_proportions
from triptych.training.shape.picture_net import KEY, UNKNOWN, PictureNet
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.samples import ANYWHERE, CATEGORIES, NEAR
from triptych.training.shape.shape_net import ShapeNet

_SHIFT = 3  # pixels that a cut-out is moved by at most
_SHOWN = 8  # held-out pictures in the sheet
_LOOKED_AT = 48  # held-out pictures behind the figures
_EVERY = 1000  # steps between these
_KEYED = 0.5  # the spread of keys when training begins


@dataclass
class PictureSettings:
    """Settings of the recipe `shape-picture`."""

    base: str = ""  # folder of the bundle whose coordinates are told; empty: the one that ships
    start: str = ""  # folder of a bundle whose network sees from the start; empty: random weights
    shapes: int = 20000  # procedural ones of which pictures are made
    real: bool = True  # the free meshes too
    splatted: int = 20000  # shapes of which quick pictures are made
    rendered: int = 816  # procedural shapes that Blender renders
    draws: int = 4  # pictures of each kind of a rendering
    rendered_share: float = 0.3  # of the examples
    real_share: float = 0.15  # of the examples that are quick pictures of real shapes
    held_out: int = 170  # procedural shapes that are never trained on
    held_out_rendered: int = 102  # of which Blender renders the first
    real_held_out: int = 60  # real ones that it renders
    known: int = 150  # shapes of each category of which coordinates are mixed
    coordinates: int = 256  # of a known shape, the first ones
    alike: int = 6  # known shapes that count as right for a picture, about
    sharp: float = 2.0  # how much more their weights differ in what is told
    rate: float = 1.2e-3


class PictureRecipe(Recipe):
    """Learn to tell a shape's coordinates from a picture.

    Loss: the cross-entropy of the known shapes with those that are most like the one in the
    picture, by the squared distance of their latents' coordinates; small, the proportions.
    """

    name = "shape-picture"

    def __init__(self, settings: PictureSettings | None = None) -> None:
        self.settings = settings or PictureSettings()
        self.loop = LoopSettings(
            steps=20000, batch=32, warmup=100, ema=0.997, clip=1.0, picture_every=100_000
        )

    def sources(self) -> list[data.Source]:
        return real.sources(data.data_root()) if self.settings.real else []

    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        s = self.settings
        self.shapes = samples.training(s.shapes, s.real)
        base = shape_export.base(s.base).path
        self.net = shape_export.load_shape(base).to(device).eval().requires_grad_(False)
        self.space = Space.read(open_bundle(base)).requires_grad_(False)
        self.proportions = shape_export.proportions(self.shapes.size).astype(np.float32)
        numbers = glimpses.spread(self.shapes, s.shapes)[: s.splatted]
        parts = [glimpses.of_shapes(self.shapes, numbers)]
        if s.rendered:
            parts.append(glimpses.of_pictures(pictures.training(s.rendered), s.draws))
        self.rendered_from = len(parts[0])
        self.of_real = np.flatnonzero(parts[0].shape >= s.shapes)
        self.glimpses = glimpses.joined(parts)
        self.held_out: list[tuple[str, samples.Shapes, Glimpses]] = []
        if s.held_out:
            of_made, of_real = pictures.held_out(
                s.held_out_rendered, s.real_held_out if s.real else 0
            )
            held, real_held = samples.held_out(s.held_out, s.real)
            self.held_out.append(("procedural", held, glimpses.of_pictures(of_made, 1, 1)))
            if of_real is not None and real_held is not None:
                self.held_out.append(("real", real_held, glimpses.of_pictures(of_real, 1, 1)))
        self.placed = self.space.stored(grids.training(s.shapes, s.real))
        net = PictureNet(s.known, min(s.coordinates, self.placed.shape[1]), sharp=s.sharp)
        if s.start:
            _see_as(net, open_bundle(Path(s.start)))
        self._begin(net)
        self.known = torch.zeros(0)  # where the known shapes are: a run that goes on has its own
        self.steps = 0
        return {"net": net.to(device)}

    @torch.no_grad()
    def _begin(self, net: PictureNet) -> None:
        """Choose the known shapes: of each category those nearest to the middles of k-means."""
        category = torch.from_numpy(self.shapes.category.astype(np.int64))
        placed, chosen = torch.from_numpy(self.placed), []
        for number in range(len(CATEGORIES)):
            rows = torch.nonzero(category == number)[:, 0]
            if not len(rows):  # a few shapes only, in a trial: any will do
                rows = torch.arange(len(category))
            own = placed[rows]
            middles = k_means(own, self.settings.known)
            chosen.append(rows[torch.cdist(middles, own).argmin(1)])
        net.shapes.copy_(torch.cat(chosen))
        keys = placed[torch.cat(chosen)][:, :KEY]
        keys = (keys - keys.mean(0)) / keys.std(0).clamp(min=1e-6)
        net.keys[:, : keys.shape[1]] = _KEYED * keys
        net.places.copy_(placed[torch.cat(chosen)][:, : net.places.shape[1]])

    def _right(self, net: Any, placed: Tensor) -> Tensor:
        """How right each of the known shapes is (B x count) for those at `placed` (B x D)."""
        if not len(self.known):
            self.known = torch.from_numpy(self.placed[net.shapes.cpu().numpy()]).to(placed.device)
        apart = torch.cdist(placed, self.known) ** 2
        near = apart.topk(1 + self.settings.alike, 1, largest=False).values
        width = (near[:, -1:] - near[:, :1]).clamp(min=1e-6)
        return (-2 * (apart - near[:, :1]) / width).softmax(1)

    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        weights = [w for w in modules["net"].parameters() if w.requires_grad]
        return {"net": torch.optim.AdamW(weights, self.settings.rate, weight_decay=0.02)}

    def batch(self, indices: range, device: torch.device) -> Any:
        s = self.settings
        rng = np.random.default_rng((self.loop.seed, indices.start))
        count, split = len(indices), self.rendered_from
        chosen = rng.integers(split, size=count)
        if len(self.glimpses) > split:
            others = rng.integers(split, len(self.glimpses), count)
            chosen = np.where(rng.random(count) < s.rendered_share, others, chosen)
        if len(self.of_real):
            others = rng.choice(self.of_real, count)
            chosen = np.where(rng.random(count) < s.real_share, others, chosen)
        cuts = np.stack([_moved(self.glimpses.cuts[index], rng) for index in chosen])
        shape = self.glimpses.shape[chosen]
        parts = (
            glimpses.loosened(cuts),
            self.placed[shape],
            np.log(self.proportions[shape].clip(0.01)),
        )
        return tuple(torch.from_numpy(part).to(device) for part in parts)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        picture, placed, sides = batch
        net: Any = modules["net"]
        scores, told = net.told(net.features(picture))
        right = self._right(net, placed)
        found = F.cross_entropy(scores, right)
        ratio = F.smooth_l1_loss(told, sides)
        best = right.gather(1, scores.argmax(1, keepdim=True)) > 0.02
        figures = {
            "found": float(found.detach()),
            "near": float(best.float().mean()),
            "sides": float(ratio.detach()),
        }
        if self.steps % _EVERY == 0:
            figures |= self._figures(net)
        self.steps += 1
        return found + ratio, figures

    @torch.no_grad()
    def _figures(self, net: Any) -> dict[str, float]:
        """How well held-out shapes are told from their renderings, of each origin."""
        learning = net.training
        net.eval()
        told: dict[str, float] = {}
        for name, shapes, held in self.held_out:
            iou, right = measured(net, self.net, self.space, shapes, held, _LOOKED_AT)
            told |= {f"{name} iou": iou, f"{name} category": right}
        net.train(learning)
        return told

    @torch.no_grad()
    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        net: Any = modules["net"]
        net.eval()
        rows = []
        for _, _, held in self.held_out:
            chosen = np.linspace(0, len(held) - 1, _SHOWN).astype(int)
            shown = [held.picture(index) for index in chosen]
            latents, _ = _all_told(net, self.space, np.stack(shown))
            rows.append([_pale(cut) for cut in shown])
            rows.append(
                [
                    render.picture(shape_export.distance(self.net, one[None]), SIDE)
                    for one in latents
                ]
            )
        net.train()
        if not rows:
            return None
        return Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in rows]))

    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        base, net = shape_export.base(self.settings.base), modules["net"].cpu().float().eval()
        metrics = [m for m in base.card.metrics if not str(m["name"]).startswith(_FIGURE)]
        for name, shapes, held in self.held_out:
            iou, right = measured(net, self.net, self.space, shapes, held, len(held))
            metrics.append(
                {"name": f"{_FIGURE}, held-out {name} shapes", "iou": iou, "category": right}
            )
        made_by = export.made_by(self, dataclasses.asdict(self.settings), run)
        card = dataclasses.replace(
            base.card,
            created=export.today(),
            recipe={**base.card.recipe, "picture": made_by},
            metrics=metrics,
        )
        return export.write_bundle(folder, card, {"picture": graph(net)}, {}, kept=base)


_FIGURE = "from a rendering"


def graph(net: nn.Module) -> GraphExport:
    """The graph from a cut-out and a category to coordinates."""
    rng = torch.Generator().manual_seed(0)

    def seen(category: int) -> dict[str, Tensor]:
        picture = torch.rand(1, 3, SIDE, SIDE, generator=rng)
        return {"picture": picture, "category": torch.tensor([category])}

    return GraphExport(
        net,
        seen(0),
        ["coordinates", "scores", "proportions", "features"],
        {},
        [seen(UNKNOWN), seen(0), seen(len(FAMILIES) - 1)],
        {"picture": (-1.0, 1.0), "category": (0, UNKNOWN), "proportions": (0.0, 1.0)},
        named=True,
        int8=True,
    )


def _see_as(net: PictureNet, found: Bundle) -> None:
    """Give the network the weights with which another sees; its known shapes are its own."""
    stored = weights(found.graph("picture"))
    for name, value in net.state_dict().items():
        if name.split(".")[0] in ("see", "gather", "think", "sides"):
            value.copy_(stored[name].reshape(value.shape))


@torch.no_grad()
def measured(
    net: nn.Module,
    shape_net: ShapeNet,
    space: Space,
    shapes: samples.Shapes,
    held: Glimpses,
    count: int,
) -> tuple[float, float]:
    """Mean intersection over union at the stored points, and the share of right categories among
    what is of a family."""
    chosen = np.unique(np.linspace(0, len(held) - 1, count).astype(int))
    cuts = np.stack([held.picture(index) for index in chosen])
    latents, scores = _all_told(net, space, cuts)
    ious = []
    for latent, number in zip(latents, held.shape[chosen], strict=True):
        places, truth = shapes.points(int(number), slice(0, NEAR + ANYWHERE, 4))
        field = shape_net(latent[None], torch.from_numpy(places)[None])
        a, b = truth < 0, field[0].numpy() < 0
        ious.append((a & b).sum() / max((a | b).sum(), 1))
    category = shapes.category[held.shape[chosen]]
    right = (scores.argmax(1).numpy() == category)[category < len(FAMILIES)]
    return float(np.mean(ious)), float(right.mean())


def _all_told(net: nn.Module, space: Space, cuts: np.ndarray) -> tuple[Tensor, Tensor]:
    """Latents and scores of the families, as the task makes them of pictures but not sharpened."""
    unknown = torch.full((len(cuts),), UNKNOWN)
    coordinates, scores, sides, _ = net(torch.from_numpy(cuts), unknown)
    made = space.mean + coordinates @ space.axes[: coordinates.shape[1]]
    return with_proportions(made, sides), scores


def _moved(cut: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The cut-out, shifted by up to a few pixels, or mirrored: nearly all shapes are symmetric."""
    cut = cut[..., ::-1] if rng.random() < 0.5 else cut
    made = np.zeros_like(cut)
    made[2] = 128  # as light as the ground
    to, of = [], []
    for step in rng.integers(-_SHIFT, _SHIFT + 1, 2).tolist():
        to.append(slice(max(0, step), SIDE + min(0, step)))
        of.append(slice(max(0, -step), SIDE + min(0, -step)))
    made[:, to[0], to[1]] = cut[:, of[0], of[1]]
    return made


def _pale(cut: np.ndarray) -> np.ndarray:
    """A cut-out as a picture (64 x 64 x 3, bytes)."""
    grey = (0.8 + cut[2]) * 0.6 - 0.15 * cut[0] + 0.3
    return np.repeat(np.rint(grey.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, 2)
