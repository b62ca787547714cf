"""`NAME_views.h`: a classifier asked about views of a camera's frame, on the device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lotor.codegen.c import Program, banner, borders, wrapped
from lotor.errors import LotorError
from lotor.graph import Array, DType
from lotor.resources import resource

_MOST = 1024  # rows and columns of an input; the sums of `kernels/views` have 32 bits
_LABELS = 16384


@dataclass(frozen=True)
class Views:
    """What views of a frame are scored for.

    Attributes:
        recipe: the model's: its target, and how pixels become its input.
        alarm: the target's score on views from which on to alarm; None where none was chosen.
        full: likewise, where the full frame alone is looked at.
        unknown: mean square of the second output beyond which a frame is unlike all known ones.
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    alarm: float | None = None
    full: float | None = None
    unknown: float | None = None


def render_views(program: Program, views: Views) -> str:
    """Return the text of NAME_views.h; "" for what is no classifier of such frames.

    One has a target among its labels, takes RGB as int8 without state, the whole frame squeezed
    into it, and says a score from 0 on for each label.
    """
    steps = _steps(program, views.recipe)
    if steps is None:
        return ""
    name, upper = program.name, program.name.upper()
    target, output = program.labels.index(views.recipe["target"]), program.graph.outputs[0]
    macros = {
        "TARGET": str(target),
        "LABELS": str(output.elements),
        "SCALE": f"({upper}_OUTPUT_SCALE / 2.0f)",
    }
    if views.alarm is not None:
        macros["ALARM"] = str(half_steps(views.alarm, float(output.q.scale)))
    defines = "\n".join(f"#define {upper}_VIEWS_{key} {value}" for key, value in macros.items())
    alarm = "" if views.alarm is None else " * From VIEWS_ALARM on, the target's is an alarm.\n"
    second, usage = "", f"{name}_views(arena, &frame, NULL, 0, scores"
    if len(program.graph.outputs) > 1:
        second = " * output_1: NULL, or what gets the second output for the full frame.\n"
        usage += ", output_1"
    usage += ");"
    kernel = resource("kernels", "views", "portable.h").read_text()
    return f"""{banner(program, "Views of a frame for")}
#ifndef LOTOR_{upper}_VIEWS_H
#define LOTOR_{upper}_VIEWS_H

#include "{name}.h"

{kernel}
/* clang-format off */
{defines}
/* clang-format on */

#ifdef __cplusplus
extern "C" {{
#endif

/* Score a frame for label VIEWS_TARGET: all of it, and crops, in which what is small is large.
 *
 *     const struct lotor_frame frame = {{pixels, 120, 160, 3 * 160}};
 *     static int16_t scores[{upper}_VIEWS_LABELS];
 *     {usage}
 *
 * arena: as for {name}_run, which runs once for the frame and once for each crop.
 * crops: parts of the frame, `count` of them, chosen for instance by motion; NULL for the nine of
 * a fixed grid.
 * scores: of all labels, a score standing for VIEWS_SCALE * score. The target's is the mean of its
 * two best views, so that no alarm comes of one that deceives; the others keep the full frame's
 * proportions in what is left.
{alarm}{second} *
 * Returns which view has the target's highest score: 0 is the full frame, 1 the first crop, whose
 * place in the grid lotor_view_of tells; -1 when the arena is NULL or not aligned, -2 when the
 * frame is empty, too large (2^24 pixels, 32767 on a side) or its stride too small, or a crop is
 * empty or not inside.
 */
{_function(program, target, steps)}
#ifdef __cplusplus
}}
#endif

#endif
"""


def watch_report(program: Program, views: Views) -> dict[str, Any] | None:
    """Return what firmware needs to watch frames with a model; None where it has no views.

    Returns:
        `target`; `labels`, their number; `person`, the index of a label `person` that is not the
        target, else None; `height` and `width` of the input; `steps`, the input for each value of
        a pixel, None for 128 less; scores in half steps from which on (None: nothing was chosen)
        `alarm` and `alarm_full` count as votes, with views and without, `person_from` an own
        person forbids them and `veto_from` this model forbids another's; `known_limit`, the largest
        sum of squares of the second output of what is known, None where nothing is unknown.
    """
    steps = _steps(program, views.recipe)
    if steps is None:
        return None
    from lotor.ood import steps_within
    from lotor.veto import PERSON, PERSON_SCORE

    outputs, target = program.graph.outputs, views.recipe["target"]
    scale = float(outputs[0].q.scale)

    def halves(threshold: float | None) -> int | None:
        # Where it is cheapest never to alarm, that is above 1, which no score reaches either.
        return None if threshold is None else half_steps(min(threshold, 1.0), scale)

    own = target != PERSON and PERSON in program.labels
    limit = None
    if len(outputs) > 1 and views.unknown is not None:
        limit = steps_within(views.unknown, outputs[1].elements, outputs[1].q.scale)
    height, width = program.graph.inputs[0].shape[1:3]
    return {
        "target": program.labels.index(target),
        "labels": len(program.labels),
        "person": program.labels.index(PERSON) if own else None,
        "height": height,
        "width": width,
        "steps": None if (steps == np.arange(-128, 128)).all() else steps.tolist(),
        "alarm": halves(views.alarm),
        "alarm_full": halves(views.full),
        "person_from": halves(PERSON_SCORE),
        "veto_from": halves(PERSON_SCORE if views.full is None else views.full)
        if target == PERSON
        else None,
        "known_limit": limit,
        "known_zero_point": outputs[1].q.zero_point if limit is not None else 0,
    }


