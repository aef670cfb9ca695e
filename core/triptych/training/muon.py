"""Muon for convolutions and matrices, Adam for all else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


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
        self.weights, matrices, others = [], [], []
        for group in self.param_groups:
            if group["muon"]:
                self.weights += [weights := group["params"]]
                # views: a step on the matrix is a step on the weight
                views = [nn.Parameter(_matrix(w.detach())) for w in weights]
                matrices.append({"params": views, "lr": group["lr"]})
            else:
                others.append({"params": group["params"], "lr": group["lr"]})
        self.muon = torch.optim.Muon(
            matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw", momentum=betas[0]
        )
        self.adam = torch.optim.Adam(others, betas=betas)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step with the weights' gradients and the groups' `lr`."""
        for ours, groups in ((True, self.muon.param_groups), (False, self.adam.param_groups)):
            mine = [g for g in self.param_groups if g["muon"] is ours]
            for group, inner in zip(mine, groups, strict=True):
                inner["lr"] = group["lr"]
        for weights, inner in zip(self.weights, self.muon.param_groups, strict=True):
            for weight, matrix in zip(weights, inner["params"], strict=True):
                matrix.grad = None
                if weight.grad is not None:  # it need not lie in memory as the weight does
                    matrix.grad = _matrix(torch.empty_like(weight).copy_(weight.grad))
        self.muon.step()
        self.adam.step()

    def state_dict(self) -> dict[str, Any]:
        """What both hold."""
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.muon.load_state_dict(state_dict["muon"])
        self.adam.load_state_dict(state_dict["adam"])


def _matrix(weight: Tensor) -> Tensor:
    """A view of a weight as outputs x all else, whatever the order of the others in memory."""
    columns = weight[0].numel()
    return weight.as_strided((len(weight), columns), (columns, 1))
