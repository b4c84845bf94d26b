"""Every loop of the workloads, the seeds' programs and the documents is one launch, and computes what the CPU does."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Program, Workload, worst_error
from gpuscan.cuda.emulator import find_compiler
from gpuscan.errors import KernelError
from tests.cuda.gradients import float_outputs, gradient_of
from tests.documents import DOCUMENTS, fits
from tests.examples.test_examples import example
from tests.seeds.programs import PROGRAMS, run

try:
    find_compiler()
except KernelError as error:
    pytest.skip(str(error), allow_module_level=True)

FROM_HOST: dict[str, frozenset[str]] = {
    # It shows a loop on each team, this one among them.
    "docs/kernels.md": frozenset({"config.strategy asks for host"}),
}
"""The programs of which the host drives a loop, and for each such loop a reason that `explain` gives."""


def check_launches(name: str, functions: list[gs.Function]) -> None:
    """Check that all loops of functions, as they ran last, are kernels, but for those with the reasons on file."""
    documented = FROM_HOST.get(name, frozenset())
    found = set()
    for f in functions:
        for plan in f.plans:
            if plan.team == "host":
                said = f.explain("str") or ""
                reasons = {
                    d for d in documented if any(d in reason and reason in said for reason in plan.refusals.values())
                }
                assert reasons, f"{name}: the host drives a loop\n{said}"
                found |= reasons
    assert found == documented, f"{name}: these loops are kernels now; take them out of FROM_HOST"


@contextmanager
def made_functions() -> Iterator[list[gs.Function]]:
    """Collect the functions that are made for the emulator."""
    functions: list[gs.Function] = []
    begin = gs.Function.__init__

    def collect(self: gs.Function, *arguments: Any) -> None:
        begin(self, *arguments)
        if self.device == "emulator":
            functions.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gs.Function, "__init__", collect)
        yield functions


# ---- the workloads ----


def check_program(name: str, program: Program, arguments: list[Any]) -> None:
    f, reference = (
        gs.function(list(program.inputs), list(program.outputs), device=device, on_unused_input="ignore")
        for device in ("emulator", "cpu")
    )
    assert worst_error(f(*arguments), reference(*arguments)) < 1e-10
    assert f.plans
    check_launches(name, [f])


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_a_workload(workload: Workload) -> None:
    inputs = workload.make_inputs(np.random.default_rng(3), workload.test, "float64")
    check_program(workload.name, workload.build(workload.test, "float64"), inputs)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_the_gradient_of_a_workload(workload: Workload) -> None:
    program = workload.build(workload.test, "float64")
    gradient = gradient_of(workload, program)
    if gradient is None:
        return
    rng = np.random.default_rng(3)
    inputs = workload.make_inputs(rng, workload.test, "float64")
    values = gs.function(list(program.inputs), float_outputs(program), device="cpu")(*inputs)
    check_program(f"{workload.name} gradient", gradient, [*inputs, *(rng.normal(size=v.shape) for v in values)])


# ---- the seeds' programs, which check their results themselves ----


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_seeds(name: str) -> None:
    with made_functions() as functions:
        run(name, "emulator")
    assert functions
    check_launches(name, functions)


# ---- the documents ----

ON_THE_CPU = re.compile(r', device="cpu"')

SAYS_WHERE = re.compile(r"explain\(|device|debugprint|profile|kernel_source")
"""What a block does whose output depends on where it runs."""


@pytest.mark.parametrize("name", [name for name, blocks in DOCUMENTS.items() if any("scan(" in b.code for b in blocks)])
def test_a_document(name: str) -> None:
    names = {"__name__": "__main__"}
    with gs.config.change_flags(device="emulator"), made_functions() as functions:
        for block in DOCUMENTS[name]:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(ON_THE_CPU.sub("", block.code), f"{name}:{block.line}", "exec"), names)
            found = re.sub(r" +$", "", printed.getvalue(), flags=re.MULTILINE)
            if not SAYS_WHERE.search(block.code):
                assert fits(block.printed, found), f"{name}:{block.line}\n{found}"
    assert functions
    check_launches(name, functions)


def test_the_nile() -> None:
    nile = example("nile_likelihood")
    with made_functions() as functions:
        found = nile.main(device="emulator")
    expected = nile.main(device="cpu")
    np.testing.assert_allclose([found.noise, found.level], [expected.noise, expected.level], rtol=1e-10)
    check_launches("nile_likelihood", functions)


def test_the_eight_schools() -> None:
    schools = example("eight_schools_hmc")
    with made_functions() as functions:
        found, expected = (
            schools.main(draws=20, warm_up=5, chains=3, leaps=2, device=device) for device in ("emulator", "cpu")
        )
    np.testing.assert_allclose(found.draws, expected.draws, rtol=1e-9)
    check_launches("eight_schools_hmc", functions)


def test_the_digits() -> None:
    lstm = example("digits_lstm")
    rng = np.random.default_rng(0)
    shapes = {"from_row": (3, 8), "from_hidden": (2, 8), "gates": (8,), "to_digit": (2, 10), "digit": (10,)}
    images = gt.tensor3("images")
    weights = {name: gt.tensor(name, dtype="float64", shape=shape) for name, shape in shapes.items()}
    loss = -lstm.log_probabilities(images, weights)[gt.arange(4), gt.constant([3, 1, 4, 1])].mean()
    program = Program([images, *weights.values()], [loss, *gs.grad(loss, list(weights.values()))])
    check_program("digits_lstm", program, [rng.normal(size=shape) for shape in [(5, 4, 3), *shapes.values()]])
