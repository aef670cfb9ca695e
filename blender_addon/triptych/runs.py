# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that let the worker work: live in a window, to the end in a script."""

from collections.abc import Set
from contextlib import suppress
from typing import Any

import bpy

from . import client, declared, preferences
from .engine import Batch, Engine, Made, Order
from .words import _, follow, say

POLL = 0.02  # seconds
REST = 10.0  # seconds between looks whether the worker is used
engine = Engine()
current: Batch | None = None  # what is worked at now


def begin(orders: list[Order]) -> Batch:
    """Have the worker carry out orders. Raises WorkerError while it is busy with others."""
    global current
    if current is not None:
        for order in orders:
            for pixels in order.shared:
                pixels.close()
        raise client.WorkerError(say(_("Triptych is at work: wait for it, or press Esc.")))
    follow()
    engine.prepare(preferences.folder(), preferences.environment())
    current = Batch(engine, orders)
    return current


def end() -> None:
    """Nothing is worked at any more."""
    global current
    current = None
    with suppress(client.WorkerError):  # the operator has reported it
        worker = engine.worker()
        if worker is not None:
            declared.keep(worker.tasks, preferences.folder())


def redraw(context: bpy.types.Context) -> None:
    """Draw the sidebars anew, not the views beside them: those may be slow to draw."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type == "VIEW_3D" else ():
                if region.type == "UI":
                    region.tag_redraw()


class Work:
    """What operators share that need results of the worker.

    `orders` says what is wanted, `apply` uses it; both may raise WorkerError, whose sentence is
    reported, and nothing has changed. The results' memory is given back unless `apply` clears the
    list that it is given.
    """

    _batch: Batch | None = None
    _timer: Any = None
    _percent = 0  # of the work, as it is shown

    def orders(self, context: bpy.types.Context) -> list[Order]:
        """What the worker is to do."""
        raise NotImplementedError

    def apply(self, context: bpy.types.Context, made: list[Made]) -> None:
        """Bring the results into the scene."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Set[str]:
        """Do it now, and wait for it."""
        try:
            batch = begin(self.orders(context))
        except client.WorkerError as error:
            return self._refuse(error)
        try:
            batch.wait()
        except BaseException:  # Ctrl-C in a script
            batch.abandon()
            end()
            raise
        return self._finish(context, batch)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Set[str]:
        """Do it while the interface goes on."""
        if bpy.app.background or context.window is None:
            return self.execute(context)
        try:
            self._batch = begin(self.orders(context))
        except client.WorkerError as error:
            return self._refuse(error)
        manager = context.window_manager
        self._timer = manager.event_timer_add(POLL, window=context.window)
        manager.modal_handler_add(self)
        redraw(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Set[str]:
        """Look after the work; all other events go where they always go."""
        assert self._batch is not None
        if event.type == "ESC" and event.value == "PRESS":
            self._batch.cancel()
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if not self._batch.poll():
            percent = round(100 * self._batch.fraction)
            if percent != self._percent:
                self._percent = percent
                redraw(context)
            return {"PASS_THROUGH"}
        self._stop(context)
        return self._finish(context, self._batch)

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: another file is opened, or the window closed."""
        if self._batch is not None:
            self._batch.abandon()
            self._stop(context)
            end()

    def _stop(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None

    def _finish(self, context: bpy.types.Context, batch: Batch) -> Set[str]:
        made: list[Made] = []
        try:
            made = batch.results()
            self.apply(context, made)
        except client.RunCancelled:
            self.report({"INFO"}, say(_("Cancelled.")))
            return {"CANCELLED"}
        except client.WorkerError as error:
            return self._refuse(error)
        finally:
            for one in made:
                one.content.close()
            end()
            redraw(context)
        return {"FINISHED"}

    def _refuse(self, error: client.WorkerError) -> Set[str]:
        self.report({"ERROR"}, str(error))
        return {"CANCELLED"}


def idle() -> float:
    """For a timer: let a worker end that has not been used for long."""
    if current is None:
        engine.rest()
    return REST
