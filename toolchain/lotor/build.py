"""Firmware images: models and a board -> ELF and binary, through PlatformIO.

An image lies in a folder named after everything that it is made of, so that a second build of the
same thing is found and not made again, and two builds give the same bytes. PlatformIO runs
on the operating system's `arm-none-eabi-gcc` and SCons from PyPI: a build needs no network.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lotor import framework, platformio
from lotor.board import Board, list_boards, load_board
from lotor.boot2 import seal
from lotor.device.uf2 import Uf2
from lotor.device.uf2 import write as write_uf2
from lotor.errors import LotorError
from lotor.files import locked
from lotor.graph import short_name
from lotor.image_sources import (
    MODELS_GROUP,
    ImageModel,
    SelfTest,
    arena_bytes,
    check_models,
    config_header,
    image_source,
    linker_script,
)
from lotor.resources import cache_dir, resource
from lotor.stack_usage import FLAGS as STACK_FLAGS
from lotor.stack_usage import StackUse, stack_use
from lotor.targets import find_target
from lotor.watch_image import FLASH_BYTES, camera_ram, watch_files

if TYPE_CHECKING:
    from lotor.compiler import Compiled
    from lotor.host import HostModel

PREFIX = "arm-none-eabi-"
# Of each compiler the Debian packages.
COMPILER_PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
}
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion")
# About what the firmware itself takes, flash and RAM (the link's buffers and the C library).
_FIRMWARE = 9_000, 5_300
_UPDATES = 3_200, 560  # more of both on a board that takes updates
_PROGRAM = 610_000, 99_000  # the same with the C library of Linux
_FRAMEWORK = 400_000, 65_536  # estimates, with Arduino's, its tasks and stacks
_LAYER_RAM = 12  # of the profile's table
_TRIES = 3  # every stripe is a layer more, and these take RAM, too
# What is left of a build; the first is written last.
_KEPT = ("image.json", "firmware.elf", "firmware.bin")
_UF2 = "firmware.uf2"
_STACK = "stack.json"
_SECOND = ("firmware1.elf", "firmware1.bin")  # the image linked for the other slot
_RAM_SECTIONS = (".stack", ".data", ".bss", ".noinit", ".arena")
# A program also has what the C library of Linux writes to.
_C_LIBRARY = (
    *(".tdata", ".tbss", ".init_array", ".fini_array", ".data.rel.ro", ".got", ".got.plt"),
    *("__libc_subfreeres", "__libc_IO_vtables", "__libc_atexit", "__libc_freeres_ptrs"),
)


@dataclass(frozen=True)
class Image:
    """A linked image.

    Attributes:
        board: the board's name.
        elf: the linked program, with debug information.
        bin: the bytes that go into flash.
        flash_bytes: flash it takes.
        ram_bytes: RAM it takes: stack, arena, buffers.
        arena_bytes: the arena that its models share.
        build_id: 20 bytes that differ whenever the image does; hello reports them.
        models: of each model its name, the SHA-256 of its .tflite (`hash`) and of its C
            (`program`), hexadecimal, and its target.
        breakdown: bytes of flash by purpose: weights, code (of the models), other.
        uf2: the same as `bin` as UF2, for a board whose file has a `build.uf2_family`.
        stack: the most stack that it can use; None where that is not computed.
        second: the bytes of the image linked for slot 1; `elf` and `bin` are those for slot 0.
            None for a board without updates.
    """

    board: str
    elf: Path
    bin: Path
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    build_id: bytes
    models: list[dict[str, str]]
    breakdown: dict[str, int]
    uf2: Path | None = None
    stack: StackUse | None = None
    second: Path | None = None


def firmware_flash(board: Board) -> int:
    """Return about how many bytes of flash an image takes beside its models."""
    return _own(board)[0] + (FLASH_BYTES if board.camera else 0)


def firmware_ram(board: Board, layers: int = 0) -> int:
    """Return about how many bytes of RAM an image takes beside the arena and the stack."""
    least = _own(board)[1] - board.spared_by_short_frames
    return least + _LAYER_RAM * layers + camera_ram(board.camera)


def _own(board: Board) -> tuple[int, int]:
    flash, ram = _FRAMEWORK if board.framework else _PROGRAM if board.linux else _FIRMWARE
    more = _UPDATES if board.update else (0, 0)
    return flash + more[0], ram + more[1]


def arena_room(board: Board, models: Sequence[ImageModel]) -> int:
    """Return about how many bytes a board has for the arena of an image, negative for none."""
    layers = max(len(model.report["layers"]) for model in models)
    return board.ram_limit - board.build.stack_bytes - firmware_ram(board, layers)


def in_stripes(
    board: Board, whole: "Compiled", compiled: Callable[[int], "Compiled"]
) -> "Compiled":
    """Return a model that fits a board's RAM, in stripes where it must.

    Args:
        board: which RAM counts.
        whole: the model without a limit; returned where it fits.
        compiled: compiles it for at most so many bytes of arena.

    Raises:
        RamError: stripes do not get it as small.
    """
    found = whole
    for _ in range(_TRIES):
        room = arena_room(board, [found])
        if found.plan.arena_bytes <= room:
            break
        found = compiled(max(1, room))
    return found


def program_hash(model: ImageModel) -> str:
    """Return the SHA-256 of a model's generated C, hexadecimal."""
    return hashlib.sha256(f"{model.header}\0{model.source}".encode()).hexdigest()


