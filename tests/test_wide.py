"""The kernels for wide vector registers: exact by every instruction set that their header knows."""

import platform
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from cases.strategies import Draw, builder, quants, scaling, window
from exactness import as_list, difference, inputs_of
from lotor.compiler import compile_model
from lotor.host import HostModel, load
from lotor.oracle import Oracle
from lotor.targets import TARGETS
from lotor.verify import random_inputs
from lotor.zoo import find_model
from tflite_builder import ModelBuilder

X86 = platform.machine() == "x86_64"
FLAGS = {"native": None, "avx2": "-march=x86-64-v3", "plain": "-march=x86-64"}

channels = st.one_of(st.integers(1, 18), st.sampled_from([24, 31, 32, 33, 48]))


@st.composite
def layers(draw: Draw) -> ModelBuilder:
    """Channels around multiples of sixteen, odd windows, uint8, int4, weights of -128."""
    m, old = builder(draw), draw(st.booleans())
    batch, height = draw(st.sampled_from([1, 1, 2])), draw(st.integers(1, 9))
    x = m.input((batch, height, draw(st.integers(1, 9)), draw(channels)), draw(quants))
    count = x.shape[3]
    shape = window(draw, x, dilated=not old)
    m.output(m.depthwise_conv2d(x, 1, **shape, **scaling(draw, uint8=old)))
    shape = window(draw, x, dilated=not old) if draw(st.booleans()) else {"kernel": (1, 1)}
    weights = m.weights((draw(channels), *shape.pop("kernel"), count))
    weights.reshape(-1)[0] = -128
    m.output(m.conv2d(x, weights=weights, **shape, **scaling(draw, uint8=old)))
    if old:
        m.to_uint8(draw(st.sampled_from([0, 100, 255])))
    else:
        m.output(m.conv2d(x, 5, (1, 1), weight_dtype="int4"))
    return m


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_random_layers(flags: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if flags is not None:
        if not X86:
            pytest.skip("flags of x86-64")
        own = replace(TARGETS["native"], flags=(flags,))
        monkeypatch.setitem(TARGETS, "native", own)
    seen: Counter[str] = Counter()

    @seed(1)
    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(layers())
    def check(m: ModelBuilder) -> None:
        content = m.build()
        compiled = compile_model(content, "native")
        ours, oracle = HostModel(compiled), Oracle(content)
        for inputs in inputs_of(m):
            expected = as_list(oracle.run(*inputs))
            got = as_list(ours.run(*[x.copy() for x in inputs]))
            assert difference(got, expected) == "", compiled.graph
        steps = (step for layer in compiled.layers for step in layer.steps)
        seen.update(str(step.call.structure) for step in steps)

    check()
    assert seen["conv_2d_wide"] >= 8, seen
    assert seen["depthwise_conv_2d_wide"] >= 5, seen


def test_groups_and_multiples_stay_portable() -> None:
    m = ModelBuilder(seed=1)
    x = m.input((1, 4, 4, 6))
    m.output(m.conv2d(x, weights=m.weights((4, 3, 3, 3))))
    m.output(m.depthwise_conv2d(x, 2))
    compiled = compile_model(m.build(), "native")
    assert {step.call.structure for layer in compiled.layers for step in layer.steps} == {None}


@pytest.mark.parametrize("name", ["raccoon", "person"])
def test_shipped_models_equal_the_portable_kernels(name: str) -> None:
    path = str(find_model(name).path)
    portable, wide = load(path), load(path, "native")
    for number in range(3):
        ((x,),) = random_inputs(portable.compiled.graph, 1, number)
        assert difference(as_list(wide.run(x)), as_list(portable.run(x))) == ""


_PROGRAM = """
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    void *arena = aligned_alloc(64, (NET_ARENA_BYTES + 63) / 64 * 64);
    static int8_t input[NET_INPUT_BYTES], output[NET_OUTPUT_BYTES];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        net_run(arena, input, output);
        fwrite(output, 1, sizeof output, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("where", ["aarch64", "sanitized"])
def test_in_a_program(where: str, tmp_path: Path) -> None:
    """On another instruction set, and with every access checked."""
    command = ["cc", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    run: list[str] = []
    if where == "aarch64":
        command, run = ["aarch64-linux-gnu-gcc", "-mcpu=cortex-a53", "-static"], ["qemu-aarch64"]
    if any(shutil.which(tool) is None for tool in [command[0], *run]):
        pytest.skip(f"needs {command[0]} {' '.join(run)}")
    m = ModelBuilder(seed=3)
    x = m.conv2d(m.input((1, 9, 11, 3)), 14, (3, 3))
    x = m.depthwise_conv2d(m.depthwise_conv2d(x, 1), 1, stride=(2, 2))
    m.output(m.conv2d(x, 19, (1, 1)))
    content = m.build()
    compiled = compile_model(content, "native", "net")
    (tmp_path / "net.c").write_text(compiled.source)
    (tmp_path / "net.h").write_text(compiled.header)
    (tmp_path / "main.c").write_text(_PROGRAM)
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow"]
    subprocess.run([*command, *strict, "net.c", "main.c", "-o", "net"], cwd=tmp_path, check=True)
    inputs = [one[0] for one in inputs_of(m)]
    done = subprocess.run(
        [*run, str(tmp_path / "net")],
        input=b"".join(map(np.ndarray.tobytes, inputs)),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    oracle = Oracle(content)
    assert done.stdout == b"".join(np.asarray(oracle.run(one)).tobytes() for one in inputs)


_ALONE = """
#include "net.c"
#include <stdlib.h>
int main(void) {
    int8_t *input = calloc(NET_INPUT_BYTES, 1), *output = calloc(NET_OUTPUT_BYTES, 1);
    layer_0(input, output);
    free(input);
    free(output);
    return 0;
}
"""


@pytest.mark.parametrize("kernel", ["conv2d", "depthwise_conv2d"])
def test_reads_nothing_beyond_the_input(kernel: str, tmp_path: Path) -> None:
    """Channels are read by sixteen, also where fewer are left; buffers end where tensors do."""
    m = ModelBuilder(seed=3)
    x = m.input((1, 5, 7, 14))
    m.output(m.conv2d(x, 14, (3, 3)) if kernel == "conv2d" else m.depthwise_conv2d(x, 1))
    compiled = compile_model(m.build(), "native", "net")
    (tmp_path / "net.c").write_text(compiled.source)
    (tmp_path / "net.h").write_text(compiled.header)
    (tmp_path / "main.c").write_text(_ALONE)
    checked = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = ["cc", "-std=c11", "-O1", "-march=native", *checked, "main.c", "-o", "net"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([str(tmp_path / "net")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
