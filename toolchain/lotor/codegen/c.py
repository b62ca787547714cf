"""The two generated C files."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lotor.codegen.kernels import merge_headers
from lotor.codegen.share import Group, Step, c_type, find_groups, member, render_group
from lotor.graph import Array, Graph, Op, Tensor, short_name
from lotor.memory import Plan
from lotor.ood import steps_within
from lotor.ops import KernelCall
from lotor.resources import resource

ARENA_ALIGN = 16
# NAME.h must not hide one of them from a program that looks for headers in its folder.
_STANDARD_HEADERS = re.compile(
    "assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|"
    "stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|"
    "threads|time|uchar|wchar|wctype"
)


@dataclass(frozen=True)
class Layer:
    """One operator of the generated program.

    Attributes:
        op: the operator.
        steps: its kernel calls.
        macs: multiply-accumulates.
    """

    op: Op
    steps: Sequence[Step]
    macs: int

    @property
    def name(self) -> str:
        """The model's name of the layer."""
        return self.op.name

    @property
    def kind(self) -> str:
        """The operator's name in the model format."""
        return self.op.kind

    @property
    def output(self) -> Tensor:
        """Its first output."""
        return self.op.outputs[0]

    @property
    def kernel(self) -> str:
        """The kernels that it calls, for people."""
        return ", ".join(dict.fromkeys(f"{s.call.function}/{s.variant.label}" for s in self.steps))

    @property
    def shapes(self) -> str:
        """Input and output shapes, for people."""
        inputs = {id(t): t for step in self.steps for t in step.call.inputs}
        shapes = ", ".join(str(list(t.shape)) for t in inputs.values())
        return f"{shapes} -> {list(self.output.shape)}"


@dataclass(frozen=True)
class Program:
    """Everything that the C says.

    Attributes:
        small: it matters more that it is short than fast.
        unknown: mean square of the second output beyond which an input is unlike all known ones.
    """

    name: str
    graph: Graph
    layers: Sequence[Layer]
    plan: Plan
    model_hash: str
    target: str
    tool_version: str
    labels: Sequence[str]
    small: bool = False
    unknown: float | None = None


def identifier(name: str) -> str:
    """Return a C identifier for a model's name."""
    cleaned = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    taken = cleaned.startswith("lotor") or bool(_STANDARD_HEADERS.fullmatch(cleaned))
    usable = cleaned and not cleaned[0].isdigit() and not taken
    return cleaned if usable else f"model_{cleaned}".rstrip("_")


def borders(graph: Graph) -> list[tuple[str, Tensor]]:
    """Return inputs and outputs with their names in C: input, input_1, output, ..."""
    named = []
    for kind, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for index, tensor in enumerate(tensors):
            named.append((f"{kind}_{index}" if index else kind, tensor))
    return named


def signature(program: Program) -> str:
    """Return the prototype of the run function, without semicolon."""
    arguments = ["void *arena"]
    for name, tensor in borders(program.graph):
        const = "const " if name.startswith("input") else ""
        arguments.append(f"{const}{tensor.dtype.c_name} *{name}")
    return f"int {program.name}_run({', '.join(arguments)})"


