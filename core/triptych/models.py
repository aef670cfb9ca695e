"""The model that a task runs on, as its parameter: the one that ships, or one of the user's own."""

from __future__ import annotations

import functools

from triptych import bundle
from triptych.task import Choice, Parameter


def models(task: str, graph: str = "") -> list[Choice]:
    """The bundles of a task as choices, those that ship first; with `graph`, those that have it."""
    return [
        Choice(found.listed, found.card.title, found.card.notes)
        for found in bundle.find_bundles(task)
        if not graph or graph in found.card.graphs
    ]


def model_parameter(
    task: str,
    *,
    graph: str = "",
    name: str = "model",
    label: str = "Model",
    help: str = "The model: the one that ships, or one of your own.",
    advanced: bool = True,
) -> Parameter:
    """The choice among `models`; what ships is named as its task is."""
    return Parameter(
        name,
        label,
        "choice",
        task,
        help,
        choices=functools.partial(models, task, graph),
        noun="model",
        advanced=advanced,
    )
