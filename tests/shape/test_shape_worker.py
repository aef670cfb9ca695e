"""Meshes through a real worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.client import Pixels, Run, RunCancelled, Worker, WorkerError
from triptych.engine import Engine
from triptych.provenance import Provenance
from triptych.shape import files
from triptych.shape.mesh import Mesh
from triptych.task import get_task


@pytest.fixture(scope="module")
def worker(user: Path) -> Iterator[Worker]:
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TRIPTYCH_THREADS": "1"}
    environment["TRIPTYCH_USER_DATA"] = str(user)
    with Worker([sys.executable, "-m", "triptych.worker"], environment) as started:
        yield started


QUICK: dict[str, Any] = {"detail": 32, "seed": 3, "model": "boxes"}


def taken(run: Run) -> tuple[Mesh, dict[str, Any]]:
    assert run.wait(60)
    with run.mesh() as made:
        vertices = np.array(made.vertices, np.float32).reshape(-1, 3)
        faces = np.array(made.faces, np.int32).reshape(-1, 3)
        uv = np.array(made.uv, np.float32).reshape(-1, 3, 2)
        assert len(made.normals) == 9 * len(faces)
        assert len(made.preview) == 3 * made.preview_size**2
        shape = made.shape
    assert shape is not None
    return Mesh(vertices, faces, uv), shape


def test_a_mesh_comes_as_it_does_in_process(worker: Worker):
    run = worker.run_mesh("shape", {"category": "chair", **QUICK}, preview=48)
    mesh, shape = taken(run)
    same = get_task("shape").run(engine=Engine(["cpu"], 1), category="chair", **QUICK).made
    assert np.allclose(mesh.vertices, same.vertices, atol=1e-5)
    assert np.array_equal(mesh.faces, same.faces)
    assert shape == same.record
    assert Provenance.from_json(run.record or "").seed == 3
    assert run.fraction == 1


def test_shapes_files_and_meshes_go_in(worker: Worker, tmp_path: Path):
    one, shape = taken(worker.run_mesh("shape", {"category": "chair", **QUICK}))
    again, _ = taken(
        worker.run_mesh("vary_shape", {"amount": 0, "detail": 32, "model": "boxes"}, shape)
    )
    assert np.array_equal(one.vertices, again.vertices)
    files.save(one, tmp_path / "a.obj")
    crossed = worker.run_mesh(
        "cross_shapes", {"other": tmp_path / "a.obj", "detail": 32, "model": "boxes"}, shape
    )
    assert taken(crossed)[0].faults() == []
    values = {
        "favourites": [shape, tmp_path / "a.obj"],
        "rejected": [shape],
        "detail": 32,
        "model": "boxes",
    }
    assert taken(worker.run_mesh("shape_like", values))[0].faults() == []
    with Pixels(one.vertices.shape) as vertices, Pixels(one.faces.shape, kind="i4") as faces:
        vertices.data[:] = one.vertices.tobytes()
        faces.data[:] = one.faces.tobytes()
        varied, _ = taken(
            worker.run_mesh("vary_shape", {"detail": 32, "model": "boxes"}, (vertices, faces))
        )
    assert np.allclose(varied.size, one.size, rtol=0.02)


def test_cancelling_stops_it(worker: Worker):
    run = worker.run_mesh("shape", {"category": "chair", "detail": 256, "model": "boxes"})
    while not run.fraction:
        assert not run.wait(0.01)
    run.cancel()
    assert run.wait(5)
    with pytest.raises(RunCancelled):
        run.mesh()


@pytest.mark.parametrize(
    ("task", "values", "mesh", "said"),
    [
        ("shape", {"category": "chiar"}, None, "did you mean 'chair'"),
        ("vary_shape", {}, None, "must be a mesh"),
        ("vary_shape", {}, "none.glb", "cannot read none.glb"),
        ("vary_shape", {}, {"latent": 3}, "give its mesh"),
    ],
)
def test_a_mistake_is_one_sentence(
    worker: Worker, task: str, values: dict[str, Any], mesh: Any, said: str
):
    run = worker.run_mesh(task, {"model": "boxes", **values}, mesh)
    assert run.wait(30)
    with pytest.raises(WorkerError, match=said) as caught:
        run.mesh()
    assert "\n" not in str(caught.value)
    assert worker.alive
