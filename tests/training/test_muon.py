"""The optimiser MuonAdam."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from triptych.training.muon import MuonAdam


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 4, 3), nn.Flatten())


def optimiser(net: nn.Module) -> MuonAdam:
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": weights, "lr": 1e-2, "muon": True}, {"params": others, "lr": 1e-2}]
    return MuonAdam(groups, betas=(0.9, 0.99))


def train(net: nn.Module, steps: int, made: MuonAdam | None = None) -> tuple[list[float], MuonAdam]:
    made = made or optimiser(net)
    x = torch.rand(8, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    wanted = x.roll(1, 0)[:, :1, :5, :5].flatten(1)
    losses = []
    for _ in range(steps):
        made.zero_grad()
        loss = (net(x).unflatten(1, (4, 25)).mean(1) - wanted).pow(2).mean()
        loss.backward()
        made.step()
        losses.append(float(loss.detach()))
    return losses, made


def flat(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_a_convolution_takes_the_step_that_pytorchs_muon_takes_on_its_matrix():
    net = network()
    weight = next(net.parameters())
    matrix = nn.Parameter(weight.detach().clone().flatten(1))
    reference = torch.optim.Muon(
        [matrix], lr=1e-2, weight_decay=0, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    made = optimiser(net)
    for seed in range(3):
        gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        made.zero_grad()
        weight.grad, matrix.grad = gradient, gradient.flatten(1)
        made.step()
        reference.step()
    torch.testing.assert_close(weight.flatten(1), matrix, atol=1e-3, rtol=1e-2)  # it is bfloat16


def test_all_parameters_learn():
    net = network()
    before = [p.detach().clone() for p in net.parameters()]
    losses, _ = train(net, 60)
    assert losses[-1] < 0.3 * losses[0]
    assert all(not torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


def test_the_order_of_a_weight_in_memory_changes_nothing():
    plain, last = network(), network()
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train(plain, 5)
    train(last, 5)
    torch.testing.assert_close(flat(plain), flat(last), atol=1e-3, rtol=1e-3)


def test_saved_and_loaded_it_goes_on_as_if_it_had_not_stopped():
    straight, parted = network(), network()
    train(straight, 6)
    _, first = train(parted, 3)
    saved = copy.deepcopy(first.state_dict())
    second = optimiser(parted)
    second.load_state_dict(saved)
    train(parted, 3, second)
    assert torch.equal(flat(straight), flat(parted))


def test_the_groups_rate_is_obeyed():
    net = network()
    made = optimiser(net)
    for group in made.param_groups:
        group["lr"] = 0.0
    before = flat(net)
    train(net, 2, made)
    assert torch.equal(flat(net), before)
