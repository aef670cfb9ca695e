"""Artefacts: numbers for checkerboards, stamps and borders, and sheets for eyes.

A network that works on a grid of 2, 4 or 8 px may leave that grid in the picture, or one motif at
every second position of it: a peak of the spectrum at the grid's frequencies. Where it has no idea
for a flat area it may stamp one motif again and again (see `repetition`), or lay its strokes along
the grid (see `gridded`). A network that pads may show it along the border, or paint a frame (see
`framed`). All are measured on six photographs at 512 px and one at 2048 px, for every style that
is installed, beside the photographs themselves. Blotches are for eyes: a sheet per style goes to
out/style_artefacts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import results
import subjects
import torch
from numpy.typing import NDArray
from PIL import Image

from triptych import bundle
from triptych.engine import Engine
from triptych.image.style import styles
from triptych.training.image.frames import MARGIN, framed
from triptych.training.image.mazes import gridded
from triptych.training.image.style import stamped

PERIODS = (2, 4, 8, 16)  # pixels: a sub-pixel step, the fine grid, the coarse grid and its double
BAR_GRID = 1.0  # levels of 1/255, root mean square, beyond chance: it cannot be seen
BESIDE = 11  # bins of the spectrum from a grid's frequency, where there is none: what chance makes
BAR_BORDER = 1.5  # times the inside
RING = 8  # pixels
CHOSEN = (1, 3, 6, 14, 19, 22)  # Kodak: still life, portrait, market, river, lighthouse, barn
LARGE = 22  # the photograph that is enlarged to 2048 px


def main() -> None:
    """Measure, write the sheets, then the section and the figures."""
    made = results.parser("Checkerboards, borders, and sheets for eyes.")
    made.add_argument("--size", type=int, default=subjects.SIZE, help="of the six photographs")
    made.add_argument("--large", type=int, default=2048, help="of the large one, in px")
    made.add_argument("--styles", nargs="*", default=[], help="only these (default: what ships)")
    options = made.parse_args()
    engine = Engine(["cpu"], threads=options.threads)
    every = subjects.photographs(24, options.size)
    pictures = [every[number - 1] for number in CHOSEN]
    large = enlarged(LARGE, options.large)
    folder = results.OUT / "style_artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [np.ascontiguousarray(p[MARGIN:-MARGIN, MARGIN:-MARGIN]) for p in pictures]
    rows = [("*the photographs*", figures(pictures, pictures, parts, large, large))]
    shipped = [name for name, (owner, _) in styles().items() if not owner.user]
    for style in options.styles or shipped:
        painted = [subjects.stylised(engine, picture, style) for picture in pictures]
        painted_parts = [subjects.stylised(engine, part, style) for part in parts]
        painted_large = subjects.stylised(engine, large, style)
        sheet(painted, painted_large).save(
            folder / f"{style.replace('/', '-')}.jpg", quality=92, subsampling=0
        )
        measured = figures(painted, pictures, painted_parts, painted_large, large)
        rows.append((style, measured))
        print(style, *(f"{value:.3g}" for value in measured), flush=True)
    every_row = np.array([values for _, values in rows])
    worst = list(every_row[1:].max(0))
    rows.append(("**highest**", worst))
    grids = 4 * len(PERIODS)
    grid = float(every_row[1:, 1:grids:2].max())
    stamps, border = 100 * np.array(worst[grids : grids + 2]), max(worst[grids + 2 : grids + 5])
    upright, level, frame = worst[grids + 5 :]
    head = ["style", *(f"grid {p} px" for p in PERIODS)]
    head += [f"grid {p} px at {options.large}" for p in PERIODS]
    head += ["stamps", f"stamps at {options.large}"]
    head += ["border: change", "border: contrast", f"contrast at {options.large}"]
    head += ["upright", "level", "frame"]
    shown: list[list[Any]] = [
        [
            name,
            *(f"{values[i]:.3g} ({values[i + 1]:.2g})" for i in range(0, grids, 2)),
            *values[grids:],
        ]
        for name, values in rows
    ]
    body = f"""{results.table(head, shown)}

