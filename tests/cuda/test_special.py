"""Special functions in kernels, where they are hard, against values that mpmath computed with 50 digits.

SciPy is less near to some of these than what is tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.tensor.elementwise import apply

# a, x, P(a, x), Q(a, x): each series and fraction, and the places where they meet.
GAMMA = np.array([
    (1e-08, 1e-08, 0.99999982156536495, 1.7843463505329364e-7),
    (1e-08, 0.5, 0.99999999440226402, 5.5977359770995871e-9),
    (0.001, 0.3, 0.99909416191169335, 0.00090583808830664699),
    (0.3, 1e-12, 0.00027988506386305198, 0.99972011493613695),
    (0.499, 0.999, 0.8428832217117469, 0.1571167782882531),
    (0.5, 1.0001, 0.8427215467680279, 0.1572784532319721),
    (2, 0.01, 4.9667913340265892e-5, 0.99995033208665973),
    (9.99, 3, 0.001116730794537766, 0.99888326920546223),
    (10.01, 3, 0.0010884174161451007, 0.9989115825838549),
    (12, 60, 0.9999999999999903, 9.7028804496624061e-15),
    (100, 100, 0.51329879827914866, 0.48670120172085134),
    (100, 40, 1.2062542053086513e-15, 0.99999999999999879),
    (150, 320, 1.0, 9.6007055844477722e-27),
    (5000, 5000, 0.50188063403381736, 0.49811936596618264),
    (9999, 9000, 2.3057014018138491e-25, 1.0),
    (9999, 10500, 0.99999959357037852, 4.0642962148015021e-7),
    (10001, 9500, 1.7660272895644345e-7, 0.99999982339727104),
    (10001, 10001, 0.50132974185445073, 0.49867025814554927),
    (1e5, 98000, 9.6908351581604864e-11, 0.99999999990309165),
    (1e6, 1003000, 0.99863825935378241, 0.0013617406462175915),
    (1e6, 1020000, 1.0, 3.8098103227133607e-88),
])  # fmt: skip
BETA = np.array([
    (1e-05, 3, 11.512910465032728), (0.1, 5e5, 0.94047640399379695), (9.9, 10.1, -13.735177544346377),
    (300, 700, -612.61860379509223), (1e6, 1e6, -1386300.0033629211), (2, 1e8, -36.841361497904731),
])  # fmt: skip
NORMAL = np.array([
    (1e-300, -37.047096299361199), (1e-09, -5.9978070150076869), (0.02, -2.053748910631823),
    (0.4999999, -2.5066282747031065e-7), (0.50000001, 2.5066282872262044e-8), (0.75, 0.67448975019608174),
    (0.999, 3.0902323061678133),
])  # fmt: skip


@pytest.fixture(params=["emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def in_kernel(rows: list[str], device: str, *columns: np.ndarray) -> list[Any]:
    """Each row of the table applied to the columns, in one kernel."""
    inputs = [gt.tensor(f"x{i}", c.dtype.name, (None,)) for i, c in enumerate(columns)]
    outputs, _ = gs.scan(lambda *xs: [apply(row, *xs) for row in rows], inputs, return_list=True)
    f = gs.function(inputs, list(outputs), device=device)
    results: list[Any] = f(*map(np.ascontiguousarray, columns))
    assert "one kernel launch" in (f.explain("str") or "")
    return results


def test_incomplete_gamma_functions(device: str) -> None:
    a, x, lower, upper = GAMMA.T
    p, q = in_kernel(["gammainc", "gammaincc"], device, a, x)
    np.testing.assert_allclose(p, lower, rtol=2e-13)
    np.testing.assert_allclose(q, upper, rtol=2e-13)


def test_incomplete_gamma_functions_of_single_precision(device: str) -> None:
    a, x, lower, upper = GAMMA[2:16].T
    p, q = in_kernel(["gammainc", "gammaincc"], device, a.astype("float32"), x.astype("float32"))
    np.testing.assert_allclose(p, lower, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(q, upper, rtol=2e-4, atol=1e-6)


def test_incomplete_gamma_functions_at_the_ends(device: str) -> None:
    values = [0.0, 1e-300, 1.0, 1e4, 1e300, np.inf, -1.0, np.nan]
    a, x = (v.ravel() for v in np.meshgrid(values, values))
    for row, result in zip(("gammainc", "gammaincc"), in_kernel(["gammainc", "gammaincc"], device, a, x), strict=True):
        expected = np.asarray(gt.special.__dict__[row](a, x).eval(device="cpu"))
        same = a != x  # SciPy's value where both are very large is one of the ends
        np.testing.assert_allclose(result[same], expected[same], rtol=1e-12, err_msg=row)


def test_beta_function(device: str) -> None:
    a, b, exact = BETA.T
    np.testing.assert_allclose(in_kernel(["betaln"], device, a, b)[0], exact, rtol=1e-14)
    np.testing.assert_allclose(in_kernel(["betaln"], device, b, a)[0], exact, rtol=1e-14)


def test_normal_quantiles(device: str) -> None:
    p, exact = NORMAL.T
    np.testing.assert_allclose(in_kernel(["ndtri"], device, p)[0], exact, rtol=1e-14)


def test_log1mexp(device: str) -> None:
    x = -np.logspace(-300, 2.8, 200)
    np.testing.assert_allclose(in_kernel(["log1mexp"], device, x)[0], gt.log1mexp(x).eval(device="cpu"), rtol=1e-13)
