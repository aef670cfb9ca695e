"""The dialog of a task: GIMP's own controls, thumbnails to choose a style from, a live preview."""

import threading
from pathlib import Path
from typing import Any

import client
import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, Gegl, Gimp, GimpUi, GLib, Gtk  # noqa: E402

SIDE = 288  # pixels of the preview: a part of the layer, pixel by pixel
THUMBNAIL = 64  # pixels
TICK = 40  # milliseconds between looks at the worker


class Dialog:
    """Shows a task's parameters; `run` tells whether the user wants it done.

    The worker that draws the previews is started beside the dialog, which never waits for it; it is
    `worker` afterwards, or None if it could not be started.
    """

    def __init__(
        self,
        procedure: Gimp.Procedure,
        config: Any,
        task: dict[str, Any],
        drawable: Gimp.Drawable,
        tools: Any,
    ) -> None:
        GimpUi.init(procedure.get_name())
        self.worker: client.Worker | None = None
        self._config, self._task, self._drawable, self._tools = config, task, drawable, tools
        self._error = ""
        self._opened: list[client.Pixels] = []
        self._run: client.Run | None = None
        self._wanted = True  # a preview of the values as they are now
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, task["label"])
        self._picture, self._status = Gtk.Image(), Gtk.Label(label="")
        self._lay_out(procedure)
        self._piece = self._read_piece()
        self._show(self._piece)
        config.connect("notify", self._changed)
        threading.Thread(target=self._start, daemon=True).start()
        self._timer = GLib.timeout_add(TICK, self._look)

    def run(self) -> bool:
        """Show it until the user decides."""
        wanted = self._dialog.run()
        GLib.source_remove(self._timer)
        if self._run is not None:
            self._run.cancel()
            self._run.wait(1)
            self._drop()
        self._piece.close()
        self._dialog.destroy()
        return bool(wanted)

    # ------------------------------------------------------------------------------- the controls

    def _lay_out(self, procedure: Gimp.Procedure) -> None:
        known = ("run-mode", "image", "drawables")
        names = [a.name for a in procedure.get_arguments() if a.name not in known]
        picked = next((one for one in self._task["parameters"] if _has_thumbnails(one)), None)
        if picked is not None:
            names.remove(picked["name"].replace("_", "-"))
        controls = self._dialog.fill_box("triptych-controls", names)
        left = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        self._picture.set_size_request(SIDE, SIDE)
        left.pack_start(self._picture, False, False, 0)
        self._status.set_line_wrap(True)
        self._status.set_max_width_chars(36)
        left.pack_start(self._status, False, False, 0)
        if picked is not None:
            left.pack_start(self._thumbnails(picked), True, True, 0)
        columns = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=12)
        columns.set_border_width(12)
        columns.pack_start(left, False, False, 0)
        columns.pack_start(controls, True, True, 0)
        self._dialog.get_content_area().pack_start(columns, True, True, 0)
        columns.show_all()

    def _thumbnails(self, one: dict[str, Any]) -> Gtk.Widget:
        """The choices of a parameter as pictures."""
        name = one["name"].replace("_", "-")
        rows = Gtk.ListStore(GdkPixbuf.Pixbuf, str, str)
        for option in one["choices"]:
            rows.append([_pixbuf(option["thumbnail"]), option["label"], option["value"]])
        view = Gtk.IconView(model=rows, pixbuf_column=0, tooltip_column=1)
        view.set_item_width(THUMBNAIL)
        view.set_columns(4)
        view.set_selection_mode(Gtk.SelectionMode.BROWSE)
        values = [option["value"] for option in one["choices"]]
        chosen = self._config.get_property(name)
        if chosen in values:
            path = Gtk.TreePath.new_from_indices([values.index(chosen)])
            view.select_path(path)
            view.scroll_to_path(path, True, 0.5, 0.5)

        def pick(view: Gtk.IconView) -> None:
            for path in view.get_selected_items():
                self._config.set_property(name, values[path.get_indices()[0]])

        view.connect("selection-changed", pick)
        scrolled = Gtk.ScrolledWindow()
        scrolled.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
        scrolled.set_size_request(-1, 240)
        scrolled.add(view)
        return scrolled

    # -------------------------------------------------------------------------------- the preview

    def _read_piece(self) -> client.Pixels:
        """The middle of what is selected, pixel by pixel."""
        found, x, y, width, height = self._drawable.mask_intersect()
        if not found:
            x, y, width, height = 0, 0, self._drawable.get_width(), self._drawable.get_height()
        wide, high = min(SIDE, width), min(SIDE, height)
        left, top = x + (width - wide) // 2, y + (height - high) // 2
        rectangle = Gegl.Rectangle.new(left, top, wide, high)
        return self._tools.read(self._drawable, rectangle)

    def _changed(self, *_: Any) -> None:
        self._wanted = True
        if self._run is not None:
            self._run.cancel()

    def _start(self) -> None:
        try:
            self.worker = self._tools.start()
        except client.WorkerError as error:
            self._error = str(error)

    def _look(self) -> bool:
        """Called by the main loop: take what is ready, ask for what is wanted."""
        try:
            if self._run is not None and self._run.wait(0):
                made = self._run.result()
                self._show(made)
                made.close()
                self._drop()
            if self._run is None and self._wanted and self.worker is not None:
                self._wanted = False
                values = self._tools.values_of(self._task, self._config, self._opened)
                self._run = self.worker.run(self._task["name"], values, self._piece)
        except client.RunCancelled:
            self._drop()
        except client.WorkerError as error:
            self._error = str(error)
            self._drop()
        busy = self._run is not None or self._wanted
        self._status.set_text(self._error or ("…" if busy else ""))
        return True

    def _drop(self) -> None:
        self._run = None
        for pixels in self._opened:
            pixels.close()
        self._opened = []

    def _show(self, pixels: client.Pixels) -> None:
        """Draw float32 RGBA pixels; GEGL makes bytes of them, in the layer's own way."""
        height, width = pixels.shape[:2]
        buffer = Gegl.Buffer.new(self._tools.PIXELS, 0, 0, width, height)
        area = Gegl.Rectangle.new(0, 0, width, height)
        buffer.set(area, self._tools.PIXELS, bytes(pixels.data))
        data = buffer.get(area, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
        pixbuf = GdkPixbuf.Pixbuf.new_from_bytes(
            GLib.Bytes.new(data), GdkPixbuf.Colorspace.RGB, True, 8, width, height, 4 * width
        )
        self._picture.set_from_pixbuf(pixbuf)


def _has_thumbnails(one: dict[str, Any]) -> bool:
    return one["kind"] == "choice" and any(option["thumbnail"] for option in one["choices"])


def _pixbuf(path: str | None) -> GdkPixbuf.Pixbuf | None:
    """A thumbnail, or an empty square where there is none that can be read."""
    if path and Path(path).is_file():
        try:
            return GdkPixbuf.Pixbuf.new_from_file_at_size(path, THUMBNAIL, THUMBNAIL)
        except GLib.Error:  # a loader for WebP is not in every GTK
            pass
    empty = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, False, 8, THUMBNAIL, THUMBNAIL)
    empty.fill(0x808080FF)
    return empty
