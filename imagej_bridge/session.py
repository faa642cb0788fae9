"""A real ImageJ without a window, in this process."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from relumen.errors import CheckFailedError, UserError
from relumen.jvm import fetch_jars, start_jvm
from relumen.whole import file_appears_whole

from .convert import ImagePlus

COORDINATES = ("net.imagej:ij:1.54p", "net.imagej:ij1-patcher:2.0.0")
PLUGIN = Path(__file__).parent / "java" / "relumen_-0.1.0.jar"
"""The commands of Plugins > relumen; ImageJ finds commands only in jars with an underscore in their name."""

_OPTIONS = (
    "-Djava.awt.headless=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",  # the patcher rewrites classes while they load
)


def open_session() -> ImageJSession:
    """Starts ImageJ in this process, or gives the one that runs.

    Raises:
        UserError: there is no Java, or ImageJ can't be fetched.
        CheckFailedError: ImageJ's classes were loaded before they could be made fit for work without windows.
    """
    return _session()


@cache
def _session() -> ImageJSession:
    import jpype

    start_jvm([*fetch_jars(COORDINATES), PLUGIN], _OPTIONS)
    try:
        # Without it every dialog, also one that a macro fills in, fails for want of a screen.
        jpype.JClass("net.imagej.patcher.LegacyInjector").preinit()
    except jpype.JException as error:
        raise CheckFailedError(
            f"ImageJ can't be started without windows ({error}). Start it before anything else that uses Java."
        ) from error
    _java("ij.IJ").runPlugIn("ij.IJ.init", "")  # the patcher's name for what ImageJ's window does as it opens
    register_commands()
    return ImageJSession()


def register_commands() -> None:
    """Makes relumen's commands known to the ImageJ of this process, where it did not find their jar by itself.

    ImageJ reads ``plugins.config`` of the jars in its plugins folder, not of those on the class path, and without a
    window it has no menu: so the commands are put where ``run("name", "options")`` looks for them. Their classes are
    those that Python sees, since ImageJ's own loader asks the class path first.
    """
    commands = _java("ij.Menus").getCommands()
    for name, java_class in plugin_commands().items():
        commands.put(name, java_class)


@cache
def plugin_commands() -> dict[str, str]:
    """The Java classes of relumen's commands by their names in the menu, as the jar's ``plugins.config`` lists them."""
    with ZipFile(PLUGIN) as jar:
        lines = jar.read("plugins.config").decode().splitlines()
    entries = [line.split(",") for line in lines if line and not line.startswith("#")]  # menu, "name", class
    return {name.strip().strip('"'): java_class.strip() for _, name, java_class in entries}


class ImageJSession:
    """What can be asked of ImageJ; made by :func:`open_session`.

    Attributes:
        printed: what the last macro printed.
    """

    def __init__(self) -> None:
        self.printed = ""

    @property
    def version(self) -> str:
        """ImageJ's version, such as "1.54p"."""
        return str(_java("ij.IJ").getVersion())

    def open_image(self, path: Path) -> ImagePlus:
        """Opens an image file with ImageJ's own readers.

        Raises:
            UserError: there is no file, or ImageJ can't read it.
        """
        if not path.is_file():
            raise UserError(f"There is no image at {path}.")
        with _Listening() as heard:
            image = _java("ij.IJ").openImage(str(path.resolve()))
        if image is None:
            raise UserError(f"ImageJ can't open {path}. {heard.text}".rstrip())
        return image

    def run_macro(self, macro: str | Path, argument: str = "", image: ImagePlus | None = None) -> str:
        """Runs a macro and gives what it returns.

        Args:
            macro: its source, or an .ijm file.
            argument: what ``getArgument()`` gives in it.
            image: the current image in it; changed in place by commands that do so.

        Returns:
            The macro's ``return`` value, or "".

        Raises:
            UserError: there is no such file.
            CheckFailedError: the macro failed, stopped itself with ``exit``, or a command in it reported an error.
        """
        import jpype

        name = macro.name if isinstance(macro, Path) else "The macro"
        source = _read(macro) if isinstance(macro, Path) else macro
        imagej, interpreter = _java("ij.IJ"), _java("ij.macro.Interpreter")()
        windows = _java("ij.WindowManager")
        imagej.getErrorMessage()  # forgets the last one
        problem, returned = None, None
        windows.setTempCurrentImage(image)
        with _Listening() as heard:
            try:
                returned = interpreter.run(source, argument)
            except jpype.JException as error:
                problem = str(error.toString())
            finally:
                windows.setTempCurrentImage(None)
        self.printed = heard.text
        if interpreter.wasError():
            problem = heard.text.rpartition("Macro Error: ")[2] or interpreter.getErrorMessage()
        elif problem and "Macro canceled" in problem:
            problem = f"it stopped itself. {heard.text}"
        else:
            problem = problem or interpreter.getErrorMessage() or imagej.getErrorMessage()
        if problem:
            raise CheckFailedError(f"{name} failed in ImageJ: {str(problem).strip()}")
        return "" if returned is None else str(returned)

    def current_image(self) -> ImagePlus:
        """The image that a macro left as the current one.

        Raises:
            CheckFailedError: there is none.
        """
        image = _java("ij.WindowManager").getCurrentImage()
        if image is None:
            raise CheckFailedError("No image is open in ImageJ.")
        return image

    def save_tiff(self, image: ImagePlus, path: Path) -> None:
        """Saves an image as ImageJ's TIFF, with all channels, slices, frames and the pixel size.

        Raises:
            UserError: the folder can't be written to.
            CheckFailedError: ImageJ could not write it.
        """
        title, size = image.getTitle(), int(image.getSizeInBytes())
        saver = _java("ij.io.FileSaver")(image)
        save = saver.saveAsTiffStack if image.getStackSize() > 1 else saver.saveAsTiff
        try:
            self._save(save, path, size)
        finally:
            image.setTitle(title)  # ImageJ renames an image after the file that it was saved as

    def save_png(self, image: ImagePlus, path: Path, display_range: tuple[float, float] | None = None) -> None:
        """Saves the current plane as it looks on the screen, 8 bits a colour.

        Args:
            image: left as it is.
            path: replaced where there is one.
            display_range: the values shown black and white; the image's own where it is None.

        Raises:
            UserError: the folder can't be written to.
            CheckFailedError: ImageJ could not write it.
        """
        own = float(image.getDisplayRangeMin()), float(image.getDisplayRangeMax())
        if display_range is not None:
            image.setDisplayRange(*display_range)
        try:
            picture = image.flatten()
        finally:
            image.setDisplayRange(*own)
        self._save(_java("ij.io.FileSaver")(picture).saveAsPng, path, int(picture.getSizeInBytes()))

    def _save(self, save: Any, path: Path, size: int) -> None:  # noqa: ANN401 (a Java method)
        with file_appears_whole(path, size) as partial, _Listening() as heard:
            saved = save(str(partial))
            if not saved:
                raise CheckFailedError(f"ImageJ could not write {path}. {heard.text}".rstrip())


class _Listening:
    """Keeps what Java prints meanwhile; without windows, ImageJ's messages go there."""

    def __init__(self) -> None:
        self._system = _java("java.lang.System")
        self._bytes = _java("java.io.ByteArrayOutputStream")()
        self._before: Any = None

    def __enter__(self) -> _Listening:
        self._before = self._system.out, self._system.err
        stream = _java("java.io.PrintStream")(self._bytes, True, "UTF-8")
        self._system.setOut(stream)
        self._system.setErr(stream)
        return self

    def __exit__(self, *_: object) -> None:
        self._system.out.flush()
        self._system.setOut(self._before[0])
        self._system.setErr(self._before[1])

    @property
    def text(self) -> str:
        """What was written so far."""
        return str(self._bytes.toString("UTF-8")).strip()


def _read(macro: Path) -> str:
    try:
        return macro.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"There is no macro that can be read at {macro} ({error}).") from error


def _java(name: str) -> Any:  # noqa: ANN401 (a Java class)
    import jpype

    return jpype.JClass(name)
