"""Takes the pictures of docs/fiji.md: python windows_pictures.py HOME ADDRESS FOLDER, with a server at the address.

In the folder HOME are plugins/ with the jar, and cells.tif, a low-resolution image for prior-cells at 16x. The screen
is such as that of `Xvfb :9 -screen 0 1400x900x24 -wr`; with openbox on the path its windows have frames and titles.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # a script, in a process of its own

from windows import Windows, java, wait_for  # noqa: E402
from windows_story import PREVIEW, SEARCH, connect  # noqa: E402

MARGIN = 6
OPENED = [f"--add-opens=java.desktop/{name}=ALL-UNNAMED" for name in ("java.awt", "sun.awt", "sun.awt.X11")]


class Camera:
    """Takes pictures of parts of the screen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.robot = java("java.awt.Robot")()

    def take(self, name: str, *windows: Any) -> None:
        """The part of the screen that these windows cover."""
        time.sleep(1)  # all is painted
        area = windows[0].getBounds()
        for window in windows[1:]:
            area = area.union(window.getBounds())
        area.grow(MARGIN, MARGIN)
        screen = java("java.awt.Rectangle")(java("java.awt.Toolkit").getDefaultToolkit().getScreenSize())
        shot = self.robot.createScreenCapture(area.intersection(screen))
        java("javax.imageio.ImageIO").write(shot, "png", java("java.io.File")(str(self._folder / f"{name}.png")))

    def open_menu(self, windows: Windows, *labels: str) -> Any:
        """Opens menus with the mouse; gives the bounds of the last one, as something that has them."""
        accessor = java("sun.awt.AWTAccessor").getMenuComponentAccessor()
        shown, at = accessor.getPeer(windows.imagej.getMenuBar()), windows.imagej.getLocationOnScreen()
        button = java("java.awt.event.InputEvent").BUTTON1_DOWN_MASK
        for label in labels:
            entries = [*call(shown, "copyItems")]
            entry = next(each for each in entries if str(call(each, "getTargetLabel")) == label)
            bounds = call(entry, "getBounds")
            inset = windows.imagej.getInsets().top - bounds.y - bounds.height if label == labels[0] else 0
            self.robot.mouseMove(at.x + bounds.x + 20, at.y + bounds.y + bounds.height // 2 + max(inset - 2, 0))
            if label != labels[-1]:
                self.robot.mousePress(button)
                self.robot.mouseRelease(button)
                time.sleep(0.5)
                shown = call(entry, "getMenuWindow")
                at = call(shown, "getBounds")
        return at

    def close_menu(self) -> None:
        key = java("java.awt.event.KeyEvent").VK_ESCAPE
        for _ in range(3):
            self.robot.keyPress(key)
            self.robot.keyRelease(key)
            time.sleep(0.2)


def pictures(home: Path, address: str, folder: Path) -> None:
    """Takes them all."""
    windows, imagej = Windows(home, *OPENED), java("ij.IJ")
    camera = Camera(folder)
    connect(windows, address)
    low = imagej.openImage(str(home / "cells.tif"))
    low.show()
    show(low, 2400, 10, 130)
    recorder = java("ij.plugin.frame.Recorder").getInstance()
    recorder.setBounds(10, 600, 700, 130)

    windows.choose("Plugins", "relumen", f"{SEARCH}...")
    dialog = windows.dialog(SEARCH)
    dialog.setLocation(800, 130)
    camera.take("fiji-dialog", dialog)
    windows.press(dialog, "OK")
    preview = wait_for(lambda: windows.frame(PREVIEW), "preview")
    preview.setLocation(230, 130)
    wait_for(lambda: re.search(r"iteration (8\d|9\d|1\d\d) ", windows.status()), "the middle of the search")
    camera.take("fiji-search", windows.imagej, low.getWindow(), preview)
    result = wait_for(lambda: windows.image("cells_rls"), "result")
    windows.ended(f"{SEARCH}...")
    show(result, 300, 230, 130)
    camera.take("fiji-result", windows.imagej, low.getWindow(), result.getWindow(), recorder)

    class Menu:
        bounds = camera.open_menu(windows, "Plugins", "relumen", f"{SEARCH}...")

        def getBounds(self) -> Any:  # noqa: N802 (as Java's windows)
            return self.bounds

    camera.take("fiji-menu", windows.imagej, Menu())


def show(image: Any, percent: int, x: int, y: int) -> None:
    """Shows all channels, large, at a place."""
    if image.isComposite():
        image.setMode(1)
        for channel in range(image.getNChannels(), 0, -1):
            image.setC(channel)
            java("ij.IJ").run(image, "Enhance Contrast", "saturated=0.35")
    java("ij.IJ").run(image, "Set... ", f"zoom={percent}")
    image.getWindow().pack()
    image.getWindow().setLocation(x, y)


def call(what: Any, name: str) -> Any:
    """Calls a method that Java hides; a menu on the screen has no other."""
    import jpype

    kind = what.getClass()
    while kind is not None:
        try:
            method = kind.getDeclaredMethod(name)
            method.setAccessible(True)
            return method.invoke(what)
        except jpype.JException:
            kind = kind.getSuperclass()
    raise AttributeError(name)


def main(home: str, address: str, folder: str) -> None:
    manager = subprocess.Popen(["openbox"]) if shutil.which("openbox") else None
    status = 0
    try:
        pictures(Path(home), address, Path(folder))
    except BaseException:
        traceback.print_exc()
        status = 1
    if manager is not None:
        manager.terminate()
    sys.stdout.flush()
    os._exit(status)  # ImageJ's windows would keep the process


if __name__ == "__main__":
    main(*sys.argv[1:])
