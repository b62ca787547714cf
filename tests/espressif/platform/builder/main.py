"""The stand-in's builder: programs of this machine; an upload hands one to who plays the board."""

import os

from SCons.Script import AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
env["ENV"]["PATH"] = os.environ["PATH"]
env.Replace(
    AR="ar", CC="gcc", CXX="g++", LINK="g++", RANLIB="ranlib", SIZETOOL="size",
    PROGNAME="firmware", PROGSUFFIX=".elf",
)  # fmt: skip
env.Append(
    BUILDERS={"ElfToBin": Builder(action="objcopy --strip-all $SOURCE $TARGET", suffix=".bin")}
)
elf = env.BuildProgram()
binary = env.ElfToBin(os.path.join("$BUILD_DIR", "${PROGNAME}"), elf)
# What esptool would be told, and the program in the place of the flash.
flash = os.environ.get("STANDIN_FLASH")
actions = [
    f'echo "$UPLOAD_PORT" >{flash}.port',
    f"cp $SOURCE {flash}.new",
    f"mv {flash}.new {flash}",
]
if flash is None:
    actions = ["echo 'A fatal error occurred: Failed to connect to ESP32: No data.'", "false"]
upload = env.Alias("upload", binary, actions)
AlwaysBuild(upload)
Default([env.Alias("buildprog", binary, binary)])
