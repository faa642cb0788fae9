"""Builds the plugin's jar with Maven, and writes it and its SHA-256 beside this file: make jar.

The same sources give the same bytes in any folder, with any umask, and with any JDK from 11 on.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
JAR = HERE / "relumen_-0.1.0.jar"
DIGEST = HERE / f"{JAR.name}.sha256"


def build(folder: Path) -> Path:
    """Builds a copy of the sources.

    Args:
        folder: made; everything that Maven writes goes there.

    Returns:
        The jar.

    Raises:
        RuntimeError: Maven failed; the message is what it said.
    """
    folder.mkdir()
    for source in (HERE / "pom.xml", *(HERE / "src").rglob("*.*")):
        copy = folder / source.relative_to(HERE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod(0o644)  # a jar keeps the permissions of what went into it
    command = ["mvn", "--batch-mode", "--quiet", "-Dstyle.color=never", "-Dmaven.test.skip=true", "package"]
    done = subprocess.run(command, cwd=folder, umask=0o022, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"Maven failed:\n{done.stdout}")
    return folder / "target" / JAR.name


def digest(jar: Path) -> str:
    """The line that ``sha256sum`` writes."""
    return f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n"


def main() -> int:
    """Replaces the jar that is committed."""
    if shutil.which("mvn") is None:
        print("Maven builds the jar, and there is none. Install it (on Debian and Ubuntu: apt install maven).")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(build(Path(folder) / "java"), JAR)
    DIGEST.write_text(digest(JAR), encoding="utf-8")
    print(DIGEST.read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
