"""The recipe `shape-picture`: from one picture to known shapes that are like the one in it."""

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
from triptych.shape.known import Known
from triptych.shape.subject import SIDE
from triptych.training import data, export
from triptych.training.export import GraphExport, weights
from triptych.training.loop import LoopSettings, Recipe, Run
from triptych.training.shape import glimpses, grids, pictures, real, render, samples, shape_export
from triptych.training.shape.glimpses import Glimpses
from triptych.training.shape.latents import Space, with_proportions
from triptych.training.shape.picture_net import PictureNet
from triptych.training.shape.procedural import FAMILIES
from triptych.training.shape.samples import ANYWHERE, CATEGORIES, NEAR

_SHIFT = 3  # pixels that a cut-out is moved by at most
_SHOWN = 8  # held-out pictures in the sheet
_LOOKED_AT = 48  # held-out pictures behind the figures
_EVERY = 1000  # steps between these
_TOGETHER = 512  # shapes whose neighbours are found at once
_ROUNDED = 0.08  # steps of known coordinates, times the length of their axes
_APART = 1e4  # what a score that shall not count is lower by


@dataclass
class PictureSettings:
    """Settings of the recipe `shape-picture`."""

    base: str = ""  # folder of the bundle whose coordinates are told; empty: the one that ships
    start: str = ""  # folder of a bundle whose network sees from the start; empty: random weights
    shapes: int = 20000  # procedural ones of which pictures are made
    real: bool = True  # the free meshes too
    splatted: int = 20000  # shapes of which quick pictures are made
    views: int = 2  # quick pictures of each kind of a shape
    rendered: int = 816  # procedural shapes that Blender renders
    draws: int = 4  # pictures of each kind of a rendering
    rendered_share: float = 0.3  # of the examples
    real_share: float = 0.15  # of the examples that are quick pictures of real shapes
    held_out: int = 170  # procedural shapes that are never trained on
    held_out_rendered: int = 102  # of which Blender renders the first
    real_held_out: int = 60  # real ones that it renders
    coordinates: int = 256  # of a known shape, the first ones
    pool: int = 4096  # shapes among which that in a picture is to be found, in a step
    alike: int = 6  # shapes that count as right for a picture, about
    rate: float = 1.2e-3


class PictureRecipe(Recipe):
    """Learn to find the shapes that are like the one in a picture.

    Loss: the cross-entropy of shapes with those that are most like the one in the picture, itself
    left out, by the squared distance of their latents' coordinates and of the logarithms of their
    proportions.
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
        parts = shown(self.shapes, s)
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
        placed = self.space.stored(grids.training(s.shapes, s.real))
        category, size = self.shapes.category.astype(np.int64), self.shapes.size
        self.known = Known(placed[:, : s.coordinates], category, size)
        self.offered = list(self.known.offered().values())
        self.compared = Known(placed, category, size).compared(slice(None))
        self.alike = _alike(self.compared, s.alike)
        net = PictureNet(self.known.coordinates.shape[1])
        net.key.begin(self.known.coordinates)
        if s.start:
            _see_as(net, open_bundle(Path(s.start)))
        self.steps = 0
        return {"net": net.to(device)}

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
        others = rng.integers(len(self.shapes), size=s.pool)
        pool = np.unique(np.concatenate([others, self.alike[shape].ravel()]))
        parts = (
            glimpses.loosened(cuts),
            self.compared[shape],
            self.compared[pool],
            *(values[pool] for values in self.offered),
            shape[:, None] == pool,
        )
        return tuple(torch.from_numpy(part).to(device) for part in parts)

    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        picture, shown, pool, *offered, itself = batch
        net: Any = modules["net"]
        keys, usual = net.key(*offered)
        scores = net.query(net.features(picture)) @ keys.T + usual - _APART * itself
        right = _right(torch.cdist(shown, pool) ** 2 + _APART * itself, self.settings.alike)
        found = F.cross_entropy(scores, right)
        best = right.gather(1, scores.argmax(1, keepdim=True)) > 0.02
        figures = {"near": float(best.float().mean())}
        if self.steps % _EVERY == 0:
            figures |= self._figures(net)
        self.steps += 1
        return found, figures

    @torch.no_grad()
    def _figures(self, net: Any) -> dict[str, float]:
        """How well held-out shapes are told from their renderings, of each origin."""
        learning = net.training
        net.eval()
        told: dict[str, float] = {}
        for name, shapes, held in self.held_out:
            iou, right = self._measured(net, shapes, held, _LOOKED_AT)
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
            latents, _ = self._told(net, np.stack(shown))
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
        base = shape_export.base(self.settings.base)
        net: Any = modules["net"].cpu().float().eval()
        metrics = [m for m in base.card.metrics if not str(m["name"]).startswith(_FIGURE)]
        for name, shapes, held in self.held_out:
            iou, right = self._measured(net, shapes, held, len(held))
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
        files = {"known.npz": self._stored()}
        return export.write_bundle(folder, card, graphs(net), files, kept=base)

    def _stored(self) -> bytes:
        """`known.npz`: of all shapes coordinates as int8 with a step each, category, size.

        What rounding takes from a latent is the same for each coordinate, and small.
        """
        known = self.known
        lengths = np.linalg.norm(self.space.axes.numpy()[: known.coordinates.shape[1]], axis=1)
        widest = np.abs(known.coordinates).max(0)
        step = np.maximum(widest / 127, _ROUNDED / lengths).astype(np.float32)
        rows = np.rint(known.coordinates / step).astype(np.int8)
        return export.npz(
            {
                "coordinates": np.ascontiguousarray(rows.T),
                "step": step,
                "category": known.category.astype(np.uint8),
                "size": known.size.astype(np.float16),
            }
        )

    @torch.no_grad()
    def _measured(
        self, net: Any, shapes: samples.Shapes, held: Glimpses, count: int
    ) -> tuple[float, float]:
        """Mean intersection over union at the stored points, and the share of right categories
        among what is of a family."""
        chosen = np.unique(np.linspace(0, len(held) - 1, count).astype(int))
        latents, families = self._told(net, np.stack([held.picture(index) for index in chosen]))
        ious = []
        for latent, number in zip(latents, held.shape[chosen], strict=True):
            places, truth = shapes.points(int(number), slice(0, NEAR + ANYWHERE, 4))
            field = self.net(latent[None], torch.from_numpy(places)[None])
            a, b = truth < 0, field[0].numpy() < 0
            ious.append((a & b).sum() / max((a | b).sum(), 1))
        category = shapes.category[held.shape[chosen]]
        right = (families == category)[category < len(FAMILIES)]
        return float(np.mean(ious)), float(right.mean())

    @torch.no_grad()
    def _told(self, net: Any, cuts: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Latents and families, as the task makes them of cut-outs but not refined."""
        known = self.known
        query, _ = net(torch.from_numpy(cuts))
        keys, usual = net.key(*map(torch.from_numpy, self.offered))
        keys, usual, count = keys.numpy(), usual.numpy(), len(FAMILIES)
        scores = [known.scores(one, keys, usual, count) for one in query.numpy()]
        chosen = [known.chosen(one, None, self._distances) for one in scores]
        made = self.space(torch.from_numpy(known.coordinates[chosen]))
        sides = self.offered[1][chosen]  # the proportions
        families = np.array([known.likeliest(one, count) for one in scores])
        return with_proportions(made, torch.from_numpy(sides)), families

    def _distances(self, coordinates: np.ndarray) -> np.ndarray:
        """The distances at the nodes of the latents at `coordinates`."""
        made: np.ndarray = self.space(torch.from_numpy(coordinates)).numpy()[:, :-3]
        return made


