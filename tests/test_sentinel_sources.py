"""What a source's text names, and what each kind gives and says when it cannot."""

import errno
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lotor.errors import LotorError
from lotor.sentinel.clock import SetClock
from lotor.sentinel.config import Camera, Config, check
from lotor.sentinel.sources import Source, Unusable, check_source, kind_of, open_source, redact
from lotor.sentinel.sources import stream as stream_module
from mjpeg_server import MjpegServer, picture, until


def a_video(path: Path, frames: int = 12, rate: float = 10, fourcc: str = "mp4v") -> Path:
    """Write a video of grey frames that grow brighter."""
    code = cv2.VideoWriter.fourcc(*fourcc)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, (64, 48))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 10 + 15 * number, np.uint8))
    writer.release()
    return path


def an_open(source: object, **options: Any) -> Source:
    """Open a source with a clock that stands still."""
    rate = options.pop("rate", 5.0)
    clock = options.pop("clock", SetClock(1000.0))
    return open_source(Camera("garden", str(source), rate=rate), clock, **options)


# What a text names.


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", "v4l2"),
        ("/dev/video2", "v4l2"),
        ("/dev/shm/film.mp4", "file"),
        ("/dev/v4l/by-id/usb-cam-video-index0", "v4l2"),
        ("rtsp://10.0.0.5/live", "stream"),
        ("RTSPS://10.0.0.5/live", "stream"),
        ("http://10.0.0.5:81/stream", "stream"),
        ("https://cam.example/a.m3u8", "stream"),
        ("picamera:0", "picamera"),
        ("board:nano33ble", "board"),
        ("board:/dev/ttyACM0", "board"),
        ("ros2:/camera/image_raw", "ros2"),
        ("ros2:~/image_raw", "ros2"),
        ("picamera:", "picamera"),
        ("garden:", "garden"),
        ("clips/night.mp4", "file"),
        ("../uploads", "file"),
        ("/srv/ftp", "file"),
    ],
)
def test_kind_of_a_source_is_told_from_its_text(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rstp://10.0.0.5/live", "did you mean 'rtsp'?"),
        ("picam:0", "did you mean 'picamera'?"),
        ("ros:/image", "did you mean 'ros2'?"),
        ("ftp://nas/clips", "names no source of frames"),
        ("rtsp:///live", "has no host"),
        ("http:10.0.0.5", "has no host"),
        ("http://:81/a", "has no host"),
        ("rtsp://10.0.0.5:99999/a", "has no port up to 65535"),
        ("rtsp://u:x/hunter2@10.0.0.5/a", "/ in a password is written %2F"),
        ("picamera:front", "write picamera:0"),
        ("board:", "write board:NAME"),
        ("ros2:", "write ros2:/TOPIC"),
        ("ros2:/a topic", "write ros2:/TOPIC"),
        ("ros2:/cam/", "write ros2:/TOPIC"),
        ("garden:dusk", "garden:night and garden:day"),
    ],
)
def test_mistaken_source_is_refused_by_the_configuration_and_names_the_nearest_kind(
    text: str, said: str
) -> None:
    with pytest.raises(LotorError) as caught:
        check(Config((Camera("garden", text),)), "sentinel.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("sentinel.toml: 'camera garden.source'")
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("garden:dusk", "garden:night"),
        ("board:nano33bel", "did you mean 'nano33ble"),
        ("picamera:0", "apt install python3-picamera2"),
        ("ros2:/camera/image_raw", "setup.bash"),
    ],
)
def test_what_waiting_does_not_mend_is_told_from_what_it_may(text: str, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        check_source(text)
    with pytest.raises(Unusable, match=said):
        an_open(text)


@pytest.mark.parametrize(
    "text",
    ["0", "/dev/video987", "rtsp://no.such.host.invalid/", "no.mp4", "board:/dev/ttyACM9",
     "board:nano33ble", "garden:", "garden:day"],
)  # fmt: skip
def test_what_may_come_is_no_mistake(text: str) -> None:
    check_source(text)


@pytest.mark.parametrize("size", [(640,), (640, 480, 3), (8, 480), (640, 9000)])
def test_mistaken_size_is_refused_by_the_configuration(size: tuple[int, ...]) -> None:
    with pytest.raises(LotorError, match=r"camera garden\.size"):
        check(Config((Camera("garden", "0", size=size),)), "sentinel.toml")


def test_file_that_is_not_there_is_named_with_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"no file or folder 'nothere\.mp4'.*picamera:0"):
        an_open("nothere.mp4", folder=tmp_path)
    with pytest.raises(LotorError, match="did you mean 'picamera'"):
        an_open("picamera", folder=tmp_path)


