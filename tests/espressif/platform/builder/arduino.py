"""The stand-in of the Arduino framework: its headers, the program's beginning, what flash holds."""

from pathlib import Path
from typing import Any

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

# What else an upload writes, where ESP-IDF's guide has it: "Bootloader", "Partition Tables".
esp32 = env.BoardConfig().get("build.mcu") == "esp32"
CHIP_ID = 0 if esp32 else 9  # byte 12 of an image's header: "App Image Format"


def made(name: str, data: bytes) -> None:
    def write(target: Any, source: Any, env: Any) -> None:
        Path(str(target[0])).write_bytes(data)

    file = env.Command(f"$BUILD_DIR/{name}", [], write)
    env.Depends("$BUILD_DIR/${PROGNAME}.elf", file)


made("bootloader.bin", b"\xe9\x00\x02\x20" + bytes(8) + bytes([CHIP_ID]) + b"boot loader " * 900)
made("partitions.bin", b"\xaa\x50" + b"partition " * 300)
env.Append(
    FLASH_EXTRA_IMAGES=[
        ("0x1000" if esp32 else "0x0000", "$BUILD_DIR/bootloader.bin"),
        ("0x8000", "$BUILD_DIR/partitions.bin"),
        ("0xe000", str(framework / "boot_app0.bin")),
    ]
)
env.Replace(ESP32_APP_OFFSET="0x10000")
