import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from triptych.engine import Engine, Job
from triptych.errors import Cancelled, ParameterError, UserError
from triptych.task import MAX_SEED, Choice, Parameter, Result, Task

STYLES = (
    Choice("wave", "The Great Wave", "Hokusai, 1831", Path("thumbs/wave.png")),
    Choice("starry", "The Starry Night"),
)
STRENGTH = Parameter("strength", "Strength", "float", 1.0, minimum=0, maximum=1, step=0.05)
STYLE = Parameter(
    "style", "Style", "choice", "wave", choices=STYLES, accepts_picture=True, noun="style"
)
COUNT = Parameter("count", "Count", "int", 2, minimum=1, maximum=8, unit="pictures")
KEEP = Parameter("keep", "Keep the colours", "bool", False)
SEED = Parameter("seed", "Seed", "seed", optional=True, advanced=True)
MIX = Parameter("mix", "Mix", "blend", choices=lambda: STYLES, optional=True)
MASK = Parameter("mask", "Mask", "mask", optional=True)
FEATHER = Parameter("feather", "Feather", "float", 0.0, minimum=0, maximum=9, needs="mask")
TITLE = Parameter("title", "Title", "text", "", maximum=10)


def darken(picture: np.ndarray, job: Job, engine: Engine, **values: Any) -> Result:
    for step in range(4):
        job.progress(step / 4, "darkening")
    return Result(picture * np.float32(1 - values["strength"] / 2), [{"name": "none"}])


DARKEN = Task(
    "darken",
    "Darken",
    "Makes a picture darker.",
    darken,
    (STRENGTH, STYLE, COUNT, KEEP, SEED, MIX, MASK, FEATHER, TITLE),
)


def picture(height: int = 4, width: int = 5) -> np.ndarray:
    return np.full((height, width, 3), 0.5, np.float32)


def refusal(parameter: Parameter, value: Any) -> str:
    with pytest.raises(UserError) as error:
        parameter.check(value)
    sentence = str(error.value)
    assert sentence and "\n" not in sentence and len(sentence) < 500
    return sentence


numbers = st.floats() | st.integers() | st.floats(-0.5, 1.5)


@given(numbers)
def test_a_float_is_taken_in_its_range_and_nowhere_else(value: float) -> None:
    if 0 <= value <= 1:
        assert STRENGTH.check(value) == value
        assert STRENGTH.check(str(value)) == value
        assert type(STRENGTH.check(value)) is float
    else:
        assert "strength must be" in refusal(STRENGTH, value)
        refusal(STRENGTH, str(value))


@given(numbers | st.integers(0, 10).map(float))
def test_an_int_is_whole_and_in_its_range(value: float) -> None:
    if 1 <= value <= 8 and value == int(value):
        assert COUNT.check(value) == value
        assert type(COUNT.check(value)) is int
    else:
        assert "count must be" in refusal(COUNT, value)


@given(st.integers() | st.integers(0, MAX_SEED))
def test_a_seed_fits_every_host(value: int) -> None:
    if 0 <= value <= MAX_SEED:
        assert SEED.check(value) == value
    else:
        refusal(SEED, value)


def test_numpys_numbers_are_numbers() -> None:
    assert STRENGTH.check(np.float32(0.5)) == 0.5
    assert COUNT.check(np.int16(3)) == 3
    assert KEEP.check(np.bool_(True)) is True


@pytest.mark.parametrize("value", [True, "a lot", "", b"1", [1], {}, object(), np.ones(2), 10**400])
def test_what_is_no_number_is_refused(value: Any) -> None:
    refusal(STRENGTH, value)
    refusal(COUNT, value)


@pytest.mark.parametrize("value", ["yes", 2, 0.5, math.nan, [], np.ones(2)])
def test_a_bool_is_true_or_false(value: Any) -> None:
    assert KEEP.check(1) is True and KEEP.check(0.0) is False  # OSC knows numbers only
    assert "true or false" in refusal(KEEP, value)


def test_none_is_for_what_is_optional() -> None:
    assert SEED.check(None) is None
    assert MIX.check([]) is None
    assert "needs a value" in refusal(STRENGTH, None)