Grid: mean energy of the spectrum at the frequencies of a grid over that of the frequencies near
them, and (in brackets) what stands out beyond what does by chance {BESIDE} bins beside them, as a
pattern's root mean square in 1/255: {grid:.2f} at most, wanted at most {BAR_GRID:g}:
{results.verdict(grid <= BAR_GRID)}. Stamps: how
much more a picture repeats a motif in two directions than the photograph and a painting do, as a
mean correlation over blocks; {stamps[0]:.1f} % and {stamps[1]:.1f} % at most. Border: the
outer {RING} px over the inside, of the mean absolute change from the photograph, and of the local
contrast (mean absolute step to the next pixel) relative to the photograph's; wanted at most
{BAR_BORDER:g}:
{results.verdict(border <= BAR_BORDER)}. Upright and level: how much more of the strokes run along
the pixel grid than in the photograph, as a share of the gradients' energy; {100 * upright:.1f} %
and {100 * level:.1f} % at most. Frame: how much more the border of a picture's middle changes than
its inside, when the middle is painted alone, in 1/255; {frame:.1f} at most. {len(pictures)}
photographs at {options.size} px, one at {options.large} px. A sheet of each style was written for
eyes."""
    results.publish(options, "Checkerboards, stamps and borders", body)
    results.card_metrics(
        options,
        bundle.get_bundle("style", "style"),
        {
            "pattern at grid frequencies, worst style": (grid, "1/255, root mean square"),
            "stamps, worst style": (float(stamps.max()), "% correlation"),
            "border against inside, worst style": (border, "times"),
            "strokes along the grid, worst style": (100 * max(upright, level), "% of energy"),
            "frame, worst style": (frame, "1/255"),
        },
    )


def figures(
    made: list[subjects.Floats],
    before: list[subjects.Floats],
    parts: list[subjects.Floats],
    large: subjects.Floats,
    large_before: subjects.Floats,
) -> list[float]:
    """One row of numbers of the table."""
    return [
        *(value for period in PERIODS for value in grid_energy(made, period)),
        *(value for period in PERIODS for value in grid_energy([large], period)),
        repeated(made, before),
        repeated([large], [large_before]),
        border_change(made, before),
        border_contrast(made, before),
        border_contrast([large], [large_before]),
        *along_grid(made, before),
        frame(made, parts),
    ]


def grid_energy(pictures: list[subjects.Floats], period: int) -> tuple[float, float]:
    """Energy at the frequencies that a grid of `period` px has and one of half of it has not:
    over the mean energy near them (1: no grid), and what exceeds it, beyond what does by chance
    BESIDE them, as a root mean square in 1/255.
    """
    found = []
    for picture in pictures:
        height, width = (s // PERIODS[-1] * PERIODS[-1] for s in picture.shape[:2])
        luma = 255 * picture[:height, :width].mean(2)
        window = np.outer(np.hanning(height), np.hanning(width))  # no cross from the borders
        energy = np.abs(np.fft.fft2((luma - luma.mean()) * window)) ** 2
        energy /= height * width * (window**2).sum()  # their sum is the mean square
        places = [
            (a * height // period, b * width // period)
            for a in range(period)
            for b in range(period)
            if a % 2 or b % 2
        ]
        beside = [
            _excess(energy, [(y + dy, x + dx) for y, x in places])[1]
            for dy, dx in ((BESIDE, 0), (-BESIDE, 0), (0, BESIDE), (0, -BESIDE))
        ]
        ratio, excess = _excess(energy, places)
        found.append((ratio, max(0.0, excess - float(np.mean(beside))) ** 0.5))
    ratio, level = np.array(found).mean(0)
    return float(ratio), float(level)


def _excess(energy: NDArray[np.float64], places: list[tuple[int, int]]) -> tuple[float, float]:
    """The mean ratio of the energy at these places to that near them, and the sum of what exceeds
    it."""
    peaks, near = np.array([_peak(energy, y, x) for y, x in places]).T
    return float(np.mean(peaks / (near + 1e-12))), float((9 * (peaks - near)).clip(0).sum())


def _peak(energy: NDArray[np.float64], y: int, x: int) -> tuple[float, float]:
    """Mean energy of the 3 x 3 bins at (y, x), to which a window blurs, and of those 4 to 7 off."""
    reach = np.arange(-7, 8)
    part = energy[np.ix_((y + reach) % energy.shape[0], (x + reach) % energy.shape[1])]
    off = np.maximum(np.abs(reach)[:, None], np.abs(reach)[None])
    return float(part[off <= 1].mean()), float(part[off >= 4].mean())


def repeated(made: list[subjects.Floats], before: list[subjects.Floats]) -> float:
    """The mean of `stamped` over all pictures."""
    pairs = [map(subjects.as_tensor, pair) for pair in zip(made, before, strict=True)]
    return float(np.mean([float(stamped(one, other)) for one, other in pairs]))


def along_grid(made: list[subjects.Floats], before: list[subjects.Floats]) -> tuple[float, float]:
    """How much more of the energy of gradients is upright, and level, than in the photographs."""
    with torch.no_grad():
        found = [
            (gridded(subjects.as_tensor(one)) - gridded(subjects.as_tensor(other)).clamp(min=0))
            .clamp(min=0)
            .mean((0, 2))
            for one, other in zip(made, before, strict=True)
        ]
    upright, level = torch.stack(found).mean(0).tolist()
    return upright, level


def frame(made: list[subjects.Floats], parts: list[subjects.Floats]) -> float:
    """The mean of `framed` over all pictures, in 1/255."""
    pairs = [map(subjects.as_tensor, pair) for pair in zip(made, parts, strict=True)]
    return 255 * float(np.mean([float(framed(one, part)) for one, part in pairs]))


def border_change(made: list[subjects.Floats], before: list[subjects.Floats]) -> float:
    """The mean absolute change in the outer ring over that inside, over all pictures."""
    ring, inside = [], []
    for one, other in zip(made, before, strict=True):
        change = np.abs(one - other).mean(2)
        outer = _ring(change.shape)
        ring.append(change[outer].mean())
        inside.append(change[~outer].mean())
    return float(np.mean(ring) / (np.mean(inside) + 1e-12)) if np.mean(inside) else 1.0


def border_contrast(made: list[subjects.Floats], before: list[subjects.Floats]) -> float:
    """How the ring's local contrast stands to the inside's, relative to the same before."""

    def ratio(pictures: list[subjects.Floats]) -> float:
        ring, inside = [], []
        for picture in pictures:
            luma = picture.mean(2)
            step = np.abs(np.diff(luma, axis=0, prepend=luma[1:2]))
            step = step + np.abs(np.diff(luma, axis=1, prepend=luma[:, 1:2]))
            outer = _ring(luma.shape)
            ring.append(step[outer].mean())
            inside.append(step[~outer].mean())
        return float(np.mean(ring) / np.mean(inside))

    return ratio(made) / ratio(before)


def _ring(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    outer = np.ones(shape, bool)
    outer[RING:-RING, RING:-RING] = False
    return outer


def enlarged(number: int, side: int) -> subjects.Floats:
    """The middle of a Kodak photograph (from 1), enlarged to `side` x `side`."""
    picture = subjects.kodak()[number - 1]
    short = min(picture.size)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    square = picture.crop((left, top, left + short, top + short))
    return subjects.as_floats(square.resize((side, side), Image.Resampling.LANCZOS))


def sheet(made: list[subjects.Floats], large: subjects.Floats) -> Image.Image:
    """Three by two photographs, and beside them a part of the large picture pixel by pixel."""
    side = made[0].shape[0]
    canvas = Image.new("RGB", (4 * side, 2 * side))
    for place, picture in enumerate(made):
        canvas.paste(as_image(picture), (place % 3 * side, place // 3 * side))
    middle = large.shape[0] // 2
    part = large[:, middle - side // 2 :][: 2 * side, :side]  # from the upper border down
    canvas.paste(as_image(part), (3 * side, 0))
    return canvas


def as_image(picture: subjects.Floats) -> Image.Image:
    """H x W x 3, 0..1 as an 8-bit picture."""
    return Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    main()
