"""Makes docs/extend.jpg, the picture in the README: `python docs/extend.py`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from fill import lay_out

from triptych import demo


def main() -> None:
    """Extend the photograph, and lay both beside each other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(demo.PHOTOGRAPH, folder / "photograph.jpg")
        demo.extend_section(folder)
        lay_out([folder / "photograph.jpg", folder / "extended.jpg"], "extend.jpg")


if __name__ == "__main__":
    main()
