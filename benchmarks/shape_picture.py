"""Shapes from pictures that Blender rendered, against the nearest training shape.

Held-out shapes, procedural and real, are shown as a photograph, a drawing and a silhouette on a
plain ground. What the task makes of each is compared with the truth: intersection over union at the
middles of 64 x 64 x 64 cells of the cube, and the Chamfer distance (the mean squared distance to
the nearest point, both ways) of 2,048 points of the surface. The task answers with a known shape
that learned keys find, as the autoencoder gives it back. The rival is retrieval: the training
shape, itself and not as the autoencoder gives it back, one of whose pictures has the most similar
features (by their cosine), of the same network. Both may answer with any of the training shapes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from results import card_metrics, parser, publish, table, verdict
from scipy.spatial import cKDTree
from shape_reconstruction import SIDE, centres

from triptych import bundle
from triptych.engine import Engine, Job
from triptych.shape.mesh import Mesh, sampled, solid
from triptych.shape.model import FILLED, ShapeModel
from triptych.shape.subject import cut_out
from triptych.shape.surface import extract
from triptych.training.shape import glimpses, pictures, real, samples
from triptych.training.shape.drawing import KINDS, drawn
from triptych.training.shape.from_picture import PictureSettings, shown
from triptych.training.shape.glimpses import Glimpses

POINTS = 2048
STORED = PictureSettings().shapes


@dataclass
class Truth:
    """A held-out shape: its layers, what is inside (SIDE^3), surface points."""

    origin: str
    layers: np.ndarray
    inside: np.ndarray
    surface: np.ndarray


def main() -> None:
    """Measure, and write the section."""
    made = parser(__doc__ or "", "shape")
    made.add_argument("--shapes", type=int, default=102, help="procedural ones (default 102)")
    made.add_argument("--real", type=int, default=60, help="real ones (default 60)")
    options = made.parse_args()
    model = ShapeModel("shape", Engine(["cpu"], options.threads), Job())
    training = samples.training(STORED, True)
    known = glimpses.joined(shown(training, PictureSettings()))
    features = _features(model, known)
    told: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    wanted: list[tuple[tuple[str, str], Truth, int]] = []
    for truth in held_out(options.shapes, options.real):
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng((41, len(wanted)))
            picture = drawn(truth.layers, kind, rng)
            own = _seen(model, cut_out(picture))["features"][0]
            nearest = int(known.shape[(features @ (own / np.linalg.norm(own))).argmax()])
            told[truth.origin, kind].append(list(compared(model, picture, truth)))
            wanted.append(((truth.origin, KINDS[number]), truth, nearest))
    retrieved: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    solids = dict(_training_solids({n for *_, n in wanted}))
    for key, truth, nearest in wanted:
        inside = solids[nearest].distance(centres()) < 0
        cloud = training.surface(nearest)[:POINTS, :3]
        retrieved[key].append([overlap(inside, truth.inside), chamfer(cloud, truth.surface)])
    _publish(options, told, retrieved)


def held_out(count: int, of_real: int) -> Iterator[Truth]:
    """The held-out shapes that Blender rendered: of each origin so many, spread over all."""
    made, of_meshes = pictures.held_out(102, 60)
    stored, stored_meshes = samples.held_out(170, True)
    assert of_meshes is not None
    assert stored_meshes is not None
    for row in np.unique(np.linspace(0, len(made) - 1, count).astype(int)) if count else ():
        index = int(made.shape[row])
        inside = samples.made(index, samples.HELD_OUT_SEEDS).distance(centres()) < 0
        yield Truth("procedural", _loose(made.layers[row]), inside, stored.surface(index)[:, :3])
    rows = np.unique(np.linspace(0, len(of_meshes) - 1, of_real).astype(int)) if of_real else ()
    places = {int(of_meshes.shape[row]): int(row) for row in rows}
    for index, mesh in enumerate(real.meshes(True)):
        if index in places:
            layers = _loose(of_meshes.layers[places[index]])
            inside = mesh.distance(centres()) < 0
            yield Truth("real", layers, inside, stored_meshes.surface(index)[:, :3])


def _loose(layers: np.ndarray) -> np.ndarray:
    made: np.ndarray = layers.astype(np.float32) / np.float32(255)
    return made


def compared(model: ShapeModel, picture: np.ndarray, truth: Truth) -> tuple[float, float]:
    """Intersection over union and Chamfer distance of what the task makes of a picture."""
    seen = model.looked_at(picture, None, None)
    size = seen.size
    field = model.field(seen.latent.astype(np.float16).astype(np.float32), 0.0)
    vertices, faces = solid(*extract(field, SIDE, field.truncation, Job()))
    if not len(faces):
        return 0.0, float(chamfer(np.zeros((1, 3)), truth.surface))
    low, high = vertices.min(0), vertices.max(0)
    half = (FILLED * size / size.max()).astype(
        np.float32
    )  # the task stretches it to the seen proportions
    places = centres()
    within = (np.abs(places) < half).all(1)
    inside = np.zeros(len(places), bool)
    inside[within] = field((places[within] / half + 1) / 2 * (high - low) + low) < 0
    fitted = ((vertices - low) / (high - low) * 2 - 1) * half
    cloud, _ = sampled(Mesh(fitted.astype(np.float32), faces), POINTS, 0)
    return overlap(inside, truth.inside), chamfer(cloud, truth.surface)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of what is inside."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def chamfer(one: np.ndarray, other: np.ndarray) -> float:
    """The mean squared distance to the nearest point, both ways added; points N x 3."""
    other = other[:POINTS]
    there, back = cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]
    return float((there**2).mean() + (back**2).mean())


def _seen(model: ShapeModel, cut: np.ndarray) -> dict[str, np.ndarray]:
    return model._run("picture", {"picture": cut[None]})


def _features(model: ShapeModel, known: Glimpses) -> np.ndarray:
    """The features of training pictures, of length 1."""
    made = np.stack(
        [_seen(model, known.picture(index))["features"][0] for index in range(len(known))]
    )
    lengths: np.ndarray = np.linalg.norm(made, axis=1, keepdims=True)
    return made / np.maximum(lengths, 1e-9)


def _training_solids(wanted: set[int]) -> Iterator[tuple[int, samples.Solid]]:
    for index in sorted(wanted):
        if index < STORED:
            yield index, samples.made(index)
    if max(wanted) >= STORED:
        for number, mesh in enumerate(real.meshes(False)):
            if STORED + number in wanted:
                yield STORED + number, mesh


Told = dict[tuple[str, str], list[list[float]]]


def _publish(options: argparse.Namespace, told: Told, retrieved: Told) -> None:
    rows: list[list[object]] = []
    figures: dict[str, tuple[float, str]] = {}
    verdicts = []
    for origin in dict.fromkeys(origin for origin, _ in told):
        for kind in (*KINDS, "all"):
            keys = [key for key in told if key[0] == origin and kind in (key[1], "all")]
            ours = np.concatenate([told[key] for key in keys])
            theirs = np.concatenate([retrieved[key] for key in keys])
            (iou, far), (other, further) = ours.mean(0), theirs.mean(0)
            name = "**all**" if kind == "all" else kind
            rows.append([origin, name, len(ours), float(iou), float(other)])
            rows[-1] += [1e3 * float(far), 1e3 * float(further)]
            rows[-1] += [f"{np.mean(ours[:, 0] > theirs[:, 0]):.0%}"]
            if kind == "all":
                figures[f"IoU from a rendering, held-out {origin}"] = (float(iou), "mean")
                figures[f"Chamfer distance from a rendering, held-out {origin}"] = (
                    float(far),
                    "mean, squared units of the cube",
                )
                verdicts.append(
                    f"{origin}: IoU {iou:.3f} against {other:.3f} ({verdict(bool(iou > other))}), "
                    f"Chamfer {1e3 * far:.2f} against {1e3 * further:.2f} "
                    f"({verdict(bool(far < further))})"
                )
    head = ["shapes", "picture", "pictures", "IoU", "of the nearest"]
    head += ["Chamfer, 1e-3", "of the nearest", "IoU is better in"]
    body = f"Better than retrieval? {'; '.join(verdicts)}.\n\n" + table(head, rows)
    publish(options, "Shapes: from a picture", body)
    card_metrics(options, bundle.get_bundle("shape", "shape"), figures)


if __name__ == "__main__":
    main()
