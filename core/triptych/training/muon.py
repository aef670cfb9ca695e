"""Muon for convolutions and matrices, Adam for all else, as one optimiser.

torch.optim.Muon works in bfloat16 on any machine, which a processor that only imitates it takes
longer for than for the gradients; here the numbers are those that the machine is fast with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from triptych.training.loop import fast_precision

_STEPS, _A, _B, _C = 5, 3.4445, -4.7750, 2.0315  # of Newton-Schulz (Jordan et al. 2024)


class MuonAdam(torch.optim.Optimizer):
    """Groups with `muon=True` take the steps of Muon (Jordan et al. 2024), the others Adam's.

    A convolution's weight counts as a matrix of outputs x all else. Muon's steps are made as long
    as Adam's (Liu et al. 2025), so that `lr` means the same in all groups. `decay` shrinks the
    matrices alone, by `lr * decay` a step.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], betas: tuple[float, float], decay: float = 0.0
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "muon": False})
        self.momentum, self.decay = betas[0], decay
        self.dtype = torch.bfloat16 if fast_precision().startswith("bf16") else torch.float32
        others = [g for g in self.param_groups if not g["muon"]]
        self.adam = torch.optim.Adam(
            [{"params": g["params"], "lr": g["lr"]} for g in others], betas=betas
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step with the weights' gradients and the groups' `lr`."""
        others = [g for g in self.param_groups if not g["muon"]]
        for group, inner in zip(others, self.adam.param_groups, strict=True):
            inner["lr"] = group["lr"]
        self.adam.step()
        for group in self.param_groups:
            for weight in group["params"] if group["muon"] else ():
                if weight.grad is not None:
                    self._turn(weight, weight.grad, group["lr"])

    def _turn(self, weight: Tensor, gradient: Tensor, rate: float) -> None:
        memory = self.state[weight]
        if "momentum" not in memory:
            memory["momentum"] = torch.zeros_like(weight)
        memory["momentum"].lerp_(gradient, 1 - self.momentum)
        ahead = gradient.lerp(memory["momentum"], self.momentum)  # Nesterov
        matrix = ahead.reshape(len(weight), -1)
        made = orthogonal(matrix.to(self.dtype)).to(weight.dtype).view(weight.shape)
        weight.mul_(1 - rate * self.decay)
        weight.sub_(made, alpha=0.2 * math.sqrt(max(matrix.shape)) * rate)

    def state_dict(self) -> dict[str, Any]:
        """What both hold."""
        return {"muon": super().state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        super().load_state_dict(state_dict["muon"])
        self.adam.load_state_dict(state_dict["adam"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the nearest matrix with orthonormal rows (or columns, if those are fewer)."""
    wide = len(matrix) <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_STEPS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x if wide else x.T
