"""Compiling, what a kernel takes, what is checked before a launch, and the launch itself."""

import re
import struct
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpuscan.config import config
from gpuscan.cuda import gpu as gpus
from gpuscan.cuda import launch
from gpuscan.cuda.arguments import bind_arguments
from gpuscan.cuda.gpu import EMULATED_GPU, KNOWN_GPUS, Resources, blocks_per_sm, choose_arch, read_resources
from gpuscan.cuda.kernel import C_TYPES, Kernel, Parameter
from gpuscan.errors import KernelError

H200 = KNOWN_GPUS["NVIDIA H200"]
ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]

SCALE = Kernel(
    "scale",
    """
extern "C" __global__ void scale(float* y, const float* x, float a, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) y[i] = a * x[i];
}
""",
    (
        Parameter("y", "float32", writes=True),
        Parameter("x", "float32"),
        Parameter("a", "float32", is_array=False),
        Parameter("n", "int32", is_array=False),
    ),
)

EMPTY = Kernel("nothing", 'extern "C" __global__ void nothing() {}', ())

BROKEN = replace(SCALE, source=SCALE.source.replace("blockIdx", "blockIndex"))

MULTIPLY_ADD = Kernel(
    "multiply_add",
    """
extern "C" __global__ void multiply_add(double* y, const double* a, const double* b, const double* c) {
    y[threadIdx.x] = a[threadIdx.x] * b[threadIdx.x] + c[threadIdx.x];
}
""",
    (Parameter("y", "float64", writes=True), *(Parameter(name, "float64") for name in "abc")),
)

REVERSE_BLOCK = Kernel(
    "reverse_block",
    """
extern "C" __global__ void reverse_block(int* x) {
    extern __shared__ int dynamic[];
    __shared__ int own[100];
    own[threadIdx.x % 100] = 0;
    dynamic[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    x[blockIdx.x * blockDim.x + threadIdx.x] = dynamic[blockDim.x - 1 - threadIdx.x] + own[threadIdx.x % 100];
}
""",
    (Parameter("x", "int32", writes=True),),
)

# 80 numbers of float64 need 160 registers; 1024 threads leave 64 to each.
SPILLS = Kernel(
    "spills",
    """
extern "C" __global__ void __launch_bounds__(1024, 1) spills(double* a, int n) {
    double x[80];
    for (int i = 0; i < 80; ++i) x[i] = a[i * n];
    for (int t = 0; t < n; ++t)
        for (int i = 0; i < 80; ++i) x[i] = x[i] * x[(i + 1) % 80] + x[(i + 7) % 80];
    for (int i = 0; i < 80; ++i) a[i] = x[i];
}
""",
    (Parameter("a", "float64", writes=True), Parameter("n", "int32", is_array=False)),
)

# An index known at run time only keeps an array out of registers.
LOCAL_ARRAY = Kernel(
    "local_array",
    """
extern "C" __global__ void local_array(float* a, const int* j) {
    float s[64];
    for (int i = 0; i < 64; ++i) s[i] = a[i];
    for (int i = 0; i < 99; ++i) s[j[i]] += s[j[i + 1]];
    a[threadIdx.x] = s[j[threadIdx.x]];
}
""",
    (Parameter("a", "float32", writes=True), Parameter("j", "int32")),
)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path):
    with config.change_flags(cache_dir=str(tmp_path / "cache")):
        yield tmp_path / "cache"


@pytest.fixture
def nvrtc():
    """Skips where CuPy or NVRTC is not installed."""
    cupy = pytest.importorskip("cupy", reason="CuPy is in the extra `nvrtc`")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"no NVRTC: {error}")
    return cupy.cuda.nvrtc


@pytest.fixture
def count_compilations(monkeypatch):
    """A list that gets the options of every run of NVRTC."""
    runs = []
    run = launch._run_nvrtc

    def counting(nvrtc, kernel, options):
        runs.append(options)
        return run(nvrtc, kernel, options)

    monkeypatch.setattr(launch, "_run_nvrtc", counting)
    return runs


# ---- Options and compilation.


def test_options_keep_the_precision_of_ieee_754():
    options = launch.compile_options("sm_90")
    assert "-arch=sm_90" in options
    assert not re.search("ftz|fast|prec-div=false|prec-sqrt=false", " ".join(options))


