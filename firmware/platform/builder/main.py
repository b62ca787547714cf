"""Build one image as its description (a JSON file that `lotor.build` writes) says.

Keys: `prefix` of the tools, `cpu_flags`, `libraries`, `objcopy` (options: how the binary is made),
`sources` (group -> folder, flags), `include`, `linker_script`, `prefix_map` (folder -> name in
messages and debug information), `second_linker_script` (links the same objects once more).
"""

import json
import os
from pathlib import Path

from SCons.Script import Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
image = json.loads(Path(env.GetProjectOption("custom_image")).read_text())
tool = image["prefix"]
mapped = [f"-ffile-prefix-map={path}={name}" for path, name in image["prefix_map"].items()]

env["ENV"]["PATH"] = os.environ["PATH"]
env.Replace(
    AR=tool + "gcc-ar",
    AS=tool + "gcc",
    CC=tool + "gcc",
    CXX=tool + "g++",
    LINK=tool + "gcc",
    OBJCOPY=tool + "objcopy",
    RANLIB=tool + "gcc-ranlib",
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
)
env.Append(
    CCFLAGS=[*image["cpu_flags"], *mapped, *image["flags"]],
    LINKFLAGS=[*image["cpu_flags"], *image["link_flags"], "-T", image["linker_script"]],
    CPPPATH=image["include"],
    LIBS=image["libraries"],
    BUILDERS={
        "ElfToBin": Builder(
            action=env.VerboseAction(
                f"$OBJCOPY {' '.join(image['objcopy'])} $SOURCES $TARGET", "Building $TARGET"
            ),
            suffix=".bin",
        )
    },
)
objects = []
for group, source in image["sources"].items():
    part = env.Clone()
    part.Append(CCFLAGS=source["flags"])
    # CollectBuildFiles names the files only: an object has the flags of whoever makes it.
    objects += part.Object(
        part.CollectBuildFiles(
            os.path.join("$BUILD_DIR", group), source["folder"], source["filter"]
        )
    )
elf = env.Program(os.path.join("$BUILD_DIR", "${PROGNAME}"), objects)
binary = env.ElfToBin(os.path.join("$BUILD_DIR", "${PROGNAME}"), elf)
made = [elf, binary]
if second := image.get("second_linker_script"):
    again = env.Clone()
    again.Replace(
        LINKFLAGS=[*image["cpu_flags"], *image["link_flags"], "-T", second],
    )
    other = again.Program(os.path.join("$BUILD_DIR", "${PROGNAME}1"), objects)
    made += [other, again.ElfToBin(os.path.join("$BUILD_DIR", "${PROGNAME}1"), other)]
Default(made)
