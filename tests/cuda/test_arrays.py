"""Arrays into device memory and back; without a GPU on a fake CuPy that notes what it is asked for."""

import itertools
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpuscan.cuda import arrays
from gpuscan.cuda.arrays import device_scope, empty, is_device_array, to_device, to_host
from gpuscan.errors import DtypeError
from gpuscan.graph import DTYPES as DTYPES_OF_GRAPHS
from gpuscan.graph import TensorType, Variable
from gpuscan.host.rules import BY_SCIPY
from gpuscan.tensor.pointwise import POINTWISE, Pointwise

ROOT = Path(__file__).resolve().parents[2]


class Interface:
    """An array of a library that has ``__cuda_array_interface__`` alone."""

    def __init__(self, array):
        self._array = array

    @property
    def __cuda_array_interface__(self):
        return self._array.__cuda_array_interface__


class DLPack:
    """An array of a library that has DLPack alone."""

    def __init__(self, array, kind=None):
        self._array = array
        self._kind = kind

    def __dlpack_device__(self):
        return (self._kind, 0) if self._kind else self._array.__dlpack_device__()

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)


class HostTensor:
    """An array in host memory of a library whose arrays can be in either, as PyTorch's."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3.0)

    def __dlpack_device__(self):
        return 1, 0

    @property
    def __cuda_array_interface__(self):
        raise AttributeError("the tensor is in host memory")


class DeviceTensor(HostTensor):
    """The same in device memory: it has both protocols, and NumPy cannot read it."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        raise TypeError("cannot convert a tensor in device memory")

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    @property
    def __cuda_array_interface__(self):
        return self._array.__cuda_array_interface__


class FakeDeviceArray:
    """In place of cupy.ndarray."""

    def __init__(self, values, device):
        self.values = values
        self.device = device
        self.__cuda_array_interface__ = {"version": 3}

    def __dlpack_device__(self):
        return 2, 0

    def reshape(self, shape):
        return FakeDeviceArray(self.values.reshape(shape), self.device)


class FakeCupy:
    """As much of CuPy as the conversions take."""

    ndarray = FakeDeviceArray

    def __init__(self):
        self.calls = []
        self.current = 0
        self.cuda = self

    @contextmanager
    def Device(self, index):
        before, self.current = self.current, index
        yield
        self.current = before

    def _make(self, call, values):
        self.calls.append((call, self.current))
        return FakeDeviceArray(values, self.Device(self.current))

    def array(self, host, *, copy, order):
        assert isinstance(host, np.ndarray), "only arrays in host memory are uploaded"
        assert copy
        assert host.ndim, "CuPy runs a kernel to fill an array without axes"
        assert host.flags.c_contiguous
        return self._make("array", np.array(host, order=order))

    def asarray(self, x, dtype=None, order=None):
        if isinstance(x, FakeDeviceArray) and order == "C" and dtype in (None, x.values.dtype):
            return x
        return self._make("asarray", np.asarray(x.values if isinstance(x, FakeDeviceArray) else 0.0, dtype))

    def from_dlpack(self, x):
        assert hasattr(x, "__dlpack__")
        return self._make("from_dlpack", np.zeros(3))

    def asnumpy(self, x):
        self.calls.append(("asnumpy", self.current))
        return x.values

    def empty(self, shape, *, dtype):
        return self._make("empty", np.empty(shape, dtype))


@pytest.fixture
def cupy(monkeypatch):
    fake = FakeCupy()
    monkeypatch.setattr(arrays, "require_cupy", lambda: fake)
    return fake


DEVICE_ARRAYS = [
    pytest.param(FakeDeviceArray(np.zeros(3), None), id="cupy"),
    pytest.param(Interface(FakeDeviceArray(np.zeros(3), None)), id="interface"),
    pytest.param(DLPack(None, kind=2), id="dlpack"),
    pytest.param(DLPack(None, kind=13), id="managed"),
    pytest.param(DeviceTensor(FakeDeviceArray(np.zeros(3), None)), id="both"),
]

HOST_ARRAYS = [
    pytest.param(np.arange(3.0), id="numpy"),
    pytest.param(np.float32(2), id="numpy scalar"),
    pytest.param(2, id="int"),
    pytest.param(True, id="bool"),
    pytest.param([1.0, 2.0], id="list"),
    pytest.param(2j, id="complex"),
    pytest.param(DLPack(np.arange(3.0)), id="dlpack"),
    pytest.param(HostTensor(), id="tensor"),
]


@pytest.mark.parametrize("x", DEVICE_ARRAYS)
def test_device_arrays_are_recognised(x):
    assert is_device_array(x)


@pytest.mark.parametrize("x", HOST_ARRAYS)
def test_host_arrays_are_recognised(x):
    assert not is_device_array(x)