def test_contraction_is_on_unless_asked_otherwise():
    assert "-fmad=true" in launch.compile_options("sm_90")
    assert "-fmad=false" in launch.compile_options("sm_90", contract=False)


def elf_size(binary):
    """How many bytes a 64-bit ELF file says that it has, by its tables of program headers and of sections."""
    program_headers, sections = struct.unpack_from("<QQ", binary, 0x20)
    header_size, headers, section_size, section_count = struct.unpack_from("<4H", binary, 0x36)
    return max(program_headers + header_size * headers, sections + section_size * section_count)


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ARCHS)
def test_cubin_for_every_architecture(nvrtc, arch):
    cubin = launch.compile_cubin(SCALE, arch)
    assert len(cubin) >= elf_size(cubin)  # nothing of it is missing where a driver reads the file
    assert cubin.startswith(b"\x7fELF")
    assert b".text.scale" in cubin


@pytest.mark.nvrtc
def test_contraction_changes_the_code(nvrtc):
    assert launch.compile_cubin(MULTIPLY_ADD, "sm_90") != launch.compile_cubin(MULTIPLY_ADD, "sm_90", contract=False)


@pytest.mark.nvrtc
def test_second_compilation_is_read_from_disk(nvrtc, count_compilations, cache_folder):
    first = launch.compile_kernel(SCALE, "sm_90")
    second = launch.compile_kernel(SCALE, "sm_90")
    assert len(count_compilations) == 1
    assert first == second
    assert first.cubin.is_relative_to(cache_folder)


@pytest.mark.nvrtc
def test_text_options_architecture_and_version_make_another_entry(nvrtc, count_compilations, monkeypatch):
    paths = {
        launch.compile_kernel(SCALE, "sm_90").cubin,
        launch.compile_kernel(SCALE, "sm_80").cubin,
        launch.compile_kernel(SCALE, "sm_90", contract=False).cubin,
        launch.compile_kernel(replace(SCALE, source=SCALE.source + "// more"), "sm_90").cubin,
    }
    monkeypatch.setattr(launch, "_version", lambda nvrtc: "99.0")
    paths.add(launch.compile_kernel(SCALE, "sm_90").cubin)
    assert len(paths) == len(count_compilations) == 5


