"""What an image asks of a build with the Arduino framework, which PlatformIO runs first of all.

The sources are the project's (PLATFORMIO_SRC_DIR): `src`, `hal`, `image`, `models`. Of the image's
description (a JSON file that `lotor.build` writes) this takes `include`, and `flags` of the models.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
image = json.loads(Path(env.GetProjectOption("custom_image")).read_text())
env.Append(CPPPATH=image["include"])


_DEFINED = ("-DLOTOR_PROFILE", "-DLOTOR_RTC_MEMORY", "-Dmain=lotor_main")


def _ours(build: Any, node: Any, *flags: str) -> Any:
    """Compile one file of ours; later flags win over the framework's."""
    if not node.get_path().endswith(".c"):
        return node
    return build.Object(
        node,
        CFLAGS=[*build["CFLAGS"], "-std=gnu11"],
        CCFLAGS=[*build["CCFLAGS"], *_DEFINED, *flags],
    )


def _model(build: Any, node: Any) -> Any:
    return _ours(build, node, *image["flags"])


def _other(build: Any, node: Any) -> Any:
    return _ours(build, node)


def _sizes(target: Any, source: Any, env: Any) -> None:
    """Write the sizes of all sections, of the program and of the models' objects."""
    models = sorted(Path(env.subst("$BUILD_DIR")).glob("**/models/*.o"))
    done = subprocess.run(
        [env.subst("$SIZETOOL"), "-A", "-d", str(target[0]), *map(str, models)],
        env=env["ENV"],
        capture_output=True,
        text=True,
        check=True,
    )
    Path(env.subst("$BUILD_DIR"), "sizes.txt").write_text(done.stdout)


def _flash(target: Any, source: Any, env: Any) -> None:
    """Write what lies where in flash, as the platform's own upload has it."""
    config = env.BoardConfig()
    files = [
        *env.get("FLASH_EXTRA_IMAGES", []),
        ("$ESP32_APP_OFFSET", "$BUILD_DIR/${PROGNAME}.bin"),
    ]
    about = {
        "chip": config.get("build.mcu"),
        "baud": int(config.get("upload.speed", 115200)),
        "files": [
            [int(env.subst(str(offset)), 0), str(Path(env.subst(str(path))).absolute())]
            for offset, path in files
        ],
    }
    Path(env.subst("$BUILD_DIR"), "flash.json").write_text(json.dumps(about, indent=2))


env.AddBuildMiddleware(_model, "*/models/*.c")
for folder in ("src", "hal/arduino", "image"):
    env.AddBuildMiddleware(_other, f"*/source/{folder}/*.c")
env.AddPostAction("$BUILD_DIR/${PROGNAME}.elf", [_sizes, _flash])