def test_question_does_not_import_cupy():
    question = "import sys, numpy; from gpuscan.cuda.arrays import is_device_array as f; f(numpy.ones(2)), f(object())"
    command = [sys.executable, "-c", f"{question}; print('cupy' in sys.modules)"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "False"


@pytest.mark.parametrize("x", HOST_ARRAYS)
def test_host_arrays_are_uploaded_once(cupy, x):
    result = to_device(x)
    assert [call for call, _ in cupy.calls] == ["array"]
    expected = np.arange(3.0) if isinstance(x, DLPack | HostTensor) else np.asarray(x)
    assert result.values.dtype == expected.dtype
    np.testing.assert_array_equal(result.values, expected, strict=True)


def test_dtype_and_order_are_changed_before_the_upload(cupy):
    x = np.arange(6).reshape(2, 3).T
    result = to_device(x, "float32")
    np.testing.assert_array_equal(result.values, x.astype("float32"), strict=True)
    assert result.values.flags.c_contiguous
    assert len(cupy.calls) == 1


@pytest.mark.parametrize(
    ("x", "calls"),
    [
        (FakeDeviceArray(np.zeros(3), None), []),
        (Interface(FakeDeviceArray(np.zeros(3), None)), ["asarray"]),
        (DLPack(None, kind=2), ["from_dlpack"]),
        (DeviceTensor(None), ["from_dlpack"]),
    ],
)
def test_device_arrays_are_taken_as_they_are(cupy, x, calls):
    to_device(x)
    assert [call for call, _ in cupy.calls] == calls


def test_conversion_happens_on_the_device_asked_for(cupy):
    to_device(np.ones(2), device=1)
    to_device(Interface(None), device=1)
    empty((2, 3), "int32", device=1)
    assert {device for _, device in cupy.calls} == {1}
    assert cupy.current == 0


def test_scope_of_no_device_leaves_the_current_one(cupy):
    with device_scope(1), device_scope(None):
        assert cupy.current == 1
    assert cupy.current == 0


def test_host_arrays_stay_when_asked_for_on_the_host():
    x = np.arange(3.0)
    assert to_host(x) is x
    np.testing.assert_array_equal(to_host(DLPack(x)), x)


def test_device_array_is_read_on_its_own_device(cupy):
    x = FakeDeviceArray(np.arange(3.0), cupy.Device(1))
    np.testing.assert_array_equal(to_host(x), np.arange(3.0))
    assert cupy.calls == [("asnumpy", 1)]


def test_empty(cupy):
    result = empty([2, 3], "int32")
    assert (result.values.shape, result.values.dtype) == ((2, 3), np.int32)


DTYPES = ("bool", "int8", "uint8", "int16", "int64", "uint64", "float16", "float32", "complex64", "complex128")


def adding(dtype):
    """Arrays, an index that has a row twice, and what is added there."""
    rng = np.random.default_rng(3)
    array, value = (np.asarray(rng.normal(size=(3, 2)) * 90).astype(dtype) for _ in range(2))
    if np.dtype(dtype).kind == "c":
        value = value * value.dtype.type(1 + 2j)
    return array, (np.array([1, 0, 1]),), value


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("dtype", DTYPES)
def test_adding_at_positions_asks_for_what_atomic_instructions_do(monkeypatch, dtype):
    def add_at(array, index, value):
        """What CuPy 14 refuses, `cupy._core._routines_indexing._scatter_op_single` refuses."""
        if array.dtype.type not in (
            *(np.int32, np.int64, np.uint32, np.uint64, np.intc, np.uintc, np.longlong, np.ulonglong),
            *(np.float16, np.float32, np.float64),
        ):
            raise TypeError(f"cupy.add.at only supports int32 and others, not {array.dtype}")
        np.add.at(array, index, value)

    fake = SimpleNamespace(add=SimpleNamespace(at=add_at))
    monkeypatch.setattr(arrays, "require_cupy", lambda: fake)
    found, index, value = adding(dtype)
    expected = found.copy()
    np.add.at(expected, index, value)
    arrays.CUPY.lookup("add_at")(found, index, value)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("stack", [(), (0,), (2, 0)])
def test_triangular_systems_without_elements_are_not_cupys(monkeypatch, stack):
    monkeypatch.setattr(arrays, "require_cupy", lambda: np)
    size = 3 if stack else 0
    found = arrays.CUPY.lookup("solve_triangular")(np.ones((size, size)), np.zeros((*stack, size, 2)), True, 0, False)
    assert found.shape == (*stack, size, 2)


OPERATORS = {
    **{"+": "add", "-": "subtract", "*": "multiply", "/": "true_divide", "//": "floor_divide", "%": "remainder"},
    **{"**": "power", "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater"},
    **{">=": "greater_equal", "&": "bitwise_and", "|": "bitwise_or", "^": "bitwise_xor"},
}


def ufunc_of(row):
    """CuPy's ufunc for a row of the pointwise table, None for what is said in more words."""
    cupy = pytest.importorskip("cupy", reason="CuPy is in the extra `nvrtc`")
    text = POINTWISE[row].numpy
    if operator := re.fullmatch(r"\{0\} (\S+) \{1\}", text):
        return getattr(cupy, OPERATORS[operator[1]])
    name = re.fullmatch(r"(\w+)\(\{0\}(, \{1\}(, \{2\})?)?\)", text)
    found = cupy.negative if text == "-{0}" else cupy.absolute if row == "abs" else None
    return arrays.CUPY.lookup(name[1]) if found is None and name else found


@pytest.mark.parametrize("row", POINTWISE)
def test_ufuncs_have_a_loop_for_each_dtype(row):
    """CuPy takes the first loop that the operands fit: its result is of the dtype that a graph expects."""
    if not hasattr(ufunc := ufunc_of(row), "types"):
        return
    loops = [loop.split("->") for loop in ufunc.types]
    for dtypes in itertools.product(DTYPES_OF_GRAPHS, repeat=POINTWISE[row].arity):
        if row.startswith("logical_") and any(d.startswith("complex") for d in dtypes):
            continue  # compared with 0 first
        try:
            (expected,) = Pointwise(row).infer([Variable(TensorType(d, (None,))) for d in dtypes])
        except DtypeError:
            continue
        fits = (out for given, out in loops if all(map(np.can_cast, dtypes, given)))
        found = next((np.dtype(out).name for out in fits), None)
        assert found == expected.dtype or (found and row in BY_SCIPY), f"{dtypes}: {found}, not {expected.dtype}"


@pytest.mark.cuda
class TestOnGpu:
    @pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_adding_at_positions(self, dtype):
        cupy = pytest.importorskip("cupy")
        host, index, value = adding(dtype)
        found = cupy.asarray(host)
        np.add.at(host, index, value)
        arrays.CUPY.lookup("add_at")(found, tuple(map(cupy.asarray, index)), cupy.asarray(value))
        np.testing.assert_allclose(found.get(), host, rtol=1e-2 if dtype == "float16" else 1e-6, strict=True)

    VALUES = (
        np.float64(2.5),
        np.arange(24.0).reshape(2, 3, 4),
        np.arange(24.0).reshape(2, 3, 4)[:, ::-1, ::2].T,
        np.zeros((0, 3)),
        np.array([True, False]),
        np.arange(5, dtype="uint16"),
    )

    @pytest.mark.parametrize("values", VALUES, ids=lambda v: f"{v.dtype}{v.shape}")
    @pytest.mark.parametrize("dtype", [None, "float32"])
    @pytest.mark.parametrize(
        "wrap", [lambda x: x, Interface, DLPack, DeviceTensor], ids=["cupy", "cai", "dlpack", "both"]
    )
    def test_round_trip(self, values, dtype, wrap):
        cupy = pytest.importorskip("cupy")
        for x in (values, wrap(cupy.asarray(values))):
            result = to_device(x, dtype)
            assert isinstance(result, cupy.ndarray)
            assert result.flags.c_contiguous
            np.testing.assert_array_equal(to_host(result), values.astype(dtype or values.dtype), strict=True)

    def test_no_copy_where_none_is_needed(self):
        cupy = pytest.importorskip("cupy")
        x = cupy.arange(12.0).reshape(3, 4)
        assert to_device(x) is x
        for other in (Interface(x), DLPack(x), DeviceTensor(x)):
            assert to_device(other, "float64").data.ptr == x.data.ptr
        assert to_device(x[:, ::2]).data.ptr != x.data.ptr

    def test_host_memory_can_change_after_the_call(self):
        x = np.ones(1 << 22)
        result = to_device(x)
        x[:] = 2
        assert (to_host(result) == 1).all()

    def test_work_queued_on_another_stream_is_ordered(self):
        cupy = pytest.importorskip("cupy")
        with cupy.cuda.Stream(non_blocking=True):
            x = to_device(np.ones(1 << 22))
            for _ in range(100):
                x += 1
            assert (to_host(x) == 101).all()

    def test_every_device(self):
        cupy = pytest.importorskip("cupy")
        for index in range(cupy.cuda.runtime.getDeviceCount()):
            x = to_device(cupy.arange(3.0), device=index)
            assert x.device.id == index
            assert empty((2,), "int32", index).device.id == index
            np.testing.assert_array_equal(to_host(x), np.arange(3.0))
