"""One training loop for all recipes, on Lightning Fabric.

The same recipe runs on a laptop's CPU, on a GPU, and under `torchrun` or `fabric run` on many
processes. Example i of a run is drawn from the seed (seed, i) alone, so a resumed run and a run
spread over processes see the same examples as an uninterrupted run in one process.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import math
import os
import pickle
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure  # without pyplot: no window, no global state
from PIL import Image
from torch import Tensor, nn

from triptych.errors import UserError, one_line
from triptych.files import refusal, shown, write_whole
from triptych.training.data import Source


def fast_precision() -> str:
    """ "bf16-mixed" where this machine multiplies bfloat16 at full speed, else "32-true".

    Most laptops' processors only imitate it, several times slower than float32.
    """
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    able = torch.cpu.get_capabilities()
    return "bf16-mixed" if able.get("amx_bf16") or able.get("avx512_bf16") else "32-true"


@dataclass
class LoopSettings:
    """How long and how a run trains; a recipe's own settings live in the recipe."""

    steps: int = 1000
    minutes: float = 0.0  # 0: no time limit; else training ends (annealed) after that long
    batch: int = 4  # examples per optimiser step, over all processes
    accumulate: int = 1  # micro-batches per step
    precision: str = field(default_factory=fast_precision)  # "bf16-mixed" or "32-true"
    warmup: int = 100  # steps
    ema: float = 0.998  # decay of the averaged weights that are exported
    clip: float = 0.0  # gradient norm; 0: off
    seed: int = 0
    log_every: int = 20
    picture_every: int = 500
    checkpoint_every: int = 500
    accelerator: str = "auto"
    devices: int = 1  # per machine; torchrun's and fabric run's numbers go before these
    nodes: int = 1
    strategy: str = "auto"


class Recipe(ABC):
    """A model's training: data, networks, losses, samples, export.

    The loop calls `setup` once, then for each step and each part in `optimizers` the part's `loss`.
    """

    name: str
    loop: LoopSettings

    @abstractmethod
    def sources(self) -> list[Source]:
        """The training sets, with licences."""

    @abstractmethod
    def setup(self, device: torch.device) -> dict[str, nn.Module]:
        """Load data and frozen networks; return the modules to train."""

    @abstractmethod
    def optimizers(self, modules: Mapping[str, nn.Module]) -> dict[str, torch.optim.Optimizer]:
        """One optimiser for each part of a step, in order."""

    @abstractmethod
    def batch(self, indices: range, device: torch.device) -> Any:
        """The examples of these indices (the same whenever they are asked for).

        Called in a thread of its own, one step ahead: it must not touch what `loss` changes, nor
        draw from the global random generators. Parts of one step share it: it is read only.
        """

    @abstractmethod
    def loss(
        self, part: str, modules: Mapping[str, nn.Module], batch: Any, progress: float
    ) -> tuple[Tensor, dict[str, float]]:
        """The mean loss over the batch, and figures for the log; `progress` runs from 0 to 1."""

    def sample(self, modules: Mapping[str, nn.Module]) -> Image.Image | None:
        """A picture of what the model does now."""
        return None

    @abstractmethod
    def export(self, modules: Mapping[str, nn.Module], run: Run, folder: Path) -> Path:
        """Write the bundle as the folder `folder` and return its path."""


@dataclass
class Run:
    """A run's folder: `settings.json`, `metrics.csv`, `progress.png`, `checkpoint.pt`.

    `settings` are the recipe's own and are written when they are given. `interrupted` says that a
    signal ended the run before its time.
    """

    path: Path
    step: int = 0
    seconds: float = 0.0  # spent in training, over all resumes
    settings: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def checkpoint(self) -> Path:
        """The file with all that is needed to go on."""
        return self.path / "checkpoint.pt"


def rate(progress: float, step: int, warmup: int) -> float:
    """Learning rate factor: linear warm-up, then a cosine to 2 % (Loshchilov & Hutter 2017)."""
    cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return min(1.0, (step + 1) / max(1, warmup)) * cosine


