"""Every parameter that can be set while the bridge plays, each with an OSC address of its own.

Addresses are `/triptych/GROUP/NAME`: a group is a task or a mode, whose own declarations say what
its parameters take; the bridge itself has no group (`/triptych/tempo`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triptych.errors import UserError, did_you_mean
from triptych.task import Parameter, Task

ROOT = "/triptych"
_CARRIED = {"float", "int", "bool", "text", "choice", "seed"}  # that one OSC argument can hold


def offered(tasks: Iterable[Task]) -> dict[str, Task]:
    """Of these tasks those that make scores, by name."""
    return {task.name: task for task in tasks if task.output == "score"}


class Settings:
    """Values of parameters by address: those of groups, and those of tasks that make scores.

    What was never set has the declared default.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[Parameter]], tasks: Mapping[str, Task]
    ) -> None:
        self.tasks = tasks
        self._parameters: dict[str, Parameter] = {}
        together = [*groups.items(), *((task.name, task.parameters) for task in tasks.values())]
        for group, parameters in together:
            for parameter in parameters:
                if parameter.kind in _CARRIED:
                    place = address(group, parameter.name)
                    if place in self._parameters:
                        raise ValueError(f"there are two parameters {place}")
                    self._parameters[place] = parameter
        self._values: dict[str, Any] = {}

    @property
    def addresses(self) -> list[str]:
        """All of them, in the order of their declarations."""
        return list(self._parameters)

    def parameter(self, place: str) -> Parameter:
        """The declaration at an address; UserError with the nearest where there is none."""
        found = self._parameters.get(place)
        if found is None:
            raise UserError(f"there is no {place[:100]}{did_you_mean(place, self._parameters)}")
        return found

    def get(self, place: str) -> Any:
        """The value at an address; UserError as of `parameter`."""
        return self._values.get(place, self.parameter(place).default)

    def check(self, place: str, value: Any) -> Any:
        """The value as it would be set; UserError: out of range, of the wrong kind, unknown."""
        return self.parameter(place).check(value)

    def set(self, place: str, value: Any) -> Any:
        """Set a value and return it as it is now; UserError as of `check`."""
        checked = self.check(place, value)
        self._values[place] = checked
        return checked

    def scaled(self, place: str, part: float) -> Any:
        """The value that lies at this part (0..1) of a parameter's range, as a knob sets it.

        UserError where a parameter has no range.
        """
        parameter = self.parameter(place)
        if parameter.kind == "bool":
            return part >= 0.5
        if parameter.kind == "choice":
            options = parameter.options()
            if not options:
                raise UserError(f"{place} has nothing to choose from.")
            return options[min(int(part * len(options)), len(options) - 1)].value
        low, high = parameter.minimum, parameter.maximum
        if parameter.kind == "text" or low is None or high is None:
            raise UserError(f"{place} has no range that a controller could turn through.")
        value = low + part * (high - low)
        return value if parameter.kind == "float" else round(value)

    def of_task(self, task: str) -> dict[str, Any]:
        """The values of a task's parameters that were set, by name; from any thread."""
        values = dict(self._values)
        places = {p.name: address(task, p.name) for p in self.tasks[task].parameters}
        return {name: values[place] for name, place in places.items() if place in values}

    def all_set(self) -> dict[str, Any]:
        """All values that were set, by address."""
        return dict(self._values)

    def reset(self) -> None:
        """All values are the declared defaults again."""
        self._values.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Every address with its parameter's declaration and value, as JSON; choices anew."""
        return [
            {"address": place, "value": self.get(place), **parameter.describe()}
            for place, parameter in self._parameters.items()
        ]


def address(group: str, name: str) -> str:
    """The OSC address of a parameter; `group` is empty for the bridge's own."""
    return f"{ROOT}/{group}/{name}" if group else f"{ROOT}/{name}"
