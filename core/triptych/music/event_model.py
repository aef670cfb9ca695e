"""A recurrent score model at work: events go in one after another, or are drawn under constraints.

Sampling happens here, outside the graph: seeded, masked, with temperature and top-p (Holtzman et
al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from triptych.bundle import Bundle
from triptych.engine import Engine, Job
from triptych.music.constraints import Constraints
from triptych.music.events import (
    DRUMS,
    DURATIONS,
    END,
    EVENT,
    FIELDS,
    LONGEST_STEP,
    START,
    STATE,
    TICKS,
    Bars,
)

_NAMES = tuple(FIELDS)
_MOST = 20_000  # events of one piece


@dataclass(frozen=True)
class Sampling:
    """How boldly fields are drawn: `temperature` above 0 (1 is as learned), `top_p` in 0..1.

    `density` from -1 to 1 makes short steps less or more likely than learned.
    """

    temperature: float = 1.0
    top_p: float = 0.95
    density: float = 0.0


@dataclass
class EventModel:
    """A model's stream: its memory, and the tick and the fields of the last event.

    `told` holds the classes of `collection`, `minor` and `pace`; `shift` takes MIDI pitches to the
    model's (`events.shift_to_c`).
    """

    bundle: Bundle
    engine: Engine
    bars: Bars
    told: Mapping[str, int]
    shift: int = 0
    tick: int = 0
    dynamics: bool = True
    _context: np.ndarray = field(init=False, repr=False)
    _memory: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        (held,) = [t for t in self.bundle.card.graphs["step"].inputs if t.name == "memory"]
        self._memory = np.zeros((int(held.shape[0]), 1, int(held.shape[2])), np.float32)
        self._step((0, START, 0, 0, 0))

    def beside(self, tick: int) -> dict[str, np.ndarray]:
        """What the graph `step` is given beside the event, its state and the memory."""
        return {}

    def around(self, tick: int, part: int) -> dict[str, np.ndarray]:
        """What `heads` is given beside the context and the fields, for a note there in a part."""
        return {}

    def feed(self, event: np.void) -> None:
        """Take in one EVENT (its pitch as the model has it); time never runs back."""
        time = int(np.clip(event["tick"] - self.tick, 0, LONGEST_STEP))
        self.tick = int(event["tick"])
        velocity = int(event["velocity"]) if self.dynamics else 0
        self._step((time, event["part"], event["pitch"], event["duration"], velocity))

    def draw(
        self, wishes: Constraints, sampling: Sampling, rng: np.random.Generator, before: np.ndarray
    ) -> np.void | None:
        """The next EVENT, drawn but not yet taken in; None when the piece ends here.

        `before` are the EVENTs drawn so far, in order.
        """
        chosen = np.zeros((1, 4), np.int64)
        logits = self._logits("time", chosen, 0)
        steps = np.arange(END + 1)
        logits[:END] -= 2.0 * sampling.density * steps[:END] / TICKS
        allowed = np.zeros(END + 1, bool)
        allowed[: LONGEST_STEP + 1] = wishes.times(self.tick)
        allowed[0] &= bool(self._choices(wishes, self.tick, before))
        if self.tick + wishes.longest_rest >= wishes.end:  # what leads past the end, ends
            logits[END] = np.logaddexp.reduce(logits[self.tick + steps >= wishes.end])
            allowed[END] = True
        if not allowed.any():
            return None
        time = _draw(logits, allowed, sampling, rng)
        if time == END:
            return None
        tick = self.tick + time
        choices = self._choices(wishes, tick, before)
        place = int(self.bars.state(np.array([tick]))["place"][0])
        made: np.void = np.zeros(1, EVENT)[0]
        made["tick"], chosen[0, 0] = tick, time
        parts = np.isin(np.arange(FIELDS["part"]), list(choices))
        every = np.ones(FIELDS["velocity"], bool)
        for index, name in enumerate(_NAMES[1:], 1):
            if name == "part":
                allowed = parts
            elif name == "pitch":
                allowed = choices[int(made["part"])]
            elif name == "duration":
                part = int(made["part"])
                pitch = int(made["pitch"]) - (0 if part == DRUMS else self.shift)
                allowed = tick + DURATIONS <= wishes.until(tick, pitch, part)
                allowed[0] = True
            else:
                allowed = every
            made[name] = _draw(self._logits(name, chosen, place), allowed, sampling, rng)
            if name != "velocity":
                chosen[0, index] = made[name]
        return made

    def _choices(self, wishes: Constraints, tick: int, before: np.ndarray) -> dict[int, np.ndarray]:
        """The parts that may begin a note at a tick, with the model's pitches that they may.

        Of notes that begin together the models know them by part and pitch, upwards.
        """
        together = before[before["tick"] == tick]
        if len(together) >= wishes.polyphony:
            return {}
        found = {}
        last = int(together["part"].max(initial=-1))
        for part in wishes.parts:
            if part < last or (part == last and wishes.alone):
                continue
            allowed = wishes.pitches(tick, part)
            if part != DRUMS:
                allowed = _shifted(allowed, self.shift)
            if part == last:
                allowed[: int(together[together["part"] == part]["pitch"].max()) + 1] = False
            if allowed.any():
                found[part] = allowed
        return found

    def _step(self, event: tuple[int, int, int, int, int]) -> None:
        here = self.bars.state(np.array([self.tick]))
        told = {name: int(value[0]) for name, value in here.items()} | dict(self.told)
        state = np.array([[told[name] for name in STATE]], np.int64)
        feeds: dict[str, np.ndarray] = {
            "event": np.array([event], np.int64),
            "state": state,
            "memory": self._memory,
        }
        made = self.engine.run(self.bundle.graph("step"), feeds | self.beside(self.tick))
        self._context, self._memory = made["context"], made["after"]

    def _logits(self, name: str, chosen: np.ndarray, place: int) -> np.ndarray:
        feeds: dict[str, np.ndarray] = {
            "context": self._context,
            "chosen": chosen,
            "place": np.array([place]),
        }
        feeds |= self.around(self.tick + int(chosen[0, 0]), int(chosen[0, 1]))
        made = self.engine.run(self.bundle.graph("heads"), feeds)[name]
        return np.asarray(made[0], np.float64)


def _shifted(pitches: np.ndarray, shift: int) -> np.ndarray:
    """A mask over MIDI pitches as one over the model's; what would be folded is left out."""
    made = np.zeros_like(pitches)
    if shift >= 0:
        made[shift:] = pitches[: len(pitches) - shift]
    else:
        made[:shift] = pitches[-shift:]
    return made


