"""C functions that several layers share: their text, and that they compute what they did."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import Build, built, cases, edges
from cortex_m import needs_emulator
from exactness import as_list, difference, inputs_of
from kernel_layers import taken
from lotor.codegen.c import identifier
from lotor.codegen.share import Group, Step, find_groups, member, render_group
from lotor.compiler import Compiled, RamError, compile_model
from lotor.errors import LotorError
from lotor.host import HostModel
from lotor.ops import KernelCall
from lotor.oracle import Oracle
from lotor.targets.overlap import portable_clearances
from lotor.targets.preference import OPTIMIZE, Optimize, Preference
from lotor.targets.select import signature
from lotor.targets.variants import Variant
from test_generated_c import WARNINGS
from tflite_builder import ModelBuilder, Quant

SIZE = Preference("size")
SHARED = re.compile(r"(\d+) layers share this function")
COMPILERS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"needs {name}"))
    for name in ("gcc", "clang")
]


def _shared(compiled: Compiled) -> dict[str, int]:
    """How many calls each shared function has."""
    calls = re.findall(r"^    (lotor_\w+_\d+_run)\($", compiled.source, re.MULTILINE)
    return {name: calls.count(name) for name in dict.fromkeys(calls)}


def _step(params: dict[str, object], macs: int = 1, apart: float = 2.0) -> Step:
    call = KernelCall("thing", "thing", [], [], params)
    variant = Variant("thing", "fast", lambda c: c, portable_clearances, ("kind",), apart=apart)
    return Step(call, variant, call, macs)


# Of two calls: what a parameter is in each, and the type that holds it.
_PARAMS: dict[str, tuple[object, object, str]] = {
    "zero": (0, 255, "uint8_t"),
    "negative": (-128, 127, "int8_t"),
    "above": (0, 256, "uint16_t"),
    "below": (-129, 0, "int16_t"),
    "wide": (1, 65535, "uint16_t"),
    "mixed": (-1, 32768, "int32_t"),
    "large": (-(2**31), 2**31 - 1, "int32_t"),
    "at.part": (3, 4, "uint8_t"),
    "real": (0.5, -1e-30, "float"),
    "naught": (0.0, -0.0, "float"),
}


def _pair() -> list[Step]:
    common = {"kind": 1, "same": -7}
    return [
        _step(common | {name: values[number] for name, values in _PARAMS.items()})
        for number in (0, 1)
    ]


def _text(value: object) -> str:
    return f"{value!r}f" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_what_differs_comes_in_the_smallest_types(compiler: str, tmp_path: Path) -> None:
    """Compiled and run: a function gets each call's own values, whatever these are."""
    steps = _pair()
    (group,) = set(find_groups(steps, share_all=False).values())
    fields = {name: _text(value) for name, value in steps[0].call.params.items()}
    text = render_group(group, fields)
    for name, (_, _, kind) in _PARAMS.items():
        assert re.search(rf"^    {kind} {member(name)};$", text, re.MULTILINE), (name, text)
    assert ".same = -7," in text and ".kind = 1," in text  # for the compiler to see
    assert "same;" not in text and "kind;" not in text
    floats = {name for name, (value, *_) in _PARAMS.items() if isinstance(value, float)}
    plain = [n for n in steps[0].call.params if n not in floats and "." not in n]
    shown = [*plain, "at.part"]
    values = [
        f"static const struct {group.name} values_{number} = {{"
        + ", ".join(f".{member(n)} = {_text(step.call.params[n])}" for n in group.params)
        + "};\n"
        for number, step in enumerate(steps)
    ]
    prints = "".join(f'    printf("%ld ", (long)p->{name});\n' for name in shown)
    prints += "".join(f'    printf("%a ", (double)p->{name});\n' for name in sorted(floats))
    program = (
        "#include <stdint.h>\n#include <stdio.h>\n"
        "#define LOTOR_SHARED __attribute__((noinline))\n"
        "struct part {\n    int32_t part;\n};\n"
        f"struct lotor_thing_params {{\n    int32_t {', '.join(plain)};\n    struct part at;\n"
        f"    float {', '.join(sorted(floats))};\n}};\n"
        "static void lotor_thing_fast(const struct lotor_thing_params *p) {\n"
        f'{prints}    printf("\\n");\n}}\n{text}{"".join(values)}'
        "int main(void) {\n"
        f"    {group.name}_run(&values_0);\n    {group.name}_run(&values_1);\n    return 0;\n}}\n"
    )
    (tmp_path / "main.c").write_text(program)
    command = [compiler, *WARNINGS, "-O2", "main.c", "-o", "main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    for line, step in zip(printed.stdout.splitlines(), steps, strict=True):
        words = line.split()
        assert [int(w) for w in words[: len(shown)]] == [step.call.params[n] for n in shown]
        reals = [float.fromhex(w).hex() for w in words[len(shown) :]]
        expected = [float(np.float32(step.call.params[n])).hex() for n in sorted(floats)]
        assert reals == expected


def test_which_calls_share() -> None:
    one, two = _pair()
    assert find_groups([one], share_all=False) == {}
    other = _step({**one.call.params, "kind": 2})  # what must be equal is not
    found = find_groups([one, other, two], share_all=False)
    assert set(found) == {id(one), id(two)}
    assert [len(group.steps) for group in set(found.values())] == [2]


def test_layers_with_most_of_the_work_stay_apart() -> None:
    heavy, *light = [
        _step({"kind": 1, "size": number}, macs, 0.5) for number, macs in ((1, 90), (2, 5), (3, 5))
    ]
    found = find_groups([heavy, *light], share_all=False)
    assert set(found) == {id(step) for step in light}
    assert len(find_groups([heavy, *light], share_all=True)) == 3  # for the least flash
    # Nothing to compare.
    idle = [_step({"kind": 1, "size": number}, 0, 0.5) for number in (1, 2)]
    assert len(find_groups(idle, share_all=False)) == 2


def test_equal_parameters_give_no_structure() -> None:
    steps = [_step({"kind": 1, "size": 2}) for _ in range(2)]
    (group,) = set(find_groups(steps, share_all=False).values())
    text = render_group(group, {"kind": "1", "size": "2"})
    assert group.params == []
    assert f"struct {group.name}" not in text and f"{group.name}_run()" in text


def _windows(activations: tuple[str, str] = ("RELU", "RELU6"), channels: int = 6) -> ModelBuilder:
    """Two layers of each kernel, of different sizes."""
    m = ModelBuilder(seed=5)
    x = m.input((1, 10, 9, 5), Quant(0.05, -3))
    y = m.conv2d(x, 12, (5, 5), activation=activations[0])
    y = m.depthwise_conv2d(y, activation=activations[0])
    y = m.conv2d(y, channels, (1, 1), activation=activations[0])
    y = m.depthwise_conv2d(y, activation=activations[1])
    y = m.conv2d(y, 7, (1, 1), activation=activations[1])
    y = m.conv2d(y, 8, (3, 3), (2, 2), activation=activations[1])
    y = m.fully_connected(m.reshape(y, (1, 200)), 16)
    m.output(m.fully_connected(y, 6))
    return m


@needs_emulator
@pytest.mark.parametrize("activations", [("RELU", "RELU"), ("RELU", "RELU6")])
def test_shared_functions_on_a_cortex_m4(activations: tuple[str, str], tmp_path: Path) -> None:
    m = _windows(activations)
    compiled = compile_model(m.build(), "cortex-m4")
    found = _shared(compiled)
    assert found, "nothing is shared"
    assert all(count > 1 for count in found.values())
    assert [int(number) for number in SHARED.findall(compiled.source)] == list(found.values())
    kinds = {re.sub(r"_\d+_run$", "", name) for name in found}
    assert {"lotor_conv_2d_dsp_pointwise"} <= kinds
    # Other limits are other constants in assembly: another function for the sums.
    sums = len(set(re.findall(r"^LOTOR_DSP_DENSE\((\w+)", compiled.source, re.MULTILINE)))
    pointers = re.findall(r"^    lotor_dsp_dense_function \*dense;$", compiled.source, re.MULTILINE)
    assert bool(pointers) == (sums > 1)
    assert sum(taken(m, "cortex-m4", tmp_path).values()) == len(compiled.layers)


def _depthwise(activations: tuple[str, str]) -> ModelBuilder:
    """Two depthwise layers with little of the work between them."""
    m = ModelBuilder(seed=6)
    x = m.input((1, 8, 8, 32), Quant(0.05, -3))
    y = m.conv2d(x, 32, (3, 3), activation="RELU", quant=Quant(0.06, -128))
    # Equal scales: shifts and lifts are the same.
    for activation in activations:
        y = m.depthwise_conv2d(y, activation=activation, quant=Quant(0.06, -128))
    m.output(y)
    return m


@needs_emulator
def test_other_limits_are_other_functions(tmp_path: Path) -> None:
    """They are constants in assembly, so sharing would give wrong limits, or no program."""
    for number, activations in enumerate((("RELU", "RELU"), ("RELU", "RELU6"))):
        m = _depthwise(activations)
        compiled = compile_model(m.build(), "cortex-m4", preference=SIZE)
        calls = [layer.steps[0].call for layer in compiled.layers[1:]]
        keys = [(c.params["lift"], c.params["shift"]) for c in calls]
        equal = len({(c.params["out_min"], c.params["out_max"]) for c in calls}) == 1
        assert equal == (activations[0] == activations[1])
        shared = [count for name, count in _shared(compiled).items() if "depthwise" in name]
        assert shared == ([2] if equal and keys[0] == keys[1] else [])
        assert taken(m, "cortex-m4", tmp_path / str(number))["lotor_depthwise_conv_2d_dsp"] == 2


def test_hot_layers_have_functions_of_their_own() -> None:
    m = ModelBuilder(seed=6)
    x = m.input((1, 8, 8, 4), Quant(0.05, -3))
    for _ in range(2):
        x = m.depthwise_conv2d(x, activation="RELU", quant=Quant(0.06, -128))
    m.output(x)
    content = m.build()
    assert _shared(compile_model(content, "cortex-m4")) == {}
    assert list(_shared(compile_model(content, "cortex-m4", preference=SIZE)).values()) == [2]
    # A small part of the work, they share.
    assert list(_shared(compile_model(_depthwise(("RELU", "RELU")).build(), "cortex-m4")).values())


@needs_emulator
def test_stripes_share(tmp_path: Path) -> None:
    m = ModelBuilder(seed=7)
    x = m.input((1, 24, 24, 3), Quant(0.05, -3))
    y = m.conv2d(x, 16, (3, 3), (1, 1), activation="RELU")
    y = m.conv2d(y, 4, (3, 3), (2, 2), activation="RELU")
    m.output(m.conv2d(y, 4, (3, 3), (2, 2)))
    content = m.build()
    whole = compile_model(content, "cortex-m4")
    with pytest.raises(RamError) as least:
        compile_model(content, "cortex-m4", ram=1)
    compiled = compile_model(content, "cortex-m4", ram=max(least.value.least, 1))
    assert compiled.plan.arena_bytes < whole.plan.arena_bytes
    assert len(compiled.layers) > len(whole.layers)
    assert max(_shared(compiled).values()) > 2
    oracle = Oracle(content)
    inputs = list(inputs_of(m))
    from cortex_m import run

    for got, one in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""


def _check_size(build: Build, folder: Path) -> int:
    """Compile a case for the least flash without a warning and compare; count its functions."""
    m = built(build)
    content = m.build()
    compiled = compile_model(content, "host", build.__name__, preference=SIZE)
    shared = len(SHARED.findall(compiled.source))
    if not shared:
        return 0
    compiled.write(folder)
    for compiler in ("gcc", "clang"):
        if shutil.which(compiler):
            command = [compiler, *WARNINGS, "-Os", "-c", f"{compiled.name}.c", "-o", "model.o"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    oracle, model = Oracle(content), HostModel(compiled)
    for inputs in list(inputs_of(m))[:3]:
        oracle.reset()
        model.reset()
        expected = as_list(oracle.run(*inputs))
        assert difference(as_list(model.run(*[x.copy() for x in inputs])), expected) == ""
    return shared


# Parameters that are floats, in structures or enumerations; several steps in a layer; none at all.
@pytest.mark.parametrize("name", ["conv_2d", "mean", "cast", "pad", "binary_numbers"])
def test_portable_kernels_share_for_the_least_flash(name: str, tmp_path: Path) -> None:
    build = next(build for build in cases() + edges() if build.__name__ == name)
    assert _check_size(build, tmp_path) > 0


@pytest.mark.slow
@pytest.mark.parametrize("build", cases() + edges(), ids=lambda build: str(build.__name__))
def test_every_portable_kernel_shares(build: Build, tmp_path: Path) -> None:
    _check_size(build, tmp_path)


@needs_emulator
def test_the_least_flash_on_a_cortex_m4(tmp_path: Path) -> None:
    """The kernels for the DSP instructions, and portable ones besides."""
    m = _windows()
    m.output(m.softmax(m.input((2, 8), Quant(0.1, 2))), m.softmax(m.input((3, 5), Quant(0.2, 1))))
    content = m.build()
    compiled = compile_model(content, "cortex-m4", preference=SIZE)
    assert compiled.report["compiler_flag"] == "-Os"
    quick = compile_model(content, "cortex-m4")
    assert sum(_shared(compiled).values()) > sum(_shared(quick).values())
    oracle = Oracle(content)
    inputs = list(inputs_of(m))
    from cortex_m import run

    for got, one in zip(run(compiled, inputs, tmp_path), inputs, strict=True):
        assert difference(got, as_list(oracle.run(*one))) == ""


@pytest.mark.parametrize("optimize", OPTIMIZE)
@pytest.mark.parametrize("target", ["cortex-m4", "portable"])
def test_two_compilations_give_the_same_bytes(optimize: Optimize, target: str) -> None:
    content = _windows().build()
    first, second = (
        compile_model(content, target, "twice", preference=Preference(optimize, 100_000))
        for _ in range(2)
    )
    assert (first.source, first.header, first.report) == (
        second.source,
        second.header,
        second.report,
    )


def test_names_of_models_are_no_names_of_functions(tmp_path: Path) -> None:
    """NAME_run and NAME_reset are the only public ones; nothing else may be called so."""
    content = _windows().build()
    source = compile_model(content, "portable", "plain", preference=SIZE).source
    own = re.findall(r"^static [^;{=]*?\b(\w+)_(?:run|reset)\(", source, re.MULTILINE)
    assert own and all(identifier(name) != name for name in own)
    for name in own:
        with pytest.raises(LotorError, match="no usable C name"):
            compile_model(content, "portable", name)
    for name in (own[0].removeprefix("lotor_"), "layer_0", "layer", "params", "group"):
        compiled = compile_model(content, "portable", name, preference=SIZE)
        compiled.write(tmp_path)
        command = ["gcc", *WARNINGS, "-c", f"{name}.c", "-o", f"{name}.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_two_models_link_into_one_image(tmp_path: Path) -> None:
    for name in ("one", "two"):
        compile_model(_windows().build(), "portable", name, preference=SIZE).write(tmp_path)
    files = ["one.c", "two.c"]
    done = subprocess.run(
        ["gcc", *WARNINGS, "-shared", "-fPIC", *files, "-o", "both.so"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_groups_keep_their_steps() -> None:
    steps = _pair()
    groups = find_groups(steps, share_all=False)
    assert all(isinstance(group, Group) and group.steps == steps for group in groups.values())


def _blocked() -> ModelBuilder:
    """Two layers with a share of a function each, and room for more rows."""
    m = ModelBuilder(seed=4)
    x = m.input((1, 64, 64, 4), Quant(0.05, -128))
    y = m.conv2d(x, 8, (3, 3), (2, 2), quant=Quant(0.05, -128), activation="RELU")
    y = m.conv2d(y, 8, (1, 1), quant=Quant(0.05, -128), activation="RELU")
    y = m.depthwise_conv2d(y, stride=(2, 2), quant=Quant(0.05, -128), activation="RELU")
    m.output(y)
    return m


def _block_costs(compiled: Compiled, **chosen: int) -> dict[str, dict[str, float]]:
    """Return costs by which these block sizes are best for all calls."""
    costs: dict[str, dict[str, float]] = {}
    for layer in compiled.layers:
        for step in layer.steps:
            label = step.variant.label
            found = costs.setdefault(signature(step.source), {label: 1e6})
            for block in step.variant.blocks:
                values = {block.value(step.call, size) for size in block.sizes}
                found |= {block.label(label, value): 2e6 for value in values if value}
                found[block.label(label, block.of(step.call))] = 1e6
                if (value := chosen.get(block.name)) in values:
                    found[block.label(label, value or 0)] = 5e5
    return costs


def _blocks(compiled: Compiled) -> list[tuple[str, str, int]]:
    return [
        (step.call.kernel, block.name, block.of(step.call))
        for layer in compiled.layers
        for step in layer.steps
        for block in step.variant.blocks
    ]


@needs_emulator
@pytest.mark.parametrize("turn", [4, 8, 16])
def test_measured_block_sizes_are_in_the_code(turn: int, tmp_path: Path) -> None:
    """And compute what they did: on the emulated core, against the interpreter."""
    m = _blocked()
    plain = compile_model(m.build(), "cortex-m4", preference=Preference(ram=10**6))
    wanted = Preference(ram=10**6, costs=_block_costs(plain, turn=turn))
    compiled = compile_model(m.build(), "cortex-m4", preference=wanted)
    dense = set(re.findall(r"^LOTOR_DSP_DENSE\(\w+, (\d+),", compiled.source, re.MULTILINE))
    assert dense == {str(turn)}
    # The depthwise layer, which has no 16 steps.
    assert re.findall(r"\.turn = (\d+),", compiled.source) == [str({16: 4}.get(turn, turn))]
    taken(m, "cortex-m4", tmp_path, preference=wanted)
    # Short loops stay short where flash is what matters.
    small = Preference("size", 10**6, 10**6)
    expected = _blocks(compile_model(m.build(), "cortex-m4", preference=small))
    small = replace(small, costs=wanted.costs)
    assert _blocks(compile_model(m.build(), "cortex-m4", preference=small)) == expected


def test_layers_that_share_a_function_have_one_block_size() -> None:
    """The one with which all of them together take the least."""
    content = _blocked().build()
    plain = compile_model(content, "cortex-m4", preference=Preference(ram=10**6))
    costs = _block_costs(plain)
    convolutions = [layer.steps[0] for layer in plain.layers[:2]]
    names = [signature(step.source) for step in convolutions]
    assert len({step.call.params["dense"] for step in convolutions}) == 1

    def turns(first: dict[int, float], second: dict[int, float]) -> list[int]:
        for name, step, values in zip(names, convolutions, (first, second), strict=True):
            for turn, cost in values.items():
                costs[name][f"{step.variant.label} turn={turn}"] = cost
        found = compile_model(
            content, "cortex-m4", preference=Preference(ram=10**6, costs=dict(costs))
        )
        assert _shared(found) == _shared(plain)
        return [turn for kernel, _, turn in _blocks(found) if kernel == "conv_2d"]

    now = _blocks(plain)[0][2]
    assert turns({}, {}) == [now, now]
    assert turns({4: 9e5, 16: 8e5}, {4: 7e5, 16: 9e5}) == [4, 4]
    assert turns({4: 9e5, 16: 5e5}, {4: 7e5, 16: 9e5}) == [16, 16]
    # What saves next to nothing is not worth its code.
    assert turns({4: 2e6, 16: 1e6 - 9}, {4: 2e6, 16: 1e6}) == [now, now]
    # What was not measured has no say; with no measurement, nothing changes.
    for name in costs:
        costs[name] = {k: v for k, v in costs[name].items() if " " not in k}
    assert turns({}, {}) == [now, now]
    assert turns({now: 9e5, 16: 5e5}, {}) == [16, 16]
    # Sizes that are unknown now, and a table without the one there is.
    assert turns({now: 9e5, 16: 9e5, 5: 1.0}, {}) == [now, now]
    del costs[names[0]][f"{convolutions[0].variant.label} turn={now}"]
    assert turns({16: 1.0}, {}) == [now, now]


def test_rows_at_once_take_no_more_ram() -> None:
    content = _blocked().build()
    plain = compile_model(content, "cortex-m4", preference=Preference(ram=10**6))
    before = [value for _, name, value in _blocks(plain) if name == "rows"]
    assert before and before != [8]

    def rows(wanted: int, ram: int | None, optimize: Optimize = "speed") -> list[int]:
        costs = _block_costs(plain, rows=wanted)
        found = compile_model(
            content, "cortex-m4", preference=Preference(optimize, ram=ram, costs=costs)
        )
        if optimize == "speed":
            assert found.plan.arena_bytes <= plain.plan.arena_bytes
        return [value for _, name, value in _blocks(found) if name == "rows"]

    assert rows(8, 10**6) == [8]
    assert rows(2, 10**6) == [2]
    assert rows(7, 10**6) == before  # not one of the sizes
    assert rows(8, None, "ram") <= before