def fit(recipe: Recipe, run: Run, resume: bool = False, stop_after: int | None = None) -> Run:
    """Train `recipe` in the folder `run.path`; with `resume`, go on from its checkpoint.

    `stop_after` ends this call after so many steps, as an interruption would. Ctrl-C and SIGTERM
    write a checkpoint and end cleanly (`run.interrupted`). Returns the run with its step and
    seconds. Only the first process writes. A resumed run equals an uninterrupted one.

    Raises:
        UserError: settings that do not fit, no or a foreign checkpoint, a full disk (the previous
            checkpoint stays), a loss that is no number.
    """
    loop = recipe.loop
    fabric = _fabric(loop)
    micro = _micro_batch(loop, fabric.world_size)
    torch.manual_seed(loop.seed)
    with fabric.rank_zero_first(local=True):  # what it caches, the others find
        modules = recipe.setup(fabric.device)
    for module in modules.values():
        module.to(fabric.device)
    optimizers = recipe.optimizers(modules)
    peaks = {k: [group["lr"] for group in v.param_groups] for k, v in optimizers.items()}
    average = {k: v.detach().clone() for k, v in _state(modules).items()}
    if resume:
        _load(run, modules, optimizers, average, fabric.device)
    wrapped = {k: fabric.setup_module(v, move_to_device=False) for k, v in modules.items()}
    set_up: dict[str, Any] = {k: fabric.setup_optimizers(v) for k, v in optimizers.items()}
    trained = {k: _trained(v, modules) for k, v in optimizers.items()}
    means = _Means()
    log = _Log(run, resume) if fabric.is_global_zero else None
    if log and run.settings:
        write_settings(run, recipe, run.settings)

    with contextlib.ExitStack() as stack:
        caught = stack.enter_context(_signals())
        steps = _examples(recipe, fabric, run.step, micro)
        stack.enter_context(contextlib.closing(steps))
        started, before, first = time.monotonic(), run.seconds, run.step

        def agree(broken: bool = False) -> tuple[float, bool, bool]:
            """Progress, whether to stop, whether a loss is no number: alike in all processes."""
            run.seconds = before + time.monotonic() - started
            progress = run.step / loop.steps
            if loop.minutes:
                progress = max(progress, run.seconds / (60 * loop.minutes))
            heard = [progress, float(bool(caught)), float(broken)]
            if fabric.world_size > 1:
                told = torch.tensor(heard, dtype=torch.float64, device=fabric.device)
                heard = fabric.all_reduce(told, reduce_op="max").tolist()  # type: ignore[union-attr]
            return heard[0], heard[1] > 0, heard[2] > 0

        progress, run.interrupted, _ = agree()
        while progress < 1 and not run.interrupted and run.step - first != stop_after:
            # a step's random numbers depend on nothing that happened before it
            torch.manual_seed((loop.seed * 1_000_003 + run.step) * 4099 + fabric.global_rank)
            examples, broken = next(steps), False
            for part, optimizer in set_up.items():
                factor = rate(progress, run.step, loop.warmup)
                for group, peak in zip(optimizer.param_groups, peaks[part], strict=True):
                    group["lr"] = peak * factor
                optimizer.zero_grad(set_to_none=True)
                for turn, batch in enumerate(examples, 1):
                    with contextlib.ExitStack() as unsynced:
                        for name, module in wrapped.items():
                            mute = turn < loop.accumulate or name not in trained[part]
                            unsynced.enter_context(fabric.no_backward_sync(module, enabled=mute))
                        with fabric.autocast():  # frozen judges too, not only `wrapped`
                            loss, figures = recipe.loss(part, wrapped, batch, progress)
                        fabric.backward(loss / loop.accumulate)
                    value = float(loss.detach())
                    broken = broken or not math.isfinite(value)
                    means.add(figures | {part: value})
                if loop.clip:
                    fabric.clip_gradients(
                        next(iter(wrapped.values())),  # names the strategy only
                        optimizer,
                        max_norm=loop.clip,
                        error_if_nonfinite=False,
                    )
                optimizer.step()
            run.step += 1
            _update_average(average, _state(modules), loop.ema, run.step)
            progress, run.interrupted, broken = agree(broken)
            if broken:
                raise _not_a_number(run)
            if run.step % loop.log_every == 0:
                row = means.take(fabric)
                if log:
                    log.add(run, row)
            if log and run.step % loop.picture_every == 0:
                _picture(recipe, modules, average, log)
            if log and run.step % loop.checkpoint_every == 0:
                _save(run, modules, set_up, average)
        row = means.take(fabric)
        if log:
            _save(run, modules, set_up, average)
            log.add(run, row)
            if progress >= 1:  # who interrupts does not want to wait for a picture
                _picture(recipe, modules, average, log)
    fabric.barrier()
    with torch.no_grad():  # what the caller exports are the averaged weights
        for key, tensor in _state(modules).items():
            tensor.copy_(average[key])
    return run


def averaged(recipe: Recipe, run: Run) -> dict[str, nn.Module]:
    """The run's modules on the CPU with their averaged weights."""
    modules = recipe.setup(torch.device("cpu"))
    saved = _read(run)
    _restore(run, modules, saved["average"])
    run.step, run.seconds = saved["step"], saved["seconds"]
    return modules


