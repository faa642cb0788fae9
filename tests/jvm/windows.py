"""A real ImageJ with windows, driven as a user drives it, in a process of its own.

Without a window manager no window has the keyboard, and a click can come too early for a new window: so events go
straight to buttons, menu items and windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 30


class Windows:
    """ImageJ's window and those that it opens.

    Args:
        home: ImageJ's folder, with the plugin in plugins/; its preferences go there too.
        options: of Java.
    """

    def __init__(self, home: Path, *options: str) -> None:
        from relumen.imagej_bridge.session import COORDINATES
        from relumen.jvm import fetch_jars, start_jvm

        folders = [f"-Dplugins.dir={home}", f"-Duser.home={home}"]
        start_jvm(fetch_jars(COORDINATES[:1]), [*folders, "-Djava.awt.headless=false", *options])
        self.imagej = java("ij.ImageJ")(java("ij.ImageJ").STANDALONE)
        self.imagej.setLocation(10, 10)
        java("ij.plugin.frame.Recorder")().setLocation(10, 480)

    def choose(self, *labels: str) -> None:
        """Chooses a command of the menu bar, such as "Plugins", "relumen", "relumen Server..."."""
        menu = self.imagej.getMenuBar()
        entries = [menu.getMenu(i) for i in range(menu.getMenuCount())]
        for label in labels:
            entry = next(each for each in entries if str(each.getLabel()) == label)
            if label != labels[-1]:
                entries = [entry.getItem(i) for i in range(entry.getItemCount())]
        self._act(entry, entry.getActionCommand())

    @staticmethod
    def _act(part: Any, command: str) -> None:
        """What a click on it does."""
        event = java("java.awt.event.ActionEvent")
        happened = event(part, event.ACTION_PERFORMED, command)
        on_screen(lambda: part.dispatchEvent(happened))

    def dialog(self, title: str, kind: str = "ij.gui.GenericDialog") -> Any:
        """The dialog of this title, as soon as it is there."""

        def shown() -> Any:
            dialogs = [each for each in java("java.awt.Window").getWindows() if isinstance(each, java(kind))]
            return next((each for each in dialogs if each.isShowing() and str(each.getTitle()) == title), None)

        dialog = wait_for(shown, f"the dialog {title}")
        wait_for(_waiting, f"wait for the dialog {title}")  # Java misses an end that comes before
        return dialog

    def press(self, dialog: Any, label: str) -> None:
        """Presses a button of a dialog."""
        button = next(each for each in parts(dialog, "java.awt.Button") if str(each.getLabel()).strip() == label)
        self._act(button, button.getActionCommand())
        wait_for(lambda: not dialog.isShowing(), f"end of the dialog {dialog.getTitle()}")

    def escape(self) -> None:
        """Presses Esc in ImageJ's window."""
        key = java("java.awt.event.KeyEvent")
        now = java("java.lang.System").currentTimeMillis()
        pressed = key(self.imagej, key.KEY_PRESSED, now, 0, key.VK_ESCAPE, key.CHAR_UNDEFINED)
        on_screen(lambda: self.imagej.dispatchEvent(pressed))

    def status(self) -> str:
        """What the status bar says."""
        return str(self.imagej.getStatusBarText())

    def progress(self) -> float:
        """How long the progress bar is, 0 to 1."""
        return float(hidden(self.imagej.getProgressBar(), "slowX"))

    def recorded(self) -> list[str]:
        """The lines that the recorder wrote."""
        return str(java("ij.plugin.frame.Recorder").getInstance().getText()).splitlines()

    def frame(self, title: str) -> Any:
        """The window of this title that is shown, or None."""
        frames = [each for each in java("java.awt.Frame").getFrames() if each.isShowing()]
        return next((each for each in frames if str(each.getTitle()) == title), None)

    def ended(self, command: str) -> None:
        """Waits until a command is at its end, recorder and all."""
        running = java("java.lang.Thread").getAllStackTraces
        names = lambda: [str(each.getName()) for each in running().keySet()]  # noqa: E731
        wait_for(lambda: not [name for name in names() if name.endswith(command)], f"end of {command}")

    def image(self, title: str) -> Any:
        """The image of this title in a window, or None."""
        return java("ij.WindowManager").getImage(title)


def _waiting() -> bool:
    """Whether a thread waits for the end of a dialog."""
    stacks = java("java.lang.Thread").getAllStackTraces().values()
    tops = ([str(frame) for frame in [*stack][:4]] for stack in stacks)
    return any("Object.wait" in top[0] and "WaitDispatchSupport.enter" in " ".join(top) for top in tops if top)


def said(dialog: Any) -> list[str]:
    """The lines that a dialog shows, but for what it asks."""
    labels = parts(dialog, "ij.gui.MultiLineLabel")
    return [str(line) for label in labels for line in hidden(label, "lines") if line]


def values(dialog: Any) -> dict[str, Any]:
    """What a dialog asks for: its values by their labels."""
    found, label = {}, ""
    for part in parts(dialog, "java.awt.Component"):
        if isinstance(part, java("java.awt.Checkbox")):
            found[str(part.getLabel())] = bool(part.getState())
        elif isinstance(part, java("java.awt.Label")):
            label = str(part.getText())
        elif isinstance(part, java("java.awt.TextField")):
            found[label] = str(part.getText())
        elif isinstance(part, java("java.awt.Choice")):
            found[label] = str(part.getSelectedItem())
    return found


def fill(dialog: Any, **texts: str) -> None:
    """Types into the fields of these labels."""
    label = ""
    for part in parts(dialog, "java.awt.Component"):
        if isinstance(part, java("java.awt.Label")):
            label = str(part.getText())
        elif isinstance(part, java("java.awt.TextField")) and label in texts:
            on_screen(lambda part=part, text=texts[label]: part.setText(text))


def parts(container: Any, kind: str) -> list[Any]:
    """All of a kind in it, in order."""
    found = []
    for part in container.getComponents():
        if isinstance(part, java(kind)):
            found.append(part)
        if isinstance(part, java("java.awt.Container")):
            found += parts(part, kind)
    return found


def close(frame: Any) -> None:
    """What a click on a window's cross does."""
    event = java("java.awt.event.WindowEvent")
    on_screen(lambda: frame.dispatchEvent(event(frame, event.WINDOW_CLOSING)))


def hidden(what: Any, field: str) -> Any:
    """A field that Java hides."""
    found = what.getClass().getDeclaredField(field)
    found.setAccessible(True)
    return found.get(what)


def on_screen(do: Callable[[], object]) -> None:
    """Does it on the thread where Java handles what users do."""
    import jpype

    java("java.awt.EventQueue").invokeAndWait(jpype.JProxy("java.lang.Runnable", dict={"run": do}))


def wait_for(look: Callable[[], Any], what: str) -> Any:
    """What a look gives, as soon as it gives anything."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"No {what} after {PATIENCE_S} s"
        time.sleep(0.02)
    return found


def java(name: str) -> Any:
    """A class of Java's."""
    import jpype

    return jpype.JClass(name)
