"""One virtual machine for a whole test run: ImageJ lives in it; Fiji's engines have processes of their own."""

from pathlib import Path

import numpy as np
import pytest

from relumen.image_writing import write_image
from relumen.imagej_bridge.session import open_session
from relumen.images import Image, read_image


@pytest.fixture(scope="session")
def imagej():
    return open_session()


@pytest.fixture(scope="module")
def deepimagej(imagej):
    """Answers ``DeepImageJ Run`` as DeepImageJ 3.1's macro mode does; keeps the options of each call.

    DeepImageJ itself is not on Maven Central: the options are those that its source reads, the file is the one that
    it writes. What a network makes of a plane is told by ``answers``; with None there is no file, nor after ``runs``.
    """
    import jpype

    calls: list[dict[str, str]] = []
    options = jpype.JClass("ij.Macro")

    @jpype.JImplements(jpype.JClass("ij.CommandListener"))
    class DeepImageJ:
        network, runs = None, 0

        def answers(self, network, runs=1000):
            self.network, self.runs = network, runs
            calls.clear()

        @jpype.JOverride
        def commandExecuting(self, command):  # noqa: N802 (Java's name)
            if str(command) != "DeepImageJ Run":
                return command
            text = options.getOptions()
            keys = ("model_path", "input_path", "output_folder", "display_output")
            call = {key: str(options.getValue(text, key, "")) for key in keys}
            calls.append(call)
            source = Path(call["input_path"])
            if self.network is not None and len(calls) <= self.runs:
                image = read_image(source)
                channels = [self.network(plane) for plane in np.atleast_3d(image.pixels.T).T]
                answer = np.stack(channels) if image.channels > 1 else channels[0]
                write_image(Path(call["output_folder"]) / f"{source.stem}_output.tif", Image(answer, image.axes))
            return None  # handled: ImageJ looks no further

    listener = DeepImageJ()
    listener.calls = calls
    executer = jpype.JClass("ij.Executer")
    executer.addCommandListener(listener)
    yield listener
    executer.removeCommandListener(listener)