@pytest.mark.nvrtc
@pytest.mark.parametrize("harm", ["cut", "emptied", "changed", "deleted"])
def test_damaged_binary_is_compiled_again(nvrtc, count_compilations, harm):
    path = launch.compile_kernel(SCALE, "sm_90").cubin
    good = path.read_bytes()
    match harm:
        case "cut":
            path.write_bytes(good[: len(good) // 2])
        case "emptied":
            path.write_bytes(b"")
        case "changed":
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        case "deleted":
            path.unlink()
    assert launch.compile_cubin(SCALE, "sm_90") == good
    assert len(count_compilations) == 2


@pytest.mark.nvrtc
def test_error_leaves_text_and_log_on_disk(nvrtc, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KernelError, match=r"cannot compile kernel 'scale'.*blockIndex") as caught:
        launch.compile_cubin(BROKEN, "sm_90")
    source, log = (Path(path) for path in re.findall(r": (/.*)$", str(caught.value), flags=re.MULTILINE))
    assert source.read_text(encoding="utf-8") == BROKEN.source
    assert 'identifier "blockIndex" is undefined' in log.read_text(encoding="utf-8")
    assert "-arch=sm_90" in log.read_text(encoding="utf-8")


@pytest.mark.nvrtc
def test_broken_text_is_not_cached(nvrtc, count_compilations, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(2):
        with pytest.raises(KernelError):
            launch.compile_cubin(BROKEN, "sm_90")
    assert len(count_compilations) == 2


@pytest.mark.nvrtc
def test_unknown_architecture_is_a_kernel_error(nvrtc, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KernelError, match="sm_12345"):
        launch.compile_cubin(SCALE, "sm_12345")


def test_missing_cupy_names_the_extras(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(KernelError, match=r"gpuscan\[cuda13\].*gpuscan\[cuda12\]"):
        launch.compile_cubin(SCALE, "sm_90")


def test_missing_nvrtc_names_the_extras(monkeypatch):
    def absent():
        raise RuntimeError("libnvrtc.so.13 is not there")

    fake = SimpleNamespace(cuda=SimpleNamespace(nvrtc=SimpleNamespace(getVersion=absent)))
    monkeypatch.setattr(launch, "require_cupy", lambda: fake)
    with pytest.raises(KernelError, match=r"libnvrtc\.so\.13 is not there.*gpuscan\[cuda13\]"):
        launch.compile_cubin(SCALE, "sm_90")


# ---- What a kernel takes, and what a GPU has.


@pytest.mark.nvrtc
@pytest.mark.parametrize("arch", ARCHS)
def test_resources_of_compiled_kernels(nvrtc, arch):
    nothing = launch.resources(EMPTY, arch)
    assert 0 < nothing.registers <= 32
    assert nothing == Resources(nothing.registers)
    assert launch.resources(REVERSE_BLOCK, arch).shared_bytes == 400
    local = launch.resources(LOCAL_ARRAY, arch)
    assert (local.local_bytes, local.spill_bytes) == (256, 0)
    spilling = launch.resources(SPILLS, arch)
    assert spilling.registers <= 64
    assert spilling.local_bytes > 0 < spilling.spill_bytes


@pytest.mark.nvrtc
def test_resources_are_known_of_a_kernel_from_the_cache(nvrtc, count_compilations):
    assert launch.resources(SPILLS, "sm_90") == launch.resources(SPILLS, "sm_90")
    assert len(count_compilations) == 1


LOG_OF_12_0 = """\
ptxas info    : 304 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
    320 bytes stack frame, 560 bytes spill stores, 632 bytes spill loads
ptxas info    : Used 32 registers, 400 bytes smem
ptxas info    : Function properties for _Z6callee
    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 255 registers
"""


def test_resources_of_one_kernel_among_several():
    assert read_resources(LOG_OF_12_0, "first") == Resources(32, 400, 336, 1204)
    assert read_resources(LOG_OF_12_0, "second") == Resources(255)
    with pytest.raises(KernelError, match="nothing about kernel 'third'"):
        read_resources(LOG_OF_12_0, "third")


@pytest.mark.parametrize(
    ("takes", "threads", "dynamic", "blocks"),
    [
        (Resources(32), 1024, 0, 2),  # threads
        (Resources(33), 1024, 0, 1),  # registers, given out by 8 a thread
        (Resources(64), 1024, 0, 1),
        (Resources(65), 1024, 0, 0),
        (Resources(255), 32, 0, 8),  # 2 warps in each quarter of the register file
        (Resources(16), 32, 0, 32),  # blocks
        (Resources(16), 33, 0, 32),  # two warps, 64 in all
        (Resources(16, 100 * 1024), 128, 14 * 1024 - 1024, 2),  # shared memory, with 1 KB for the system
        (Resources(16, 100 * 1024), 128, 14 * 1024, 1),
        (Resources(16, 100 * 1024), 128, 127 * 1024, 1),
        (Resources(16, 100 * 1024), 128, 127 * 1024 + 1, 0),
        (Resources(16), 1025, 0, 0),
    ],
)
def test_blocks_that_one_sm_holds(takes, threads, dynamic, blocks):
    assert blocks_per_sm(H200, takes, threads, dynamic) == blocks


def test_known_gpus():
    assert (H200.sms, H200.capability, H200.shared_per_block) == (132, 90, 232448)
    assert replace(H200, arch="sm_90a").capability == 90
    assert EMULATED_GPU.capability == H200.capability
    assert EMULATED_GPU.shared_per_block == H200.shared_per_block


@pytest.mark.parametrize(("capability", "arch"), [(90, "sm_90"), (89, "sm_89"), (121, "sm_120"), (75, "sm_75")])
def test_architecture_for_a_gpu(capability, arch):
    assert choose_arch(capability, (75, 80, 89, 90, 100, 120)) == arch


@pytest.mark.parametrize("capability", [61, 70, 130])
def test_no_architecture_for_a_gpu(capability):
    with pytest.raises(KernelError, match=f"compute capability {capability / 10}.*7.5, 9.0"):
        choose_arch(capability, (75, 90))


PROPERTIES = {
    "name": b"NVIDIA Something",
    "major": 12,
    "minor": 0,
    "multiProcessorCount": 70,
    "regsPerMultiprocessor": 65536,
    "maxThreadsPerMultiProcessor": 1536,
    "maxBlocksPerMultiProcessor": 24,
    "sharedMemPerBlockOptin": 101376,
    "sharedMemPerMultiprocessor": 102400,
    "reservedSharedMemPerBlock": 1024,
    "l2CacheSize": 48 * 2**20,
    "totalGlobalMem": 16 * 2**30,
    "memoryBusWidth": 256,
    "warpSize": 32,
}


def test_gpu_of_what_the_runtime_says():
    gpu = gpus.gpu_from_properties(PROPERTIES, clock=2_500_000, memory_clock=14_001_000, driver=13000)
    assert (gpu.name, gpu.arch, gpu.capability, gpu.sms) == ("NVIDIA Something", "sm_120", 120, 70)
    assert gpu.clock_ghz == 2.5
    assert gpu.bandwidth_gbs == pytest.approx(0.87 * 896, rel=1e-3)
    known = gpus.gpu_from_properties(PROPERTIES | {"name": b"NVIDIA H200"}, clock=0, memory_clock=0, driver=0)
    assert known.bandwidth_gbs == H200.bandwidth_gbs


# ---- No GPU.


class FakeCupy:
    """As much of CuPy as finding GPUs, loading and launching take, with `count` GPUs."""

    __version__ = "14.9"

    def __init__(self, count=2, driver=13000):
        self.current = 0
        self.launches = []
        self.occupancy = 3
        self.count = count
        self.cuda = SimpleNamespace(
            Device=self.device,
            driver=SimpleNamespace(occupancyMaxActiveBlocksPerMultiprocessor=lambda function, threads, shared: 3),
            nvrtc=SimpleNamespace(getVersion=lambda: (13, 0), getSupportedArchs=lambda: (80, 90)),
            runtime=SimpleNamespace(
                cudaDevAttrClockRate=13,
                cudaDevAttrMemoryClockRate=36,
                deviceGetAttribute=lambda attribute, index: 1_000_000,
                driverGetVersion=lambda: driver,
                getDevice=lambda: self.current,
                getDeviceCount=self.get_device_count,
                getDeviceProperties=lambda index: PROPERTIES | {"major": 9},
            ),
        )

    def get_device_count(self):
        if self.count == 0:
            raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return self.count

    @contextmanager
    def device(self, index):
        before, self.current = self.current, index
        yield
        self.current = before

    def RawModule(self, *, path, enable_cooperative_groups):
        return SimpleNamespace(get_function=lambda name: FakeFunction(self, path, enable_cooperative_groups))


class FakeFunction:
    """As much of a RawKernel as a launch takes."""

    kernel = SimpleNamespace(ptr=1)
    shared_size_bytes = 400
    limit_at_first = 48 * 1024 - 400

    def __init__(self, cupy, path, cooperative):
        self.cupy = cupy
        self.path = path
        self.cooperative = cooperative
        self.limit = self.limit_at_first

    @property
    def max_dynamic_shared_size_bytes(self):
        return self.limit

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, value):
        if value > 101376 - 400:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self.limit = value

    def __call__(self, grid, block, arguments, *, shared_mem):
        if block[0] > 1024:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self.cupy.launches.append((self.cupy.current, grid, block, arguments, shared_mem))


@pytest.fixture
def cupy(monkeypatch):
    """A fake CuPy in place of the real one, with a compiler that makes nothing."""
    fake = FakeCupy()
    monkeypatch.setattr(launch, "require_cupy", lambda: fake)
    monkeypatch.setattr(launch, "_run_nvrtc", lambda nvrtc, kernel, options: (b"binary", "log"))
    monkeypatch.setattr(launch, "_has_driver", lambda: True)
    launch._describe.cache_clear()
    yield fake
    launch._describe.cache_clear()


def test_no_gpu_without_cupy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    assert launch.gpu_count() == 0
    assert re.search(r"CuPy, which cannot be imported.*gpuscan\[cuda13\]", launch.why_no_gpu())


def test_no_gpu_with_a_cupy_that_breaks(monkeypatch):
    def broken():
        raise OSError("libcuda is of another architecture")

    monkeypatch.setattr(launch, "_has_driver", lambda: True)
    monkeypatch.setattr(launch, "require_cupy", broken)
    assert launch.gpu_count() == 0
    assert launch.why_no_gpu() == "libcuda is of another architecture"


def test_no_gpu_with_a_driver(cupy, monkeypatch):
    cupy.count = 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert launch.gpu_count() == 0
    reason = launch.why_no_gpu()
    assert "CuPy 14.9 is installed; the driver is for CUDA 13.0" in reason
    assert "CUDA says cudaErrorNoDevice" in reason
    assert "CUDA_VISIBLE_DEVICES is ''" in reason
    with pytest.raises(KernelError, match=r"there is no GPU: CuPy 14\.9"):
        launch.load(SCALE)


def test_real_cupy_answers_on_any_machine():
    pytest.importorskip("cupy", reason="CuPy is in the extra `nvrtc`")
    assert launch.gpu_count() >= 0
    assert launch.why_no_gpu().startswith("CuPy ")


def test_gpus_are_counted_and_checked(cupy):
    assert launch.gpu_count() == 2
    assert launch.describe_gpu().arch == "sm_90"
    with pytest.raises(KernelError, match="no device cuda:2; there are cuda:0, cuda:1"):
        launch.describe_gpu(2)


# ---- Arguments.


class FakeArray:
    """A NumPy array that says it is in device memory."""

    def __init__(self, values, device=0):
        self.values = values
        self.data = SimpleNamespace(ptr=values.ctypes.data, device_id=device)

    def __getattr__(self, name):
        return getattr(self.values, name)


def device_vector(dtype="float32", size=8, device=0):
    return FakeArray(np.zeros(size, dtype), device)


def bind(*arguments, device=0):
    return bind_arguments(SCALE, arguments, lambda parameter, value: launch.check_array(parameter, value, device))


def test_arguments_that_fit_are_bound():
    y, x = device_vector(), device_vector()
    bound = bind(y, x, 2, 8)
    assert bound[:2] == (y, x)
    assert [type(number) for number in bound[2:]] == [np.float32, np.int32]
    assert bound[2:] == (2, 8)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(8, "float32"), "needs an array in device memory, not numpy.ndarray"),
        (3.0, "needs an array in device memory, not builtins.float"),
        (None, "needs an array in device memory"),
        (device_vector("float64"), "needs float32, not float64"),
        (device_vector("int32"), "needs float32, not int32"),
        (FakeArray(np.zeros((4, 6), "float32")[:, ::2]), r"C-contiguous.*\(4, 3\) with strides \(24, 8\)"),
        (FakeArray(np.zeros((4, 6), "float32").T), "C-contiguous"),
        (FakeArray(np.frombuffer(bytes(33), "float32", 8, offset=1)), "address that is a multiple of 4, not 0x"),
        (device_vector(device=1), "is on cuda:1, and the kernel runs on cuda:0"),
    ],
)
def test_array_that_does_not_fit_is_named(x, message):
    with pytest.raises(KernelError, match=f"kernel 'scale', parameter 'x': .*{message}"):
        bind(device_vector(), x, 1.0, 8)


