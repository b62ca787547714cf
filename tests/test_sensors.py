"""Drivers of image sensors against registers that behave as the sensors' do.

Numbers and bits are the data sheets', those in docs/cameras.md the published drivers'; no sensor
was at hand.
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pytest

from c_library import library
from lotor.board_camera import FORMATS
from lotor.resources import resource

OK, NO_ANSWER, WRONG_ID, NO_RESET, NO_MODE, BUS = range(6)

_Write = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint8, ctypes.c_uint8
)
_Read = ctypes.CFUNCTYPE(
    ctypes.c_bool,
    ctypes.c_void_p,
    ctypes.c_uint8,
    ctypes.c_uint16,
    ctypes.c_uint8,
    ctypes.POINTER(ctypes.c_uint8),
)
_Delay = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)


class CBus(ctypes.Structure):
    _fields_ = (
        ("context", ctypes.c_void_p),
        ("write", _Write),
        ("read", _Read),
        ("delay_ms", _Delay),
    )


class CMode(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_uint16),
        ("height", ctypes.c_uint16),
        ("format", ctypes.c_uint32),
        ("divider", ctypes.c_uint8),
        ("test_pattern", ctypes.c_bool),
    )


_Start = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(CBus), ctypes.POINTER(CMode))


class CSensor(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint8),
        ("reg_bytes", ctypes.c_uint8),
        ("has_rows_around", ctypes.c_bool),
        ("dividers", ctypes.c_uint64),
        ("start", _Start),
    )


@dataclass
class Sensor:
    """Registers of a sensor: banks, read-only ones, a reset that takes its time.

    Attributes:
        address: of 7 bits.
        reg_bytes: bytes of a register's number.
        ids: what cannot be written.
        reset: register, value that resets it, register whose bits say that it is done, those bits.
        power_up: values that a reset brings back; 0 for all others.
        bank: register that chooses the bank, if there are some.
        reset_ms: how long a reset takes; writes are lost meanwhile.
        quiet: does it not even acknowledge meanwhile?
        deaf_from: the transfer from which on nothing is acknowledged.
    """

    address: int
    reg_bytes: int
    ids: dict[tuple[int, int], int]
    reset: tuple[tuple[int, int], int, tuple[int, int], int]
    power_up: dict[tuple[int, int], int] = field(default_factory=dict)
    bank: int | None = None
    reset_ms: int = 7
    quiet: bool = False
    deaf_from: int = 1 << 30

    def __post_init__(self) -> None:
        self.values = {(1, 0x77): 0x77, (0, 0x12): 0x55}  # left behind by whoever ran before
        self.chosen = 0
        self.resetting = 0
        self.transfers = 0
        self.log: list[tuple[int, int, int]] = []  # bank, register, value: what took effect

    def _hears(self, address: int, reg_bytes: int) -> bool:
        self.transfers += 1
        assert reg_bytes == self.reg_bytes
        if address != self.address or self.transfers > self.deaf_from:
            return False
        return not (self.resetting and self.quiet)

    def write(self, address: int, reg: int, reg_bytes: int, value: int) -> bool:
        if not self._hears(address, reg_bytes):
            return False
        if self.resetting:
            return True  # acknowledged, and lost
        if reg == self.bank:
            self.chosen = value & 1
        key = (self.chosen, reg)
        if key not in self.ids:
            self.values[key] = value
            self.log.append((self.chosen, reg, value))
        if (key, value) == self.reset[:2]:
            self.resetting = self.reset_ms
            self.values = dict(self.power_up)
            if self.bank is not None:
                self.chosen = 0
            busy = self.reset[2]
            self.values[busy] = self.values.get(busy, 0) | self.reset[3]
        return True

    def read(self, address: int, reg: int, reg_bytes: int) -> int | None:
        if not self._hears(address, reg_bytes):
            return None
        bank = self.reset[2][0] if self.resetting else self.chosen
        return self.ids.get((bank, reg), self.values.get((bank, reg), 0))

    def delay(self, ms: int) -> None:
        if self.resetting:
            self.resetting = max(0, self.resetting - ms)
            if not self.resetting:
                busy, bits = self.reset[2:]
                self.values[busy] &= ~bits
                self.chosen = busy[0]

    def writes(self) -> list[tuple[int, int, int]]:
        return self.log


def make(name: str, **changes: Any) -> Sensor:
    if name == "ov7670":
        usual: dict[str, Any] = {
            "address": 0x21,
            "reg_bytes": 1,
            "ids": {(0, 0x0A): 0x76, (0, 0x0B): 0x73},
            "reset": ((0, 0x12), 0x80, (0, 0x12), 0x80),
            "power_up": {
                (0, 0x11): 0x80,
                (0, 0x17): 0x11,
                (0, 0x18): 0x61,
                (0, 0x19): 0x03,
                (0, 0x1A): 0x7B,
                (0, 0x32): 0x80,
                (0, 0x3A): 0x0D,
                (0, 0x3D): 0x88,
                (0, 0x40): 0xC0,
            },
        }
    elif name == "ov2640":
        usual = {
            "address": 0x30,
            "reg_bytes": 1,
            "ids": {(1, 0x0A): 0x26, (1, 0x0B): 0x42},
            "reset": ((1, 0x12), 0x80, (1, 0x12), 0x80),
            "power_up": {
                (1, 0x03): 0x0F,
                (1, 0x17): 0x11,
                (1, 0x18): 0x75,
                (1, 0x1A): 0x97,
                (1, 0x32): 0x36,
                (0, 0x05): 0x01,
                (0, 0x86): 0x0D,
                (0, 0xC2): 0x0C,
                (0, 0xE0): 0x04,
            },
            "bank": 0xFF,
        }
    else:
        usual = {
            "address": 0x24,
            "reg_bytes": 2,
            "ids": {(0, 0x0000): 0x01, (0, 0x0001): 0xB0},
            "reset": ((0, 0x0103), 0x01, (0, 0x0100), 0x01),
            "power_up": {
                (0, 0x0383): 0x01,
                (0, 0x0387): 0x01,
                (0, 0x2105): 0x01,
                (0, 0x2106): 0x54,
            },
        }
    return Sensor(**(usual | changes))


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    camera = resource("firmware", "camera")
    names = ["sensor.c", "ov7670.c", "ov2640.c", "hm01b0.c"]
    return library(tmp_path_factory.mktemp("sensors"), *(camera / name for name in names))


def start(
    drivers: Any,
    name: str,
    sensor: Sensor,
    size: tuple[int, int] = (160, 120),
    form: str | None = None,
    divider: int = 1,
    test_pattern: bool = False,
) -> int:
    def read(_: Any, address: int, reg: int, reg_bytes: int, to: Any) -> bool:
        value = sensor.read(address, reg, reg_bytes)
        if value is not None:
            to[0] = value
        return value is not None

    bus = CBus(
        None,
        _Write(lambda _, *rest: sensor.write(*rest)),
        _Read(read),
        _Delay(lambda _, ms: sensor.delay(ms)),
    )
    form = form or ("grey" if name == "hm01b0" else "rgb565")
    mode = CMode(*size, FORMATS.index(form), divider, test_pattern)
    driver = CSensor.in_dll(drivers, name)
    assert (driver.address, driver.reg_bytes) == (sensor.address, sensor.reg_bytes)
    return int(driver.start(ctypes.byref(bus), ctypes.byref(mode)))


NAMES = ["ov7670", "ov2640", "hm01b0"]
SIZES = [(160, 120), (320, 240)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["rgb565", "yuyv"])
def test_ov7670(drivers: Any, size: tuple[int, int], form: str) -> None:
    sensor = make("ov7670")
    assert start(drivers, "ov7670", sensor, size, form, divider=3) == OK
    rgb, small = form == "rgb565", size == (160, 120)
    have = {reg: value for (_, reg), value in sensor.values.items()}
    assert have[0x12] == (0x04 if rgb else 0x00)  # COM7
    assert have[0x40] == (0xD0 if rgb else 0xC0)  # COM15: full range, RGB565
    assert have[0x8C] == 0  # RGB444 off
    # TSLB, COM13: Y U Y V, with bit 0 or, in other versions of the data sheet, 1; no own window.
    assert (have[0x3A] & 9, have[0x3D] & 3) == (0, 0)
    assert have[0xB0] == 0x84
    # The window: 640 of 784 columns, 480 rows, neither at their place after a reset.
    across = have[0x17] << 3 | have[0x32] & 7, have[0x18] << 3 | have[0x32] >> 3 & 7
    down = have[0x19] << 2 | have[0x03] & 3, have[0x1A] << 2 | have[0x03] >> 2 & 3
    assert across == ((180, 36) if small else (176, 32)) and (across[1] - across[0]) % 784 == 640
    assert down == (10, 490)
    assert have[0x0C] == 0x04  # COM3
    step = 2 if small else 1
    assert (have[0x3E] & 0x1F, have[0x73] & 0x0F) == (0x18 | step, step)  # PCLK by 4 or 2
    assert have[0x72] == (0x22 if small else 0x11)  # rows and columns by 4 or 2
    assert (have[0x70] >> 7, have[0x71] >> 7) == (0, 0)  # no pattern
    assert have[0x15] == 0x20
    order = [reg for _, reg, _ in sensor.writes()]
    assert sensor.writes()[0] == (0, 0x12, 0x80)  # reset before everything else
    assert order[1] != 0x12 and order[-1] == 0x11  # COM7 not just after a read; CLKRC last


@pytest.mark.parametrize("divider", [1, 2, 6, 64])
def test_ov7670_divides_its_clock(drivers: Any, divider: int) -> None:
    """By CLKRC[5:0] + 1 with the doubler, bit 7, and by twice that without it."""
    sensor = make("ov7670")
    assert start(drivers, "ov7670", sensor, divider=divider) == OK
    clkrc = sensor.values[0, 0x11]
    assert not clkrc & 0x40  # it divides at all
    assert (2 * ((clkrc & 0x3F) + 1)) // (1 + (clkrc >> 7)) == divider


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["rgb565", "yuyv"])
def test_ov2640(drivers: Any, size: tuple[int, int], form: str) -> None:
    sensor = make("ov2640")
    assert start(drivers, "ov2640", sensor, size, form, divider=2) == OK
    dsp = {reg: value for (bank, reg), value in sensor.values.items() if bank == 0}
    own = {reg: value for (bank, reg), value in sensor.values.items() if bank == 1}
    assert own[0x12] == 0x40 and own[0x11] == 1  # SVGA, clock by 2
    window = [own[reg] for reg in (0x17, 0x18, 0x19, 0x1A, 0x32)]
    assert window == [0x11, 0x43, 0x00, 0x4B, 0x09]
    # With the low bits of REG32 and COM1, columns and rows counted in twos.
    assert 2 * ((own[0x18] << 3 | own[0x32] >> 3 & 7) - (own[0x17] << 3 | own[0x32] & 7)) == 800
    assert 2 * ((own[0x1A] << 2 | own[0x03] >> 2 & 3) - (own[0x19] << 2 | own[0x03] & 3)) == 600
    assert own[0x03] == 0x0A  # of SVGA; no dummy frames
    assert (8 * dsp[0xC0], 8 * dsp[0xC1], dsp[0x8C]) == (800, 600, 0)
    assert (4 * dsp[0x51], 4 * dsp[0x52]) == (800, 600)
    assert (4 * dsp[0x5A], 4 * dsp[0x5B], dsp[0x5C]) == (*size, 0)
    down, across = dsp[0x50] >> 3 & 7, dsp[0x50] & 7
    # What is left after halving is no smaller than the frame: the zoom only shrinks.
    assert 800 >> across >= size[0] and 600 >> down >= size[1]
    assert 800 >> across + 1 < size[0]
    assert dsp[0xDA] == (0x08 if form == "rgb565" else 0x00)  # bit 0 would swap bytes
    assert dsp[0x86] & 0x20  # it scales
    assert dsp[0xC2] & 0x1F == 0x0E  # makes YUV and RGB; U before V
    assert (dsp[0x05], dsp[0xE0]) == (0, 0)  # through the DSP, which runs
    assert sensor.writes()[:2] == [(1, 0xFF, 1), (1, 0x12, 0x80)]
    held = [w for w in sensor.writes() if w[:2] == (0, 0xE0)]
    assert [value for *_, value in held] == [4, 0]
    places = [sensor.writes().index(w) for w in held]
    sizes = [i for i, (b, r, _) in enumerate(sensor.writes()) if b == 0 and r in (0xC0, 0x5A, 0x50)]
    assert places[0] < min(sizes) and max(sizes) < places[1]


@pytest.mark.parametrize("size", SIZES)
def test_hm01b0(drivers: Any, size: tuple[int, int]) -> None:
    sensor, small = make("hm01b0"), size == (160, 120)
    assert start(drivers, "hm01b0", sensor, size, divider=4) == OK
    have = {reg: value for (_, reg), value in sensor.values.items()}
    assert (have[0x0383], have[0x0387], have[0x0390]) == ((3, 3, 3) if small else (1, 1, 0))
    assert have[0x3010] == 1 and have[0x3067] == 0 and have[0x3059] == 2
    assert have[0x3060] & 3 == 1  # by 4
    assert have[0x0340] << 8 | have[0x0341] >= size[1] + 2 + 2 * (not small)
    # Two rows of a frame are left to exposure's limit, or frames are left out.
    longest, frame = (have[reg] << 8 | have[reg + 1] for reg in (0x2105, 0x0340))
    assert longest == frame - 2
    assert have[0x0601] == 0
    assert sensor.writes()[0] == (0, 0x0103, 1)
    assert sensor.writes()[-2:] == [(0, 0x0104, 1), (0, 0x0100, 1)]  # holds, then streams
    assert [w for w in sensor.writes() if w[1] == 0x0100][:-1] == [(0, 0x0100, 0)]


@pytest.mark.parametrize(
    ("name", "bank", "reg", "bit"),
    [("ov7670", 0, 0x71, 0x80), ("ov2640", 1, 0x12, 0x02), ("hm01b0", 0, 0x0601, 0x01)],
)
def test_a_pattern_is_one_bit(drivers: Any, name: str, bank: int, reg: int, bit: int) -> None:
    plain, pattern = make(name), make(name)
    assert start(drivers, name, plain) == OK
    assert start(drivers, name, pattern, test_pattern=True) == OK
    assert plain.values[bank, reg] ^ pattern.values[bank, reg] == bit
    del plain.values[bank, reg], pattern.values[bank, reg]
    assert plain.values == pattern.values


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quiet", [False, True])
def test_nothing_is_written_into_a_reset(drivers: Any, name: str, quiet: bool) -> None:
    """A slow one is waited for, whether or not it acknowledges meanwhile."""
    quick, slow = make(name), make(name, reset_ms=60, quiet=quiet)
    assert start(drivers, name, quick) == start(drivers, name, slow) == OK
    assert slow.values == quick.values
    assert slow.writes() == quick.writes()


@pytest.mark.parametrize("name", NAMES)
def test_a_reset_that_never_ends(drivers: Any, name: str) -> None:
    sensor = make(name, reset_ms=10**6)
    assert start(drivers, name, sensor) == NO_RESET


@pytest.mark.parametrize("name", NAMES)
def test_nobody_answers(drivers: Any, name: str) -> None:
    sensor = make(name, deaf_from=0)
    assert start(drivers, name, sensor) == NO_ANSWER
    assert not sensor.writes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", [0, 1])
def test_another_sensor_is_left_alone(drivers: Any, name: str, which: int) -> None:
    sensor = make(name)
    key = list(sensor.ids)[which]
    sensor.ids[key] ^= 0x10
    assert start(drivers, name, sensor) == WRONG_ID
    assert [w for w in sensor.writes() if w[1] != 0xFF] == []


def test_every_ov2640_is_one(drivers: Any) -> None:
    for revision in (0x41, 0x42):
        sensor = make("ov2640")
        sensor.ids[1, 0x0B] = revision
        assert start(drivers, "ov2640", sensor) == OK


@pytest.mark.parametrize("name", NAMES)
def test_a_bus_that_fails_at_any_transfer(drivers: Any, name: str) -> None:
    whole = make(name)
    assert start(drivers, name, whole) == OK
    said = []
    for transfers in range(whole.transfers):
        sensor = make(name, deaf_from=transfers)
        said.append(start(drivers, name, sensor))
    assert OK not in said
    first, last = said.index(BUS), len(said) - 1
    assert set(said[:first]) == {NO_ANSWER} and said[last] == BUS
    assert set(said) == {NO_ANSWER, NO_RESET, BUS}


@pytest.mark.parametrize("name", NAMES)
def test_a_sensor_takes_the_dividers_that_it_names(drivers: Any, name: str) -> None:
    """All of them and no other; `sensor_divider` gives the next one."""
    driver = CSensor.in_dll(drivers, name)
    taken = [by for by in range(256) if start(drivers, name, make(name), divider=by) == OK]
    assert taken == ([1, 2, 4, 8] if name == "hm01b0" else list(range(1, 65)))
    drivers.sensor_divider.restype = ctypes.c_uint8
    for least in range(256):
        following = next((by for by in taken if by >= least), 0)
        assert drivers.sensor_divider(ctypes.byref(driver), ctypes.c_uint8(least)) == following


@pytest.mark.parametrize(
    ("name", "size", "form", "divider"),
    [
        ("ov7670", (160, 240), "rgb565", 1),
        ("ov7670", (640, 480), "yuyv", 1),
        ("ov7670", (160, 120), "grey", 1),
        ("ov7670", (160, 120), "rgb565le", 1),
        ("ov7670", (160, 120), "rgb565", 0),
        ("ov7670", (160, 120), "rgb565", 65),
        ("ov2640", (320, 120), "yuyv", 1),
        ("ov2640", (320, 240), "rgb888", 1),
        ("ov2640", (320, 240), "yuyv", 0),
        ("hm01b0", (160, 120), "yuyv", 1),
        ("hm01b0", (324, 244), "grey", 1),
        ("hm01b0", (160, 120), "grey", 3),
    ],
)
def test_modes_that_a_sensor_does_not_have(
    drivers: Any, name: str, size: tuple[int, int], form: str, divider: int
) -> None:
    sensor = make(name)
    assert start(drivers, name, sensor, size, form, divider) == NO_MODE
    assert sensor.transfers == 0
