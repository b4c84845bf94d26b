"""Products by cuBLAS as they are asked for while work is recorded, against a cuBLAS that NumPy plays."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from gpuscan.cuda import recording
from gpuscan.cuda.blas import WORKSPACE_BYTES, Blas, Stack, product_of, stack_of
from gpuscan.errors import KernelError

KINDS = {2: "float16", 0: "float32", 1: "float64", 4: "complex64", 5: "complex128"}


class FakeCublas:
    """The functions of cuBLAS that are called, on addresses of NumPy arrays, columns first as cuBLAS has it."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.calls: list[str] = []
        self.cublasGemmStridedBatchedEx = Typed(self._gemm)

    def _status(self, name: str) -> int:
        self.calls.append(name)
        return 13 if name == self.fails else 0

    def cublasCreate_v2(self, handle: Any) -> int:
        return self._status("create")

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:
        self.stream = stream.value
        return self._status("stream")

    def cublasSetWorkspace_v2(self, handle: Any, workspace: Any, size: Any) -> int:
        assert (workspace.value, size.value) == (4096, WORKSPACE_BYTES)
        return self._status("workspace")

    def _gemm(self, handle: Any, ta: int, tb: int, m: int, n: int, k: int, alpha: Any, *rest: Any) -> int:
        a, a_kind, lda, a_step, b, b_kind, ldb, b_step, beta, c, c_kind, ldc, c_step, count, compute, algorithm = rest
        dtype = np.dtype(KINDS[a_kind])
        assert (b_kind, c_kind, algorithm, compute) == (a_kind, a_kind, -1, 70 if a_kind in (1, 5) else 68)
        # What a product is computed in; of halves that is float32.
        assert [list(scalar._obj) for scalar in (alpha, beta)] == (
            [[1, 0], [0, 0]] if dtype.kind == "c" else [[1], [0]]
        )
        assert alpha._obj._type_ is (ctypes.c_double if compute == 70 else ctypes.c_float)
        for i in range(count):
            left = columns(a + i * a_step * dtype.itemsize, dtype, (k, m) if ta else (m, k), lda)
            right = columns(b + i * b_step * dtype.itemsize, dtype, (n, k) if tb else (k, n), ldb)
            result = columns(c + i * c_step * dtype.itemsize, dtype, (m, n), ldc)
            result[...] = (left.T if ta else left) @ (right.T if tb else right)
        return self._status("gemm")


class Typed:
    """A function whose parameters' types are set before it is called, as those of ctypes."""

    argtypes: Any = None

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        assert len(self.argtypes) == len(args)
        return self.function(*args)


def columns(address: int, dtype: np.dtype, shape: tuple[int, int], leading: int) -> np.ndarray:
    """A matrix in memory whose columns lie one after the other."""
    assert leading >= shape[0] >= 1
    memory = (ctypes.c_char * (leading * shape[1] * dtype.itemsize)).from_address(address)
    flat = np.frombuffer(memory, dtype)
    return as_strided(flat, shape, (dtype.itemsize, leading * dtype.itemsize))


