"""Makes docs/restore.jpg, the picture in the README: `python docs/restore.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fill import lay_out

from triptych import demo


def main() -> None:
    """Restore the aged photograph of the demo, and lay the pictures out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo.restore_section(folder)
        lay_out([folder / "aged.png", folder / "restored.png"], "restore.jpg")


if __name__ == "__main__":
    main()