def render_header(program: Program) -> str:
    """Return the text of NAME.h."""
    upper = program.name.upper()
    macros: dict[str, object] = {
        "ARENA_BYTES": program.plan.arena_bytes,
        "ARENA_ALIGN": ARENA_ALIGN,
        "LAYERS": len(program.layers),
        "MODEL_HASH": f'"{program.model_hash}"',
        "INPUTS": len(program.graph.inputs),
        "OUTPUTS": len(program.graph.outputs),
    }
    for name, tensor in borders(program.graph):
        prefix = name.upper()
        macros[f"{prefix}_OFFSET"] = program.plan.offset(tensor)
        macros[f"{prefix}_BYTES"] = tensor.nbytes
        macros[f"{prefix}_SHAPE"] = "{" + ", ".join(map(str, tensor.shape)) + "}"
        if tensor.quant is not None:
            macros[f"{prefix}_SCALE"] = _float(tensor.q.scale)
            macros[f"{prefix}_ZERO_POINT"] = tensor.q.zero_point
    if program.plan.variables:
        macros["STATE_BYTES"] = sum(tensor.nbytes for tensor in program.plan.variables)
    known = _known(program, macros)
    if program.labels:
        macros["LABELS"] = "{" + ", ".join(map(_string, program.labels)) + "}"
    defines = "\n".join(f"#define {upper}_{name} {value}" for name, value in macros.items())
    return f"""{banner(program, "Interface")}
#ifndef LOTOR_{upper}_H
#define LOTOR_{upper}_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
{_usage(program)}
{defines}
/* clang-format on */

#ifdef __cplusplus
extern "C" {{
#endif

/* Run the model once.
 *
 * arena: ARENA_BYTES bytes aligned to ARENA_ALIGN; every activation lives in it.
 * An input may be NULL: then it was written to the arena at its OFFSET beforehand; the run uses
 * that memory for other things, so write it anew before each run. An output may be NULL: then it
 * is left in the arena at its OFFSET.
 * Returns 0, or -1 when the arena is NULL or not aligned.
 */
{_prototype(program, ";")}
{_reset_prototype(program)}{known}
#ifdef LOTOR_PROFILE
/* Supplied by the application: called with layer -1 before the first layer (output NULL), then at
 * the end of every layer with what it has written; bytes is 0 where the output lies scattered in a
 * larger one. */
void lotor_layer_done(int layer, const void *output, size_t bytes);
#endif

#ifdef __cplusplus
}}
#endif

#endif
"""


def _known(program: Program, macros: dict[str, object]) -> str:
    """Return the function that tells the unknown by the second output, with its limit in `macros`.

    It is empty for a model that cannot tell.
    """
    outputs = program.graph.outputs
    if program.unknown is None or len(outputs) < 2 or outputs[1].quant is None:
        return ""
    output, upper = outputs[1], program.name.upper()
    macros["KNOWN_LIMIT"] = steps_within(program.unknown, output.elements, output.q.scale)
    return f"""
/* Return whether an input is like those that the model was trained on: the sum of squares of the
 * second output, which its run has written, is at most KNOWN_LIMIT.
 */
static inline int {program.name}_known(const {output.dtype.c_name} *output_1) {{
    int64_t sum = 0;
    for (int i = 0; i < {output.elements}; i++) {{
        const int64_t steps = output_1[i] - {upper}_OUTPUT_1_ZERO_POINT;
        sum += steps * steps;
    }}
    return sum <= {upper}_KNOWN_LIMIT;
}}
"""


def _usage(program: Program) -> str:
    """Return a comment with a program's lines for one run."""
    upper = program.name.upper()
    lines = [f"static _Alignas({upper}_ARENA_ALIGN) uint8_t arena[{upper}_ARENA_BYTES];"]
    named = borders(program.graph)
    lines += [f"static {tensor.dtype.c_name} {name}[{tensor.elements}];" for name, tensor in named]
    if program.plan.variables:
        lines.append(f"{program.name}_reset(arena);")
    arguments = ", ".join(["arena", *(name for name, _ in named)])
    lines.append(f"if ({program.name}_run({arguments}) == 0) {{ }}")
    quantized = any(tensor.quant is not None for _, tensor in named)
    scale = (
        " *\n * A quantized number q stands for SCALE * (q - ZERO_POINT).\n" if quantized else ""
    )
    code = "".join(f" *     {line}\n" for line in lines)
    return f"/* Usage, in C++ with alignas:\n *\n{code}{scale} */"