def _fabric(loop: LoopSettings) -> Fabric:
    """Fabric as the settings say, or as the launcher of this process says."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    devices: int | str = loop.devices
    nodes = loop.nodes
    if "LT_CLI_USED" in os.environ:  # `fabric run` tells Fabric itself
        devices, nodes = "auto", 1
    elif "LOCAL_WORLD_SIZE" in os.environ:  # torchrun
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    try:
        fabric = Fabric(
            accelerator=loop.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=loop.strategy,
            precision=loop.precision,  # type: ignore[arg-type]
        )
        fabric.launch()
        plugin = fabric._strategy.precision
        if isinstance(plugin, MixedPrecision):
            # It would round a module's inputs to bfloat16: a pixel by half a code, a place by
            # 1/256. Autocast rounds what it should by itself.
            plugin.convert_input = lambda data: data  # type: ignore[method-assign]
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise UserError(
            f"training cannot start with these settings ({one_line(error)}): change accelerator, "
            "devices, strategy or precision"
        ) from error
    return fabric


def _micro_batch(loop: LoopSettings, processes: int) -> int:
    """Examples of one process in one backward pass; UserError when the settings do not fit."""
    counts = ("steps", "batch", "accumulate", "log_every", "picture_every", "checkpoint_every")
    for name in counts:
        if getattr(loop, name) < 1:
            raise UserError(f"{name} is {getattr(loop, name)}; it must be at least 1")
    if not (math.isfinite(loop.minutes) and loop.minutes >= 0):
        raise UserError(f"minutes is {loop.minutes}; it must be a number from 0")
    if not 0 <= loop.ema < 1:
        raise UserError(f"ema is {loop.ema}; it must be from 0 to below 1")
    micro, left = divmod(loop.batch, loop.accumulate * processes)
    if left:
        raise UserError(
            f"the batch of {loop.batch} cannot be shared by {processes} process(es) in "
            f"{loop.accumulate} turn(s): choose a multiple of {loop.accumulate * processes}"
        )
    return micro


def _trained(optimizer: torch.optim.Optimizer, modules: Mapping[str, nn.Module]) -> set[str]:
    """The modules that this optimiser changes; only their gradients need to travel."""
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {k for k, v in modules.items() if any(id(p) in own for p in v.parameters())}


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying of them; only a main thread can."""
    caught: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda number, _: caught.append(number))
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _examples(
    recipe: Recipe, fabric: Fabric, step: int, micro: int
) -> Generator[list[Any], None, None]:
    """This process's micro-batches of each step, made in a thread while the one before is used."""
    loop = recipe.loop

    def make(step: int) -> list[Any]:
        starts = (
            step * loop.batch + (turn * fabric.world_size + fabric.global_rank) * micro
            for turn in range(loop.accumulate)
        )
        return [recipe.batch(range(start, start + micro), fabric.device) for start in starts]

    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(make, step)
        while True:
            made = pending.result()
            step += 1
            pending = pool.submit(make, step)
            yield made


