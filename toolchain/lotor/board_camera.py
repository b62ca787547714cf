"""A board's camera and outputs: what `[camera]` and `[outputs.NAME]` of its file may say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lotor.errors import LotorError
from lotor.suggest import did_you_mean

FORMATS = ("rgb888", "rgb565", "rgb565le", "yuyv", "grey")
"""Of the pixels that a camera hands over, as numbers on the link: their places here."""
FORMAT_BYTES = {"rgb888": 3, "rgb565": 2, "rgb565le": 2, "yuyv": 2, "grey": 1}
KINDS = ("synthetic", "ov7670", "ov2640", "hm01b0")
"""Likewise. A synthetic camera is fed over the link."""
CAPTURES = {"nrf5x": ("ov7670",)}
"""Families of chips that take frames off a sensor's parallel bus, and of which sensors.

An nRF52 looks at every byte by itself, which is too slow for what the others send.
"""
SWITCHES = ("cmsdk", "nrf5x", "rp2")
"""Families of chips that can switch an output."""
SERVOS = ("rp2",)
"""Families of chips that can turn a servo."""
MOST_OUTPUTS = 8

_LARGEST = 1024  # pixels in a side
_SHORTEST_US, _LONGEST_US = 300, 3000  # of a pulse; usual ones are 500 to 2500
_BUS = ("sda", "scl", "xclk", "pclk", "vsync", "href", *(f"d{bit}" for bit in range(8)))
_OPTIONAL = ("reset", "pwdn")
# What a kind can be set to: sizes (None: any), formats, pins that it needs and may have.
_SIZES = {kind: ((160, 120), (320, 240)) for kind in KINDS[1:]}
_FORMATS = {
    "synthetic": FORMATS,
    "ov7670": ("rgb565", "yuyv"),
    "ov2640": ("rgb565", "yuyv"),
    "hm01b0": ("grey",),
}
_PINS = {
    "synthetic": ((), ()),
    "ov7670": (_BUS, _OPTIONAL),
    "ov2640": (_BUS, _OPTIONAL),
    "hm01b0": (_BUS, ()),  # it has neither: it is reset over its bus
}


@dataclass(frozen=True)
class Camera:
    """A camera: its kind, the size of its frames in pixels, their format, its pins by name."""

    kind: str
    width: int
    height: int
    format: str
    pins: Mapping[str, int] = field(default_factory=dict)

    @property
    def frame_bytes(self) -> int:
        """Bytes of RAM of a frame, which the firmware holds as RGB888."""
        return 3 * self.width * self.height


@dataclass(frozen=True)
class Servo:
    """A servo, which goes where the length of its pulses says; all in microseconds.

    Attributes:
        min_us: the shortest pulse.
        max_us: the longest one.
        rest_us: where it is off, also from the start on.
        act_us: where it is on, unless the host asks for another place.
    """

    min_us: int
    max_us: int
    rest_us: int
    act_us: int


@dataclass(frozen=True)
class Output:
    """A pin that an alarm or the host switches on.

    Attributes:
        pin: its number, as the family counts.
        max_on_ms: milliseconds that it is on at most.
        rest_ms: milliseconds that it is off at least, afterwards and after a start.
        active: the level that is on, "high" or "low".
        servo: it is no switch but a servo.
    """

    pin: int
    max_on_ms: int
    rest_ms: int
    active: str = "high"
    servo: Servo | None = None


def hello_bytes(camera: Camera | None, outputs: Mapping[str, Output]) -> int:
    """Return what they take of the answer to hello: see docs/link.md."""
    servos = sum(output.servo is not None for output in outputs.values())
    return (13 if camera else 0) + sum(12 + len(name) for name in outputs) + 12 * servos


def check_camera(camera: Camera, family: str, where: str) -> None:
    """Check what types cannot say of a camera.

    Args:
        camera: as the file has it.
        family: of the chip: `hal.name`.
        where: the file, for messages.

    Raises:
        LotorError: names the key.
    """
    choose(where, "camera.kind", camera.kind, KINDS)
    kind = camera.kind
    choose(where, "camera.format", camera.format, _FORMATS[kind], f" for {kind}")
    size = camera.width, camera.height
    for key, side in zip(("width", "height"), size, strict=True):
        if not 1 <= side <= _LARGEST:
            raise LotorError(f"{where}: 'camera.{key}' is {side}; it may be 1 to {_LARGEST} pixels")
    if size not in _SIZES.get(kind, (size,)):
        known = " or ".join(f"{w} x {h}" for w, h in _SIZES[kind])
        raise LotorError(f"{where}: a frame of {size[0]} x {size[1]}; {kind} gives {known}")
    if camera.format == "yuyv" and camera.width % 2:
        raise LotorError(f"{where}: 'camera.width' is {size[0]}; yuyv has pixels in pairs")
    _check_pins(camera, where)
    if kind != "synthetic" and kind not in CAPTURES.get(family, ()):
        raise LotorError(
            f"{where}: 'camera.kind' is '{kind}', and family {family} takes no frames of one yet "
            "(docs/cameras.md); 'synthetic' is fed over the link"
        )


def _check_pins(camera: Camera, where: str) -> None:
    needed, more = _PINS[camera.kind]
    for name, pin in camera.pins.items():
        if not needed:
            raise LotorError(f"{where}: 'camera.pins.{name}': a {camera.kind} camera has no pins")
        choose(where, "camera.pins", name, (*needed, *more), f" for {camera.kind}")
        if not 0 <= pin < 256:
            raise LotorError(f"{where}: 'camera.pins.{name}' is {pin}; it may be 0 to 255")
    if missing := [name for name in needed if name not in camera.pins]:
        raise LotorError(f"{where}: the key 'camera.pins.{missing[0]}' is missing")
    places = list(camera.pins.items())
    for at, (name, pin) in enumerate(places):
        for other, its in places[:at]:
            if its == pin:
                raise LotorError(f"{where}: 'camera.pins.{name}' and '{other}' are both {pin}")


def check_outputs(outputs: Mapping[str, Output], family: str, where: str) -> None:
    """Check what types cannot say of outputs.

    Raises:
        LotorError: names the key.
    """
    if outputs and family not in SWITCHES:
        raise LotorError(
            f"{where}: [outputs]: family {family} switches none yet; {' and '.join(SWITCHES)} do"
        )
    if len(outputs) > MOST_OUTPUTS:
        raise LotorError(f"{where}: {len(outputs)} outputs; a board has at most {MOST_OUTPUTS}")
    pins: dict[int, str] = {}
    for name, output in outputs.items():
        if not (name.isascii() and name.isidentifier() and len(name) <= 24):
            raise LotorError(
                f"{where}: 'outputs.{name}': a name has at most 24 letters, digits and _"
            )
        choose(where, f"outputs.{name}.active", output.active, ("high", "low"))
        if not 0 <= output.pin < 256:
            raise LotorError(f"{where}: 'outputs.{name}.pin' is {output.pin}; it may be 0 to 255")
        if output.pin in pins:
            raise LotorError(
                f"{where}: 'outputs.{name}' and '{pins[output.pin]}' are both on pin {output.pin}"
            )
        pins[output.pin] = name
        if family == "rp2" and not 2 <= output.pin < 30:
            raise LotorError(
                f"{where}: 'outputs.{name}.pin' is {output.pin}; it may be 2 to 29, as 0 and 1 are "
                "the link"
            )
        if output.servo:
            _check_servo(name, output, output.servo, outputs, family, where)
        for key, value, most in (
            ("max_on_ms", output.max_on_ms, 600_000),
            ("rest_ms", output.rest_ms, 86_400_000),
        ):
            if not 1 <= value <= most:
                raise LotorError(
                    f"{where}: 'outputs.{name}.{key}' is {value}; it may be 1 to {most}"
                )


def _check_servo(
    name: str,
    output: Output,
    servo: Servo,
    outputs: Mapping[str, Output],
    family: str,
    where: str,
) -> None:
    if family not in SERVOS:
        raise LotorError(
            f"{where}: 'outputs.{name}.servo': family {family} turns no servo yet; "
            f"{' and '.join(SERVOS)} does"
        )
    if output.active != "high":
        raise LotorError(f"{where}: 'outputs.{name}.active': a servo's pulses are high")
    key = f"outputs.{name}.servo"
    if not _SHORTEST_US <= servo.min_us < servo.max_us <= _LONGEST_US:
        raise LotorError(
            f"{where}: '{key}' has pulses of {servo.min_us} to {servo.max_us} us; they may be "
            f"{_SHORTEST_US} to {_LONGEST_US}"
        )
    for place, us in (("rest_us", servo.rest_us), ("act_us", servo.act_us)):
        if not servo.min_us <= us <= servo.max_us:
            raise LotorError(
                f"{where}: '{key}.{place}' is {us}; it may be {servo.min_us} to {servo.max_us}"
            )
    for other, its in outputs.items():
        if other != name and its.servo and its.pin % 16 == output.pin % 16:
            raise LotorError(
                f"{where}: 'outputs.{name}' and '{other}' are servos on one channel of the PWM: "
                "pins 16 apart are"
            )


def choose(where: str, key: str, value: str, known: tuple[str, ...], whose: str = "") -> None:
    """Refuse a value that is not among those known.

    Raises:
        LotorError: names the key, and what was probably meant.
    """
    if value not in known:
        raise LotorError(
            f"{where}: '{key}' is '{value}'{did_you_mean(value, known)}; it may be "
            f"{' or '.join(known)}{whose}"
        )
