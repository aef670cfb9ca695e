"""The dialog of a task: GIMP's own controls, thumbnails to choose a style from, a live preview."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import client
import gi
import pixels
from client import translated

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, Gegl, Gimp, GimpUi, GLib, GObject, Gtk, Pango  # noqa: E402

_ = translated  # by this name for what stands here, so that the catalogue finds it
WIDE, HIGH = 440, 300  # pixels of the preview: a part of the layer, pixel by pixel
THUMBNAIL = 64  # pixels
COLUMNS, ROWS = 6, 3  # of thumbnails that show at once
LETTERS = 24  # of a title that a closed list shows
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
        # An extended canvas has no preview: any part of the layer would stay as it is.
        self._previews = not task["origin"]
        self._wanted = self._moved = self._previews  # of the values, and of the part, as they are
        self._times = self._factor()
        self._grip: tuple[int, int] | None = None  # where the picture was taken hold of
        self._place = self._middle()  # of the preview in the layer
        self._piece: client.Pixels | None = None
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, translated(task["label"]))
        self._picture, self._spinner = Gtk.Image(), Gtk.Spinner()
        self._named, self._status = Gtk.Label(), Gtk.Label()
        self._weights: dict[str, Gtk.Widget] = {}  # by the choice that they belong to
        self._lay_out(procedure)
        config.connect("notify", self._changed)
        self._starting = threading.Thread(target=self._start, daemon=True)
        self._starting.start()
        self._timer = GLib.timeout_add(TICK, self._look)
        self._look()

    def run(self) -> bool:
        """Show it until the user decides."""
        wanted = bool(self._dialog.run())
        GLib.source_remove(self._timer)
        self._dialog.destroy()
        while Gtk.events_pending():  # else it stays on the screen until the end of the work
            Gtk.main_iteration()
        if self._run is not None:
            self._run.cancel()
            if self._run.wait(1):
                with contextlib.suppress(client.RunCancelled, client.WorkerError):
                    self._run.result().close()
            self._drop()
        if self._piece is not None:
            self._piece.close()
        if wanted:  # the worker that is on its way is the one to use
            self._starting.join()
        return wanted

    # ------------------------------------------------------------------------------- the controls

    def _lay_out(self, procedure: Gimp.Procedure) -> None:
        """The preview and how it is painted on the left, what can be chosen by eye on the right."""
        known = ("run-mode", "image", "drawables")
        names = [a.name for a in procedure.get_arguments() if a.name not in known]
        columns = [self._preview()], []
        aligned = [Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL) for _ in columns]
        rare = []
        for one in self._task["parameters"]:
            name = one["name"].replace("_", "-")
            if _has_thumbnails(one) and one["kind"] == "choice":
                names.remove(name)
                columns[1].append(self._thumbnails(one, name))
            its = [other for other in names if other in (name, *_beside(name))]
            if one["advanced"]:
                rare += its
            elif _has_thumbnails(one):
                columns[1].append(self._controls(its, aligned[1]))
            else:
                continue
            names = [other for other in names if other not in its]
            if one["kind"] == "blend":
                row = self._dialog.get_widget(f"{name}-weight", GObject.TYPE_NONE)
                self._weights[name] = row
        columns[0].append(self._controls(names, aligned[0]))
        if rare:
            more = Gtk.Expander(label=_("Advanced"), margin_top=6)
            more.add(self._controls(rare, aligned[0]))
            more.set_resize_toplevel(True)
            columns[0].append(more)
        box = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=18)
        box.set_border_width(12)
        for widgets in columns:
            column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
            for widget in widgets:
                grows = isinstance(widget, Gtk.ScrolledWindow)
                column.pack_start(widget, grows, grows, 0)
            box.pack_start(column, True, True, 0)
        self._dialog.get_content_area().pack_start(box, True, True, 0)
        box.show_all()

    def _controls(self, names: list[str], aligned: Gtk.SizeGroup) -> Gtk.Widget:
        """The controls of these arguments, one below the other, their labels in one column."""
        for name in names:
            if self._config.find_property(name).value_type == GObject.TYPE_DOUBLE:
                self._dialog.get_scale_entry(name, 1.0)
        box = self._dialog.fill_box(f"triptych-{'-'.join(names)}", names)
        box.set_spacing(6)
        fields = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)
        for name in names:
            row = self._dialog.get_widget(name, GObject.TYPE_NONE)
            row.set_hexpand(True)
            label = next(_inside(row, Gtk.Label), None)
            if label is not None:
                label.set_xalign(0)
                aligned.add_widget(label)
            if next(_inside(row, Gtk.Scale), None) is not None:
                for field in _inside(row, Gtk.SpinButton):
                    fields.add_widget(field)
            for chooser in _inside(row, Gtk.ComboBox):  # else as wide as the longest title
                for cell in chooser.get_cells():
                    if isinstance(cell, Gtk.CellRendererText):
                        cell.set_property("ellipsize", Pango.EllipsizeMode.END)
                        cell.set_property("width-chars", LETTERS)
                        cell.set_property("max-width-chars", LETTERS)
        return box

    def _thumbnails(self, one: dict[str, Any], name: str) -> Gtk.Widget:
        """The choices of a parameter as pictures."""
        rows = Gtk.ListStore(GdkPixbuf.Pixbuf, str)
        for option in one["choices"]:
            title = GLib.markup_escape_text(translated(option["label"]))
            rows.append([_pixbuf(option["thumbnail"]), title])
        view = Gtk.IconView(model=rows, pixbuf_column=0, tooltip_column=1)
        view.set_item_width(THUMBNAIL)
        view.set_item_padding(4)
        view.set_margin(6)
        view.set_row_spacing(0)
        view.set_column_spacing(0)
        view.set_columns(COLUMNS)
        view.set_selection_mode(Gtk.SelectionMode.BROWSE)
        _style(view, "iconview:selected { background-color: alpha(currentColor, 0.6); }")
        values = [option["value"] for option in one["choices"]]
        others = _beside(name)[:2] if one["accepts_picture"] else ()
        following = False

        def follow(*_: Any) -> None:
            nonlocal following
            chosen, following = self._config.get_property(name), True
            if chosen in values:
                path = Gtk.TreePath.new_from_indices([values.index(chosen)])
                view.select_path(path)
                view.scroll_to_path(path, False, 0, 0)
            following = False

        def pick(view: Gtk.IconView) -> None:
            for path in view.get_selected_items() if not following else ():
                for other in others:  # which would go before what is picked
                    if self._config.get_property(other) is not None:
                        self._config.set_property(other, None)
                self._config.set_property(name, values[path.get_indices()[0]])

        view.connect("map", follow)
        view.connect("selection-changed", pick)
        self._config.connect(f"notify::{name}", follow)
        scrolled = Gtk.ScrolledWindow(shadow_type=Gtk.ShadowType.IN)
        scrolled.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
        scrolled.set_overlay_scrolling(False)
        scrolled.set_size_request(-1, 12 + ROWS * (THUMBNAIL + 8) + THUMBNAIL // 3)
        scrolled.add(view)
        return scrolled

    def _preview(self) -> Gtk.Widget:
        """The picture, or why there is none, and below it what it shows and what is wrong."""
        line = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=6)
        for label in (self._named, self._status):
            label.set_xalign(0)
            label.set_max_width_chars(1)  # as wide as the picture is, not as the text
        self._named.set_ellipsize(Pango.EllipsizeMode.END)
        self._status.set_line_wrap(True)
        self._status.set_no_show_all(True)
        line.pack_start(self._named, True, True, 0)
        line.pack_start(self._spinner, False, False, 0)
        column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        above = (self._frame(), line) if self._previews else (self._explanation(),)
        for widget in (*above, self._status):
            column.pack_start(widget, False, False, 0)
        return column

    def _frame(self) -> Gtk.Widget:
        """The picture, of which another part can be drawn into view."""
        self._picture.get_accessible().set_name(_("Preview"))
        area = Gtk.EventBox()
        area.add(self._picture)
        area.set_size_request(WIDE, HIGH)
        if self._part() != (self._drawable.get_width(), self._drawable.get_height()):
            area.set_tooltip_text(_("Drag to see another part of the layer"))
        area.connect("button-press-event", self._grabbed)
        area.connect("motion-notify-event", self._dragged)
        frame = Gtk.Frame()
        frame.add(area)
        return frame

    def _explanation(self) -> Gtk.Widget:
        """What stands in the place of a preview."""
        text = _(
            "There is no preview: what is added is painted when you press OK, and one step undoes "
            "it."
        )
        return Gtk.Label(label=text, xalign=0, wrap=True, max_width_chars=2 * LETTERS)

    # -------------------------------------------------------------------------------- the preview

    def _factor(self) -> int:
        """How many times larger the result is."""
        name = self._task["factor"].replace("_", "-")
        return int(self._config.get_property(name)) if name else 1

    def _part(self) -> tuple[int, int]:
        """Width and height in the layer of what the preview shows."""
        wide, high = self._drawable.get_width(), self._drawable.get_height()
        return min(WIDE // self._times, wide), min(HIGH // self._times, high)

    def _middle(self) -> tuple[int, int]:
        """Where the preview begins, for its middle to be that of what is selected."""
        found, x, y, width, height = self._drawable.mask_intersect()
        if not found:
            x, y, width, height = 0, 0, self._drawable.get_width(), self._drawable.get_height()
        wide, high = self._part()
        return self._kept(x + (width - wide) // 2, y + (height - high) // 2)

    def _kept(self, x: int, y: int) -> tuple[int, int]:
        """The nearest place at which the preview does not leave the layer."""
        wide, high = self._part()
        right, bottom = self._drawable.get_width() - wide, self._drawable.get_height() - high
        return max(0, min(x, right)), max(0, min(y, bottom))

    def _read_piece(self) -> client.Pixels:
        return self._tools.read(self._drawable, Gegl.Rectangle.new(*self._place, *self._part()))

    def _grabbed(self, _area: Gtk.Widget, event: Any) -> None:
        x, y = round(event.x / self._times), round(event.y / self._times)
        self._grip = self._place[0] + x, self._place[1] + y

    def _dragged(self, _area: Gtk.Widget, event: Any) -> None:
        held = event.state & Gdk.ModifierType.BUTTON1_MASK  # the tooltip asks for every motion
        if self._grip is None or not held:
            return
        x, y = round(event.x / self._times), round(event.y / self._times)
        place = self._kept(self._grip[0] - x, self._grip[1] - y)
        if place != self._place:
            self._place, self._moved = place, True
            self._changed()

    def _changed(self, *_: Any) -> None:
        if not self._previews:
            return
        if self._times != self._factor():  # a larger or smaller part, around the same middle
            (x, y), (wide, high) = self._place, self._part()
            self._times = self._factor()
            less, lower = self._part()
            self._place = self._kept(x + (wide - less) // 2, y + (high - lower) // 2)
            self._moved = True
        self._wanted = True
        self._error = "" if self.worker is not None else self._error
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
                ended, self._run = self._run, None
                with ended.result() as made:
                    if not self._moved:
                        self._show(made)
            if self._run is None and self._moved:
                self._moved = False
                if self._piece is not None:
                    self._piece.close()
                self._piece = self._read_piece()
                self._show(self._piece, self._times)
            if self._run is None and self._wanted and self.worker is not None:
                self._drop()
                self._wanted = False
                values = self._tools.values_of(self._task, self._config, self._opened)
                if not self._takes_selection(values):
                    return self._told()
                self._fit(values)
                self._run = self.worker.run(self._task["name"], values, self._piece)
        except client.RunCancelled:
            pass
        except client.WorkerError as error:
            self._error = str(error)
        return self._told()

    def _fit(self, values: dict[str, Any]) -> None:
        """Let what goes by a picture's size go by that of what is painted in the end."""
        *_, wide, high = self._drawable.mask_intersect()
        for one in self._task["parameters"]:
            if one["by_size"] and values.get(one["name"]) == 0:
                values[one["name"]] = 1 + sum(max(wide, high) > size for size in one["by_size"])

    def _takes_selection(self, values: dict[str, Any]) -> bool:
        """Give a task that fills the selection what of it is in the preview; whether it has work
        there."""
        name = self._tools.filled(self._task)
        if not name:
            return True
        assert self._piece is not None
        (height, width), (x, y) = self._piece.shape[:2], self._place
        area = Gegl.Rectangle.new(x, y, width, height)
        selection = self._tools.read_selection(self._drawable, area)
        if selection is None:
            return False
        self._opened.append(selection)
        values[name] = selection
        return True

    def _told(self) -> bool:
        """Say how it stands."""
        busy = not self._error and (self._run is not None or self._wanted)
        if busy != self._spinner.get_property("active"):
            self._spinner.set_property("active", busy)
        self._named.set_text(self._title())
        self._status.set_text(self._error)
        self._status.set_visible(bool(self._error))
        for name, row in self._weights.items():
            row.set_sensitive(self._config.get_property(name) != "none")
        return True

    def _title(self) -> str:
        """What the result is called or, of what is scaled, how large it becomes."""
        if not self._task["factor"]:
            return str(self._tools.layer_name(self._task, self._config))
        wide, high = self._drawable.get_width(), self._drawable.get_height()
        return f"{wide * self._times} × {high * self._times} {_('px')}"

    def _drop(self) -> None:
        self._run = None
        for one in self._opened:
            one.close()
        self._opened = []

    def _show(self, shown: client.Pixels, times: int = 1) -> None:
        """Draw RGBA pixels; GEGL makes bytes of floats, in the layer's own way."""
        height, width = shown.shape[:2]
        form = pixels.FORMATS[shown.kind]
        buffer = Gegl.Buffer.new(form, 0, 0, width, height)
        area = Gegl.Rectangle.new(0, 0, width, height)
        buffer.set(area, form, bytes(shown.data))
        drawn = _drawn(buffer, area)
        if times > 1:
            size = width * times, height * times
            drawn = drawn.scale_simple(*size, GdkPixbuf.InterpType.BILINEAR)
        self._picture.set_from_pixbuf(drawn)