def _draw(
    logits: np.ndarray, allowed: np.ndarray, sampling: Sampling, rng: np.random.Generator
) -> int:
    """One class among those allowed, by temperature and top-p."""
    scaled = np.where(allowed, logits / max(sampling.temperature, 1e-3), -np.inf)
    chances = np.exp(scaled - scaled.max())
    chances /= chances.sum()
    order = np.argsort(-chances)
    kept = order[: int(np.searchsorted(np.cumsum(chances[order]), sampling.top_p)) + 1]
    return int(rng.choice(kept, p=chances[kept] / chances[kept].sum()))


def generate(
    model: EventModel,
    wishes: Constraints,
    sampling: Sampling,
    seed: int,
    job: Job,
) -> np.ndarray:
    """EVENTs from the model's place on until the end that `wishes` names.

    Notes are shortened where more than `polyphony` would sound. Raises Cancelled.
    """
    rng = np.random.default_rng(seed)
    made = np.zeros(0, EVENT)
    begun = model.tick
    while len(made) < _MOST and (event := model.draw(wishes, sampling, rng, made)) is not None:
        job.check()
        job.progress((model.tick - begun) / max(wishes.end - begun, 1), "composing")
        model.feed(event)
        made = np.append(made, np.array([event], EVENT))
    return made


def thinned(notes: np.ndarray, polyphony: int) -> np.ndarray:
    """An array of NOTE of which no more than `polyphony` sound at once: the longest held end."""
    notes = notes.copy()
    sounding: list[int] = []
    for index in range(len(notes)):
        start = notes["start"][index]
        ends = notes["start"] + notes["duration"]
        sounding = [i for i in sounding if ends[i] > start + 1e-9]
        while len(sounding) >= polyphony:
            oldest = sounding.pop(0)
            notes["duration"][oldest] = start - notes["start"][oldest]
        sounding.append(index)
    return notes[notes["duration"] > 0]
