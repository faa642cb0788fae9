"""Kills relumen's commands without warning (SIGKILL) at random moments, and looks at what they leave.

Half of the moments are drawn by the clock, half are right before a change on the disk, each alike of those that
killed.py knows. TensorFlow writes its checkpoints unseen by it: only the clock's kills can come into that. A training
is resumed each time until it is done, an export is begun anew, a server is started again.

    python benchmarks/endurance/kills.py
    python benchmarks/endurance/kills.py --what export --count 10 --seed 3
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from kill_export import kill_exports
from kill_serve import kill_servers
from kill_train import kill_trainings

SERIES = {"train": kill_trainings, "export": kill_exports, "serve": kill_servers}


def main() -> None:
    """Kills, prints Markdown, and exits with 1 where anything was damaged or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=SERIES, default=list(SERIES))
    parser.add_argument("--count", type=int, default=50, help="kills of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="folder in which the small files are kept; default: made anew")
    given = parser.parse_args()
    from relumen.device import describe_device

    command = f"kills.py --what {' '.join(given.what)} --count {given.count} --seed {given.seed}"
    print(f"Made by `python benchmarks/endurance/{command}` on: {describe_device().removeprefix('Device: ')}.\n")
    print("Kills that come right before a change are of changes that Python or SQLite tells of; into what TensorFlow")
    print("writes by itself (a training's checkpoints) only kills by the clock can come.\n", flush=True)
    faults = 0
    with TemporaryDirectory(prefix="relumen-kills-") as folder:
        for what in given.what:
            work = Path(folder) / what
            work.mkdir()
            found = SERIES[what](work, given.corpus or Path(folder) / "corpus", given.count, given.seed)
            faults += len(found.faults)
            print("\n".join(found.report()), flush=True)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