def test_paths_are_relative_to_the_folder_of_the_configuration(tmp_path: Path) -> None:
    a_video(tmp_path / "a.avi")
    source = an_open("a.avi", once=True, folder=tmp_path)
    assert source.grab()
    source.close()


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.5:554/live",
        "rtsp://admin:p@hunter2@10.0.0.5/live",
        "rtsp://admin:p/hunter2@10.0.0.5/live",
        "http://10.0.0.5/cgi?user=admin&password=hunter2",
        "http://10.0.0.5/cgi?token=hunter2#x",
        "rtsp://10.0.0.5/user=admin_password=hunter2_channel=1_stream=0.sdp",
        "cannot open 'https://u:hunter2@h/a' nor 'rtsp://v:hunter2@h/b'",
        "RTSP://hunter2@h/b",
    ],
)
def test_secrets_of_an_address_are_not_shown(text: str) -> None:
    shown = redact(text)
    assert "hunter2" not in shown
    assert "admin" not in shown
    for part in ("10.0.0.5", "https://", "channel=1"):
        assert (part in shown) == (part in text)


def test_text_without_secrets_is_shown_as_it_is() -> None:
    for text in ("rtsp://10.0.0.5:554/live/ch0", "/srv/ftp/a@b", "mail@host: tried again in 2 s"):
        assert redact(text) == text


# Webcams.


def test_absent_webcam_is_named_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LotorError, match="there is no camera /dev/video987; there is no other"):
        monkeypatch.setattr(Path, "glob", lambda *_: iter([]))
        an_open("987")
    there = [Path("/dev/video2"), Path("/dev/video0")]
    monkeypatch.setattr(Path, "glob", lambda *_: iter(there))
    with pytest.raises(LotorError, match="others here: /dev/video0, /dev/video2"):
        an_open("/dev/video987")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "usermod -aG video"), (errno.EBUSY, "busy"), (errno.EIO, "cannot open")],
)
def test_webcam_that_may_not_be_opened_says_why(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, *_: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LotorError, match=said):
        an_open("0")


def test_device_that_is_no_camera_is_refused() -> None:
    with pytest.raises(LotorError, match="/dev/null opens as no camera"):
        an_open("/dev/null")


class FakeWebcam:
    """In place of `cv2.VideoCapture`: a webcam that gives three pictures and is then unplugged."""

    made: tuple[object, ...] = ()
    released = 0

    def __init__(self, *made: object) -> None:
        type(self).made, self._left = made, 3

    def isOpened(self) -> bool:
        return True

    def grab(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, Any]:
        return True, picture(self._left)

    def release(self) -> None:
        type(self).released += 1


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_webcam_is_asked_for_size_and_compressed_pictures_where_they_are_large(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeWebcam)
    monkeypatch.setattr(FakeWebcam, "released", 0)
    source = open_source(Camera("garden", "/dev/null", size=size), SetClock(0))
    path, backend, wish = FakeWebcam.made
    assert (path, backend) == ("/dev/null", cv2.CAP_V4L2)
    assert isinstance(wish, list)
    asked = dict(zip(wish[::2], wish[1::2], strict=True))
    assert asked[cv2.CAP_PROP_FRAME_WIDTH] == size[0]
    assert asked[cv2.CAP_PROP_FRAME_HEIGHT] == size[1]
    large = size == (1280, 720)
    assert asked.get(cv2.CAP_PROP_FOURCC) == (cv2.VideoWriter.fourcc(*"MJPG") if large else None)
    for _ in range(3):
        assert source.grab()
        assert source.picture().shape == (120, 160, 3)
    with pytest.raises(LotorError, match="/dev/null gives no picture"):
        source.grab()
    source.close()
    assert FakeWebcam.released == 1