def self_test(model: "HostModel", seed: int = 1) -> SelfTest:
    """Compute on this machine what a board must get in its self-test.

    The input bytes are the top bytes of Marsaglia's xorshift32 stream (2003), one step each.

    Args:
        model: the model, for this machine.
        seed: of the stream, not 0.

    Returns:
        The seed and the CRC-32 over all outputs; none for a model with float inputs, where most
        bytes make no number.
    """
    tensors = model.compiled.graph.inputs
    if any(tensor.np_dtype.kind not in "iu" for tensor in tensors):
        return SelfTest()
    x, inputs = seed, []
    for tensor in tensors:
        data = bytearray(tensor.nbytes)
        for i in range(len(data)):
            x ^= x << 13 & 0xFFFFFFFF
            x ^= x >> 17
            x ^= x << 5 & 0xFFFFFFFF
            data[i] = x >> 24
        inputs.append(np.frombuffer(data, tensor.np_dtype).reshape(tensor.shape))
    model.reset()
    outputs = model.run(*inputs)
    model.reset()
    crc = 0
    for output in outputs if isinstance(outputs, tuple) else (outputs,):
        crc = zlib.crc32(output.tobytes(), crc)
    return SelfTest(seed, crc)


def build_firmware(
    board: Board,
    models: Sequence[ImageModel],
    build_dir: Path | None = None,
    tests: Sequence[SelfTest] = (),
) -> Image:
    """Build the image of a board that holds some models.

    Args:
        board: for which board.
        models: what the image can run; the order is the index on the link.
        build_dir: where images lie; a folder of the cache when None.
        tests: the self-test of each model; none when empty.

    Raises:
        LotorError: a model is for another target, a tool is missing, or the models do not fit
            (names region, need, limit and the next step).
    """
    check_models(models, board)
    _check_targets(board, models)
    _check_arena(board, models)
    _check_tools(board)
    tests = tests or [SelfTest() for _ in models]
    files = _files(board, models)
    build_id = _key(board, models, files, tests)[:20]
    files["image/lotor_image.c"] = image_source(models, tests, build_id, board)
    if board.framework:
        files = framework.source_tree(board, files)
    folder = image_folder(board.name, build_id, build_dir)
    root = folder.parent
    with locked(root / f"{folder.name}.lock"):
        if not all((folder / name).exists() for name in _kept(board)):
            shutil.rmtree(folder, ignore_errors=True)
            for name, text in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            _compile(board, models, folder)
            _finish(board, folder)
            _describe(board, models, build_id, folder)
        image = read_image(folder)
    _check_stack(board, image)
    return image


def _files(board: Board, models: Sequence[ImageModel]) -> dict[str, str]:
    """Return the files of an image that are written for it, but for those that need its id."""
    files = {"image/lotor_config.h": config_header(models, board)}
    if not board.framework:
        files["image.ld"] = linker_script(board)
    if board.update:
        files["image1.ld"] = linker_script(board, slot=1)
    for model in models:
        files[f"models/{model.name}.c"] = model.source
        files[f"models/{model.name}.h"] = model.header
    if board.camera:
        second = ticks_per_second(board)
        found = watch_files(models, board.camera, board.outputs, second)
        files |= {f"image/{name}": text for name, text in found.items()}
    return files


def ticks_per_second(board: Board) -> int:
    """Return how many of a board's ticks are a second; an emulated instruction takes 128 ns."""
    each = {"instructions": 7_812_500, "nanoseconds": 1_000_000_000}
    return each.get(board.ticks.unit, board.clock_hz)


