"""The report of a board's tests, the small model that they flash, and watching a board."""

import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from fake_board import HELLO, FakeBoard, Reply, answer, item
from lotor.build import image_folder
from lotor.device.hil import HilReport, default_model, read_junit, run_hil
from lotor.device.link import LOG, Frame, encode
from lotor.device.messages import Hello
from lotor.device.monitor import Event, elf_of, source_of, watch
from lotor.device.ports import Busy, Port, locate
from lotor.errors import LotorError
from lotor.resources import resource
from tflite_builder import ModelBuilder, Quant

REPORT = """<?xml version="1.0"?><testsuites><testsuite name="pytest" errors="1" failures="2"
skipped="1" tests="6" time="4.5"><testcase name="good" /><testcase name="also good" />
<testcase name="odd"><skipped message="cannot" /></testcase>
<testcase name="frames"><properties><property name="board" value="b" /><property name="outcome"
value="protocol" /></properties><failure message="assert [] == [1]&#10;more">trace</failure>
</testcase>
<testcase name="layers"><properties><property name="outcome" value="mismatch" /></properties>
<failure message="layer 3 (conv) differs first">trace</failure></testcase>
<testcase name="silent"><properties><property name="outcome" value="no-boot" /></properties>
<error message="did not answer">trace</error></testcase></testsuite></testsuites>"""


def report(tmp_path: Path, text: str) -> HilReport:
    path = tmp_path / "junit.xml"
    path.write_text(text)
    return read_junit(path, "b", "m")


def test_a_report_counts_and_names_the_gravest_outcome(tmp_path: Path) -> None:
    found = report(tmp_path, REPORT)
    assert (found.tests, found.passed, len(found.failures), found.skipped) == (6, 2, 3, 1)
    assert [f.outcome for f in found.failures] == ["protocol", "mismatch", "no-boot"]
    assert found.failures[0].message == "assert [] == [1]"
    assert found.outcome == "no-boot"
    assert report(tmp_path, REPORT.replace("no-boot", "flash-error")).outcome == "flash-error"
    assert report(tmp_path, REPORT.replace("no-boot", "mismatch")).outcome == "protocol"
    assert "layer 3 (conv) differs first" in str(found)


def test_no_failure_is_a_pass_only_when_something_ran(tmp_path: Path) -> None:
    empty = '<testsuites><testsuite errors="0" failures="0" skipped="{}" tests="{}" /></testsuites>'
    assert report(tmp_path, empty.format(1, 3)).outcome == "passed"
    assert report(tmp_path, empty.format(3, 3)).outcome == "no tests ran"
    assert report(tmp_path, empty.format(0, 0)).outcome == "no tests ran"


def test_tests_that_ended_before_their_time_did_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))  # another test may hold this board
    junit = tmp_path / "junit.xml"
    status = 0

    def pytest_run(*_: object, **__: object) -> SimpleNamespace:
        junit.write_text('<testsuites><testsuite tests="3" /></testsuites>')
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr("lotor.device.hil.subprocess.run", pytest_run)
    assert run_hil("netduinoplus2", junit=junit).outcome == "passed"
    for status in (2, 3, 4, -9):
        with pytest.raises(LotorError, match=f"pytest ended with status {status} before"):
            run_hil("netduinoplus2", junit=junit)
    with pytest.raises(LotorError, match=r"cannot write the report .*; give another --junit"):
        run_hil("netduinoplus2", junit=tmp_path)


def test_a_board_whose_port_is_in_use_is_not_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeBoard() as board:
        monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path))
        monkeypatch.setattr("lotor.device.hil.running", lambda _: True)
        monkeypatch.setattr("lotor.device.hil.locate", lambda _: (board.url, 115200))
        port = Port(board.url)
        with pytest.raises(Busy, match=f"port {board.url} is busy"):
            run_hil("netduinoplus2", junit=tmp_path / "junit.xml")
        port.close()


