"""Real hosts: GIMP 3, Blender, and JACK with FluidSynth and Ardour, in a Debian 13 of their own.

Blender runs as a Python module too."""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from triptych import install

PACKAGES = (
    "gimp gir1.2-gimp-3.0 python3-gi "
    "xvfb openbox xdotool dbus-daemon at-spi2-core gir1.2-atspi-2.0 fonts-wqy-microhei locales"
)
CHINESE = "zh_CN.UTF-8"  # a locale for the window; without `locales` there is none but C


def beside(name: str) -> Any:
    """A module beside this one; pytest imports no module from a test's folder."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from tests.hosts import blender_host, roots, studio
else:
    blender_host, roots, studio = beside("blender_host"), beside("roots"), beside("studio")


class Gimp(roots.Root):
    """A GIMP with Triptych's plug-in."""

    @property
    def plug_in(self) -> Path:
        """The installed plug-in's folder."""
        return self.root / "root/.config/GIMP/3.0/plug-ins/triptych"

    def console(self, script: Path, language: str = "") -> str:
        """What GIMP prints that runs a Python script, without a window."""
        code = f"exec(compile(open('/host{script}').read(), '{script.name}', 'exec'))"
        return self.batch("python-fu-eval", code, language)

    def batch(self, interpreter: str, code: str, language: str = "") -> str:
        """What GIMP prints that runs this code without a window."""
        words = ["--no-interface", "--batch-interpreter", interpreter, "-b", code, "--quit"]
        done = self.enter("gimp-console", *words, seconds=300, LANGUAGE=language)
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def gimp(tmp_path_factory: pytest.TempPathFactory) -> Gimp:
    """GIMP 3 with the plug-in of this checkout."""
    roots.need("GIMP 3")
    return prepared(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="session")
def window(gimp: Gimp) -> Iterator[Any]:
    """That GIMP's window, on a screen of its own."""
    made = gimp_window().Window(gimp)
    yield made
    made.close()


@pytest.fixture(scope="module")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[studio.Studio]:
    """A JACK server without a sound card, in a namespace that its clients share."""
    roots.need("JACK")
    roots.Root().install(studio.PACKAGES)
    place = roots.Lasting()
    try:
        yield studio.Studio(place, tmp_path_factory.mktemp("studio"))
    finally:
        place.close()


@pytest.fixture(scope="module")
def synth(jack: studio.Studio) -> studio.Synth:
    """FluidSynth, heard over JACK."""
    return studio.Synth(jack)


@pytest.fixture(scope="module")
def ardour(jack: studio.Studio) -> studio.Ardour:
    """Ardour without a window, with one MIDI track, OSC on and MIDI clock out."""
    return studio.Ardour(jack)


@pytest.fixture(scope="session")
def blender_user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, empty."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="session")
def blender_zip(blender_user: Path) -> Path:
    """The extension as this checkout builds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(blender_user))
        return blender_host.extension()


@pytest.fixture(scope="session")
def blender_module(
    blender_user: Path, tmp_path_factory: pytest.TempPathFactory
) -> blender_host.Module:
    """Blender as a Python module."""
    return blender_host.Module(blender_user, tmp_path_factory.mktemp("blender"))


@pytest.fixture(scope="module")  # it takes a core for as long as it lives
def blender_window(blender_zip: Path, blender_user: Path) -> Iterator[Any]:
    """Blender's window, on a screen of its own, with the extension installed from the zip."""
    roots.need("Blender")
    made = the_blender_window().Window(roots.Root(), blender_zip, blender_user)
    yield made
    made.close()


def the_blender_window() -> Any:
    """The module of Blender's window."""
    return beside("blender_window")


def gimp_window() -> Any:
    """The module of the window."""
    return beside("gimp_window")


def prepared(user: Path) -> Gimp:
    """A GIMP 3 with the plug-in of this checkout, for a user with this folder."""
    host = Gimp()
    host.install(PACKAGES, then=f"localedef -i zh_CN -f UTF-8 {CHINESE}")
    seen = host.root / Path(install.__file__).parents[2].relative_to("/")  # for the thumbnails
    if not seen.is_symlink():
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.symlink_to(f"/host/{seen.relative_to(host.root)}")
    shutil.rmtree(host.plug_in, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_USER_DATA", str(user))
        install.install_gimp(install.Gimp("3.0", host.plug_in.parent))
    settings = json.loads((host.plug_in / "worker.json").read_text())
    settings["command"] = ["chroot", "/host", *settings["command"]]
    settings["environment"]["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    (host.plug_in / "worker.json").write_text(json.dumps(settings))
    return host
