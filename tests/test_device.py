"""The line that names the device, and the limits that a container sets."""

from pathlib import Path

import pytest

from relumen import device
from relumen.device import GIB


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The files in which Linux tells a process about 16 GiB of memory, 12 of them free."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(
        f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {12 * GIB // 1024} kB\n"
    )
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    return tmp_path


def set_group(folder: Path, limit: int | str, used: int, *, cache: int = 0, version: int = 2) -> None:
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[version][0]).write_text(f"{limit}\n")
    (folder / names[version][1]).write_text(f"{used}\n")
    field = {1: "total_inactive_file", 2: "inactive_file"}[version]
    (folder / "memory.stat").write_text(f"anon 5\n{field} {cache}\n")


def test_the_line_names_cores_memory_and_why_there_is_no_gpu() -> None:
    line = device.describe_device()
    assert "\n" not in line
    assert f"{device.usable_cores()} cores" in line
    assert f"{device.total_memory() / GIB:.1f} GiB" in line
    assert line.startswith("Device: GPU ") if device.gpu_names() else "no GPU: " in line


def test_gpus_come_first_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpu_names", lambda: ["GPU NVIDIA A", "GPU NVIDIA B"])
    assert device.describe_device().startswith("Device: GPU NVIDIA A and GPU NVIDIA B; CPU with ")


@pytest.mark.parametrize(
    ("driver", "hidden", "cuda_build", "libraries", "reason", "mend"),
    [
        (False, None, True, True, "no NVIDIA driver", "install its driver"),
        (True, "-1", True, True, "CUDA_VISIBLE_DEVICES='-1'", "unset CUDA_VISIBLE_DEVICES"),
        (True, "", True, True, "CUDA_VISIBLE_DEVICES=''", "unset CUDA_VISIBLE_DEVICES"),
        (True, "0", False, True, "built for the CPU alone", "pip uninstall tensorflow-cpu"),
        (True, None, True, False, "CUDA libraries that TensorFlow needs are not installed", "'.[gpu]'"),
        (True, None, True, True, "could not open a card", "12.9 or later"),
    ],
)
def test_each_reason_has_its_mend(
    monkeypatch: pytest.MonkeyPatch,
    driver: bool,
    hidden: str | None,
    cuda_build: bool,
    libraries: bool,
    reason: str,
    mend: str,
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(device, "has_nvidia_driver", lambda: driver)
    monkeypatch.setattr(device, "_has_cuda_libraries", lambda: libraries)
    build = {"is_cuda_build": cuda_build, "cuda_version": "12.9"}
    monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: build)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = device.why_no_gpu()
    assert reason in found[0]
    assert mend in found[1]


def test_a_driver_shows_by_its_kernel_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not device.has_nvidia_driver(tmp_path)
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version")
    assert device.has_nvidia_driver(tmp_path)


def test_without_a_container_the_machine_counts(machine: Path) -> None:
    assert device.total_memory(machine) == 16 * GIB
    assert device.available_memory(machine) == 12 * GIB


def test_a_group_without_a_limit_changes_nothing(machine: Path) -> None:
    set_group(machine / "sys/fs/cgroup", "max", 3 * GIB)
    assert device.total_memory(machine) == 16 * GIB


def test_a_limit_counts_and_the_file_cache_is_free(machine: Path) -> None:
    set_group(machine / "sys/fs/cgroup", 4 * GIB, 3 * GIB, cache=2 * GIB)
    assert device.total_memory(machine) == 4 * GIB
    assert device.available_memory(machine) == 3 * GIB


def test_the_limit_of_a_parent_group_holds(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/user/job\n")
    set_group(machine / "sys/fs/cgroup/user", 2 * GIB, 1 * GIB)
    set_group(machine / "sys/fs/cgroup/user/job", 8 * GIB, 1 * GIB)
    assert device.total_memory(machine) == 2 * GIB
    assert device.available_memory(machine) == 1 * GIB


def test_the_first_version_of_control_groups_is_read_too(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("4:memory:/job\n1:cpu:/\n0::/\n")
    set_group(machine / "sys/fs/cgroup/memory", 1 << 62, 9 * GIB, version=1)
    set_group(machine / "sys/fs/cgroup/memory/job", 5 * GIB, 2 * GIB, cache=1 * GIB, version=1)
    assert device.total_memory(machine) == 5 * GIB
    assert device.available_memory(machine) == 4 * GIB


def test_this_machine_has_what_it_says() -> None:
    assert 0 < device.available_memory() <= device.total_memory()
    assert device.usable_cores() >= 1


def test_float32_is_full_where_answers_are_compared():
    import tensorflow as tf

    rounds = tf.config.experimental.tensor_float_32_execution_enabled
    assert rounds()  # TensorFlow's default, which restoration keeps
    with pytest.raises(RuntimeError), device.full_float32():
        assert not rounds()
        raise RuntimeError
    assert rounds()