def test_the_small_model_is_what_this_says() -> None:
    """Two inputs and two outputs; all but the last longer than a frame of the link."""
    m = ModelBuilder(seed=3)
    a, b = (m.input((1, 18, 16, 4), Quant(0.05, zero)) for zero in (-3, 7))
    features = m.conv2d(m.add(a, b), channels=6, kernel=(3, 3), activation="RELU")
    m.output(features, m.softmax(m.fully_connected(m.mean(features, (1, 2)), units=5)))
    assert resource("hil_tests", "hil_small.tflite").read_bytes() == m.build()


def test_the_model_for_a_board_of_little_ram_is_what_this_says() -> None:
    m = ModelBuilder(seed=5)
    x = m.conv2d(m.input((1, 24, 24, 1)), 4, stride=(2, 2), activation="RELU")
    x = m.conv2d(m.depthwise_conv2d(x, kernel=(3, 3), stride=(2, 2)), channels=8, kernel=(1, 1))
    m.output(m.softmax(m.fully_connected(m.mean(x), units=3)))
    path = Path(default_model("stm32vldiscovery"))
    assert path.name == "hil_tiny.tflite" and path.read_bytes() == m.build()
    assert default_model("netduinoplus2") == "raccoon"


def hello(resets: int, fault: bytes = b"") -> bytes:
    return HELLO + item(12, struct.pack("<I", resets)) + (item(11, fault) if fault else b"")


def test_watching_shows_what_is_new_once() -> None:
    fault = struct.pack("<Bi12I", 4, 2, 0, 0, 0, 0, 0, 1, 0x08000100, 0, 0, 0, 0, 0)
    said = iter([hello(1), hello(1), hello(2), hello(3, fault), hello(3, fault)])
    last = hello(3, fault)

    def handler(frame: Frame) -> list[Reply]:
        return [encode(Frame(LOG, 0, b"\x02line")), answer(frame, next(said, last))]

    with FakeBoard(handler, own_hello=True) as board:
        events = list(watch(board.url, seconds=1.0, poll=0.1))
    kinds = [event.kind for event in events if event.kind != "log"]
    assert kinds == ["hello", "reset", "reset", "fault"]
    assert events[0] == Event("log", "info: line", {"level": 2, "text": "line"}, events[0].time)
    assert len(events) - len(kinds) >= 6
    (faulted,) = (event for event in events if event.kind == "fault")
    assert faulted.text.startswith("usage fault in layer 2 at pc 0x08000100")
    assert faulted.data["registers"]["lr"] == 1


def test_watching_says_once_that_a_board_is_silent() -> None:
    talk = threading.Event()

    def handler(frame: Frame) -> list[Reply]:
        return [answer(frame, HELLO)] if talk.is_set() else []

    with FakeBoard(handler, own_hello=True) as board:
        threading.Timer(1.5, talk.set).start()
        kinds = [event.kind for event in watch(board.url, seconds=2.5, poll=0.1)]
    assert kinds == ["silent", "hello"]


def test_watching_a_port_that_is_not_there() -> None:
    with pytest.raises(LotorError, match="there is no port /dev/ttyNONE"):
        next(watch("/dev/ttyNONE", seconds=1))


def test_a_board_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path))
    with pytest.raises(LotorError, match="board netduinoplus2 is not running: `lotor flash"):
        locate("netduinoplus2")
    with pytest.raises(LotorError, match=r"no board 'netduinoplus'.*did you mean 'netduinoplus2'"):
        locate("netduinoplus")
    assert locate("socket://h:1")[0] == "socket://h:1"


@pytest.mark.parametrize(("slot", "elf"), [(0, "firmware.elf"), (1, "firmware1.elf")])
def test_the_elf_is_that_of_the_slot_that_runs(
    slot: int, elf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_CACHE", str(tmp_path))
    update = struct.pack("<BBIIII8sBIBBhI", slot, 0, 1, 0, 0, 4, b"", 0, 0, 0, 0, -1, 0)
    greeting = Hello.parse(HELLO + item(14, update))
    assert elf_of(greeting) is None
    folder = image_folder(greeting.board, bytes(range(20)))
    folder.mkdir(parents=True)
    for name in ("firmware.elf", "firmware1.elf"):
        (folder / name).touch()
    assert elf_of(greeting) == folder / elf


def test_no_source_without_an_elf(tmp_path: Path) -> None:
    assert source_of(tmp_path / "none.elf", 0x08000100) == ""