def _key(
    board: Board,
    models: Sequence[ImageModel],
    files: Mapping[str, str],
    tests: Sequence[SelfTest],
) -> bytes:
    """Return a hash over everything that makes the image what it is."""
    key = hashlib.sha256()
    firmware = resource("firmware")
    parts = {name: text.encode() for name, text in files.items()} | {
        path.relative_to(firmware).as_posix(): path.read_bytes()
        for path in sorted(firmware.rglob("*"))
        if path.suffix in {".c", ".cpp", ".h", ".py", ".json", ".ini"} and ".pio" not in path.parts
    }
    parts["board"] = json.dumps(asdict(board), sort_keys=True).encode()
    parts["tests"] = repr(tests).encode()
    if not board.framework:  # the platform's, which platformio.ini pins
        parts["compiler"] = _compiler_version(tool_prefix(board)).encode()
    parts["flags"] = repr(_description(board, models, Path("image"))).encode()
    for name, data in sorted(parts.items()):
        key.update(f"{name} {len(data)}\n".encode() + data)
    return key.digest()


def _description(board: Board, models: Sequence[ImageModel], folder: Path) -> dict[str, Any]:
    """Return what the builder of our PlatformIO platform wants to know."""
    firmware = Path("firmware") if folder == Path("image") else resource("firmware").resolve()
    common = ["-DLOTOR_PROFILE"]
    # Several models are compiled alike.
    wanted = sorted({str(model.report.get("compiler_flag", "-O3")) for model in models})
    quick, small = [*common, wanted[0]], [*common, "-Os"]
    sources = {
        "server": (firmware / "src", small),
        "core": (firmware / "hal/cortex_m", small),
        "hal": (firmware / "hal" / board.hal.name, small),
        "image": (folder / "image", small),
        MODELS_GROUP: (folder / "models", quick),
    }
    if board.camera:
        sources |= {name: (firmware / name, small) for name in ("camera", "watch")}
    link_flags = [
        "-nostartfiles",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,--no-warn-rwx-segments",
    ]
    # The C library's functions for memory are larger than need be, for speed.
    libraries = ["c_nano" if wanted[0] == "-Os" else "c", "m", "gcc"]
    objcopy = ["-O", "binary"]
    if board.update:
        sources["update"] = (firmware / "update", small)
    if board.linux:
        del sources["core"]
        sources["server"] = (firmware / "src", [*small, "-Dmain=lotor_main"])
        sources["hal"] = (firmware / "hal" / board.hal.name, [*small, "-D_GNU_SOURCE"])
        link_flags = ["-static", "-no-pie", *link_flags[1:]]
        libraries, objcopy = ["m"], ["--strip-all"]
    return {
        "prefix": tool_prefix(board),
        "cpu_flags": list(find_target(board.target).flags),
        "flags": [
            *WARNINGS,
            "-g",
            "-ffunction-sections",
            "-fdata-sections",
            "-fno-common",
            *STACK_FLAGS,
        ],
        "link_flags": link_flags,
        "libraries": libraries,
        "objcopy": objcopy,
        "include": [str(firmware / "include"), str(folder / "image"), str(folder / "models")],
        "linker_script": str(folder / "image.ld"),
        **({"second_linker_script": str(folder / "image1.ld")} if board.update else {}),
        "sources": {
            group: {"folder": str(path), "flags": flags, "filter": "+<*.c>"}
            for group, (path, flags) in sources.items()
        },
        "prefix_map": {str(firmware): "firmware", str(folder): "image"},
    }


def _compile_with_framework(board: Board, models: Sequence[ImageModel], folder: Path) -> None:
    flags = sorted({str(model.report.get("compiler_flag", "-O3")) for model in models})
    framework.write_description(board, folder, flags[:1])
    try:
        framework.run(board, folder)
    except subprocess.CalledProcessError as error:
        (folder / "build.log").write_text(error.output, encoding="utf-8")
        raise _build_error(board, models, error.output, folder) from error
    for name in _KEPT[1:]:
        shutil.copy(folder / "out" / board.build.env / name, folder / name)


def _compile(board: Board, models: Sequence[ImageModel], folder: Path) -> None:
    if board.framework:
        _compile_with_framework(board, models, folder)
        return

    def examine(objects: Path) -> None:
        if tool_prefix(board) == PREFIX:  # Linux's C library calls through pointers everywhere
            usage, groups = objects.rglob("*.su"), (MODELS_GROUP, "image")
            found = stack_use(objects / "firmware.elf", usage, PREFIX, groups)
            (folder / _STACK).write_text(json.dumps(asdict(found)), encoding="utf-8")

    status, output = platformio.build(
        folder, board.build.env, _description(board, models, folder), _linked(board), examine
    )
    if status:
        raise _build_error(board, models, output, folder)


