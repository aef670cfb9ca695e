"""Generated shapes against held-out ones, by the Chamfer distance of 2,048 points.

MMD, COV and 1-NNA as in PointFlow (Yang et al. 2019, section 5.1) for each furniture family, on
as many shapes as there are held-out ones of it. Beside the network, which is what the task makes of
its codes (exemplars, warped), stand training shapes drawn at random and a Gaussian in the space of
codes (one a family, that follows the proportions); all sets are meshes extracted at 64 cubed and
normalised, so that the autoencoder's faults count for the two that use it. Chamfer distance: the
mean squared distance to the nearest point, both ways.
"""

from __future__ import annotations

import numpy as np
from results import card_metrics, parser, publish, table, verdict
from scipy.spatial import cKDTree

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.shape.assembly import Assembler
from triptych.shape.implicit import Implicit
from triptych.shape.mesh import Mesh, fitted, sampled, solid
from triptych.shape.model import ShapeModel
from triptych.shape.surface import extract
from triptych.shape.warp import warped
from triptych.training.shape import grids, procedural, samples, shape_export
from triptych.training.shape.procedural import FAMILIES

FURNITURE = (
    "chair",
    "armchair",
    "stool",
    "table",
    "desk",
    "shelf",
    "cabinet",
    "sofa",
    "bed",
    "lamp",
)
POINTS, RESOLUTION = 2048, 64
HELD_OUT_FROM = 20_000_000  # seeds of held-out shapes that no figure of the training has used
_RIDGE = 0.02  # of the regression on the proportions, per example
_NEAREST = 8  # training shapes, by latent, among which the nearest by Chamfer distance is sought


def main() -> None:
    """Measure, and write the section."""
    made = parser(__doc__ or "", "shape")
    made.add_argument("--count", type=int, default=30, help="shapes of a family (default 30)")
    made.add_argument("--training", type=int, default=20000, help="training shapes (default 20000)")
    made.add_argument(
        "--copies",
        type=int,
        default=30,
        help="of these, those whose nearest training shape is sought (default 30)",
    )
    options = made.parse_args()
    model = ShapeModel("shape", Engine(["cpu"], options.threads), Job())
    assembler = Assembler(model)
    training = samples.training(options.training, False)
    latents = grids.training(options.training, False)
    sizes = shape_export.proportions(training.size)
    rows: list[list[object]] = []
    told: dict[str, list[list[float]]] = {"network": [], "Gaussian": [], "training shapes": []}
    copies: list[list[float]] = []
    for family in FURNITURE:
        number = list(FAMILIES).index(family)
        own = np.flatnonzero(training.category == number)
        truth = [cloud(*_truth(family, HELD_OUT_FROM + i)) for i in range(options.count)]
        rng = np.random.default_rng(number)
        chosen = rng.choice(own, options.count, replace=False)
        codes = np.concatenate(
            [
                model.code(Implicit(latents[i][None].astype(np.float32), family, training.size[i]))
                for i in own
            ]
        )
        gaussian = Gaussian(codes, sizes[own])

        def by_gaussian(
            index: int, seed: int, gaussian: Gaussian = gaussian, family: str = family
        ) -> Implicit:
            code = gaussian.drawn(sizes[index], np.random.default_rng(seed))
            size = training.size[index].astype(np.float64)
            return Implicit(model.built(code, family, size), family, size)

        def by_network(seed: int, family: str = family) -> Implicit:
            size = assembler.sized(family, (None, None, None), seed)  # as where none is asked for
            return assembler.drawn(family, size, seed)

        sets = {
            "network": [_made(model, by_network(7000 + n)) for n in range(len(chosen))],
            "Gaussian": [_made(model, by_gaussian(i, 7000 + n)) for n, i in enumerate(chosen)],
        }
        clouds = {name: [cloud(*mesh) for mesh in made_] for name, made_ in sets.items()}
        others = rng.choice(own, options.count, replace=False)
        clouds["training shapes"] = [
            cloud(*_truth(family, seed_of(int(index)))) for index in others
        ]
        inner = apart(truth, truth)
        for name, drawn in clouds.items():
            told[name].append(scores(apart(drawn, truth), apart(drawn, drawn), inner))
        # Does it copy? Both are sought among all training shapes of the family.
        of_family = latents[own].astype(np.float32)
        held = [_truth(family, HELD_OUT_FROM + i) for i in range(options.copies)]
        nearest = [
            _nearest(
                found[: options.copies],
                [model.encoded(Mesh(*mesh)).reshape(-1) for mesh in meshes[: options.copies]],
                of_family,
                own,
                family,
            )
            for found, meshes in ((clouds["network"], sets["network"]), (truth, held))
        ]
        copies.append([float(np.median(found)) for found in nearest])
        print(family, {name: values[-1] for name, values in told.items()}, copies[-1], flush=True)
        for name, values in told.items():
            mmd, cov, nna = values[-1]
            rows.append([family, name, 1e3 * mmd, f"{cov:.0%}", f"{nna:.0%}"])
            rows[-1] += (
                [1e3 * copies[-1][0], 1e3 * copies[-1][1]] if name == "network" else ["", ""]
            )
    means = {name: np.mean(values, 0) for name, values in told.items()}
    for name, (mmd, cov, nna) in means.items():
        rows.append(["**all**", name, 1e3 * float(mmd), f"{cov:.0%}", f"{nna:.0%}"])
        mean = 1e3 * np.mean(copies, 0)
        rows[-1] += [float(mean[0]), float(mean[1])] if name == "network" else ["", ""]
    network, random = means["network"], means["training shapes"]
    wins = sum(made_ >= held_ for made_, held_ in copies)
    body = (
        f"{options.count} shapes of a family; means over the families: 1-NNA {network[2]:.0%}, "
        f"wanted under 65 %: {verdict(network[2] < 0.65)}; COV {network[1]:.0%}, of training "
        f"shapes {random[1]:.0%}, wanted within 10 points: "
        f"{verdict(network[1] > random[1] - 0.10)}; in {wins} of {len(copies)} families the "
        "generated shapes are at least as far from the nearest training shape as held-out shapes "
        f"are, on the mean over families: {verdict(np.mean(copies, 0)[0] >= np.mean(copies, 0)[1])}"
        ".\n\n"
        + table(
            [
                "family",
                "drawn by",
                "MMD, 1e-3",
                "COV",
                "1-NNA",
                "to the nearest training shape, 1e-3",
                "held-out to it, 1e-3",
            ],
            rows,
        )
    )
    publish(options, "Shapes: generation", body)
    figures = {
        "1-NNA, furniture": (float(100 * network[2]), "%"),
        "COV, furniture": (float(100 * network[1]), "%"),
        "MMD, furniture": (float(network[0]), "Chamfer distance"),
        "1-NNA, furniture, Gaussian": (float(100 * means["Gaussian"][2]), "%"),
    }
    card_metrics(options, bundle.get_bundle("shape", "shape"), figures)


