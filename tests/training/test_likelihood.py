"""The likelihood benchmark's protocol and its network's chains."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.errors import UserError
from triptych.training import data
from triptych.training.loop import Run, averaged, fit
from triptych.training.music import likelihood as lk


def have_data() -> bool:
    try:
        return (data.data_root() / "music" / "polyphonic_benchmark").is_dir()
    except UserError:
        return False


def small(low: int = 40, high: int = 44) -> lk.FrameNet:
    torch.manual_seed(0)
    net = lk.FrameNet(low, high, hidden=8, channels=4, heads=2, recent=3, blocks=1).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=0.5)
    return net


def pieces(count: int = 3, low: int = 40, high: int = 44) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    made = [np.zeros((5 + i, lk.KEYS), np.float32) for i in range(count)]
    for piece in made:
        piece[:, low:high] = rng.random((len(piece), high - low)) < 0.4
    return made


def test_a_figure_is_the_mean_over_frames_from_the_second_on():
    class Coin(lk.FrameNet):
        def independent(self, context):
            return torch.zeros_like(context[:, 0])  # p = 1/2

        def joint(self, context, following):
            return torch.full_like(following, math.log(3))  # p = 3/4

    net, rolls = Coin(40, 44, hidden=8, channels=4, heads=2), pieces()
    independent, joint = lk.likelihood([net], rolls)
    outside = -(lk.KEYS - 4) * math.log1p(-lk.UNSEEN)
    assert independent == pytest.approx(4 * math.log(2) + outside, abs=1e-6)
    on = np.concatenate([roll[1:, 40:44] for roll in rolls])
    wanted = np.where(on > 0, math.log(4 / 3), math.log(4)).sum(1).mean()
    assert joint == pytest.approx(wanted + outside, abs=1e-6)


def test_the_joint_probabilities_of_a_frame_sum_to_one():
    net, past = small(), torch.from_numpy(pieces(1)[0][:, 40:44])[None]
    frames = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
    rolls = torch.cat([past.expand(16, -1, -1), frames[:, None]], 1)
    zeros = torch.zeros(16, dtype=torch.long)
    with torch.no_grad():
        for logits in net(rolls, zeros, zeros):
            nats = lk.nats(logits, rolls[:, 1:])[:, -1]
            assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_the_chain_s_marginals_are_sums_over_all_frames():
    net, past = small(), torch.from_numpy(pieces(1)[0][:, 40:44])[None]
    frames = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
    first = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        context = net.context(past, first, first)[:, :, -1:]
        nats = lk.nats(net.joint(context.expand(16, -1, -1, -1), frames[:, None]), frames[:, None])
        wanted = (-nats).exp().T @ frames
        found = net.marginals(context, 20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(found[0], wanted, atol=0.01)


def test_averaged_networks_are_a_distribution_and_no_worse_than_their_mean():
    nets = [small(), small(38, 46)]
    with torch.no_grad():
        for weight in nets[1].parameters():
            weight.mul_(0.5)
    together = lk.likelihood(nets, pieces())
    alone = [lk.likelihood([net], pieces()) for net in nets]
    assert all(t <= np.mean(a) for t, a in zip(together, zip(*alone, strict=True), strict=True))


def test_the_future_changes_nothing_and_padding_neither():
    net, roll = small(), torch.from_numpy(pieces(3)[2][:, 40:44])[None]
    first = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        before = [lk.nats(logits, roll[:, 1:]) for logits in net(roll, first, first)]
        for cut in range(2, roll.shape[1]):
            other = roll.clone()
            other[:, cut:] = 1 - other[:, cut:]
            after = [lk.nats(logits, other[:, 1:]) for logits in net(other, first, first)]
            for a, b in zip(before, after, strict=True):
                assert torch.allclose(a[:, : cut - 1], b[:, : cut - 1], atol=1e-5)
                assert not torch.allclose(a[:, cut - 1 :], b[:, cut - 1 :])
    each = [lk.likelihood([net], [piece]) for piece in pieces()]
    frames = [len(piece) - 1 for piece in pieces()]
    assert lk.likelihood([net], pieces()) == pytest.approx(np.average(each, 0, frames), abs=1e-5)


def test_it_learns_a_tune_that_repeats(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tune = pieces(4)[3]
    monkeypatch.setattr(lk, "read_pieces", lambda name, split: [np.concatenate([tune] * 4)] * 2)
    recipe = lk.LikelihoodRecipe(
        lk.LikelihoodSettings(hidden=32, channels=16, heads=2, blocks=1, dropout=0.0, rate=0.03)
    )
    recipe.loop.steps, recipe.loop.minutes, recipe.loop.batch = 100, 0, 2
    recipe.loop.warmup, recipe.loop.ema, recipe.loop.precision = 5, 0.5, "32-true"
    recipe.loop.accelerator = "cpu"
    run = fit(recipe, Run(tmp_path / "run"))
    net = averaged(recipe, run)["net"]
    assert isinstance(net, lk.FrameNet)
    assert max(lk.likelihood([net], lk.read_pieces("jsb", "train"))) < 1


@pytest.mark.skipif(not have_data(), reason="needs the benchmark's files (TRIPTYCH_DATA)")
@pytest.mark.parametrize(
    ("name", "marginal", "markov"), [("jsb", 11.093, 10.491), ("nottingham", 10.261, 5.153)]
)
def test_the_baselines_are_those_of_the_data_s_notes(name: str, marginal: float, markov: float):
    assert lk.baselines(name) == pytest.approx((marginal, markov), abs=2e-3)
