"""What `--check` finds on this machine that a start would fail at; nothing is left behind."""

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lotor.errors import LotorError
from lotor.files import locked
from lotor.sentinel import preflight, run
from lotor.sentinel.actions import load as load_module
from lotor.sentinel.actions.load import load
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.config import Action, Camera, Config, Mqtt, Notify, Page, Store, Webhook
from lotor.sentinel.database import LOCK
from lotor.sentinel.preflight import against_start, doubtful, running
from lotor.sentinel.store import Store as Log


def a_config(**more: object) -> Config:
    camera, store = (Camera("garden", "garden:"),), Store("kept", free_mb=0)
    return replace(Config(camera, store=store, page=Page(port=0)), **more)  # type: ignore[arg-type]


def wrong(folder: Path, **more: object) -> str:
    return "\n".join(against_start(a_config(**more), folder))


def test_nothing_stands_against_what_is_right_and_nothing_is_made(tmp_path: Path) -> None:
    assert wrong(tmp_path) == ""
    assert list(doubtful(a_config(), tmp_path)) == []
    assert running(a_config(), tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_each_mistake_is_told_and_none_hides_another(tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="Apprise is not installed")
    found = wrong(
        tmp_path,
        camera=(Camera("gate", "board:pikko"),),
        store=Store("/proc/kept"),
        mqtt=Mqtt("127.0.0.1", user="me", password_file="secret"),
        webhook=(Webhook("http://10.0.0.1/hunter2"), Webhook("http:///hunter2")),
        notify=Notify(("ntfy://garden", "nosuch://hunter2@x")),
    ).splitlines()
    assert [line.split(" ")[0:2] for line in found] == [
        ["camera", "gate:"], ["store.folder", "is"],
        ["'mqtt.password_file'", f"{tmp_path}/secret:"],
        ["webhook", "2:"], ["[notify]:", "Apprise"],
    ]  # fmt: skip
    assert "Apprise cannot use address 2 (nosuch)" in found[-1]
    (tmp_path / "urls.txt").write_text("ntfy://garden\n")
    assert wrong(tmp_path, notify=Notify(urls_file="urls.txt")) == ""
    assert "hunter2" not in "".join(found)


def test_a_port_that_is_taken_is_told_unless_a_sentinel_with_the_same_store_runs(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = Page(port=taken.getsockname()[1])
        assert f"port {page.port} (Address already in use)" in wrong(tmp_path, page=page)
        assert wrong(tmp_path, page=replace(page, on=False)) == ""
        log = Log(tmp_path / "kept", SystemClock())
        try:
            assert running(a_config(), tmp_path) == f"process {os.getpid()}"
            assert wrong(tmp_path, page=page) == ""
        finally:
            log.close()
        assert running(a_config(), tmp_path) == ""
        assert "Address already in use" in wrong(tmp_path, page=page)


def test_a_lock_says_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "kept" / LOCK
    with locked(lock):  # and nobody could write to it, as on a full disk
        assert running(a_config(), tmp_path) == "another process"

    def forbidden(path: Path, wait: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(preflight, "locked", forbidden)
    assert running(a_config(), tmp_path) == ""  # a start says it, with the folder


@pytest.mark.parametrize("missing", [os.R_OK, os.W_OK])
def test_a_webcam_that_may_not_be_opened_is_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    def access(path: object, mode: int) -> bool:
        return not mode & missing

    config = a_config(camera=(Camera("gate", "/dev/null"),))  # a device that is everywhere
    assert list(doubtful(config, tmp_path)) == []
    monkeypatch.setattr(os, "access", access)
    (told,) = doubtful(config, tmp_path)
    assert told.startswith("camera gate: no permission to open /dev/null: run `sudo usermod")


def test_an_address_that_is_none_of_this_machine_is_told(tmp_path: Path) -> None:
    named = wrong(tmp_path, page=Page("no.such.host.invalid", 0))
    assert "page.host is 'no.such.host.invalid', which is no address of this machine" in named
    other = wrong(tmp_path, page=Page("192.0.2.1", 0))  # RFC 5737: nobody's
    assert other.startswith("the page: cannot listen on 192.0.2.1 port 0 (")


def test_a_camera_too_slow_for_the_votes_is_doubtful(tmp_path: Path) -> None:
    def told(rate: float) -> list[str]:
        camera = Camera("slow", "rtsp://there/", rate=rate)
        return list(doubtful(a_config(camera=(camera,)), tmp_path))

    (line,) = told(0.1)
    assert "3 votes take 20 s at rate = 0.1" in line and "forgotten after 10 s" in line
    assert "deciding.memory_s = 40" in line
    assert told(0.2) == []  # the third comes after just 10 s


def test_pins_that_there_are_not_are_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_config(action=(Action("lamp", "gpio", options={"pin": 4}),))
    monkeypatch.setattr(preflight, "_DEV", tmp_path)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    assert any("no GPIO pins" in told for told in doubtful(config, tmp_path))
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")  # pins that are elsewhere
    assert not any("no GPIO pins" in told for told in doubtful(config, tmp_path))
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY")
    (tmp_path / "gpiochip0").touch()
    assert not any("no GPIO pins" in told for told in doubtful(config, tmp_path))


def test_a_store_that_is_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")
    assert "it is no folder" in wrong(tmp_path)


def test_a_disk_without_room_and_what_is_not_there_are_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_usage(place: Path) -> SimpleNamespace:
        assert place == tmp_path  # the nearest that there is to the store, on whatever disk
        return SimpleNamespace(free=499_000_000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    cameras = (Camera("a", "987"), Camera("b", "stick/film.mp4"), Camera("c", "garden:"))
    config = a_config(camera=cameras, store=Store("kept", free_mb=500))
    told = list(doubtful(config, tmp_path))
    assert told[0] == "camera a: there is no /dev/video987 now; it is waited for"
    assert told[1].startswith("camera b: there is no file or folder 'stick/film.mp4' now")
    assert told[2].startswith("499 MB are free on the disk of ") and len(told) == 3
    enough = replace(config, store=Store("kept", free_mb=499))
    assert len(list(doubtful(enough, tmp_path))) == 2


@pytest.fixture
def without_gpiozero(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(load_module._PACKAGES, "gpio", "no_such_package")
    yield


def test_a_package_of_an_action_may_be_missing_in_a_dry_run_alone(
    tmp_path: Path, without_gpiozero: None
) -> None:
    action = Action("lamp", "gpio", options={"pin": 4})
    told, *_ = doubtful(a_config(action=(action,)), tmp_path)
    assert told.startswith("action lamp: its package no_such_package is missing: `pip install")
    load(action, tmp_path)
    real = a_config(action=(replace(action, dry_run=False),))
    assert not any("its package" in told for told in doubtful(real, tmp_path))  # an error, then
    with pytest.raises(LotorError, match="action 'lamp': its package no_such_package is missing"):
        load(replace(action, dry_run=False), tmp_path)


def test_an_address_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="Apprise is not installed")
    (tmp_path / "pictures").mkdir()
    config = a_config(
        camera=(Camera("garden", "pictures"),), notify=Notify(("nosuch://hunter2@x",))
    )
    with pytest.raises(LotorError, match=r"cannot use address 1 \(nosuch\)") as caught:
        run.run(replace(config, page=Page(on=False)), tmp_path)
    assert "hunter2" not in str(caught.value)