# Videos.


@pytest.mark.parametrize(
    ("name", "fourcc", "rate"),
    [("a.mp4", "mp4v", 10), ("a.avi", "MJPG", 7.5), ("a.mkv", "VP80", 25)],
)
def test_video_read_once_gives_every_picture_at_its_time(
    name: str, fourcc: str, rate: float, tmp_path: Path
) -> None:
    source = an_open(a_video(tmp_path / name, 12, rate, fourcc), once=True)
    assert source.finite
    for number in range(12):
        assert source.grab()
        assert source.at == pytest.approx(number / rate, abs=0.002)
        assert abs(int(source.picture()[24, 32, 0]) - (10 + 15 * number)) < 6
    assert not source.grab()
    assert not source.grab()
    source.close()


def test_video_runs_over_and_over_at_its_own_pace(tmp_path: Path) -> None:
    clock, ended = SetClock(1000.0), threading.Event()
    source = an_open(a_video(tmp_path / "a.mp4", 5, 10), clock=clock, ended=ended)
    came: list[tuple[float, int]] = []

    def read() -> None:
        while source.grab():
            came.append((clock.monotonic(), int(source.picture()[24, 32, 0])))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for step in range(12):
            until(lambda step=step: len(came) == step + 1)
            clock.advance(0.1000001)
        until(lambda: len(came) == 13)
    finally:
        ended.set()
        thread.join()
    assert source.at is None
    assert [when for when, _ in came] == pytest.approx([0.1 * n for n in range(13)], abs=0.001)
    shades = [shade for _, shade in came]
    assert shades[:5] == sorted(set(shades[:5]))
    assert shades[5:10] == shades[:5]
    source.close()


def test_what_is_no_video_is_refused_with_the_reason(tmp_path: Path) -> None:
    whole = a_video(tmp_path / "a.mp4").read_bytes()
    last = whole.rindex(b"moov") - 4
    for name, data, said in (
        ("e.mp4", b"", "is empty"),
        ("t.txt", b"no video", "is no video that OpenCV can read"),
        ("c.mp4", whole[: last + 40], r"is cut off: the index \(moov\)"),
        ("d.mp4", whole[:last], r"is cut off: the index \(moov\)"),
        ("f.mp4", whole[:last] + b"\0\0\0\x10moov" + b"x" * 8, "is no video that OpenCV can read"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(LotorError, match=f"{name} {said}"):
            an_open(tmp_path / name, once=True).grab()


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_video_that_is_cut_off_ends_where_it_was_cut_and_says_so(name: str, tmp_path: Path) -> None:
    path = a_video(tmp_path / name, frames=16, fourcc="MJPG")
    whole = an_open(path, once=True)
    while whole.grab():
        pass
    assert whole.lacks == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    source = an_open(path, once=True)
    count = 0
    while source.grab():
        source.picture()
        count += 1
    assert 1 <= count < 14
    said = f"{name} ends after {count} of 16 pictures: it is cut off or damaged"
    assert source.lacks == said


# Folders.


def a_jpeg(number: int) -> bytes:
    """Return a file with a picture."""
    return cv2.imencode(".jpg", picture(number))[1].tobytes()


def test_folder_read_once_gives_images_in_name_order_at_the_rate(tmp_path: Path) -> None:
    for name, number in (("b.JPG", 2), ("a.png", 1), ("c.jpeg", 3)):
        (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, picture(number))[1].tobytes())
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".d.jpg").write_bytes(b"hidden")
    source = an_open(tmp_path, once=True, rate=4.0)
    for number in (1, 2, 3):
        assert source.grab()
        assert source.at == (number - 1) / 4
        assert np.abs(source.picture().astype(int) - picture(number)).mean() < 1
    assert not source.grab()


