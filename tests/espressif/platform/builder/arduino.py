"""The stand-in of the Arduino framework: its headers, and the program's beginning."""

from pathlib import Path

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
framework = Path(env.PioPlatform().get_package_dir("framework-arduinoespressif32"))
env.Append(
    CPPPATH=[str(framework / "include")],
    CFLAGS=["-std=gnu99"],
    CXXFLAGS=["-std=gnu++11"],
    CCFLAGS=["-Os", "-g", "-Wall", "-Wextra", "-Werror"],
    CPPDEFINES=[("ARDUINO_USB_MODE", 0), ("ARDUINO_USB_CDC_ON_BOOT", 0)],
    LINKFLAGS=["-no-pie", "-T", str(framework / "sections.ld")],
    LIBS=["m"],
)
env.BuildSources("$BUILD_DIR/framework", str(framework / "src"))