class _Means:
    """Means of the log's figures since they were last taken."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, figures: Mapping[str, float]) -> None:
        for key, value in figures.items():
            total, count = self.sums.get(key, (0.0, 0))
            self.sums[key] = (total + value, count + 1)

    def take(self, fabric: Fabric) -> dict[str, float]:
        """The means over all processes (each must call this), which may know different figures."""
        everyone: list[Any] = [self.sums]
        if fabric.world_size > 1:
            everyone *= fabric.world_size
            torch.distributed.all_gather_object(everyone, self.sums)
        self.sums = {}
        means = {}
        for key in dict.fromkeys(k for sums in everyone for k in sums):
            parts = [sums[key] for sums in everyone if key in sums]
            means[key] = sum(total for total, _ in parts) / sum(count for _, count in parts)
        return means


def _state(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    found = {}
    for name, module in modules.items():
        for key, value in module.state_dict().items():
            found[f"{name}.{key}"] = value
    return found


@torch.no_grad()
def _update_average(
    average: dict[str, Tensor], now: dict[str, Tensor], decay: float, step: int
) -> None:
    decay = min(decay, step / (step + 10))  # follow quickly at first
    for key, value in now.items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key] = value.clone()


def _not_a_number(run: Run) -> UserError:
    return UserError(
        f"the loss is no longer a number at step {run.step}: lower the learning rate and go on "
        "from the last checkpoint (--set rate=... --resume RUN)"
    )


def _save(run: Run, modules: Mapping[str, nn.Module], optimizers: Any, average: Any) -> None:
    weights = (p for module in modules.values() for p in module.parameters())
    if not all(bool(torch.isfinite(p).all()) for p in weights):
        raise _not_a_number(run)  # the previous checkpoint is still good
    state = {
        "step": run.step,
        "seconds": run.seconds,
        "modules": _state(modules),
        "average": average,
        "optimizers": {k: v.state_dict() for k, v in optimizers.items()},
    }
    stream = io.BytesIO()
    torch.save(state, stream)
    write_whole(run.checkpoint, stream.getbuffer())


def _read(run: Run) -> dict[str, Any]:
    if not run.checkpoint.is_file():
        raise UserError(f"{shown(run.path)} holds no checkpoint to go on from")
    try:
        saved: dict[str, Any] = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
        if missing := {"step", "seconds", "modules", "average", "optimizers"} - set(saved):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, pickle.PickleError) as error:
        raise UserError(f"{shown(run.checkpoint)} is damaged: start the run again") from error
    return saved


@torch.no_grad()
def _restore(run: Run, modules: Mapping[str, nn.Module], saved: dict[str, Tensor]) -> None:
    state = _state(modules)
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in saved.items()}:
        raise UserError(
            f"{shown(run.checkpoint)} is of another recipe or of other settings: start a new run"
        )
    for key, value in state.items():
        value.copy_(saved[key])


def _load(run: Run, modules: Any, optimizers: Any, average: Any, device: torch.device) -> None:
    saved = _read(run)
    _restore(run, modules, saved["modules"])
    run.step, run.seconds = saved["step"], saved["seconds"]
    try:
        for key, optimizer in optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][key])
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{shown(run.checkpoint)} was made with other optimisers: start a new run"
        ) from error
    average.update({k: v.to(device) for k, v in saved["average"].items()})


@torch.no_grad()
def _picture(recipe: Recipe, modules: Mapping[str, nn.Module], average: Any, log: _Log) -> None:
    """Loss curves and a sample of the averaged model, side by side in `progress.png`.

    Training goes on as if there had been no picture.
    """
    state = _state(modules)
    now = {k: v.clone() for k, v in state.items()}
    learning = [part for m in modules.values() for part in m.modules() if part.training]
    try:
        for key, value in state.items():
            value.copy_(average[key])
        for module in modules.values():
            module.eval()
        sample = recipe.sample(modules)
    finally:
        for key, value in state.items():
            value.copy_(now[key])
        for part in learning:
            part.training = True
    log.draw(sample)


class _Log:
    """`metrics.csv`, `progress.png` and `sample.png` of a run; makes the run's folder."""

    def __init__(self, run: Run, resume: bool) -> None:
        self.path = run.path
        self.file = self.path / "metrics.csv"
        self.rows: list[dict[str, float]] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if resume and self.file.is_file():
                lines = list(csv.DictReader(self.file.read_text().splitlines()))
                self.rows = [{k: float(v) for k, v in line.items() if v} for line in lines]
                self.rows = [row for row in self.rows if row["step"] <= run.step]
        except OSError as error:
            raise refusal("write", self.path, error) from error
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{shown(self.file)} is damaged: delete it and go on") from error

    def add(self, run: Run, means: Mapping[str, float]) -> None:
        """Add a line, if there is something to say, and show it."""
        if not means:
            return
        row = {"step": run.step, "seconds": round(run.seconds, 1), **means}
        self.rows.append(row)
        print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
        text = io.StringIO(newline="")
        keys = list(dict.fromkeys(k for row in self.rows for k in row))
        writer = csv.DictWriter(text, keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.file, text.getvalue().encode())

    def draw(self, sample: Image.Image | None) -> None:
        """Write the curves and the sample."""
        columns = 2 if sample else 1
        figure = Figure(figsize=(7 * columns, 7))
        axes = figure.subplots(1, columns, squeeze=False)[0]
        for key in dict.fromkeys(k for row in self.rows for k in row):
            if key not in ("step", "seconds"):
                points = [(row["step"], row[key]) for row in self.rows if key in row]
                axes[0].plot(*zip(*points, strict=True), label=key)
        if self.rows:
            axes[0].legend()
        axes[0].set_xlabel("step")
        if sample:
            axes[1].imshow(sample)
            axes[1].axis("off")
        figure.tight_layout()
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=110)
        write_whole(self.path / "progress.png", stream.getbuffer())
        if sample:
            stream = io.BytesIO()
            sample.save(stream, "png")
            write_whole(self.path / "sample.png", stream.getbuffer())


def write_settings(run: Run, recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Write what a run was started with, so that it can be resumed and exported."""
    text = json.dumps(
        {"recipe": recipe.name, "settings": dict(settings), "loop": asdict(recipe.loop)},
        indent=1,
        default=str,  # a path
    )
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal("write", run.path, error) from error
    write_whole(run.path / "settings.json", text.encode())