def _linked(board: Board) -> tuple[str, ...]:
    """Return the files that linking makes."""
    return _KEPT[1:] if board.update is None else (*_KEPT[1:], *_SECOND)


def _kept(board: Board) -> tuple[str, ...]:
    # With updates UF2 also holds the boot loader: see `flash_content`.
    uf2 = () if board.build.uf2_family is None or board.update else (_UF2,)
    return (*_KEPT[:1], *_linked(board), *uf2)


def _finish(board: Board, folder: Path) -> None:
    """Write what linking leaves open: the CRC-32 of a boot stage, and the image as UF2."""
    elf, binary = folder / "firmware.elf", folder / "firmware.bin"
    if board.memory.boot and not board.update:
        seal(elf, binary, PREFIX + "objdump")
    if board.build.uf2_family is not None and not board.update:
        first = board.memory.boot or board.memory.flash
        content = Uf2(board.build.uf2_family, first.origin, binary.read_bytes())
        (folder / _UF2).write_bytes(write_uf2(content))


def _build_error(
    board: Board, models: Sequence[ImageModel], output: str, folder: Path
) -> LotorError:
    over = dict(re.findall(r"region [`'](\w+)' overflowed by (\d+) bytes", output))
    for region, limit in (("FLASH", board.flash_limit), ("RAM", board.ram_limit)):
        if region in over:
            return _too_large(board, models, region.lower(), limit + int(over[region]), limit)
    wrong = re.findall(r"^.*(?:undefined reference|(?<!collect2: )[Ee]rror:).*$", output, re.M)
    first = wrong[0] if wrong else output.strip()[-200:]
    log = folder.with_suffix(".log")
    shutil.move(folder / "build.log", log)
    return LotorError(f"the firmware does not build: {first.strip()}; all of it is in {log}")


def _check_targets(board: Board, models: Sequence[ImageModel]) -> None:
    for model in models:
        if model.target.name not in (board.target, "portable"):
            raise LotorError(
                f"{model.name} is compiled for target {model.target.name}, board {board.name} "
                f"needs {board.target} or portable: `--target {board.target}`"
            )


def _check_arena(board: Board, models: Sequence[ImageModel]) -> None:
    """Refuse before compiling what cannot fit."""
    missing = arena_bytes(models) - arena_room(board, models)
    if missing > 0:
        raise _too_large(board, models, "ram", board.ram_limit + missing, board.ram_limit)
    weights = sum(int(model.report.get("weights_bytes", 0)) for model in models)
    if weights > board.flash_limit:
        raise _too_large(board, models, "flash", weights, board.flash_limit)


def _too_large(
    board: Board, models: Sequence[ImageModel], region: str, need: int, limit: int
) -> LotorError:
    names = " and ".join(model.name for model in models)
    detail = ""
    if region == "ram":
        frame = f", {board.camera.frame_bytes} a camera's frame" if board.camera else ""
        detail = f" ({arena_bytes(models)} of them the arena{frame})"
    fits = [
        other.name
        for other in map(load_board, list_boards())
        if (other.ram_limit if region == "ram" else other.flash_limit) >= need
    ]
    step = f"a board with more: {', '.join(fits)}" if fits else "no known board has more"
    stripes = _stripes(board, models, need - limit) if region == "ram" else ""
    return LotorError(
        f"{names} does not fit {board.name}: {region} needs {need} bytes{detail}, it has {limit}; "
        f"{stripes}take a smaller model or {step}"
    )


def _check_stack(board: Board, image: Image) -> None:
    """Refuse an image that can use more stack than there is, or than the budget has."""
    use = image.stack
    if use and use.bytes > board.stack_limit:
        names = " and ".join(model["name"] for model in image.models)
        key = "build" if board.stack_limit == board.build.stack_bytes else "budget"
        raise LotorError(
            f"{names} does not fit {board.name}: the stack may need {use.bytes} bytes "
            f"({use.exception_bytes} of them an interrupt's; deepest: {' > '.join(use.path)}), it "
            f"has {board.stack_limit}; take a smaller model or raise '{key}.stack_bytes' in the "
            "board file"
        )