def test_folder_read_once_leaves_out_and_names_what_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LotorError, match="there is no image"):
        an_open(tmp_path, once=True)
    (tmp_path / "b.jpg").write_bytes(a_jpeg(1)[:400])
    (tmp_path / "d.png").write_bytes(b"")
    source = an_open(tmp_path, once=True)
    with pytest.raises(LotorError, match=r"no image in folder .* can be read: 2 were tried"):
        source.grab()
    for name in ("a.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(a_jpeg(2))
    caplog.clear()
    source = an_open(tmp_path, once=True, rate=4.0)
    came = []
    while source.grab():
        came.append((source.at, source.picture().shape[0]))
    assert came == [(0.0, 120), (0.5, 120)]  # those left out keep their time
    assert source.lacks == "2 of 4 images cannot be read: left out"
    warned = [record.message for record in caplog.records if "it is left out" in record.message]
    assert [name for name in ("b.jpg", "d.png") if any(name in line for line in warned)] == [
        "b.jpg", "d.png",
    ]  # fmt: skip
    assert len(warned) == 2


class Turns(SetClock):
    """A clock that goes on by as much as is waited for, as often as it is let."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.turns = threading.Semaphore(0)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Return when an event is set, or a turn is given."""
        while not event.is_set():
            if self.turns.acquire(timeout=0.01):
                self.advance(seconds)
                break
        return event.is_set()


class Watched:
    """A watched folder, read in a thread; it looks as often as it is told.

    Attributes:
        came: number of pixels of each picture.
    """

    def __init__(self, folder: Path) -> None:
        self.clock, self._ended = Turns(), threading.Event()
        self.source = an_open(folder, clock=self.clock, ended=self._ended)
        self.came: list[int] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while self.source.grab():
            self.came.append(self.source.picture().shape[1])

    def look(self, times: int = 1) -> None:
        """Let it look at the folder."""
        for _ in range(times):
            before = self.looked
            self.clock.turns.release()
            until(lambda before=before: self.looked > before)

    @property
    def looked(self) -> int:
        return int(getattr(self.source, "looks", 0))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    from lotor.sentinel.sources.folder import Folder

    look = Folder._look

    def counted(self: Any) -> None:
        look(self)
        self.looks = getattr(self, "looks", 0) + 1

    monkeypatch.setattr(Folder, "_look", counted)
    (tmp_path / "old.jpg").write_bytes(a_jpeg(0))
    folder = Watched(tmp_path)
    yield folder
    folder.close()


def sized(width: int) -> bytes:
    """Return a file with a picture that its width tells."""
    return cv2.imencode(".jpg", picture(1, width, 40))[1].tobytes()


def test_watched_folder_gives_what_comes_and_not_what_was_there(
    watched: Watched, tmp_path: Path
) -> None:
    watched.look(3)
    assert watched.came == []
    (tmp_path / "z.jpg").write_bytes(sized(50))
    watched.look(2)
    until(lambda: watched.came == [50])
    (tmp_path / "b.part").write_bytes(sized(60))
    watched.look(3)
    (tmp_path / "b.part").rename(tmp_path / "b.jpg")
    watched.look(2)
    until(lambda: watched.came == [50, 60])
    (tmp_path / "z.jpg").unlink()
    watched.look(2)
    (tmp_path / "z.jpg").write_bytes(sized(70))  # the name of one that was seen, and is gone
    watched.look(2)
    until(lambda: watched.came == [50, 60, 70])
    watched.look(4)
    assert watched.came == [50, 60, 70]


def test_half_written_images_are_waited_for(watched: Watched, tmp_path: Path) -> None:
    whole, path = sized(80), tmp_path / "slow.jpg"
    for part in range(1, 6):
        path.write_bytes(whole[: len(whole) * part // 6])
        watched.look(3)  # it pauses for so long that it looks complete
    assert watched.came == []
    path.write_bytes(whole)
    watched.look(4)
    until(lambda: watched.came == [80])


def test_file_that_still_grows_is_not_read(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(sized(80))  # readable already, as other versions of OpenCV find cut ones
    for _ in range(5):
        watched.look()
        with path.open("ab") as file:
            file.write(bytes(10))
    assert watched.came == []
    watched.look(2)
    until(lambda: watched.came == [80])


def test_file_that_never_becomes_an_image_is_left_out_and_named(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"x" * 500)
    (tmp_path / "gone.jpg").write_bytes(b"x" * 500)
    watched.look(3)
    (tmp_path / "gone.jpg").unlink()
    watched.look(40)
    warned = [record.message for record in caplog.records]
    assert len([line for line in warned if "bad.jpg is no image" in line]) == 1
    assert not [line for line in warned if "gone.jpg" in line]
    (tmp_path / "good.jpg").write_bytes(sized(90))
    watched.look(2)
    until(lambda: watched.came == [90])


# Streams.


def test_mjpeg_stream_gives_pictures_with_the_credentials_of_its_address() -> None:
    with MjpegServer() as server:
        server.wants = "Basic dXU6aHVudGVyMg=="
        source = an_open(server.url.replace("//", "//uu:hunter2@"))
        for _ in range(5):
            assert source.grab()
            assert source.picture().shape == (120, 160, 3)
        source.close()


def test_stream_that_stalls_in_a_picture_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "READ_S", 0.5)
    with MjpegServer() as server:
        source = an_open(server.url.replace("//", "//uu:hunter2@"))
        assert source.grab()
        server.mode = "stall"
        with pytest.raises(LotorError, match=r"//…@.* sends no more pictures"):
            for _ in range(10_000):
                source.grab()
        source.close()


def test_stream_has_limits_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeWebcam)
    an_open("rtsp://10.0.0.5/live")
    url, backend, limits = FakeWebcam.made
    assert (url, backend) == ("rtsp://10.0.0.5/live", cv2.CAP_FFMPEG)
    assert isinstance(limits, list)
    assert dict(zip(limits[::2], limits[1::2], strict=True)) == {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: stream_module.OPEN_S * 1000,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: stream_module.READ_S * 1000,
    }


@pytest.mark.parametrize(
    ("mode", "wants", "user", "said"),
    [
        ("garbage", None, "", "no video that can be read"),
        ("well", "Basic dXU6aHVudGVyMg==", "", "USER:PASSWORD@ before its host"),
        ("well", "Basic dXU6aHVudGVyMg==", "uu:hunter3@", "are user and password right"),
    ],
)
def test_stream_that_does_not_open_says_why(
    mode: str, wants: str | None, user: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "OPEN_S", 1.0)
    with MjpegServer() as server:
        server.mode, server.wants = mode, wants
        with pytest.raises(LotorError, match=said):
            an_open(server.url.replace("//", f"//{user}"))


def test_stream_of_nobody_says_why_without_its_password(capfd: pytest.CaptureFixture[str]) -> None:
    with MjpegServer() as server:
        url = server.url.replace("//", "//uu:hunter2@")
    with pytest.raises(LotorError, match=r"nobody listens on 127\.0\.0\.1") as caught:
        an_open(url + "?password=hunter2")
    with pytest.raises(LotorError, match="no address is known for the host") as other:
        an_open("rtsp://uu:hunter2@no.such.host.invalid/hunter")
    with pytest.raises(LotorError, match="/ in a password is written %2F") as slash:
        an_open("rtsp://uu:x/hunter2@127.0.0.1/hunter")
    out = capfd.readouterr()
    assert "hunter2" not in f"{caught.value}{other.value}{slash.value}" + out.out + out.err


# Picamera2, by a module of its call signatures (Picamera2 Manual, chapters 3, 4 and 6).


class FakePicamera2:
    """One camera; colours are in memory as B, G, R for "RGB888" (Manual, appendix A)."""

    log: tuple[str, ...] = ()
    busy = False

    def __init__(self, camera_num: int = 0, verbose_console: object = None) -> None:
        if self.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        assert camera_num == 0
        self.say("open")

    @classmethod
    def say(cls, word: str) -> None:
        cls.log += (word,)

    @staticmethod
    def global_camera_info() -> list[dict[str, object]]:
        return [{"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/i2c", "Num": 0}]

    def create_video_configuration(
        self,
        main: dict[str, Any] | None = None,
        lores: object = None,
        raw: object = None,
        transform: object = None,
        colour_space: object = None,
        buffer_count: int = 6,
        controls: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        return {"main": main, "buffer_count": buffer_count, "controls": controls}

    def configure(self, camera_config: dict[str, Any] | str | None = "preview") -> None:
        assert isinstance(camera_config, dict)
        assert camera_config["main"]["format"] == "RGB888"
        self._size = camera_config["main"]["size"]
        self.say("configure")

    def start(self, config: object = None, show_preview: bool = False) -> None:
        self.say("start")

    def capture_array(
        self, name: str = "main", wait: object = None, signal_function: object = None
    ) -> Any:
        assert name == "main"
        width, height = self._size
        image = np.zeros((height, width, 3), np.uint8)
        image[:, :, 0] = 200  # blue
        return image

    def stop(self) -> None:
        self.say("stop")

    def close(self) -> None:
        self.say("close")


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    module = types.ModuleType("picamera2")
    module.Picamera2 = FakePicamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(FakePicamera2, "log", ())
    return FakePicamera2


def test_ribbon_cable_camera_gives_bgr_of_the_wanted_size(picamera2: type[FakePicamera2]) -> None:
    source = open_source(Camera("garden", "picamera:0", size=(320, 240)), SetClock(0))
    assert source.grab()
    image = source.picture()
    assert image.shape == (240, 320, 3)
    assert image[0, 0].tolist() == [200, 0, 0]
    source.close()
    assert picamera2.log == ("open", "configure", "start", "stop", "close")


def test_ribbon_cable_camera_that_is_not_there_or_busy_says_so(
    picamera2: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LotorError, match=r"no camera 1 on a ribbon cable; there is 0 \(imx708\)"):
        an_open("picamera:1")
    with pytest.raises(LotorError, match="write picamera:0"):
        an_open("picamera:front")
    monkeypatch.setattr(picamera2, "busy", True)
    with pytest.raises(LotorError, match="close the program that uses it"):
        an_open("picamera:0")


def test_ribbon_cable_camera_that_does_not_start_is_closed(
    picamera2: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Camera frontend has timed out")

    monkeypatch.setattr(picamera2, "start", fail)
    with pytest.raises(LotorError, match="does not start: Camera frontend"):
        an_open("picamera:0")
    assert picamera2.log[-1] == "close"


def test_without_picamera2_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(LotorError, match=r"python3-picamera2.*--system-site-packages"):
        an_open("picamera:0")


# ROS 2, by modules of rclpy's call signatures (rclpy API of Jazzy).


class FakeRos:
    """What of rclpy is used: one topic whose messages are set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[object] = []
        self.messages: list[Any] = []
        self.callback: Callable[[Any], None] = lambda message: None
        ros = self

        class Context:
            def try_shutdown(self) -> None:
                ros.log.append("shutdown")

        class Node:
            def create_subscription(
                self,
                msg_type: type,
                topic: str,
                callback: Callable[[Any], None],
                qos_profile: object,
            ) -> None:
                if "__" in topic:
                    raise ValueError("Invalid topic name: it must not contain repeated '_'")
                ros.callback = callback
                ros.log.append((msg_type.__name__, topic, qos_profile))

            def destroy_node(self) -> None:
                ros.log.append("node destroyed")

        class SingleThreadedExecutor:
            def __init__(self, *, context: Context | None = None) -> None:
                assert context is not None

            def add_node(self, node: Node) -> bool:
                return True

            def spin_once(self, timeout_sec: float | None = None) -> None:
                assert timeout_sec is not None
                if ros.messages:
                    ros.callback(ros.messages.pop(0))

            def shutdown(self, timeout_sec: float | None = None) -> bool:
                ros.log.append("executor ended")
                return True

        def init(*, args: object = None, context: Context | None = None) -> None:
            assert context is not None  # the process's own would take over its signals

        def create_node(node_name: str, *, context: Context | None = None) -> Node:
            assert "-" not in node_name
            return Node()

        modules: dict[str, dict[str, object]] = {
            "rclpy": {"init": init, "create_node": create_node},
            "rclpy.context": {"Context": Context},
            "rclpy.executors": {"SingleThreadedExecutor": SingleThreadedExecutor},
            "rclpy.qos": {"qos_profile_sensor_data": "sensor data"},
            "sensor_msgs": {},
            "sensor_msgs.msg": {
                "Image": type("Image", (), {}),
                "CompressedImage": type("CompressedImage", (), {}),
            },
        }
        for name, parts in modules.items():
            module = types.ModuleType(name)
            module.__dict__.update(parts)
            monkeypatch.setitem(sys.modules, name, module)
            if "." in name:
                above, _, own = name.partition(".")
                setattr(sys.modules[above], own, module)


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> FakeRos:
    return FakeRos(monkeypatch)


def an_image(encoding: str, channels: int) -> types.SimpleNamespace:
    """Return a message whose rows are longer than their pixels."""
    rows = np.full((3, 20), 99, np.uint8)
    pixels = np.arange(3 * 5 * channels, dtype=np.uint8).reshape(3, 5 * channels)
    rows[:, : 5 * channels] = pixels
    return types.SimpleNamespace(
        height=3, width=5, encoding=encoding, is_bigendian=0, step=20, data=rows.tobytes()
    )


def test_topic_gives_bgr_of_each_encoding(ros: FakeRos) -> None:
    source = open_source(Camera("back-yard", "ros2:/cam/image_raw"), SetClock(0))
    ros.messages = [an_image("bgr8", 3), an_image("rgb8", 3), an_image("mono8", 1)]
    given = []
    for _ in range(3):
        assert source.grab()
        given.append(source.picture())
    assert given[0].shape == (3, 5, 3)
    assert given[0][0, 1].tolist() == [3, 4, 5]
    assert given[1][0, 1].tolist() == [5, 4, 3]
    assert given[2].reshape(3, 5)[1].tolist() == [5, 6, 7, 8, 9]
    source.close()
    assert ros.log[0] == ("Image", "/cam/image_raw", "sensor data")
    assert ros.log[1:] == ["executor ended", "node destroyed", "shutdown"]


def test_compressed_topic_gives_its_jpegs(ros: FakeRos) -> None:
    source = an_open("ros2:/cam/image_raw/compressed")
    ros.messages = [types.SimpleNamespace(format="jpeg", data=a_jpeg(3))]
    assert source.grab()
    assert np.abs(source.picture().astype(int) - picture(3)).mean() < 3
    assert ros.log[0] == ("CompressedImage", "/cam/image_raw/compressed", "sensor data")
    ros.messages = [types.SimpleNamespace(format="jpeg", data=b"none")]
    assert source.grab()
    with pytest.raises(LotorError, match="cannot be decoded"):
        source.picture()


def test_topic_of_another_encoding_or_a_wrong_message_is_refused(ros: FakeRos) -> None:
    source = an_open("ros2:/cam")
    short = an_image("bgr8", 3)
    short.data = short.data[:-1]
    for message, said in ((an_image("bayer_rggb8", 1), "bgr8, rgb8, mono8"), (short, "reshape")):
        ros.messages = [message]
        assert source.grab()
        with pytest.raises(LotorError, match=said):
            source.picture()


def test_topic_that_nobody_publishes_ends_when_told(ros: FakeRos) -> None:
    ended = threading.Event()
    source = an_open("ros2:/cam", ended=ended)
    ended.set()
    assert not source.grab()


def test_topic_of_no_valid_name_leaves_nothing_open(ros: FakeRos) -> None:
    with pytest.raises(LotorError, match="write ros2:/TOPIC"):
        an_open("ros2:/a__topic")
    assert ros.log == ["executor ended", "node destroyed", "shutdown"]


def test_without_ros_the_way_to_it_is_named() -> None:
    with pytest.raises(LotorError, match=r"setup\.bash"):
        an_open("ros2:/cam")
