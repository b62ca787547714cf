"""The C of every real model under the sanitizers, equal to the reference where it can run."""

from pathlib import Path

import numpy as np
import pytest

from exactness import Array, as_list, difference
from lotor import host
from lotor.compiler import compile_model
from lotor.errors import LotorError
from lotor.oracle import Oracle
from lotor.verify import random_inputs
from sanitized import compilers, program, run_program

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(900)]

_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
_MACS = 700_000_000
_TOLERANCE = 1e-6  # of float32 functions, as in the conformance table


def _reference(path: Path) -> Oracle | None:
    try:
        return Oracle(path)
    except LotorError:
        return None


def _expected(reference: Oracle | None, inputs: list[Array]) -> list[Array] | None:
    """Return what the reference computes; None where it cannot run what Lotor compiles."""
    try:
        return None if reference is None else as_list(reference.run(*inputs))
    except RuntimeError:
        return None


@pytest.mark.parametrize(
    "path",
    sorted(_MODELS.rglob("*.tflite")) or [pytest.param(None, marks=pytest.mark.skip("no models"))],
    ids=lambda path: str(path and path.relative_to(_MODELS)),
)
def test_model_is_clean_and_exact(path: Path, tmp_path: Path) -> None:
    if not compilers():
        pytest.skip("no C compiler with sanitizers")
    try:
        compiled = compile_model(path, "portable", "model")
    except LotorError as error:
        pytest.skip(str(error)[:200])
    if compiled.report["macs"] > _MACS:
        pytest.skip(f"{compiled.report['macs']:,} MACs take too long")
    ours = host.HostModel(compiled)
    reference = _reference(path)
    cases = []
    for inputs in random_inputs(compiled.graph, 2, seed=7):
        got = as_list(ours.run(*inputs))
        for a, b in zip(got, _expected(reference, inputs) or got, strict=True):
            near = a.dtype == np.float32 and np.allclose(a, b, 0, _TOLERANCE * abs(b).max())
            assert near or not difference([a], [b])
        cases.append(b"".join(a.tobytes() for a in [*inputs, *got]))
    wrong = run_program(program(compiled, tmp_path, compilers()[0]), b"".join(cases), len(cases))
    assert not wrong, wrong