def test_a_text_has_its_length() -> None:
    assert TITLE.check("Łódź") == "Łódź"
    assert "at most 10 characters" in refusal(TITLE, "x" * 11)
    refusal(TITLE, "a\0b")
    refusal(TITLE, 3)


def test_a_choice_is_taken_by_value_or_label_and_a_slip_names_the_nearest() -> None:
    assert STYLE.check("wave") == STYLE.check("WAVE") == STYLE.check("the great wave") == "wave"
    assert "did you mean 'starry'" in refusal(STYLE, "stary")


@given(st.text() | st.integers() | st.none() | st.lists(st.integers()))
def test_an_unknown_choice_is_one_sentence(value: Any) -> None:
    names = {"wave", "starry", "the great wave", "the starry night"}
    is_file = os.path.isfile(str(value).strip("\0"))  # noqa: PTH113 (false for what no file can be named)
    if isinstance(value, str) and (value.casefold() in names or is_file):
        return
    plain = Parameter("style", "Style", "choice", "wave", choices=STYLES)
    refusal(plain, value)
    refusal(STYLE, value)


def test_a_choice_may_take_any_picture(tmp_path: Path) -> None:
    file = tmp_path / "my style.png"
    file.write_bytes(b"pixels")
    assert STYLE.check(file) == STYLE.check(str(file)) == file
    np.testing.assert_array_equal(STYLE.check(picture()), picture())
    assert "no file" in refusal(STYLE, tmp_path / "none.png")
    assert "no style or picture file named" in refusal(STYLE, str(tmp_path))


def test_choices_may_appear_at_run_time() -> None:
    found = list(STYLES)
    parameter = Parameter("style", "Style", "choice", "mine", choices=lambda: found)
    assert "no choice named 'mine'" in refusal(parameter, "mine")
    found.append(Choice("mine", "My own"))
    assert parameter.check("mine") == "mine"
    assert [choice["value"] for choice in parameter.describe()["choices"]] == [
        "wave",
        "starry",
        "mine",
    ]


@given(st.lists(st.tuples(st.sampled_from(["wave", "starry"]), numbers), min_size=1, max_size=3))
def test_a_blend_has_weights_of_which_none_is_negative(pairs: list[tuple[str, float]]) -> None:
    weights = [weight for _, weight in pairs]
    if all(0 <= w < 1e300 for w in weights) and sum(weights) > 0:
        wanted = [(name, float(weight)) for name, weight in pairs]
        assert MIX.check(pairs) == MIX.check(json.loads(json.dumps(pairs))) == wanted
    elif not all(abs(w) < math.inf for w in weights) or any(w < 0 for w in weights):
        refusal(MIX, pairs)


@pytest.mark.parametrize("value", ["wave", "wave:1", 3, ["wave"], [("wave",)], [("wave", 0)]])
def test_what_is_no_blend_is_refused(value: Any) -> None:
    assert "names with weights" in refusal(MIX, value)
    assert "mix: there is no choice named 'ocean'" in refusal(MIX, [("ocean", 1)])
    assert "mix: a weight must be a number" in refusal(MIX, [("wave", "much")])


def test_what_needs_another_is_refused_without_it() -> None:
    with pytest.raises(UserError, match="feather means nothing without mask"):
        DARKEN.check({"feather": 2})
    with pytest.raises(ParameterError) as error:
        DARKEN.check({"feather": 2})
    said = error.value.saying(lambda name: f"--{name}")
    assert said == "--feather means nothing without --mask: give --mask too."
    mask = np.ones((4, 5), np.float32)
    assert DARKEN.check({"feather": 2, "mask": mask})["feather"] == 2
    assert DARKEN.check({"feather": 0})["feather"] == 0