def test_empty_array_is_on_every_device():
    empty = device_vector(size=0, device=1)
    assert bind(empty, empty, 1.0, 0)[0] is empty


def test_wrong_count_of_arguments():
    with pytest.raises(KernelError, match=r"takes 4 arguments \(y, x, a, n\), not 1"):
        bind(device_vector())


@pytest.mark.parametrize("dtype", C_TYPES)
@pytest.mark.parametrize("given", [1, 1.0, True, np.int8(1), np.float64(1), np.array(1, "uint16")])
def test_number_gets_exactly_its_type(dtype, given):
    kernel = Kernel("k", "", (Parameter("a", dtype, is_array=False),))
    (number,) = bind_arguments(kernel, (given,), launch.LoadedKernel._check_array)
    assert type(number) is np.dtype(dtype).type
    assert number == 1


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        ("int32", 2**31),
        ("int32", 2.5),
        ("int32", np.nan),
        ("int64", 2**70),
        ("uint32", -1),
        ("uint8", 256),
        ("bool", 2),
        ("int8", np.int64(200)),
        ("int32", np.float32(1e30)),
        ("float64", 1j),
        ("float64", "1"),
        ("float64", None),
        ("float64", np.zeros(1)),
    ],
)
def test_number_that_its_type_cannot_hold(dtype, given):
    kernel = Kernel("k", "", (Parameter("a", dtype, is_array=False),))
    with pytest.raises(KernelError, match="kernel 'k', parameter 'a': needs"):
        bind_arguments(kernel, (given,), launch.LoadedKernel._check_array)


