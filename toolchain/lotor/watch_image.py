"""The files of an image that watches a camera: its sizes, and its tables of models and outputs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lotor.board_camera import FORMATS, KINDS, Camera, Output, Servo
from lotor.image_sources import ImageModel
from lotor.resources import resource

FLASH_BYTES = 6_500
"""About what the loop takes of flash."""
RAM_BYTES = 3_700
"""About what the loop takes beside the frame: events that are kept, and votes."""


def camera_ram(camera: Camera | None) -> int:
    """Return about how many bytes of RAM a camera takes."""
    return camera.frame_bytes + RAM_BYTES if camera else 0


def watch_files(
    models: Sequence[ImageModel],
    camera: Camera,
    outputs: Mapping[str, Output],
    ticks_per_second: int,
) -> dict[str, str]:
    """Return the files of an image that only a board with a camera has, by their names.

    Args:
        models: what the image holds; those without `watch` in their report watch nothing.
        camera: of the board.
        outputs: of the board; the order is their index on the link.
        ticks_per_second: of the board's ticks.
    """
    return {
        "lotor_camera.h": _header(camera, outputs, ticks_per_second),
        "lotor_views.h": resource("kernels", "views", "portable.h").read_text(),
        "lotor_watch.c": _tables(models, outputs),
    }


def _header(camera: Camera, outputs: Mapping[str, Output], ticks_per_second: int) -> str:
    values = {
        "LOTOR_CAMERA_KIND": KINDS.index(camera.kind),
        "LOTOR_CAMERA_SYNTHETIC": int(camera.kind == "synthetic"),
        "LOTOR_CAMERA_WIDTH": camera.width,
        "LOTOR_CAMERA_HEIGHT": camera.height,
        "LOTOR_CAMERA_FORMAT": FORMATS.index(camera.format),
        "LOTOR_OUTPUTS": len(outputs),
        **{f"LOTOR_CAMERA_{name.upper()}": pin for name, pin in camera.pins.items()},
    }
    if any(output.servo for output in outputs.values()):
        values["LOTOR_SERVOS"] = 1  # images without one stay as they are
    lines = [f"#define {name} {value}" for name, value in values.items()]
    lines.append(f"#define LOTOR_TICKS_PER_SECOND {ticks_per_second}u")
    head = "/* Camera and outputs of this board; written by the build. */"
    return "\n".join(
        [head, "#ifndef LOTOR_CAMERA_CONFIG_H", "#define LOTOR_CAMERA_CONFIG_H", *lines, "#endif\n"]
    )


def _tables(models: Sequence[ImageModel], outputs: Mapping[str, Output]) -> str:
    lines = [
        "/* How each model watches frames, and what alarms may switch; written by the build. */",
        '#include "lotor_watch.h"',
        "#include <stddef.h>",
        "",
    ]
    entries = []
    for model in models:
        watch = model.report.get("watch")
        if watch and watch["steps"]:
            steps = ", ".join(map(str, watch["steps"]))
            lines.append(f"static const int8_t steps_{model.name}[256] = {{{steps}}};")
        entries.append(_entry(model, watch) if watch else "    {.labels = 0},")
    lines += ["const lotor_watcher lotor_watchers[] = {", *entries, "};"]
    if outputs:
        lines += ["const lotor_output lotor_outputs[] = {"]
        for name, output in outputs.items():
            high = "true" if output.active == "high" else "false"
            lines.append(
                f"    {{{json.dumps(name)}, {output.pin}u, {high}, "
                f"{output.max_on_ms}u, {output.rest_ms}u}},"
            )
        lines += ["};"]
    if any(output.servo for output in outputs.values()):
        lines += ["const lotor_servo lotor_servos[] = {"]
        for output in outputs.values():
            s = output.servo or Servo(0, 0, 0, 0)
            lines.append(f"    {{{s.min_us}, {s.max_us}, {s.rest_us}, {s.act_us}}},")
        lines += ["};"]
    return "\n".join([*lines, ""])


def _entry(model: ImageModel, watch: Mapping[str, Any]) -> str:
    values: dict[str, object] = {
        "labels": watch["labels"],
        "target": watch["target"],
        "height": watch["height"],
        "width": watch["width"],
        "person_from": watch["person_from"],
        "known_limit": f"{watch['known_limit'] or 0}ll",
        "known_zero_point": watch["known_zero_point"],
        "tells_unknown": str(watch["known_limit"] is not None).lower(),
        "steps": f"steps_{model.name}" if watch["steps"] else "NULL",
    }
    for name in ("person", "alarm", "alarm_full", "veto_from"):
        values[name] = -1 if watch[name] is None else watch[name]
    return "    {" + ", ".join(f".{name} = {value}" for name, value in values.items()) + "},"
