"""What this machine computes on: the GPU or why there is none, the cores and the memory that may be used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from relumen.quiet import import_tensorflow

GIB = 1 << 30
_ROOT = Path("/")


def describe_device() -> str:
    """Names in one line what TensorFlow computes on: the GPUs, or the CPU and why no GPU."""
    host = f"{usable_cores()} cores, {total_memory() / GIB:.1f} GiB memory"
    gpus = gpu_names()
    if gpus:
        return f"Device: {' and '.join(gpus)}; CPU with {host}"
    return f"Device: CPU ({host}); no GPU: {why_no_gpu()[0]}"


def gpu_names() -> list[str]:
    """The GPUs that TensorFlow will use, such as "GPU NVIDIA A100"."""
    tf = import_tensorflow()
    names = []
    for device in tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        names.append(f"GPU {details.get('device_name', device.name)}")
    return names


@contextmanager
def full_float32() -> Iterator[None]:
    """What TensorFlow computes inside is float32 throughout, on GPUs too.

    By default NVIDIA cards since Ampere round the factors of products to 10 bits (TensorFloat-32), for speed. A picture
    then changes by up to 0.02 of its standard deviation: nobody sees that, but it is two hundred times what counts
    as a difference where tiles or weights formats are compared.
    """
    config = import_tensorflow().config.experimental
    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(before)


def why_no_gpu() -> tuple[str, str]:
    """Why TensorFlow sees no GPU, and what to do about it; asked only where it sees none."""
    import tensorflow as tf

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not has_nvidia_driver():
        return (
            "no NVIDIA driver on this machine",
            "Training on the CPU works with small networks. If there is an NVIDIA card, install its driver.",
        )
    if hidden is not None and hidden.strip() in ("", "-1"):
        return (f"CUDA_VISIBLE_DEVICES={hidden!r} hides it", "Run `unset CUDA_VISIBLE_DEVICES`.")
    build = tf.sysconfig.get_build_info()
    if not build["is_cuda_build"]:
        return (
            "this TensorFlow is built for the CPU alone",
            "Run `pip uninstall tensorflow-cpu`, then, in relumen's folder, "
            "`pip install --force-reinstall -c constraints.txt '.[gpu]'`.",
        )
    if not _has_cuda_libraries():
        return (
            "there is a driver, but the CUDA libraries that TensorFlow needs are not installed",
            "In relumen's folder, run `pip install -c constraints.txt '.[gpu]'`.",
        )
    return (
        "there are a driver and the CUDA libraries, but TensorFlow could not open a card",
        "Run `nvidia-smi`: if it fails, mend the driver; if it works, the CUDA version that it names must be "
        f"{build.get('cuda_version', 'that of TensorFlow')} or later.",
    )


def has_nvidia_driver(root: Path = _ROOT) -> bool:
    """Whether an NVIDIA driver is there: its kernel module, its device, or its tool (as in WSL)."""
    places = (root / "proc/driver/nvidia/version", root / "dev/nvidiactl")
    return any(place.exists() for place in places) or shutil.which("nvidia-smi") is not None


def usable_cores() -> int:
    """The CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory(root: Path = _ROOT) -> int:
    """The bytes of memory that this process may use: the machine's, or its container's limit if lower."""
    return min([_meminfo(root, "MemTotal"), *(limit for limit, _ in _cgroup_memory(root))])


def available_memory(root: Path = _ROOT) -> int:
    """The bytes of memory that are still free to this process, its container's limit considered."""
    left = [max(limit - used, 0) for limit, used in _cgroup_memory(root)]
    return min([_meminfo(root, "MemAvailable"), *left])


def _meminfo(root: Path, field: Literal["MemTotal", "MemAvailable"]) -> int:
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024
    except OSError:  # not Linux: only the whole is known
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_memory(root: Path) -> list[tuple[int, int]]:
    """(limit, used) in bytes of each control group that this process is in and that has a limit.

    A limit holds for all groups below it, so each parent counts. Used memory is without the file cache that
    the kernel gives back at need.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (top / group, *(top / parent for parent in group.parents)):
            reading = _read_group(folder, *names)
            if reading is not None:
                found.append(reading)
    return found


def _read_group(folder: Path, limit_name: str, used_name: str, cache_name: str) -> tuple[int, int] | None:
    """None where the folder is not seen from inside the container, or has no limit ("max")."""
    try:
        limit = int((folder / limit_name).read_text())
        used = int((folder / used_name).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return limit, used - int(statistics.get(cache_name, 0))


def _has_cuda_libraries() -> bool:
    """Whether the wheels of CUDA are installed, or the system's linker knows cuDNN."""
    from ctypes.util import find_library

    if find_library("cudnn"):
        return True
    try:
        return find_spec("nvidia.cudnn") is not None
    except ModuleNotFoundError:  # there is no package nvidia at all
        return False