def half_steps(threshold: float, scale: float) -> int:
    """Return the least score in half steps that a threshold accepts.

    Args:
        threshold: of the score.
        scale: of a step.
    """
    found = math.floor(threshold / (scale / 2)) - 1
    while found * (scale / 2) < threshold:  # as a quotient is rounded
        found += 1
    return found


def _steps(program: Program, recipe: Mapping[str, Any]) -> Array | None:
    """Return the input for each value of a pixel, int8 [256]; None where there are no views."""
    from lotor.preprocess import image_input, normalize

    graph = program.graph
    if recipe.get("task", "classify") != "classify" or recipe.get("target") not in program.labels:
        return None
    more = bool(recipe.get("ood", {}).get("directions"))
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 + more or program.plan.variables:
        return None
    taken, given = graph.inputs[0], graph.outputs[0]
    if any(t.dtype is not DType.INT8 or t.quant is None for t in (taken, given)):
        return None
    if given.q.zero_point != -128 or not given.elements == len(program.labels) <= _LABELS:
        return None
    try:
        image = image_input(taken, recipe)
    except LotorError:  # it takes no image, or nobody says what a pixel is
        return None
    if image.channels != 3 or image.aspect != "stretch" or max(image.height, image.width) > _MOST:
        return None
    pixels = np.arange(256, dtype=np.float32)
    return np.asarray(image.quantize(normalize(pixels, image.mean, image.std)))


def _function(program: Program, target: int, steps: Array) -> str:
    name, upper, graph = program.name, program.name.upper(), program.graph
    height, width = graph.inputs[0].shape[1:3]
    arguments = [
        "void *arena",
        "const struct lotor_frame *frame",
        "const struct lotor_view *crops",
        "int32_t count",
        "int16_t *scores",
    ]
    more = [(n, t) for n, t in borders(graph) if n.startswith("output")][1:]
    arguments += [f"{tensor.dtype.c_name} *{label}" for label, tensor in more]
    outputs = ["NULL", *(f"i == 0 ? {label} : NULL" for label, _ in more)]
    table, given = "", "NULL"
    if (steps != np.arange(-128, 128)).any():
        words = [str(step) for step in steps.tolist()]
        rows = ",\n        ".join(", ".join(words[i : i + 20]) for i in range(0, 256, 20))
        table = (
            "    /* clang-format off */\n    static const int8_t steps[256] = {\n        "
            f"{rows}}};\n    /* clang-format on */\n"
        )
        given = "steps"
    return f"""{wrapped(f"static inline int {name}_views(", arguments, ") {")}
{table}    uint8_t *const bytes = (uint8_t *)arena;
    struct lotor_views_seen seen = {{0, 0, 0, 0}};
    if (bytes == NULL || (uintptr_t)bytes % {upper}_ARENA_ALIGN != 0) {{
        return -1;
    }}
    if (!lotor_views_fit(frame, crops, count)) {{
        return -2;
    }}
    for (int32_t i = 0; i <= (crops == NULL ? LOTOR_VIEWS_CROPS : count); i++) {{
        const struct lotor_view view =
            i == 0 || crops == NULL ? lotor_view_of(frame, i) : crops[i - 1];
        int8_t *const input = (int8_t *)(bytes + {upper}_INPUT_OFFSET);
        lotor_view_resize(frame, &view, {height}, {width}, {given}, input);
        const int status = {name}_run(arena, NULL, {", ".join(outputs)});
        if (status != 0) {{
            return status;
        }}
        const int8_t *const output = (const int8_t *)(bytes + {upper}_OUTPUT_OFFSET);
        for (int32_t label = 0; i == 0 && label < {upper}_VIEWS_LABELS; label++) {{
            scores[label] = (int16_t)(output[label] + 128);
        }}
        lotor_views_take(&seen, output[{upper}_VIEWS_TARGET] + 128);
    }}
    lotor_views_join(&seen, {upper}_VIEWS_LABELS, {upper}_VIEWS_TARGET, scores);
    return (int)seen.best;
}}
"""
