"""A servo of the emulated Pico: real firmware turns it, and the PWM's registers say where to."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lotor.board import Board, read_board
from lotor.build import build_firmware
from lotor.device import emulator, emulator_programs
from lotor.device.link import ErrorCode
from lotor.device.messages import ServoInfo
from lotor.device.session import DeviceError, Session
from lotor.device.watch import Watching
from lotor.errors import LotorError
from lotor.resources import resource
from lotor.sentinel.actions import Cause
from lotor.sentinel.actions.board import BoardOutput, Options
from pico_power import Power
from tiny_model import TinyModel

pytestmark = [
    pytest.mark.xdist_group("pico"),
    pytest.mark.skipif(
        not (
            shutil.which("arm-none-eabi-gcc")
            and shutil.which("node")
            and (emulator_programs.SCRIPTS / "rp2040" / "node_modules").is_dir()
        ),
        reason="needs arm-none-eabi-gcc, node and `make setup-dev`",
    ),
]

CAUSE = Cause("raccoon", "garden", 1.0)
OUTPUTS = """
[camera]
kind = "synthetic"
width = 16
height = 16
format = "grey"

[outputs.lamp]
pin = 5
max_on_ms = 500
rest_ms = 1

[outputs.arm]
pin = 19
max_on_ms = 40
rest_ms = 10
servo = { min_us = 600, max_us = 2400, rest_us = 1000, act_us = 2000 }
"""


@dataclass
class Pico:
    """A Pico that runs; its link, and its registers as its core sees them."""

    url: str
    power: Power

    @property
    def pulse_us(self) -> float:
        """How long pin 19 is high in a period: channel B of slice 1 of the PWM (4.5.3)."""
        slice_1, clock_mhz = 0x4005_0014, 125
        divider = self.power("word", slice_1 + 0x04) / 16
        return float((self.power("word", slice_1 + 0x0C) >> 16) * divider / clock_mhz)

    @property
    def period_us(self) -> float:
        divider = self.power("word", 0x4005_0014 + 0x04) / 16
        return float((self.power("word", 0x4005_0014 + 0x10) + 1) * divider / 125)

    def pass_ms(self, session: Session, ms: int) -> None:
        """Let time go on, which it does only while the board works."""
        begin = session.statistics().ticks or 0
        while (session.statistics().ticks or 0) - begin < ms * 125_000:
            session.request(0x0B, bytes(500))  # echo


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    text = resource("boards", "pico.toml").read_text(encoding="utf-8")
    text = re.sub(r"\[update\].*?\n\n", "", text, flags=re.S)
    path = tmp_path_factory.mktemp("boards") / "pico-servo.toml"
    path.write_text(text + OUTPUTS, encoding="utf-8")
    return read_board(path)


@pytest.fixture(scope="module")
def pico(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pico]:
    folder = tmp_path_factory.mktemp("image")
    image = build_firmware(board, [TinyModel("tiny")], folder)
    with (
        emulator.private(board, image.elf, folder, "--control", str(folder / "power")) as url,
        Power(folder / "power") as power,
    ):
        yield Pico(url, power)


@pytest.fixture
def session(pico: Pico) -> Iterator[Session]:
    with Session.open(pico.url) as session:
        session.output(1, 0)
        pico.pass_ms(session, 12)  # it has rested
        yield session


def test_it_rests_from_the_start_on(pico: Pico, session: Session) -> None:
    assert session.greeting.servos == (ServoInfo(1, 600, 2400, 1000, 2000),)
    assert [output.name for output in session.greeting.outputs] == ["lamp", "arm"]
    assert (pico.pulse_us, pico.period_us) == (1000, 20_000)
    assert pico.power("word", 0x4001_4000 + 8 * 19 + 4) & 31 == 4  # FUNCSEL: PWM (2.19.6.1)
    assert pico.power("word", 0x4005_0014) & 1  # CSR: EN


def test_it_turns_and_returns_by_itself(pico: Pico, session: Session) -> None:
    assert session.output(1, 60_000) == 40  # no longer than its file says
    assert pico.pulse_us == 2000
    pico.pass_ms(session, 45)
    assert pico.pulse_us == 1000
    state = Watching(session).state()
    assert state.lit == 0 and 40 <= state.longest_ms <= 45


def test_it_goes_where_it_is_asked_to_within_its_reach(pico: Pico, session: Session) -> None:
    session.output(1, 30, 2400)
    assert pico.pulse_us == 2400
    session.output(1, 30, 700)  # it is on, and stays so
    assert pico.pulse_us == 2400
    session.output(1, 0)
    assert pico.pulse_us == 1000
    for index, pulse in ((1, 599), (1, 2401), (1, 0), (0, 1000)):
        with pytest.raises(DeviceError) as refusal:
            session.output(index, 30, pulse)
        assert refusal.value.code == ErrorCode.OUT_OF_RANGE
    assert pico.pulse_us == 1000
    pico.pass_ms(session, 12)
    session.output(1, 30)
    assert pico.pulse_us == 2000  # where its file says again


def test_a_lamp_beside_it_is_a_pin(pico: Pico, session: Session) -> None:
    out = 0xD000_0010  # SIO: GPIO_OUT (2.3.1.7)
    session.output(0, 0)
    assert not pico.power("word", out) >> 5 & 1
    session.output(0, 30)
    assert pico.power("word", out) >> 5 & 1
    pico.pass_ms(session, 35)
    assert not pico.power("word", out) >> 5 & 1


def test_the_sentinel_turns_it(pico: Pico, session: Session) -> None:
    session.close()
    device = BoardOutput("shoo", Options(pico.url, "arm", 1700), Path())
    assert device.describe() == f"turn arm of the board {pico.url} to 1700 us"
    device.on(CAUSE, 0.03)
    assert pico.pulse_us == 1700
    device.off()
    assert pico.pulse_us == 1000
    device.close()
    for output, pulse, said in (
        ("arm", 2500, "'options.pulse_us' is 2500, and may be 600 to 2400: see arm of"),
        ("lamp", 1000, "'options.pulse_us' is 1000, and is for servos: see lamp of"),
    ):
        device = BoardOutput("shoo", Options(pico.url, output, pulse), Path())
        with pytest.raises(LotorError, match=said):
            device.on(CAUSE, 0.03)
        device.off()  # which always may be
        device.close()


@pytest.mark.parametrize("name", ["mps2-an386", "nano33ble-ov7670", "pi-a72"])
def test_other_families_refuse_a_servo_by_name(name: str, tmp_path: Path) -> None:
    text = resource("boards", f"{name}.toml").read_text(encoding="utf-8")
    servo = OUTPUTS[OUTPUTS.index("[outputs.arm]") :]
    path = tmp_path / "mine.toml"
    path.write_text(text + "\n" + servo, encoding="utf-8")
    with pytest.raises(LotorError, match=r"mine.toml: .*family (cmsdk|nrf5x|linux)"):
        read_board(path)
