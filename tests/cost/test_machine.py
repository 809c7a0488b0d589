"""What is said of the machine, on one whose files are made up, and on this one."""

import jax
import pytest

from inv_jax.cost import machine
from inv_jax.cost.count import Product


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files of a Linux that is made up: `system(meminfo=..., **files of the control group)`."""
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")

    def make(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return make


MEMINFO = "MemTotal:       16000 kB\nMemFree:   100 kB\nMemAvailable:   12000 kB\nHugePages: 0\n"


def test_host_memory_is_the_systems_without_a_limit(system):
    system({"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"})
    assert machine.host_memory() == (16000 * 1024, 12000 * 1024)


def test_a_jobs_limit_is_the_memory_there_is(system):
    """Version 2: the job's group has a limit, its step's none; dropped files are not use."""
    system(
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/job/step\n",
            "cgroup/job/memory.max": "8192000\n",
            "cgroup/job/memory.current": "2048000\n",
            "cgroup/job/memory.stat": "anon 1024000\ninactive_file 1000000\n",
            "cgroup/job/step/memory.max": "max\n",
        }
    )
    assert machine.host_memory() == (8192000, 8192000 - 1048000)


def test_a_limit_of_version_one_counts_too(system):
    system(
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "5:cpu:/\n4:memory:/slurm/job\n",
            "cgroup/memory/slurm/job/memory.limit_in_bytes": "4096000\n",
            "cgroup/memory/slurm/job/memory.usage_in_bytes": "96000\n",
            "cgroup/memory/slurm/job/memory.stat": "total_inactive_file 6000\n",
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cgroup/memory/memory.usage_in_bytes": "96000\n",
            "cgroup/memory/memory.stat": "total_inactive_file 6000\n",
        }
    )
    assert machine.host_memory() == (4096000, 4096000 - 90000)


def test_a_system_that_does_not_say_has_no_known_memory(system):
    system({})
    assert machine.host_memory() is None


class _Device:
    def __init__(self, platform: str, compute_capability: str | None = None):
        self.platform, self.compute_capability = platform, compute_capability


@pytest.mark.parametrize(
    ("capability", "native"), [("7.5", False), ("8.0", True), ("9.0", True), (None, None)]
)
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_gpus_have_short_precisions_from_ampere_on(capability, native, precision):
    assert machine.is_native(precision, _Device("gpu", capability)) is native
    assert machine.is_native("float32", _Device("gpu", capability)) is True


@pytest.mark.parametrize(("flags", "native"), [("fma avx512_bf16", True), ("fma avx2", False)])
def test_cpus_have_bfloat16_if_they_say_so(system, flags, native):
    system({"proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\n"})
    assert machine.is_native("bfloat16", _Device("cpu")) is native
    assert machine.is_native("tf32", _Device("cpu")) is False


def test_versions_name_every_package_that_results_depend_on():
    found = machine.versions()
    assert {"python", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"} <= found.keys()
    assert found["jax"] == jax.__version__


def test_measured_rates_are_those_of_a_machine(monkeypatch):
    """Between a million and 10^16 a second, and no less than what a caller's product reaches."""
    monkeypatch.setitem(machine._SQUARES, "cpu", (64,))
    monkeypatch.setitem(machine._ARRAY_BYTES, "cpu", 2**22)
    assert 1e6 < machine.matrix_rate("float32", [Product(128, 64, 64)]) < 1e16
    assert 1e6 < machine.memory_rate() < 1e16