def render_source(program: Program) -> str:
    """Return the text of NAME.c."""
    steps = [step for layer in program.layers for step in layer.steps]
    groups = find_groups(steps, share_all=program.small)
    common = ["opaque.h", *(["inline.h"] if groups else [])]
    headers = [s.variant.header for s in steps]
    headers += [resource("kernels", "common", name) for name in common]
    reset = _reset(program)
    called = [*(s.function for s in steps), *re.findall(r"lotor_opaque", "".join(reset))]
    parts = [
        f"{banner(program, 'Program and weights')}\n{_memory_map(program)}",
        f'#include "{program.name}.h"\n\n#include <stddef.h>\n#include <stdint.h>\n'
        "#include <string.h>\n",
        "#ifdef LOTOR_PROFILE\n"
        "#define LAYER_DONE(layer, output, bytes) lotor_layer_done(layer, output, bytes)\n"
        "#else\n#define LAYER_DONE(layer, output, bytes) ((void)0)\n#endif\n",
        # Compilers would make other code for other distances between tensors, often worse.
        "/* Every layer is a function of its own, whatever the places of its tensors. */\n"
        "#ifndef LOTOR_LAYER\n#define LOTOR_LAYER __attribute__((noinline))\n#endif\n",
        merge_headers(headers, called),
    ]
    parts.append("/* Tables and calls have a layout of their own. */\n/* clang-format off */\n")
    functions = {name: f for step in steps for name, f in step.call.functions.items()}
    parts += [f"{function.text}\n" for function in functions.values()]
    for group in dict.fromkeys(groups.values()):
        params = group.steps[0].call.params
        parts.append(render_group(group, {name: _field(params[name]) for name in params}))
    shared: dict[str, str] = {}
    for index, layer in enumerate(program.layers):
        parts.append(_layer(index, layer, shared, groups))
    parts += ["/* clang-format on */\n", *reset, _run(program)]
    return "\n".join(parts)


def banner(program: Program, title: str) -> str:
    """Return the comment at a file's head, which says where the file comes from."""
    return (
        f"/* {title} of {program.name}, generated by lotor {program.tool_version}; do not edit.\n"
        " *\n"
        f" * model   sha256 {program.model_hash}\n"
        f" * target  {program.target}\n"
        f" * arena   {program.plan.arena_bytes} bytes\n"
        " */"
    )


def _memory_map(program: Program) -> str:
    lines = [
        "/* Memory map of the arena: bytes, layers during which they are in use, tensor.",
        " *",
    ]
    last_layer = len(program.layers)
    for p in program.plan.placements:
        first = "input" if p.first < 0 else str(p.first)
        last = "output" if p.last >= last_layer else str(p.last)
        if p.variable:
            first = last = "state"
        name = _comment(" = ".join(short_name(t.name) for t in p.tensors))
        lines.append(f" * {p.offset:8d} .. {p.end:8d}  {first:>6} .. {last:<6}  {name}")
    return "\n".join([*lines, " */\n"])


def _comment(text: str) -> str:
    """Make a name from the model safe inside a comment."""
    # "?" could begin a trigraph, which may stand for a line-joining backslash.
    plain = "".join(c if " " <= c <= "~" and c not in "\\?" else "_" for c in text)
    return plain.replace("*/", "*_").replace("/*", "/_")


def _string(text: str) -> str:
    """Return a C string literal; an escaped "?" begins no trigraph."""
    visible = "".join(c if c.isprintable() else "_" for c in text)
    return '"' + re.sub(r'[\\"?]', r"\\\g<0>", visible) + '"'


def _float(value: float) -> str:
    """Return the shortest C expression that gives this float32."""
    if not np.isfinite(value):
        return "0.0f / 0.0f" if np.isnan(value) else f"{np.sign(value):.0f}.0f / 0.0f"
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def _field(value: int | float | str) -> str:
    return _float(value) if isinstance(value, float) else str(value)


_PER_LINE = {"int8": 20, "int32": 8, "float64": 4, "float32": 6}


def _array(name: str, values: Array) -> str:
    """Return a constant C array; doubles are written in hexadecimal, so exactly."""
    flat = values.reshape(-1)
    if flat.dtype == np.bool_:
        flat = flat.astype(np.uint8)
    kind = str(flat.dtype)
    if kind == "float64":
        words = [float(v).hex() for v in flat]
    elif kind == "float32":
        words = [_float(float(v)) for v in flat]
    else:
        # No literal of C is as low as the lowest int64.
        words = [f"{v + 1} - 1" if v == -(1 << 63) else str(v) for v in flat.tolist()]
    step = _PER_LINE.get(kind, 8)
    rows = [", ".join(words[i : i + step]) for i in range(0, len(words), step)]
    body = ",\n    ".join(rows)
    return f"static const {c_type(flat.dtype)} {name}[{flat.size}] = {{\n    {body}}};\n"


