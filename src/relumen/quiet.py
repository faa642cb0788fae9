"""TensorFlow without its start-up notices, which its C++ libraries write to the terminal past Python."""

from __future__ import annotations

import os
import sys
from types import ModuleType


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow; a failure to import is raised as ever, only the notices are dropped.

    A notice such as "oneDNN custom operations are on" is no news to a microscopist, and no setting stops it.
    """
    if "tensorflow" in sys.modules or os.environ.get("RELUMEN_VERBOSE"):
        import tensorflow

        return tensorflow
    sys.stderr.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
    return tensorflow
