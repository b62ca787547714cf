"""Proof that a rewrite is exact: models with and without it, both against the reference."""

import numpy as np

from exactness import as_list, difference, inputs_of
from lotor.compiler import UnsupportedModelError, compile_model
from lotor.frontend.tflite import read_model
from lotor.host import HostModel
from lotor.optimize import PassResult, trace
from lotor.oracle import Oracle
from tflite_builder import ModelBuilder


def run_pass(model: ModelBuilder, name: str) -> PassResult:
    """What one rewrite does to a model after those before it."""
    found = [r for r in trace(read_model(model.build(), "model")) if r.name == name]
    assert len(found) == 1, f"{name} is not among the passes"
    return found[0]


def assert_rewrite_exact(
    model: ModelBuilder, name: str, seed: int = 0, changes: bool = True, needed: bool = False
) -> PassResult:
    """With and without a rewrite a model gives the reference's bytes.

    Args:
        model: the model.
        name: the rewrite.
        seed: decides the inputs.
        changes: whether the rewrite must change it; else it must leave it alone.
        needed: the model cannot be compiled without the rewrite.

    Returns:
        What it has done.
    """
    result = run_pass(model, name)
    assert bool(result.removed or result.added) == changes, model
    content = model.build()
    compiled = {"with": compile_model(content, "host")}
    try:
        compiled["without"] = compile_model(content, "host", skip=[name])
        assert not needed, f"can be compiled without {name}"
    except UnsupportedModelError:
        assert needed
    oracle = Oracle(content)
    hosts = {how: HostModel(program) for how, program in compiled.items()}
    for inputs in inputs_of(model, seed):
        expected = as_list(oracle.run(*inputs))
        for how, host in hosts.items():
            wrong = difference(as_list(host.run(*[np.copy(x) for x in inputs])), expected)
            assert not wrong, f"{how} {name}: {wrong}\n{model!r}"
    return result
