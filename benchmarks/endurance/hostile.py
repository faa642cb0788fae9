"""Gives relumen hostile files and requests, and looks that it neither crashes, hangs, runs them nor writes elsewhere.

Each input has a number; with the seed it says all of it. Workers take one after the other. Where one dies, hangs or
takes too much memory, the input is known, and the next worker goes on with the next one.

    python benchmarks/endurance/hostile.py --count 10000
    python benchmarks/endurance/hostile.py --only 1234 5678      # again, with what was raised
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

CPU_DEADLINE_S, DEADLINE_S = 40.0, 300.0
"""For one input, by the processor's time and by the clock (others may use the processor)."""
GREATEST = 4 << 30
"""Bytes of a worker's memory at which it is ended, wherever it is."""
RETIRES_AT = 2 << 30
"""Bytes of a worker's memory between two inputs at which another takes its place."""


def main() -> None:
    """Runs; prints Markdown, and exits with 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=600, help="no input is begun later")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of inputs")
    parser.add_argument("--entry", nargs="+", default=[], help="only these entries")
    parser.add_argument("--corpus", type=Path, help="folder in which the whole files are kept; default: made anew")
    parser.add_argument("--keep", type=Path, help="folder for the inputs at which something was found")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.corpus, given.seed, given.entry)
        return
    with tempfile.TemporaryDirectory(prefix="relumen-hostile-") as folder:
        root = Path(folder)
        corpus = given.corpus or root / "corpus"
        _make_corpus(corpus)
        seen = _given(root, corpus, given)
    print("\n".join(report(seen, given)))
    sys.exit(0 if not seen.faults and seen.count == _asked(given) else 1)


def _asked(given: argparse.Namespace) -> int:
    """How many inputs are to be given."""
    return len(given.only or range(given.count))


def _make_corpus(folder: Path) -> None:
    """Makes the whole files, in a process of its own, as TensorFlow is needed."""
    code = "import sys, corpus, whole_files, pathlib; folder = pathlib.Path(sys.argv[1]); "
    code += "whole_files.stock(folder); corpus.package(folder); corpus.prior(folder)"
    where = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": where, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@dataclass
class Told:
    """What is known of one kind of input.

    Attributes:
        ends: how many were taken, refused, and at how many something was found.
        slowest: seconds of the processor for one.
        most: MiB by which memory grew at its peak.
    """

    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    most: int = 0


@dataclass
class Seen:
    """What all workers found."""

    kinds: dict[str, Told] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    workers: int = 0
    seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def count(self) -> int:
        """Inputs that were given."""
        return sum(sum(told.ends.values()) for told in self.kinds.values())

    def note(self, told: dict[str, Any]) -> None:
        """Takes what is told of one input."""
        with self.lock:
            kind = self.kinds.setdefault(told["kind"], Told())
            kind.ends[told["end"]] += 1
            kind.slowest = max(kind.slowest, told["seconds"])
            kind.most = max(kind.most, told["memory"])
            if told["end"] == "fault":
                self.faults.append(told)


def _given(root: Path, corpus: Path, given: argparse.Namespace) -> Seen:
    numbers: Queue[int] = Queue()
    for number in given.only or range(given.count):
        numbers.put(number)
    seen, began = Seen(), time.monotonic()
    until = began + given.minutes * 60
    threads = [
        threading.Thread(target=_keep_working, args=(root / f"worker-{i}", corpus, given, numbers, seen, until))
        for i in range(given.workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.seconds = time.monotonic() - began
    return seen


def _keep_working(
    root: Path, corpus: Path, given: argparse.Namespace, numbers: Queue[int], seen: Seen, until: float
) -> None:
    """Has workers take inputs until there are none."""
    worker: Worker | None = None
    while time.monotonic() < until:
        try:
            number = numbers.get_nowait()
        except Empty:
            break
        if worker is None:
            worker = Worker(root, corpus, given)
            with seen.lock:
                seen.workers += 1
        told = worker.give(number)
        seen.note(told)
        if told["end"] == "fault" and given.keep:
            shutil.copytree(root / "sandbox" / "in", given.keep / str(number), symlinks=True, dirs_exist_ok=True)
        if worker.gone or worker.resident > RETIRES_AT:
            worker.end()
            worker = None
    if worker is not None:
        worker.end()


class Worker:
    """A process that takes inputs."""

    def __init__(self, root: Path, corpus: Path, given: argparse.Namespace) -> None:
        root.mkdir(exist_ok=True)
        self._stderr = root.with_suffix(".stderr")
        (root / "sandbox" / "tmp").mkdir(parents=True, exist_ok=True)
        (root / "sandbox" / "home" / ".imageio").mkdir(parents=True, exist_ok=True)  # imageio's own
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TMPDIR": str(root / "sandbox" / "tmp"),
            "HOME": str(root / "sandbox" / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--worker",
            str(root),
            "--corpus",
            str(corpus.resolve()),
        ]
        command += ["--seed", str(given.seed), *(["--entry", *given.entry] if given.entry else [])]
        with self._stderr.open("w") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
                bufsize=1,
            )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def gone(self) -> bool:
        """Whether it ended."""
        return self._process.poll() is not None

    @property
    def resident(self) -> int:
        """Bytes of its memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def give(self, number: int) -> dict[str, Any]:
        """Gives it an input; what is told of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        kind, began, used = "?", time.monotonic(), 0.0
        while True:
            line = self._line()
            if line is None:
                used = used or self._used()
                if time.monotonic() - began > DEADLINE_S or self._used() - used > CPU_DEADLINE_S:
                    return self._ended(number, kind, "it hangs")
                if self.resident > GREATEST:
                    return self._ended(number, kind, f"it takes more than {GREATEST >> 30} GiB")
            elif line == "":
                self._process.wait()
                return self._ended(number, kind, f"the process died: {self._process.returncode}")
            else:
                told = json.loads(line)
                kind, used = told["kind"], self._used()
                if "end" in told:
                    return told

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> str | None:
        """The next line that it says; None where there is none within a moment, "" where it ended."""
        try:
            return self._lines.get(timeout=0.1)
        except Empty:
            return None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _used(self) -> float:
        """Seconds of the processor that it has used."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _ended(self, number: int, kind: str, why: str) -> dict[str, Any]:
        if not self.gone:
            self._process.send_signal(signal.SIGUSR1)  # where is it?
            time.sleep(1)
            self.end()
        detail = f"{why}\n{self._stderr.read_text(errors='replace')[-3000:]}"
        return {
            "number": number, "kind": kind, "end": "fault", "place": why, "detail": detail, "seconds": 0, "memory": 0
        }  # fmt: skip