def _layer(index: int, layer: Layer, shared: dict[str, str], groups: Mapping[int, Group]) -> str:
    """Return the function of a layer, after the constants that it is the first to need."""
    arrays: list[str] = []
    body: list[str] = []
    names = _names(layer)
    for number, step in enumerate(layer.steps):
        suffix = f"_{number}" if len(layer.steps) > 1 else ""
        arguments = _arguments(step.call, f"layer_{index}{suffix}", names, arrays, shared)
        group = groups.get(id(step))
        struct = f"struct {group.name if group else step.structure}"
        params = dict(step.call.params)
        if group:
            params = {member(name): params[name] for name in group.params}
        function = f"{group.name}_run" if group else step.function
        place = f"params{suffix}"
        if params or not group:
            arguments.insert(0, f"&{place}")
            body.append(f"    static const {struct} {place} = {{\n{_fields(params)}    }};\n")
        body.append(f"    {function}(\n        {f',{chr(10)}        '.join(arguments)});\n")
    title = f"{layer.kind} {_comment(short_name(layer.name))}"
    macs = f", {layer.macs} MACs" if layer.macs else ""
    written = {id(tensor) for step in layer.steps for tensor in step.call.outputs}
    parameters = [
        f"{'' if id(tensor) in written else 'const '}{tensor.dtype.c_name} *{names[id(tensor)]}"
        for tensor in _tensors(layer)
    ]
    # A call is no code that could depend on the places of tensors.
    apart = "" if all(id(step) in groups for step in layer.steps) else "LOTOR_LAYER\n"
    return "".join(
        (
            f"/* Layer {index}: {title}\n * {layer.shapes}{macs} */\n",
            *arrays,
            apart,
            wrapped(f"static void layer_{index}(", parameters, ") {"),
            "\n",
            *body,
            "}\n",
        )
    )


def _tensors(layer: Layer) -> list[Tensor]:
    """Return the tensors in the arena that a layer reads and writes, each once."""
    found: dict[int, Tensor] = {}
    for step in layer.steps:
        for tensor in (*step.call.inputs, *step.call.outputs):
            if tensor.data is None:
                found.setdefault(id(tensor), tensor)
    return list(found.values())


def _names(layer: Layer) -> dict[int, str]:
    """Return the C names of a layer's tensors, by their identity."""
    written = {id(tensor) for step in layer.steps for tensor in step.call.outputs}
    results = {id(tensor) for tensor in layer.op.outputs}
    kinds: dict[str, list[int]] = {"input": [], "output": [], "scratch": []}
    for tensor in _tensors(layer):
        kind = "scratch" if id(tensor) in written else "input"
        kinds["output" if id(tensor) in results else kind].append(id(tensor))
    return {
        key: f"{kind}_{number}" if number else kind
        for kind, keys in kinds.items()
        for number, key in enumerate(keys)
    }


def constant_key(values: Array) -> str:
    """Return what constant arrays that can be one in the generated C have in common."""
    content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return f"{values.dtype} {hashlib.sha256(content.tobytes()).hexdigest()}"


def _arguments(
    call: KernelCall,
    name: str,
    names: Mapping[int, str],
    arrays: list[str],
    shared: dict[str, str],
) -> list[str]:
    """Return the C arguments after the parameters; new constant arrays are added to `arrays`."""
    arguments = []
    for position, tensor in enumerate(call.inputs):
        if tensor.data is None:
            arguments.append(names[id(tensor)])
            continue
        key = constant_key(tensor.data)
        if key not in shared:
            shared[key] = f"{name}_input_{position}"
            arrays.append(_array(shared[key], tensor.data))
        arguments.append(shared[key])
    for constant, values in call.constants.items():
        key = constant_key(values)
        if key not in shared:
            shared[key] = f"{name}_{constant}"
            arrays.append(_array(shared[key], values))
        arguments.append(shared[key])
    return arguments + [names[id(tensor)] for tensor in call.outputs]