def _has_thumbnails(one: dict[str, Any]) -> bool:
    return any(option["thumbnail"] for option in one["choices"])


def _beside(name: str) -> tuple[str, ...]:
    """The arguments that come with a parameter's own."""
    return tuple(f"{name}-{what}" for what in ("layer", "file", "weight"))


def _style(widget: Gtk.Widget, css: str) -> None:
    provider = Gtk.CssProvider()
    provider.load_from_data(css.encode())
    priority = Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION
    widget.get_style_context().add_provider(provider, priority)


def _inside(widget: Gtk.Widget, kind: type) -> Iterator[Any]:
    """The widgets of a kind in this one, which may be one itself."""
    if isinstance(widget, kind):
        yield widget
    elif isinstance(widget, Gtk.Container):
        for child in widget.get_children():
            yield from _inside(child, kind)


def _pixbuf(path: str | None) -> GdkPixbuf.Pixbuf:
    """A thumbnail, or an empty square where there is none that can be read."""
    if path and Path(path).is_file():
        node = Gegl.Node()  # which reads WebP; not every GTK does
        loader = node.create_child("gegl:load")
        loader.set_property("path", path)
        area = loader.get_bounding_box()
        if area.width > 1 and area.height > 1:
            buffer = Gegl.Buffer.new("R'G'B'A u8", 0, 0, area.width, area.height)
            loader.blit_buffer(buffer, area, 0, Gegl.AbyssPolicy.NONE)
            return _drawn(buffer, area).scale_simple(
                THUMBNAIL, THUMBNAIL, GdkPixbuf.InterpType.BILINEAR
            )
    empty = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, False, 8, THUMBNAIL, THUMBNAIL)
    empty.fill(0x808080FF)
    return empty


def _drawn(buffer: Gegl.Buffer, area: Gegl.Rectangle) -> GdkPixbuf.Pixbuf:
    """That part of a buffer as GTK shows it."""
    data = buffer.get(area, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(data),
        GdkPixbuf.Colorspace.RGB,
        True,
        8,
        area.width,
        area.height,
        4 * area.width,
    )