def test_float_takes_the_nearest_value():
    assert bind(device_vector(), device_vector(), 0.1, 8)[2] == np.float32(0.1)


# ---- Launching, on a fake GPU.


def arguments(device=0):
    return device_vector(device=device), device_vector(device=device), 2.0, 8


def test_launch_passes_bound_arguments(cupy):
    loaded = launch.load(SCALE)
    y, x, a, n = arguments()
    loaded((1, 1, 1), (32, 1, 1), 0, (y, x, a, n))
    assert cupy.launches == [(0, (1, 1, 1), (32, 1, 1), (y, x, np.float32(2), np.int32(8)), 0)]


def test_grid_without_blocks_launches_nothing(cupy):
    launch.load(SCALE)((0, 1, 1), (32, 1, 1), 0, arguments())
    assert cupy.launches == []


def test_launch_is_on_its_own_device(cupy):
    loaded = launch.load(SCALE, device=1)
    loaded((1, 1, 1), (32, 1, 1), 0, arguments(device=1))
    assert [device for device, *_ in cupy.launches] == [1]
    assert cupy.current == 0
    with pytest.raises(KernelError, match="on cuda:0, and the kernel runs on cuda:1"):
        loaded((1, 1, 1), (32, 1, 1), 0, arguments(device=0))


