"""Completing a picture from itself: what is missing is laid of patches of what is known.

From coarse to fine, each patch over the hole looks for the known patch that is most like it, and
each pixel of the hole becomes what the patches over it say (Wexler et al. 2007, "Space-Time
Completion of Video"). The coarsest level looks at all patches; the finer ones begin at what the
coarser one found and try their neighbours' finds and random places (PatchMatch, Barnes et al.
2009). Patches are shaded somewhat, so that tones meet (Darabi et al. 2012, "Image Melding").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.engine import Job
from triptych.image.pyramid import smaller
from triptych.image.resample import resized

Floats = NDArray[Any]  # float32
Indices = NDArray[np.int64]

RADIUS = 3  # px: patches are of 7 x 7
_COARSEST = 66  # px that the shorter side has at most at the coarsest level
_ROUNDS = 10  # at the coarsest level
_MOST_KNOWN = 6000  # patches that the coarsest level chooses from
_SEARCHED = 300_000  # patches of a level that are still searched for; beyond, finds are only copied
_DEEP = 12  # px into the hole from which on all pixels are as unsure
_SURER = 1.3  # how much surer a pixel is than one a px deeper in the hole
_SHADE = 0.12  # by which a patch's colours are changed at most, so that tones meet
_SHADED = 0.9  # how much of the difference of two patches' means is taken away
_BAND = 1 << 18  # patches that are worked on at a time


def completed(
    picture: Floats, hole: Floats, guess: Floats, job: Job, seed: int = 0, horizon: float = 0.0
) -> Floats:
    """The picture with its hole laid of patches of what is known.

    Args:
        picture: H x W x 3, 0..1; what it holds in the hole is not looked at.
        hole: H x W booleans; where no patch of 7 x 7 px is known at a size, what a coarser one
            found is enlarged, or else the guess.
        guess: h x w x 3 of any size, 0..1: about what the hole could show. Only its coarse form is
            kept.
        job: told the share that is done.
        seed: 0 takes the best patches; another number also others that are nearly as good.
        horizon: how much a patch should be from the height it goes to, as a horizon asks for:
            the squared difference of colours that being off by the whole height is worth.
    """
    if not hole.any():
        return picture.copy()
    sizes = [(np.asarray(picture, np.float32), np.asarray(hole, bool))]
    while min(sizes[-1][1].shape) > _COARSEST:
        sizes.append(smaller(*sizes[-1], 2))
    levels = [_Level(*size, horizon) for size in sizes[1:]][::-1]
    found: _Level | None = None
    rng = np.random.default_rng(seed)
    done, total = 0.0, float(sum(4.0**-n for n in range(len(sizes))))
    for number in range(len(sizes) - 1, -1, -1):
        now = levels.pop(0) if number else _Level(*sizes[0], horizon)
        if not len(now.known):
            if found is None:
                continue
            break
        share = job.part(done, done + 4.0**-number / total)
        done += 4.0**-number / total
        if found is None:
            now.begin(guess, rng, 0.02 if seed else 0.0, share)
        else:
            now.refine(found, rng, share, last=number == 0)
        found = now
    made = guess if found is None else found.picture()
    if made.shape != picture.shape:  # no patch is known at this size
        made = resized(made, hole.shape, "BILINEAR")
    return np.where(hole[..., None], made, picture)


class _Level:
    """A size of the picture: patches are known by the index of their middle in the padded picture.

    Attributes:
        wanted: the patches that meet the hole.
        source: for each of them, the known patch that is most like it.
        shade: for each of them, what is added to the known patch's colours.
        known: all patches without a pixel of the hole.
    """

    def __init__(self, picture: Floats, hole: Floats, horizon: float) -> None:
        self.height, self.width = hole.shape
        self.row = self.width + 2 * RADIUS
        self.horizon = horizon
        edges = ((RADIUS, RADIUS), (RADIUS, RADIUS))
        self.pixels = np.pad(picture, (*edges, (0, 0)), "edge").reshape(-1, 3)
        padded = np.pad(hole, edges)
        self.hole = padded.ravel()
        inside = np.pad(np.ones_like(hole), edges)
        self.inside = inside.ravel()
        self.usable = (inside & ~_spread(~inside | padded)).ravel()
        self.known = np.flatnonzero(self.usable)
        self.wanted = np.flatnonzero(inside & _spread(padded))
        across = np.arange(-RADIUS, RADIUS + 1)
        self.all = (across[:, None] * self.row + across).ravel()
        few = across[::2]
        self.few = (few[:, None] * self.row + few).ravel()
        self.sure = _sureness(padded).ravel()[self.wanted]
        self.source: Indices = np.zeros(len(self.wanted), np.int64)
        self.shade = np.zeros((len(self.wanted), 3), np.float32)

    def picture(self) -> Floats:
        """As it is now, H x W x 3, not a copy."""
        return self.pixels.reshape(-1, self.row, 3)[RADIUS:-RADIUS, RADIUS:-RADIUS]

    def begin(self, guess: Floats, rng: np.random.Generator, loose: float, job: Job) -> None:
        """Look for the patches of the guess among all, again and again."""
        small = resized(guess, (self.height, self.width), "BOX")
        wide = np.pad(small, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), "edge").reshape(-1, 3)
        self.pixels[self.hole] = wide[self.hole]
        self._mirror()
        known = self.known
        if len(known) > _MOST_KNOWN:
            known = np.sort(rng.choice(known, _MOST_KNOWN, replace=False))
        theirs = self.pixels[known[:, None] + self.all].reshape(len(known), -1).T
        squares = theirs**2
        for step in range(_ROUNDS):
            job.progress(step / _ROUNDS)
            apart = np.empty(len(self.wanted), np.float32)
            for part in _bands(len(self.wanted), 1 + (1 << 24) // len(known)):
                at = self.wanted[part][:, None] + self.all
                inside = self.inside[at].astype(np.float32)
                ours = (self.pixels[at] * inside[..., None]).reshape(len(at), -1)
                cost = np.repeat(inside, 3, 1) @ squares - 2 * ours @ theirs
                cost += (ours**2).sum(1)[:, None]
                cost /= inside.sum(1)[:, None]
                cost += self._off(self.wanted[part][:, None], known[None])
                noise: Floats | float = 0.0
                if loose and step < _ROUNDS // 2:
                    noise = loose * rng.random(cost.shape, np.float32)
                best = (cost + noise).argmin(1)
                self.source[part] = known[best]
                apart[part] = cost[np.arange(len(best)), best]
                if step >= _ROUNDS - 2:  # the guess is forgotten by now
                    inside /= inside.sum(1)[:, None]
                    chosen = self.pixels[self.source[part][:, None] + self.all]
                    _, self.shade[part] = _compared(chosen, self.pixels[at], inside)
            self._vote(np.maximum(apart, 0), 1.0, job)

    def refine(self, coarse: _Level, rng: np.random.Generator, job: Job, last: bool) -> None:
        """Begin at what the coarser size found, and search near it."""
        self.source, self.shade = self._finer(coarse)
        count = len(self.wanted)
        self._vote(np.zeros(count, np.float32), 1.0, job)
        if count > _SEARCHED:
            return
        place = np.full(len(self.hole), -1, np.int64)
        place[self.wanted] = np.arange(count)
        rounds = 2 if last or count > _SEARCHED // 4 else 3
        for step in range(rounds):
            apart = np.empty(count, np.float32)
            before = self.source.copy()
            for part in _bands(count, 1 << 14):
                job.progress((step + part.start / count) / rounds)
                apart[part] = self._search(part, before, place, rng)
            self._vote(apart, 0.1 if last and step == rounds - 1 else 1.0, job)

    def _search(
        self, part: slice, before: Indices, place: Indices, rng: np.random.Generator
    ) -> Floats:
        """Take better sources for these patches; returns how far they are then."""
        wanted = self.wanted[part]
        at = wanted[:, None] + self.few
        ours = self.pixels[at]
        inside = self.inside[at].astype(np.float32)
        inside /= inside.sum(1)[:, None]
        best = before[part].copy()

        def compared(source: Indices) -> tuple[Floats, Floats]:
            theirs = self.pixels[source[:, None] + self.few]
            cost, shade = _compared(theirs, ours, inside)
            return cost + self._off(wanted, source), shade

        least, shade = compared(best)

        def attempt(source: Indices) -> None:
            source = np.clip(source, 0, len(self.usable) - 1)
            source = np.where(self.usable[source], source, best)
            cost, other = compared(source)
            better = cost < least
            best[better], least[better] = source[better], cost[better]
            shade[better] = other[better]

        for jump in (4, 1):
            for way in (jump, -jump, jump * self.row, -jump * self.row):
                near = place[np.clip(wanted + way, 0, len(place) - 1)]
                attempt(np.where(near >= 0, before[near] - way, best))
        for far in (self.height // 4, 6, 1):
            down, right = rng.integers(-far, far + 1, (2, len(best)))
            attempt(best + down * self.row + right)
        self.source[part], self.shade[part] = best, shade
        return least

    def _off(self, wanted: Indices, source: Indices) -> Floats:
        """The cost of coming from another height."""
        if not self.horizon:
            return np.zeros((), np.float32)
        apart = (wanted // self.row - source // self.row).astype(np.float32) / self.height
        cost: Floats = np.float32(self.horizon) * apart**2
        return cost

    def _finer(self, coarse: _Level) -> tuple[Indices, Floats]:
        """The coarser size's finds as sources and shades at this size."""
        down, right = (np.zeros(len(coarse.hole), np.int32) for _ in range(2))
        ours, theirs = (np.divmod(i, coarse.row) for i in (coarse.wanted, coarse.source))
        down[coarse.wanted] = theirs[0] - ours[0]
        right[coarse.wanted] = theirs[1] - ours[1]
        place = np.zeros(len(coarse.hole), np.int32)
        place[coarse.wanted] = np.arange(len(coarse.wanted))
        made, shade = np.empty_like(self.wanted), np.empty_like(self.shade)
        for part in _bands(len(made), _BAND):
            rows, columns = np.divmod(self.wanted[part], self.row)
            at = ((rows - RADIUS) // 2 + RADIUS) * coarse.row + (columns - RADIUS) // 2 + RADIUS
            source = self.wanted[part] + 2 * (down[at].astype(np.int64) * self.row + right[at])
            source = np.clip(source, 0, len(self.usable) - 1)
            lost = ~self.usable[source]
            nearest = np.searchsorted(self.known, source[lost]).clip(0, len(self.known) - 1)
            source[lost] = self.known[nearest]
            made[part], shade[part] = source, coarse.shade[place[at]]
        return made, shade

    def _vote(self, apart: Floats, sharp: float, job: Job) -> None:
        """Make each pixel of the hole what the patches over it say, the likest most.

        The lower `sharp`, the more only the likest counts.
        """
        middle = float(np.median(apart)) + 1e-6
        trust = (np.exp(-apart / (2 * sharp * middle)) + 1e-6) * self.sure
        band = max(1, _BAND // self.row) * self.row
        for start in range(RADIUS * self.row, len(self.hole) - RADIUS * self.row, band):
            job.check()
            stop = min(start + band, len(self.hole) - RADIUS * self.row)
            reach = RADIUS * self.row + RADIUS
            first, end = np.searchsorted(self.wanted, (start - reach, stop + reach))
            total = np.zeros((stop - start + 2 * reach * 2, 3), np.float32)
            weight = np.zeros(len(total), np.float32)
            to = self.wanted[first:end] - start + 2 * reach
            source, share = self.source[first:end], trust[first:end]
            shade = self.shade[first:end]
            for way in self.all:  # no two patches write to the same place
                total[to + way] += share[:, None] * (self.pixels[source + way] + shade)
                weight[to + way] += share
            mine = slice(2 * reach, 2 * reach + stop - start)
            hole = self.hole[start:stop]
            made = total[mine][hole] / weight[mine][hole, None]
            self.pixels[start:stop][hole] = np.clip(made, 0, 1, out=made)
        self._mirror()

    def _mirror(self) -> None:
        """Repeat the outermost pixels in what the picture is padded with."""
        whole = self.pixels.reshape(-1, self.row, 3)
        whole[:, :RADIUS], whole[:, -RADIUS:] = whole[:, RADIUS, None], whole[:, -RADIUS - 1, None]
        whole[:RADIUS], whole[-RADIUS:] = whole[RADIUS], whole[-RADIUS - 1]


def _spread(mask: NDArray[np.bool_], by: int = RADIUS) -> NDArray[np.bool_]:
    """The mask H x W spread by so many px on all sides, also around corners."""
    for axis in (0, 1):
        made = mask.copy()
        for step in range(1, by + 1):
            ahead: list[Any] = [slice(None)] * 2
            behind = list(ahead)
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            made[tuple(ahead)] |= mask[tuple(behind)]
            made[tuple(behind)] |= mask[tuple(ahead)]
        mask = made
    return mask


def _sureness(hole: NDArray[np.bool_]) -> Floats:
    """1 at what is known, less the deeper in the hole."""
    made = np.ones(hole.shape, np.float32)
    known = ~hole
    for _ in range(_DEEP):
        made[~known] /= _SURER
        known = _spread(known, 1)
    return made


def _compared(theirs: Floats, ours: Floats, share: Floats) -> tuple[Floats, Floats]:
    """How far patches N x P x 3 are from others, pixel by pixel with the shares N x P, when they
    are shaded so that they are nearest; and that shade, N x 3."""
    apart = theirs - ours
    mean = np.einsum("npc,np->nc", apart, share)
    shade = np.clip(-_SHADED * mean, -_SHADE, _SHADE)
    cost: Floats = np.einsum("npc,npc,np->n", apart, apart, share)
    return cost + (shade * (2 * mean + shade / _SHADED)).sum(1), shade


def _bands(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