def _stripes(board: Board, models: Sequence[ImageModel], missing: int) -> str:
    """Return which layer needs most, and how stripes may help."""
    largest = max(models, key=lambda model: int(model.report.get("arena_bytes", 0)))
    peaks = largest.report.get("peak", {}).get("layers", [])
    layers = [layer for layer in largest.report.get("layers", []) if layer.get("index") in peaks]
    room = arena_bytes(models) - missing
    if not layers or room <= 0:
        return ""
    layer = layers[0]
    borders = {
        kind: sum(int(tensor["bytes"]) for tensor in largest.report[f"{kind}s"])
        for kind in ("input", "output")
    }
    for kind, size in borders.items():
        if size > room:
            return (
                f"no stripes (`--ram`) help, for its {kind} alone has {size} and there is room for "
                f"{room}; "
            )
    return (
        f"its {layer['kind']} {short_name(layer['name'])} needs {layer['live_bytes']} at once: "
        f"`--ram {room}` runs it in stripes if that suffices (`lotor inspect` with `--board "
        f"{board.name}` says so), or "
    )


def _describe(board: Board, models: Sequence[ImageModel], build_id: bytes, folder: Path) -> None:
    """Write image.json; it is the last file, and says that the folder is complete."""
    if board.framework:
        sizes = framework.sections(board, folder, arena_bytes(models))
    else:
        sizes = _sections(folder / "firmware.elf", tool_prefix(board))
    flash = (folder / "firmware.bin").stat().st_size
    ram = sum(sizes.get(name, 0) for name in (*_RAM_SECTIONS, *_C_LIBRARY))
    # A program's limits are none of the linker's.
    for region, need, limit in (("flash", flash, board.flash_limit), ("ram", ram, board.ram_limit)):
        if need > limit:
            raise _too_large(board, models, region, need, limit)
    weights, code = sizes[".weights"], sizes[".kernels"]
    about = {
        "board": board.name,
        "flash_bytes": flash,
        "ram_bytes": ram,
        "arena_bytes": arena_bytes(models),
        "build_id": build_id.hex(),
        "models": [
            {
                "name": model.name,
                "hash": model.model_hash,
                "target": model.target.name,
                "program": program_hash(model),
            }
            for model in models
        ],
        "breakdown": {"weights": weights, "code": code, "other": flash - weights - code},
    }
    text = json.dumps(about, indent=2)
    (folder / "image.json.new").write_text(text, encoding="utf-8")
    (folder / "image.json.new").rename(folder / "image.json")


def image_folder(board: str, build_id: bytes, build_dir: Path | None = None) -> Path:
    """Return the folder where a board's image with this id is built, whether it is there or not.

    Args:
        board: the board's name.
        build_id: 20 bytes, as in `Image`.
        build_dir: where images are built; in the cache when None.
    """
    root = (build_dir or cache_dir() / "firmware").absolute()
    return root / f"{board}-{build_id.hex()[:16]}"


def read_image(folder: Path) -> Image:
    """Return the image that was built in a folder."""
    about = json.loads((folder / "image.json").read_text(encoding="utf-8"))
    about["build_id"] = bytes.fromhex(about["build_id"])
    uf2 = folder / _UF2
    about["uf2"] = uf2 if uf2.exists() else None
    stack = folder / _STACK
    about["stack"] = StackUse(**json.loads(stack.read_text())) if stack.exists() else None
    second = folder / _SECOND[1]
    about["second"] = second if second.exists() else None
    return Image(elf=folder / "firmware.elf", bin=folder / "firmware.bin", **about)


def tool_prefix(board: Board) -> str:
    """Return what the names of a board's compiler and of its tools begin with."""
    return find_target(board.target).compiler.removesuffix("gcc")


def _sections(elf: Path, prefix: str) -> dict[str, int]:
    """Return the bytes of every section."""
    listed = subprocess.run(
        [prefix + "size", "-A", "-d", elf], capture_output=True, text=True, check=True
    ).stdout
    return {name: int(size) for name, size in re.findall(r"^([._]\S+)\s+(\d+)", listed, re.M)}


def _check_tools(board: Board) -> None:
    compiler = tool_prefix(board) + "gcc"
    if not board.framework and not shutil.which(compiler):
        packages = COMPILER_PACKAGES.get(compiler, compiler)
        raise LotorError(f"{compiler} is missing: `sudo apt-get install {packages}`")
    for module in ("platformio", "SCons"):
        if importlib.util.find_spec(module) is None:
            raise LotorError(f"{module.lower()} is missing: `pip install 'lotor[flash]'`")


@cache
def _compiler_version(prefix: str) -> str:
    return subprocess.run(
        [prefix + "gcc", "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