def test_shared_memory_is_asked_for_where_a_driver_leaves_out_what_the_text_declares(cupy, monkeypatch):
    monkeypatch.setattr(FakeFunction, "limit_at_first", 48 * 1024)
    loaded = launch.load(SCALE)
    for shared in (48 * 1024 - 400, 48 * 1024 - 399):
        assert loaded._function.limit == 48 * 1024
        loaded((1, 1, 1), (32, 1, 1), shared, arguments())
    assert loaded._function.limit == 48 * 1024 - 399


def test_more_shared_memory_is_asked_for_once_and_kept(cupy):
    loaded = launch.load(SCALE)
    for shared in (1000, 60_000, 50_000):
        loaded((1, 1, 1), (32, 1, 1), shared, arguments())
    assert loaded._function.limit == 60_000
    assert [shared for *_, shared in cupy.launches] == [1000, 60_000, 50_000]


def test_too_much_shared_memory_says_what_there_is(cupy):
    with pytest.raises(KernelError, match=r"asks for 200000 bytes .* beside the 400 .* NVIDIA Something has 101376"):
        launch.load(SCALE)((1, 1, 1), (32, 1, 1), 200_000, arguments())


def test_refused_launch_says_how_it_was_launched(cupy):
    with pytest.raises(KernelError, match=r"cannot be launched on NVIDIA Something .* block \(2048, 1, 1\)"):
        launch.load(SCALE)((1, 1, 1), (2048, 1, 1), 0, arguments())


def test_cooperative_grid_must_be_resident(cupy):
    loaded = launch.load(SCALE, cooperative=True)
    assert loaded._function.cooperative
    assert loaded.resident_blocks((64, 1, 1)) == 3 * 70
    loaded((210, 1, 1), (64, 1, 1), 0, arguments())
    with pytest.raises(KernelError, match="211 blocks of 64 threads at once, and NVIDIA Something holds 210"):
        loaded((211, 1, 1), (64, 1, 1), 0, arguments())
    assert len(cupy.launches) == 1


def test_kernel_that_does_not_load(cupy, monkeypatch):
    def refuse(*, path, enable_cooperative_groups):
        raise RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU")

    monkeypatch.setattr(cupy, "RawModule", refuse, raising=False)
    with pytest.raises(KernelError, match=r"does not load on cuda:0 .*CUDA 13\.0.*NO_BINARY_FOR_GPU\nThe binary: /"):
        launch.load(SCALE)


# ---- On a GPU.