def _fields(params: Mapping[str, int | float | str]) -> str:
    """Return designated initialisers, several to a line."""
    lines: list[str] = []
    line = ""
    for name, value in params.items():
        word = f".{name} = {_field(value)},"
        if line and len(line) + 1 + len(word) > 88:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return "".join(f"        {text}\n" for text in [*lines, line])


def _prototype(program: Program, end: str) -> str:
    """Return the signature and `end` in lines of at most 100 columns."""
    head, arguments = signature(program).removesuffix(")").split("(", 1)
    return wrapped(f"{head}(", arguments.split(", "), f"){end}")


def wrapped(head: str, arguments: Sequence[str], end: str) -> str:
    """Return `head`, arguments and `end` in lines of at most 100 columns, as clang-format does."""
    lines, margin = [head], " " * len(head)
    *others, last = arguments
    for argument in (*(f"{other}," for other in others), f"{last}{end}"):
        joined = lines[-1] + ("" if lines[-1].endswith("(") else " ") + argument
        if len(joined) <= 100 or lines[-1].endswith("("):
            lines[-1] = joined
        else:
            lines.append(margin + argument)
    return "\n".join(lines)


def _reset_prototype(program: Program) -> str:
    if not program.plan.variables:
        return ""
    return f"""
/* Give what the model keeps from one run to the next its first value: once before the first run,
 * and whenever a new sequence begins. It lies in the arena, STATE_BYTES of it, so the arena must be
 * left as it is between runs, but for the inputs.
 * Returns 0, or -1 when the arena is NULL or not aligned.
 */
int {program.name}_reset(void *arena);
"""


def _reset(program: Program) -> list[str]:
    """Return the function that resets the variables, with its constants; nothing without any."""
    if not program.plan.variables:
        return []
    arrays: list[str] = []
    lines = _checked(f"int {program.name}_reset(void *arena) {{")
    for index, tensor in enumerate(program.plan.variables):
        value, offset = tensor.reset_value.reshape(-1), program.plan.offset(tensor)
        raw = np.unique(np.ascontiguousarray(value).view(np.uint8))
        if raw.size == 1:
            lines.append(f"    memset(bytes + {offset}, {raw[0]}, {tensor.nbytes});")
        else:
            name = f"state_{index}"
            arrays += ["/* clang-format off */", _array(name, value), "/* clang-format on */\n"]
            source = f"lotor_opaque({name})"
            lines.append(f"    memcpy(bytes + {offset}, {source}, sizeof {name});")
    return ["\n".join([*arrays, *lines, "    return 0;", "}", ""])]


def _checked(head: str) -> list[str]:
    """Return the first lines of a function of the arena."""
    return [
        head,
        "    uint8_t *const bytes = arena;",
        f"    if (bytes == NULL || (uintptr_t)arena % {ARENA_ALIGN} != 0) {{",
        "        return -1;",
        "    }",
    ]


def _run(program: Program) -> str:
    lines = _checked(_prototype(program, " {"))
    named = borders(program.graph)
    for name, tensor in named:
        if name.startswith("input"):
            lines += _copy(f"bytes + {program.plan.offset(tensor)}", name, name, tensor.nbytes)
    lines.append("    LAYER_DONE(-1, NULL, 0);")
    for index, layer in enumerate(program.layers):
        # Through void *: the plan keeps every offset aligned for its type.
        places = [f"(void *)(bytes + {program.plan.offset(t)})" for t in _tensors(layer)]
        lines.append(wrapped(f"    layer_{index}(", places, ");"))
        # A part with gaps has no bytes of its own that could be looked at in one piece.
        nbytes = layer.output.nbytes if layer.output.dense else 0
        offset = program.plan.offset(layer.output)
        lines.append(f"    LAYER_DONE({index}, bytes + {offset}, {nbytes});")
    for name, tensor in named:
        if name.startswith("output"):
            lines += _copy(name, f"bytes + {program.plan.offset(tensor)}", name, tensor.nbytes)
    return "\n".join([*lines, "    return 0;", "}", ""])


def _copy(to: str, source: str, condition: str, nbytes: int) -> list[str]:
    # memmove: the caller may pass the place in the arena itself.
    return [
        f"    if ({condition} != NULL) {{",
        f"        memmove({to}, {source}, {nbytes});",
        "    }",
    ]