class Gaussian:
    """The Gaussian of codes (N x C) of one category that follows their proportions (N x 3)."""

    def __init__(self, codes: np.ndarray, proportions: np.ndarray) -> None:
        self.middle, apart = proportions.mean(0), proportions - proportions.mean(0)
        square = apart.T @ apart + _RIDGE * len(codes) * np.eye(3)
        self.mean = codes.mean(0)
        self.slope = np.linalg.solve(square, apart.T @ (codes - self.mean))
        left = codes - self.mean - apart @ self.slope
        self.root = np.linalg.cholesky(np.cov(left.T) + 1e-6 * np.eye(len(self.mean)))

    def drawn(self, proportions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A code (1 x C) in these proportions."""
        made = self.mean + (proportions - self.middle) @ self.slope
        made = made + self.root @ rng.standard_normal(len(made))
        return made[None].astype(np.float32)


def seed_of(index: int) -> int:
    """The seed of the training shape of this index, of its family."""
    return index // len(FAMILIES)


def _truth(family: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The surface of a procedural shape in the cube."""
    made = samples.Procedural(procedural.shape(family, seed))
    return extract(made.distance, RESOLUTION, samples.TRUNCATION, Job())


def _made(model: ShapeModel, one: Implicit) -> tuple[np.ndarray, np.ndarray]:
    field = model.surface(one.latent, RESOLUTION)
    vertices, faces = solid(*extract(field, RESOLUTION, field.truncation, Job()))
    return fitted(warped(vertices, one.warp), one.size) if len(faces) else vertices, faces


def cloud(vertices: np.ndarray, faces: np.ndarray) -> cKDTree:
    """Points on a surface, its box centred and its longest side 2; of none, its middle."""
    if not len(faces):
        return cKDTree(np.zeros((POINTS, 3)))
    points, _ = sampled(Mesh(vertices, faces), POINTS, 0)
    low, high = vertices.min(0), vertices.max(0)
    return cKDTree((points - (low + high) / 2) * (2 / (high - low).max()))


def chamfer(one: cKDTree, two: cKDTree) -> float:
    """The Chamfer distance of two clouds."""
    return float((one.query(two.data)[0] ** 2).mean() + (two.query(one.data)[0] ** 2).mean())


def apart(ones: list[cKDTree], twos: list[cKDTree]) -> np.ndarray:
    """All distances from one to another: len(ones) x len(twos)."""
    if ones is twos:
        made = np.zeros((len(ones), len(ones)))
        for a, one in enumerate(ones):
            for b in range(a):
                made[a, b] = made[b, a] = chamfer(one, ones[b])
        return made
    return np.array([[chamfer(one, two) for two in twos] for one in ones])


def scores(across: np.ndarray, drawn: np.ndarray, truth: np.ndarray) -> list[float]:
    """MMD, COV (0..1) and 1-NNA (0..1) from the distances drawn x truth, and within each set."""
    mmd = across.min(0).mean()
    cov = len(np.unique(across.argmin(1))) / across.shape[1]
    whole = np.block([[drawn, across], [across.T, truth]])
    np.fill_diagonal(whole, np.inf)
    kind = np.arange(len(whole)) < len(drawn)
    return [float(mmd), cov, float((kind[whole.argmin(1)] == kind).mean())]


def _nearest(
    clouds: list[cKDTree],
    coded: list[np.ndarray],
    latents: np.ndarray,
    own: np.ndarray,
    family: str,
) -> list[float]:
    """The Chamfer distance of each cloud to the nearest training shape."""
    kept: dict[int, cKDTree] = {}
    found = []
    for one, latent in zip(clouds, coded, strict=True):
        near = ((latents - latent) ** 2).sum(1).argsort()[:_NEAREST]
        for place in near:
            if place not in kept:
                kept[place] = cloud(*_truth(family, seed_of(int(own[place]))))
        found.append(min(chamfer(one, kept[place]) for place in near))
    return found


if __name__ == "__main__":
    main()