@pytest.mark.cuda
class TestOnGpu:
    def test_scale(self):
        cupy = pytest.importorskip("cupy")
        x = np.random.default_rng(0).normal(size=1000).astype("float32")
        y = cupy.zeros(1000, "float32")
        loaded = launch.load(SCALE)
        loaded((4, 1, 1), (128, 1, 1), 0, (y, cupy.asarray(x), 2.5, 1000))
        np.testing.assert_array_equal(y.get(), np.float32(2.5) * x)
        with pytest.raises(KernelError, match="needs float32, not float64"):
            loaded((4, 1, 1), (128, 1, 1), 0, (y, cupy.zeros(1000), 2.5, 1000))

    @pytest.mark.parametrize("contract", [True, False])
    def test_contraction_rounds_once_or_twice(self, contract):
        cupy = pytest.importorskip("cupy")
        a, b, c = np.random.default_rng(1).normal(size=(3, 256))
        y = cupy.zeros(256)
        launch.load(MULTIPLY_ADD, contract=contract)((1, 1, 1), (256, 1, 1), 0, (y, *map(cupy.asarray, (a, b, c))))
        same = np.array_equal(y.get(), a * b + c)
        assert same != contract
        np.testing.assert_allclose(y.get(), a * b + c, rtol=0, atol=4e-16 * 10)

    def test_much_shared_memory(self):
        cupy = pytest.importorskip("cupy")
        x = cupy.arange(2048, dtype="int32")
        loaded = launch.load(REVERSE_BLOCK)
        loaded((2, 1, 1), (1024, 1, 1), loaded.gpu.shared_per_block - 400, (x,))
        np.testing.assert_array_equal(x.get(), np.arange(2048).reshape(2, 1024)[:, ::-1].ravel())
        with pytest.raises(KernelError, match="that its text declares"):
            loaded((2, 1, 1), (1024, 1, 1), loaded.gpu.shared_per_block, (x,))

    def test_too_many_threads(self):
        cupy = pytest.importorskip("cupy")
        with pytest.raises(KernelError, match="cannot be launched"):
            launch.load(SPILLS)((1, 1, 1), (2048, 1, 1), 0, (cupy.zeros(4096), 1))

    def test_cooperative_grid(self):
        cupy = pytest.importorskip("cupy")
        loaded = launch.load(REVERSE_BLOCK, cooperative=True)
        shared = loaded.gpu.shared_per_block - 400
        most = loaded.resident_blocks((256, 1, 1), shared)
        assert most == loaded.gpu.sms
        x = cupy.arange(256 * (most + 1), dtype="int32")
        with pytest.raises(KernelError, match=f"holds {most} of them"):
            loaded((most + 1, 1, 1), (256, 1, 1), shared, (x,))
        loaded((most, 1, 1), (256, 1, 1), shared, (x,))
        assert x[0].get() == 255
        assert x[-1].get() == x.size - 1

    @pytest.mark.parametrize("kernel", [SCALE, EMPTY, REVERSE_BLOCK, SPILLS, LOCAL_ARRAY], ids=lambda k: k.name)
    def test_resources_and_residence_agree_with_the_driver(self, kernel):
        loaded = launch.load(kernel)
        takes = launch.resources(kernel, loaded.gpu.arch)
        function = loaded._function
        assert takes.registers == function.num_regs
        # Drivers differ in whether they count what the system takes of each block.
        assert function.shared_size_bytes - takes.shared_bytes in (0, loaded.gpu.shared_reserved)
        assert takes.local_bytes <= function.local_size_bytes
        for threads in (32, 96, 128, 256, 1000, 1024):
            for shared in (0, 10_000, 100_000):
                if shared + takes.shared_bytes <= loaded.gpu.shared_per_block:
                    most = loaded.resident_blocks((threads, 1, 1), shared)
                    assert 0 <= blocks_per_sm(loaded.gpu, takes, threads, shared) * loaded.gpu.sms <= most

    def test_describe(self):
        gpu = launch.describe_gpu(0)
        assert gpu.sms > 0
        assert gpu.bandwidth_gbs > 0
        if known := KNOWN_GPUS.get(gpu.name):
            for field in (
                "arch",
                "registers_per_sm",
                "threads_per_sm",
                "blocks_per_sm",
                "shared_per_block",
                "warp_size",
            ):
                assert getattr(gpu, field) == getattr(known, field)
