"""The worker with the one small task of `tiny_task.py`, which prints while it works."""

import sys

import tiny_task  # type: ignore[import-not-found]  # noqa: F401  (registers it)

from triptych import worker

sys.exit(worker.main())