_FIGURE = "from a rendering"


def shown(shapes: samples.Shapes, settings: PictureSettings) -> list[Glimpses]:
    """What is learned from: quick pictures and, if there are any, Blender's renderings."""
    s = settings
    numbers = glimpses.spread(shapes, s.shapes)[: s.splatted]
    parts = [glimpses.of_shapes(shapes, numbers, s.views)]
    if s.rendered:
        parts.append(glimpses.of_pictures(pictures.training(s.rendered), s.draws))
    return parts


def graphs(net: PictureNet) -> dict[str, GraphExport]:
    """The graph from a cut-out to a query, and that from coordinates to keys."""
    rng = torch.Generator().manual_seed(0)

    def cut() -> dict[str, Tensor]:
        return {"picture": torch.rand(1, 3, SIDE, SIDE, generator=rng)}

    def shapes(count: int) -> dict[str, Tensor]:
        coordinates = torch.randn(count, net.key.first.in_features, generator=rng)
        proportions = 0.1 + 0.9 * torch.rand(count, 3, generator=rng)
        category = torch.randint(len(CATEGORIES), (count,), generator=rng)
        return {"coordinates": coordinates, "proportions": proportions, "category": category}

    names = ("coordinates", "proportions", "category", "key", "usual")
    return {
        "picture": GraphExport(
            net,
            cut(),
            ["query", "features"],
            {},
            [cut(), cut(), cut()],
            {"picture": (-1.0, 1.0)},
            named=True,
            int8=True,
        ),
        "key": GraphExport(
            net.key,
            shapes(5),
            ["key", "usual"],
            {name: {0: "count"} for name in names},
            [shapes(1), shapes(40), shapes(200)],
            {"proportions": (0.01, 1.0), "category": (0, len(CATEGORIES) - 1)},
            named=True,
            int8=True,
        ),
    }


def _see_as(net: PictureNet, found: Bundle) -> None:
    """Give the network the weights with which another sees, and finds if it does it alike."""
    stored = weights(found.graph("picture"))
    if "key" in found.card.graphs:
        stored |= {f"key.{name}": value for name, value in weights(found.graph("key")).items()}
    for name, value in net.state_dict().items():
        if name in stored and stored[name].numel() == value.numel():
            value.copy_(stored[name].reshape(value.shape))


def _alike(placed: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the shapes nearest to each (N x `count`), by their coordinates (N x D)."""
    x = torch.from_numpy(placed)
    made = []
    for start in range(0, len(x), _TOGETHER):
        apart = torch.cdist(x[start : start + _TOGETHER], x)
        apart[torch.arange(len(apart)), start + torch.arange(len(apart))] = torch.inf
        made.append(apart.topk(min(count, len(x) - 1), 1, largest=False).indices)
    return torch.cat(made).numpy()


def _right(apart: Tensor, alike: int) -> Tensor:
    """How right each of the known shapes is, by its squared distance (both B x count)."""
    near = apart.topk(1 + alike, 1, largest=False).values
    width = (near[:, -1:] - near[:, :1]).clamp(min=1e-6)
    return (-2 * (apart - near[:, :1]) / width).softmax(1)


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
