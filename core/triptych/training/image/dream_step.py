"""The gradient step of DeepDream (Mordvintsev et al. 2015) as a forward pass, so that it can be
exported: the backward pass of a small convolutional network is convolutions too.

Why the step and not feed-forward dreamers (networks trained to give the dreamt picture at once):
the step is exact, needs no training, and leaves octaves, steps, strength and a guide picture to the
user; a dreamer would have one fixed dream for each channel group, and weigh more than this.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.training.image.perceptual import TAPS, PerceptualNet

LAYERS = TAPS[1:]  # what is worth dreaming of: `conv1` sees edges and colours only


class DreamStep(nn.Module):
    """How strongly a layer sees what it is asked for, and how to change the picture to see more.

    `vectors` K x C are directions in the layer's features. Every place takes the one that it is
    nearest to (the largest dot product, as in guided dreaming); of a place a, before the last ReLU,
    the objective is max_k(v_k . a) + energy / 2 * |ReLU(a)|^2. With one-hot vectors those are
    channels, with a picture's features a guide, and with `energy` all that the layer sees.
    """

    scale: Tensor

    def __init__(self, net: PerceptualNet, layer: str) -> None:
        super().__init__()
        depth = TAPS.index(layer) + 1
        flat = [m for stage in net.stages[:depth] for m in stage.children()]
        self.layers = nn.ModuleList(flat[:-1])
        self.register_buffer("scale", net.scale[depth - 1].clone())

    def forward(self, picture: Tensor, vectors: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Picture 1 x 3 x H x W in 0..1, vectors K x C, energy (1,) to the objective's mean over
        all places (1,), and the gradient 3 x H x W of its sum (which no tile's size changes)."""
        x, seen = (picture - 0.45) * 4, []
        for layer in self.layers:
            if isinstance(layer, nn.MaxPool2d):  # along rows, then columns: the way back is short
                rows = _largest(x, 3)
                seen.append(rows)
                x = _largest(rows, 2)
            else:
                x = layer(x)
                seen.append(x)
        objective, gradient = self._objective(x / self.scale, vectors, energy)
        gradient = gradient / self.scale
        for index in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[index]
            if isinstance(layer, nn.MaxPool2d):
                rows, whole = seen[index], seen[index - 1]
                gradient = _gated(gradient, _largest(rows, 2))
                gradient = _unpooled(_unpooled(gradient, rows, 2), whole, 3)
            elif isinstance(layer, nn.ReLU):
                # Below a pooling the gate is behind it already, where there is less to do.
                if not isinstance(self.layers[index + 1], nn.MaxPool2d):
                    gradient = _gated(gradient, seen[index])
            elif isinstance(layer, nn.Conv2d) and index:
                turned = layer.weight.flip(2, 3).transpose(0, 1)
                gradient = F.conv2d(gradient, turned, padding=layer.padding)
            elif isinstance(layer, nn.Conv2d):
                gradient = F.conv_transpose2d(gradient, layer.weight, stride=2, output_padding=1)
        height, width = picture.shape[2:]
        return objective, 4 * gradient[0, :, :height, :width]

    def _objective(self, a: Tensor, vectors: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """The objective of features 1 x C x h x w, and the gradient of its sum."""
        scores = vectors @ a[0].flatten(1)
        wanted = vectors.index_select(0, scores.argmax(0)).t().reshape(a.shape)
        seen = F.relu(a)
        total = scores.amax(0).mean() + energy / 2 * seen.square().sum(1).mean()
        return total, wanted + energy * seen


def _gated(gradient: Tensor, values: Tensor) -> Tensor:
    """The gradient below a ReLU (or a pooling of one) that gave `values`."""
    return gradient * (values > 0).float()


def _unpooled(gradient: Tensor, values: Tensor, axis: int) -> Tensor:
    """The gradient of `values`, of which the largest of three was taken along `axis`, 2 apart: the
    first that equals the largest gets its gradient, as in PyTorch (a scatter by indices takes far
    longer)."""
    count, size = gradient.shape[axis], values.shape[axis]
    after = (0, 0) * (3 - axis)
    pairs = F.pad(values, (*after, 0, 2 * count - size), value=-1.0)  # may cut off the last
    even, odd = (pairs[..., k::2] if axis == 3 else pairs[..., k::2, :] for k in (0, 1))
    pooled = _largest(values, axis)
    # ONNX Runtime casts and multiplies in a quarter of the time of a `where`.
    first = gradient * (even == pooled).float()
    rest = gradient - first
    second = rest * (odd == pooled).float()
    third = rest - second
    at_even = F.pad(first, (*after, 0, 1)) + F.pad(third, (*after, 1, 0))
    at_odd = F.pad(second, (*after, 0, 1))
    return torch.stack([at_even, at_odd], axis + 1).flatten(axis, axis + 1).narrow(axis, 0, size)


def _largest(values: Tensor, axis: int) -> Tensor:
    """The largest of three along `axis`, 2 apart."""
    kernel, stride = ((3, 1), (2, 1)) if axis == 2 else ((1, 3), (1, 2))
    return F.max_pool2d(values, kernel, stride, ceil_mode=True)