def work(root: Path, corpus: Path, seed: int, only: list[str]) -> None:
    """What a worker does: takes numbers, and tells what came of their inputs."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from entries import ENTRIES
    from sandbox import Site
    from sentry import Watch
    from whole_files import stock

    _bring_in()
    entries = {name: entry for name, entry in ENTRIES.items() if not only or name in only}
    site = Site(Watch(root, stock(corpus) / "secrets"), corpus)
    for line in sys.stdin:
        draw = random.Random(f"{seed} {int(line)}")
        name = draw.choices(list(entries), [entry.share for entry in entries.values()])[0]
        print(json.dumps({"kind": name}), file=told)
        end = _take(site, name, draw)
        print(json.dumps({"number": int(line), "kind": name, **end}), file=told)


def _bring_in() -> None:
    """Imports what is imported when it is needed, which writes and starts things too."""
    import bioimageio.core  # noqa: F401
    import imageio.v3  # noqa: F401
    import keras  # noqa: F401
    import onnxruntime  # noqa: F401
    import tensorflow as tf

    import relumen.cli.progress  # noqa: F401
    import relumen.device

    tf.constant(0.0) + 1
    relumen.device.describe_device()


def _take(site: Any, name: str, draw: random.Random) -> dict[str, Any]:  # noqa: ANN401  of a module that is imported late
    from entries import ENTRIES

    from relumen.errors import CheckFailedError, UserError

    for folder in (site.watch.input, site.watch.output, site.watch.temporary):
        _emptied(folder)
    os.chdir(site.watch.input)
    give = ENTRIES[name].make(draw, site)
    end, place, detail = "taken", "", ""
    began = time.process_time()
    with site.watch.armed():
        try:
            give()
        except (UserError, CheckFailedError):
            end = "refused"
        except BaseException as error:  # whatever a file makes it raise
            end, detail = "fault", traceback.format_exc()[-6000:]
            place = _place(error)
    if site.watch.events:
        end = "fault"
        place = place or site.watch.events[0].partition(" /")[0][:100]
        detail += "\n".join(site.watch.events[:20])
    seconds = time.process_time() - began
    return {"end": end, "place": place, "detail": detail, "seconds": seconds, "memory": site.watch.grown >> 20}


def _place(error: BaseException) -> str:
    """The kind of an error, and where in relumen it came through last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/relumen/" in frame.filename]
    where = f"{'/'.join(Path(frames[-1].filename).parts[-2:])}, {frames[-1].name}" if frames else "none of relumen's"
    return f"{type(error).__name__} in {where}"


def _emptied(folder: Path) -> None:
    os.chdir("/")
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def report(seen: Seen, given: argparse.Namespace) -> list[str]:
    """The tables."""
    options = [f"--count {given.count}", f"--seed {given.seed}", f"--minutes {given.minutes:g}"]
    options += [f"--entry {' '.join(map(repr, given.entry))}"] if given.entry else []
    options += [f"--only {' '.join(map(str, given.only))}"] if given.only else []
    missing = _asked(given) - seen.count
    lines = [
        f"Made by `python benchmarks/endurance/hostile.py {' '.join(options)}`: {seen.count} inputs "
        f"in {seen.seconds / 60:.0f} minutes, by {seen.workers} processes; {len(seen.faults)} faults.",
        *(["", f"**{missing} inputs were not given: the time was over.**"] if missing else []),
        "",
        "| where it enters | inputs | taken | refused | faults | slowest, s of the processor | most memory, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, told in sorted(seen.kinds.items()):
        ends = " | ".join(str(told.ends[end]) for end in ("taken", "refused", "fault"))
        lines.append(f"| {kind} | {sum(told.ends.values())} | {ends} | {told.slowest:.1f} | {told.most} |")
    groups: dict[str, list[dict[str, Any]]] = {}
    for fault in seen.faults:
        groups.setdefault(f"{fault['kind']}: {fault['place']}", []).append(fault)
    for name, faults in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        numbers = " ".join(str(fault["number"]) for fault in faults[:8])
        lines += ["", f"### {name}: {len(faults)} times, such as --only {numbers}", "", "```"]
        lines += [faults[0]["detail"][-2500 if not given.only else -6000 :], "```"]
    return lines


if __name__ == "__main__":
    main()