def test_a_mask_is_a_file_or_an_array(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    file.write_bytes(b"pixels")
    assert MASK.check(str(file)) == file
    assert MASK.check(np.ones((3, 4))).dtype == np.float32
    assert "no file" in refusal(MASK, "nowhere.png")
    assert "no file" in refusal(MASK, "a\0b")
    assert "no file" in refusal(MASK, "x" * 5000)
    assert "H x W" in refusal(MASK, picture())


def test_a_default_that_its_own_parameter_refuses_is_a_mistake_of_the_task() -> None:
    with pytest.raises(UserError):
        Parameter("strength", "Strength", "float", 2.0, maximum=1)
    with pytest.raises(ValueError, match="no kind"):
        Parameter("strength", "Strength", "double")
    with pytest.raises(ValueError, match="cannot name"):
        Parameter("my strength", "Strength", "float")
    with pytest.raises(ValueError, match="no default"):
        Parameter("mask", "Mask", "mask", default="mask.png")


def test_a_task_runs_with_its_defaults_and_reports() -> None:
    events: list[Any] = []
    result = DARKEN.run(picture(), Job(events.append))
    np.testing.assert_array_equal(result.made, picture() / 2)
    assert result.used == [{"name": "none"}]
    assert [event.fraction for event in events] == [0, 0.25, 0.5, 0.75]
    np.testing.assert_array_equal(DARKEN.run(picture(), strength="0").made, picture())


def test_the_function_gets_every_parameter_checked() -> None:
    seen: dict[str, Any] = {}

    def look(picture: np.ndarray, job: Job, engine: Engine, **values: Any) -> Result:
        seen.update(values)
        return Result(picture)

    Task("look", "Look", "", look, DARKEN.parameters).run(picture(), count=3.0, style="Starry")
    assert seen == {
        "strength": 1.0,
        "feather": 0.0,
        "style": "starry",
        "count": 3,
        "keep": False,
        "seed": None,
        "mix": None,
        "mask": None,
        "title": "",
    }


def test_a_parameter_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'strength'"):
        DARKEN.run(picture(), strenght=1)


def test_a_required_parameter_must_be_given() -> None:
    task = Task("t", "T", "", darken, (Parameter("strength", "Strength", "float"),))
    with pytest.raises(UserError, match="strength needs a value"):
        task.run(picture())


def test_a_cancelled_task_gives_nothing() -> None:
    job = Job(lambda event: job.cancel() if event.fraction > 0.4 else None)
    with pytest.raises(Cancelled):
        DARKEN.run(picture(), job)

    def cancel_late(picture: np.ndarray, job: Job, engine: Engine) -> Result:
        job.cancel()
        return Result(picture)

    with pytest.raises(Cancelled):
        Task("late", "Late", "", cancel_late).run(picture())


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), fill=st.just(0.5)),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.data(),
)
def test_a_picture_with_one_bad_pixel_is_refused(
    plane: np.ndarray, bad: float, data: st.DataObject
) -> None:
    pixels = np.full((*plane.shape, 3), 0.5, np.float32)
    pixels.flat[data.draw(st.integers(0, pixels.size - 1))] = bad
    with pytest.raises(UserError, match="not finite"):
        DARKEN.run(pixels)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "must be a NumPy array"),
        ("photo.png", "must be a NumPy array"),
        (picture().tolist(), "must be a NumPy array"),
        (np.zeros((0, 5, 3), np.float32), "empty"),
        (np.zeros((4, 5), np.float32), "H x W x 3"),
        (np.zeros((4, 5, 4), np.float32), "H x W x 3"),
        (np.zeros((1, 4, 5, 3), np.float32), "H x W x 3"),
        (np.zeros((4, 5, 3), np.uint8), "uint8"),
        (np.zeros((4, 5, 3), np.complex64), "complex64"),
        (np.full((4, 5, 3), 255.0, np.float32), "0..1"),
        (np.full((4, 5, 3), -1.0, np.float32), "0..1"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(value: Any, says: str) -> None:
    with pytest.raises(UserError) as error:
        DARKEN.run(value)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_one_pixel_doubles_and_rounding_errors_are_pictures() -> None:
    assert DARKEN.run(picture(1, 1)).made.shape == (1, 1, 3)
    result = DARKEN.run(picture().astype(np.float64) * 2.0000001, strength=0)
    assert result.made.dtype == np.float32 and result.made.max() == 1


def test_a_task_says_how_it_changes_the_size() -> None:
    counts = tuple(replace(COUNT, name=name, minimum=0) for name in ("left", "right", "top"))
    task = Task("grow", "Grow", "Makes it larger.", darken, counts, origin=("left", "top"))
    assert task.place({"left": 3, "right": 1}) == (3, 2)
    assert DARKEN.place({}) is None
    assert (task.describe()["origin"], task.describe()["factor"]) == (["left", "top"], "")
    for wrong in ({"factor": "strength"}, {"origin": ("left", "middle")}):
        with pytest.raises(ValueError, match="no whole number"):
            replace(DARKEN, **wrong)


def test_a_task_without_a_picture_needs_none() -> None:
    made = Task("make", "Make", "", lambda picture, job, engine: Result(np.zeros(1)), input="none")
    assert made.run().made.shape == (1,)


def test_a_description_survives_json() -> None:
    description = DARKEN.describe()
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    assert [p["name"] for p in description["parameters"]] == [p.name for p in DARKEN.parameters]
    style = description["parameters"][1]
    assert style["choices"][0] == {
        "value": "wave",
        "label": "The Great Wave",
        "help": "Hokusai, 1831",
        "thumbnail": str(Path("thumbs/wave.png")),
    }


names = st.text("abcdefgh_", min_size=1)
bounds = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(sorted)
float_parameters = st.builds(
    lambda name, label, bounds, unit: Parameter(
        name, label, "float", bounds[0], minimum=bounds[0], maximum=bounds[1], unit=unit
    ),
    names,
    st.text(),
    bounds,
    st.text(max_size=5),
)
choice_parameters = st.builds(
    lambda name, values: Parameter(
        name, name, "choice", values[0], choices=[Choice(value, value.upper()) for value in values]
    ),
    names,
    st.lists(st.text(min_size=1), min_size=1, unique=True),
)
blend_parameters = st.builds(
    lambda name, weight: Parameter(name, name, "blend", [("wave", weight)], choices=STYLES),
    names,
    st.floats(0.01, 1),
)


@given(st.lists(float_parameters | choice_parameters | blend_parameters, max_size=5))
def test_what_any_description_promises_its_task_takes(parameters: list[Parameter]) -> None:
    task = Task("any", "Any", "Any.", darken, tuple(parameters))
    described = json.loads(json.dumps(task.describe(), allow_nan=False))
    assert described == task.describe()
    for parameter, shown in zip(parameters, described["parameters"], strict=True):
        promised = [shown["default"], shown["minimum"], shown["maximum"]]
        promised += [choice["value"] for choice in shown["choices"] if parameter.kind == "choice"]
        for value in promised:
            if value is not None:
                checked = parameter.check(value)
                assert checked == (
                    [tuple(v) for v in value] if parameter.kind == "blend" else value
                )


def in_a_fresh_process(code: str) -> str:
    """What `code` prints; registered tasks stay out of the other tests."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_registered_task_is_offered_once_under_its_name() -> None:
    printed = in_a_fresh_process(
        "from triptych.errors import UserError\n"
        "from triptych.task import Result, Task, get_task, register, tasks\n"
        "echo = Task('echo', 'Echo', 'Repeats.', lambda picture, job, engine: Result(picture))\n"
        "assert register(echo) is register(echo) is get_task('echo') is tasks()['echo']\n"
        "try: register(Task('echo', 'Another', '', echo.function))\n"
        "except ValueError as error: print(error)\n"
        "try: get_task('ecko')\n"
        "except UserError as error: print(error)\n"
    )
    assert printed.splitlines() == [
        "there is a task 'echo' already",
        "there is no task 'ecko'; did you mean 'echo'?",
    ]


def test_every_built_in_task_can_be_described_to_a_host() -> None:
    printed = in_a_fresh_process(
        "import json; from triptych.task import tasks\n"
        "print(json.dumps([task.describe() for task in tasks().values()], allow_nan=False))"
    )
    for described in json.loads(printed):
        assert described["name"].isidentifier() and described["label"] and described["help"]
        for parameter in described["parameters"]:
            assert parameter["label"] and parameter["help"]