class HostArray(np.ndarray):
    """NumPy's arrays, with the address where CuPy's have it."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)


@pytest.fixture
def cublas(monkeypatch: pytest.MonkeyPatch) -> FakeCublas:
    library = FakeCublas()
    blas = Blas(library)

    def empty(shape: Any, dtype: Any) -> Any:
        if dtype == "uint8":
            return SimpleNamespace(data=SimpleNamespace(ptr=4096))
        return np.empty(shape, dtype).view(HostArray)

    fake = SimpleNamespace(
        empty=empty,
        broadcast_to=lambda a, shape: np.broadcast_to(a, shape, subok=True),
        ascontiguousarray=lambda a: np.ascontiguousarray(a).view(HostArray),
        cuda=SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=77)),
    )
    monkeypatch.setattr(recording, "require_cupy", lambda: fake)
    monkeypatch.setattr(recording, "is_recording", lambda: True)
    monkeypatch.setattr(recording, "_blas", lambda cupy: blas)
    return library


def normal(*shape: int, dtype: str = "float64") -> HostArray:
    values = np.random.default_rng(len(shape)).normal(size=(2, *shape))
    return (values[0] + (1j * values[1] if "complex" in dtype else 0)).astype(dtype).view(HostArray)


SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((1, 4), (4, 1)),
    ((3, 1), (1, 5)),
    ((6, 3, 4), (6, 4, 5)),
    ((6, 3, 4), (4, 5)),
    ((3, 4), (6, 4, 5)),
    ((2, 6, 3, 4), (6, 4, 5)),
    ((2, 1, 3, 4), (6, 4, 5)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_shapes(cublas: FakeCublas, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    a, b = normal(*a), normal(*b)
    np.testing.assert_allclose(recording.matmul(a, b), np.asarray(a) @ np.asarray(b), rtol=1e-12)
    assert cublas.calls == ["create", "stream", "workspace", "gemm"]
    assert cublas.stream == 77


@pytest.mark.parametrize("dtype", KINDS.values())
def test_dtypes(cublas: FakeCublas, dtype: str) -> None:
    a, b = normal(3, 4, dtype=dtype), normal(4, 5, dtype=dtype)
    found = recording.matmul(a, b)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.asarray(a) @ np.asarray(b), rtol=1e-2 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T,
        lambda x: x[1:4],
        lambda x: x[:, 1:4],
        lambda x: x.T[1:4],
        lambda x: x[::2],
        lambda x: x[:, ::2],
        lambda x: x[::-1],
        lambda x: x[:1],
        lambda x: x[:, :1],
        lambda x: np.broadcast_to(x[:, :1], (7, 7), subok=True),
    ],
    ids=["T", "rows", "columns", "T rows", "every second row", "every second column", "back", "row", "column", "same"],
)
def test_views(cublas: FakeCublas, view: Any) -> None:
    x, y = view(normal(7, 7)), normal(7, 7)
    left, right = y[:, : x.shape[0]], y[: x.shape[1]]
    np.testing.assert_allclose(recording.matmul(left, x), np.asarray(left) @ np.asarray(x), rtol=1e-12)
    np.testing.assert_allclose(recording.matmul(x, right), np.asarray(x) @ np.asarray(right), rtol=1e-12)


def test_what_is_read_without_a_copy() -> None:
    assert stack_of((3, 4), (4, 1)) == Stack(False, 4, 0)
    assert stack_of((3, 4), (1, 3)) == Stack(True, 3, 0)
    assert stack_of((3, 4), (10, 1)) == Stack(False, 10, 0)
    assert stack_of((5, 3, 4), (0, 4, 1)) == Stack(False, 4, 0)
    assert stack_of((2, 5, 3, 4), (60, 12, 4, 1)) == Stack(False, 4, 12)
    assert stack_of((2, 5, 3, 4), (12, 24, 4, 1)) is None
    assert stack_of((3, 4), (8, 2)) is None


def test_empty_products_and_integers_are_left_to_cupy(cublas: FakeCublas) -> None:
    assert recording.matmul(normal(3, 0), normal(0, 4)).shape == (3, 4)
    ones = np.ones((2, 2), np.int64)
    np.testing.assert_array_equal(recording.matmul(ones, ones), ones * 2)
    assert cublas.calls == ["create"]


def test_a_product_before_any_recording_makes_the_handle(cublas: FakeCublas, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(recording, "_blas", made.append)
    monkeypatch.setattr(recording, "is_recording", lambda: False)
    recording.matmul(normal(2, 2), normal(2, 2))
    assert made == [recording.require_cupy()]
    recording.matmul(np.ones((2, 2), np.int64), np.ones((2, 2), np.int64))
    assert len(made) == 1
    assert cublas.calls == ["create"]  # the product itself is CuPy's


@pytest.mark.parametrize("fails", ["create", "stream", "workspace", "gemm"])
def test_a_failure_is_an_error(fails: str) -> None:
    stack, address = Stack(False, 2, 0), normal(2, 2).ctypes.data
    product = product_of((2, 2), stack, (2, 2), stack, 1)
    with pytest.raises(KernelError, match="status 13"):
        Blas(FakeCublas(fails)).multiply(product, "float64", address, address, address, 0, 4096)
