"""What a user does with the commands in ImageJ's windows, told as JSON: python windows_story.py HOME [ADDRESS].

In the folder HOME are plugins/ and cells.tif. Without the address of a server there is a stand-in.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # a script, in a process of its own

from stand_in import FINISHED, StandIn, step  # noqa: E402
from windows import Windows, close, fill, hidden, java, said, values, wait_for  # noqa: E402

SERVER = "relumen Server"
SEARCH = "RLS Super-Resolution"
PREVIEW = "relumen: preview of cells.tif"


def story(windows: Windows) -> dict[str, Any]:
    """Plays it with the stand-in; gives what was seen."""
    server, seen = StandIn(token="s3cret").start(), {}
    seen["server"] = connect(windows, server.address, "s3cret")
    for part in (cancelled, closed_preview, refused, in_macros):
        seen |= part(windows, server)
    return {**seen, "recorded": windows.recorded(), "address": server.address}


def cancelled(windows: Windows, server: StandIn) -> dict[str, Any]:
    """A search that is told of, previewed twice, and cancelled with Esc."""
    server.polls = [step(37, preview=1)]
    windows.choose("Plugins", "relumen", f"{SEARCH}...")
    dialog = windows.dialog(SEARCH)
    seen: dict[str, Any] = {"asked": values(dialog), "words": said(dialog)}
    fill(dialog, Factor="4", Seed="7", Solutions="2", Blur="0.0625", Channels="DNA=1 tubulin=none")
    windows.press(dialog, "OK")
    preview = wait_for(lambda: windows.frame(PREVIEW), "preview")
    wait_for(lambda: windows.progress() > 0, "progress")
    seen |= {"status": windows.status(), "progress": windows.progress()}
    before = hidden(preview.getComponent(0), "image")
    server.polls = [step(80, preview=2)]
    wait_for(lambda: hidden(preview.getComponent(0), "image") != before, "new preview")
    seen["same window"] = bool(preview.isShowing())
    seen["current meanwhile"] = current()
    wait_for(lambda: windows.progress() > 0.3, "more progress")
    windows.escape()
    wait_for(server.cancelled.is_set, "cancelling on the server")
    windows.ended(f"{SEARCH}...")
    seen |= {"status after Esc": windows.status(), "progress after Esc": windows.progress()}
    return {**seen, "preview after Esc": windows.frame(PREVIEW) is not None}


def closed_preview(windows: Windows, server: StandIn) -> dict[str, Any]:
    """The same again, as it is remembered; the preview is closed, and the result comes."""
    server.cancelled.clear()
    server.polls = [step(37, preview=1)]
    windows.choose("Plugins", "relumen", f"{SEARCH}...")
    dialog = windows.dialog(SEARCH)
    seen: dict[str, Any] = {"asked again": values(dialog)}
    windows.press(dialog, "OK")
    close(wait_for(lambda: windows.frame(PREVIEW), "preview"))
    server.polls = [step(80, preview=2)]
    wait_for(lambda: "iteration 80" in windows.status(), "next step")
    polled = len(server.received)
    wait_for(lambda: len(server.received) > polled + 2, "more polls")
    seen["preview after closing"] = windows.frame(PREVIEW) is not None
    server.polls = [FINISHED]
    result = wait_for(lambda: windows.image("cells_rls"), "result")
    windows.ended(f"{SEARCH}...")
    return {**seen, "result": [int(size) for size in result.getDimensions()], "current at the end": current()}


def refused(windows: Windows, server: StandIn) -> dict[str, Any]:
    """A search that the server refuses."""
    java("ij.IJ").selectWindow("cells.tif")
    server.refusals = [(400, "seed: 7 is no good\nTake another.")]
    windows.choose("Plugins", "relumen", f"{SEARCH}...")
    windows.press(windows.dialog(SEARCH), "OK")
    message = windows.dialog(SEARCH, "ij.gui.MessageDialog")
    seen = {"refused": said(message)}
    windows.press(message, "OK")
    windows.ended(f"{SEARCH}...")
    return seen


def in_macros(windows: Windows, server: StandIn) -> dict[str, Any]:
    """The recorded line in macros: one that ends well, one that the server refuses, one that Esc ends."""
    line = next(each for each in reversed(windows.recorded()) if each.startswith("run("))
    macro = f'selectImage("cells.tif"); {line} print("then " + getTitle());'
    java("ij.macro.MacroRunner")(macro)
    wait_for(lambda: log() == ["then cells_rls-1"], "end of a macro")
    windows.ended("Macro$")  # two at a time would confuse ImageJ
    server.refusals = [(400, "seed: 7 is no good")]
    java("ij.macro.MacroRunner")(macro)
    message = windows.dialog("Macro Error")
    seen = {"refused in a macro": said(message)[0]}
    windows.press(message, "OK")
    windows.ended("Macro$")
    server.polls = [step(37)]
    java("ij.macro.MacroRunner")(macro)
    wait_for(lambda: "iteration 37" in windows.status(), "search in a macro")
    windows.escape()
    wait_for(server.cancelled.is_set, "cancelling on the server")
    windows.ended("Macro$")
    return {**seen, "log": log()}


def live(windows: Windows, home: Path, address: str) -> dict[str, Any]:
    """A search by a real server, whose result is saved as windowed.tif."""
    connect(windows, address)
    windows.choose("Plugins", "relumen", f"{SEARCH}...")
    dialog = windows.dialog(SEARCH)
    fill(dialog, Factor="2", Iterations="20", Seed="7", Solutions="2")
    choose(dialog, "tiny-prior")
    windows.press(dialog, "OK")
    result = wait_for(lambda: windows.image("cells_rls"), "result")
    java("ij.IJ").saveAsTiff(result, str(home / "windowed.tif"))
    return {"recorded": windows.recorded()}


def connect(windows: Windows, address: str, token: str = "") -> list[str]:
    """Tells the server's address; gives what is said then."""
    windows.choose("Plugins", "relumen", f"{SERVER}...")
    dialog = windows.dialog(SERVER)
    fill(dialog, Address=address, Token=token)
    windows.press(dialog, "OK")
    message = windows.dialog(SERVER, "ij.gui.MessageDialog")
    told = said(message)
    windows.press(message, "OK")
    windows.ended(f"{SERVER}...")
    return told


def choose(dialog: Any, item: str) -> None:
    dialog.getChoices().get(0).select(item)


def current() -> str:
    return str(java("ij.WindowManager").getCurrentImage().getTitle())


def log() -> list[str]:
    return str(java("ij.IJ").getLog() or "").splitlines()


def main(home: str, address: str = "") -> None:
    try:
        windows = Windows(Path(home))
        java("ij.IJ").openImage(str(Path(home) / "cells.tif")).show()
        print(json.dumps(live(windows, Path(home), address) if address else story(windows)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # ImageJ's windows would keep the process
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
