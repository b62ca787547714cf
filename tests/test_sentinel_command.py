"""`lotor sentinel` as one types it: a film, its summary, and what mistakes say."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest

from lotor.cli import main
from lotor.errors import LotorError
from lotor.sentinel import run
from lotor.sentinel.bus import Decided
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.config import (
    Action,
    Camera,
    Config,
    Model,
    Mqtt,
    Notify,
    Page,
    Store,
    Webhook,
)
from lotor.sentinel.daemon import Sentinel
from lotor.sentinel.event import Act, Check, Decision, Event
from lotor.sentinel.garden import HEIGHT, WIDTH, Garden, Walk, Who
from lotor.sentinel.run import with_source
from lotor.sentinel.scene import Light
from lotor.sentinel.store import Store as Log
from lotor.sentinel.store import StoreError

A_CAMERA = '[[camera]]\nname = "a"\nsource = "garden:"\n'
ENVIRONMENT = {**os.environ, "OPENCV_LOG_LEVEL": "ERROR"}


def lotor(folder: Path, *arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lotor", "sentinel", *arguments],
        cwd=folder, input=answers, capture_output=True, text=True, timeout=120,
        env={**ENVIRONMENT, "HOME": str(folder)},  # whose sentinel may run
    )  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a film of a raccoon, 20 s, 4 frames a second."""
    path = tmp_path_factory.mktemp("film") / "raccoon.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 4, (WIDTH, HEIGHT))
    garden = Garden([Walk(Who.RACCOON, 10, 9, 0.3)], night=True)
    for frame in range(80):
        writer.write(garden.picture(frame / 4))
    writer.release()
    return path


def read(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_film_is_watched_to_its_end_without_any_set_up(film: Path, tmp_path: Path) -> None:
    found = read(lotor(tmp_path, "--source", str(film), "--once", "--json"))
    assert found["counters"]["frames"] == 80
    (event,) = found["events"]
    assert event["label"] == "raccoon" and event["end"] - event["begin"] > 2
    assert [act["result"] for act in found["acts"]] == ["dry run"]
    store = tmp_path / "out" / "sentinel"
    assert Path(found["store"]) == store
    assert (store / event["picture"]).is_file()
    # Again at once: a film has no cool-down of another one.
    again = lotor(tmp_path, "--source", str(film), "--once", "--no-page")
    assert again.returncode == 0
    assert "80 frames: 1 visit" in again.stdout and "set off: bark dry run" in again.stdout
    assert "votes: 3 of the last 5 frames say raccoon; 3 are needed" in again.stdout


def test_export_and_forget(film: Path, tmp_path: Path) -> None:
    (tmp_path / "sentinel.toml").write_text(
        f'[[camera]]\nname = "film"\nsource = "{film}"\n[store]\nfolder = "kept"\n'
        "[page]\non = false\n"
    )
    found, _ = run.run(*run.configuration(tmp_path / "sentinel.toml", None, None), once=True)
    (event,) = found["events"]
    picture = tmp_path / "kept" / event["picture"]
    assert picture.is_file()
    span = ("--from", "2020-01-01", "--to", "2100-01-01")
    out = read(lotor(tmp_path, "export", *span, "-o", "out", "--json"))
    assert out["events"] == 1 and (tmp_path / "out" / "events.json").is_file()
    gone = read(lotor(tmp_path, "forget", *span, "--json"))
    assert gone["events"] == 1 and not picture.exists()
    assert read(lotor(tmp_path, "forget", *span, "--json"))["events"] == 0


def test_a_rehearsal_is_kept_apart_and_told_to_nobody(film: Path, tmp_path: Path) -> None:
    """Also beside a sentinel that watches, whose store and page's port are taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "sentinel.toml").write_text(
            f'[[camera]]\nname = "film"\nsource = "{film}"\n[store]\nfolder = "kept"\n'
            f'[page]\nport = {port}\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
            f'[[webhook]]\nurl = "http://127.0.0.1:{port}/"\n'
        )
        done = lotor(tmp_path, "--once", "--json")
        taken.settimeout(0)
        with pytest.raises(BlockingIOError):
            taken.accept()  # nobody asked for anything
    found = read(done)
    assert "nothing is told by MQTT, webhooks" in done.stderr
    assert len(found["events"]) == 1
    assert Path(found["store"]) == tmp_path / "out" / "sentinel"
    assert not (tmp_path / "kept").exists()


def test_a_rehearsal_tells_nobody(tmp_path: Path) -> None:
    telling = Config(
        (Camera("a", "0"),),
        mqtt=Mqtt("127.0.0.1"),
        webhook=(Webhook("http://127.0.0.1/"),),
        notify=Notify(("ntfy://garden",)),
        store=Store(str(tmp_path), media_mb=7),
    )
    config = run.rehearsal(telling, apart=True)
    assert (config.mqtt, config.webhook, config.notify) == (None, (), None)
    assert config.store == Store(str(Path(run.TRIED).absolute()), media_mb=7)
    assert config.page.port == 0


def test_what_a_rehearsal_could_not_keep_is_said(film: Path, tmp_path: Path) -> None:
    (tmp_path / "sentinel.toml").write_text(
        f'[[camera]]\nname = "film"\nsource = "{film}"\n[store]\nfree_mb = 1000000\n'
    )
    if shutil.disk_usage(tmp_path).free > 10**12:
        pytest.skip("more than a terabyte is free here, so that all can be kept")
    done = lotor(tmp_path, "--once", "--no-page")
    assert done.returncode == 1
    assert "80 frames: 1 visit" in done.stdout
    assert "  not all of it: " in done.stdout and "MB" in done.stdout


def test_three_questions_and_what_the_file_says(tmp_path: Path) -> None:
    made = lotor(tmp_path, "--init", answers="rtsp://me:secret@camera/1\n\nsprinkler\n")
    assert made.returncode == 0, made.stderr
    assert "dry_run = false" in made.stdout and "`lotor sentinel --check`" in made.stdout
    other = lotor(tmp_path, "--init", "--config", "other.toml", answers="\n\n\n")
    assert "`lotor sentinel --check --config other.toml`" in other.stdout
    assert "dry run" not in other.stdout  # it only watches
    file = tmp_path / "sentinel.toml"
    text = file.read_text().replace("#port = 8787", "port = 0")  # that one may be taken
    file.write_text(text.replace('#folder = "~/.local', 'folder = "kept/.local'))
    told = lotor(tmp_path, "--check")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "camera garden: stream rtsp://" in told.stdout and "secret" not in told.stdout
    assert "a raccoon sets off sprinkler: 3 of 5 frames" in told.stdout
    assert "for 4 s, never longer than 8 s" in told.stdout
    assert "warning: action sprinkler is a dry run" in told.stdout
    tried = lotor(tmp_path, "test", "sprinkler")
    assert tried.returncode == 0 and tried.stdout.startswith("sprinkler: dry run (would ")
    again = lotor(tmp_path, "--init", answers="\n\n\n")
    assert again.returncode == 2 and "is there already" in again.stderr
    assert "Camera" not in again.stderr  # before anything is asked


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        ([], None, "--init"),
        (["--config", "none.toml"], None, "there is no none.toml"),
        (["--source", "garden.avi", "--once"], None, "garden.avi"),
        (["--source", "rtps://camera/1"], None, "rtsp"),
        (["--source", ".", "--model", "racoon"], None, "did you mean"),
        (["--source", ".", "--model", "raccoon-locate", "--once"], None, "give a classifier"),
        (["--source", "empty", "--once"], None, "empty"),
        ([], '[[camera]]\nname = "a"\nsorce = "0"\n', "did you mean 'source'"),
        ([], '[[camera]]\nname = "a"\nsource = "0"\n[[target]]\nlabel = "racoon"\n', "raccoon"),
        (["test", "x"], '[[camera]]\nname = "a"\nsource = "0"\n', "actions: none"),
        (["forget", "--from", "x", "--to", "y"], '[[camera]]\nname = "a"\nsource = "0"\n', "'x'"),
        (["--init"], None, "three questions"),
        (["--source", "garden:", "--stay"], None, "leave --stay out, or give both"),
        (["--source", "garden:", "--once", "--stay", "--no-page"], None, "give one of them"),
        (["--init", "--check"], None, "--init and --check are two things to do"),
        (["--check", "test", "bark"], None, "--check and test are two things to do"),
        (["--check", "--once"], None, "--once means nothing with --check"),
        (["--source", "0", "--init"], None, "--source means nothing with --init"),
        (["--no-page", "test", "bark"], None, "--no-page means nothing with test"),
        (["--once"], f'{A_CAMERA}[store]\nfolder = "out/../out/sentinel"\n', "in another folder"),
        (["--source", "nowhere"], None, "there is no file or folder 'nowhere'"),
        (["--check", "--config", "empty"], None, "empty is no file"),
        ([], '[camera]\nname = "a"\nsource = "0"\n', "[[camera]]"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str | None,
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    if text:
        (tmp_path / "sentinel.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["sentinel", *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "lotor: " in last and message in last


def test_what_is_tried_is_told_of_another_folder_not_of_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["sentinel", "--source", "garden:", "--once", "--no-page"]
    held = Log(tmp_path / run.TRIED, SystemClock())
    try:
        assert main(arguments) == 2
    finally:
        held.close()
    assert f"another sentinel (process {os.getpid()}) keeps" in (told := capsys.readouterr().err)
    assert "run this one in another folder" in told and "store.folder" not in told
    shutil.rmtree("out")
    Path("out").touch()
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "out/sentinel: Not a directory; run this in another folder" in told


def test_a_folder_that_is_gone_and_a_terminal_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it where it was closed
    assert main(["sentinel", "--init", "--config", str(tmp_path / "new.toml")]) == 2
    assert "--init asks three questions" in capsys.readouterr().err
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["sentinel", "--source", "garden:", "--once"]) == 2
    assert "lotor: the folder that you are in is gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "page", "once", "stay", "status"),
    [
        ([], True, False, False, 0),
        (["--no-page"], False, False, False, 0),
        (["--once"], True, True, False, 1),
        (["--once", "--stay"], True, True, True, 1),
    ],
)
def test_what_is_asked_for_is_run(
    options: list[str],
    page: bool,
    once: bool,
    stay: bool,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def remember(
        config: Config, folder: Path, *, once: bool, stay: bool
    ) -> tuple[dict[str, Any], str]:
        asked.append((config.page.on, once, stay))
        return {"lost": ["a clip"]}, ""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "run", remember)
    # What one that watches could not keep for a while, its health said long ago.
    assert main(["sentinel", "--source", "garden:", *options]) == status
    assert asked == [(page, once, stay)]


@pytest.mark.parametrize("stay", [False, True])
def test_the_page_stays_until_somebody_ends_it(
    stay: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def sleep(seconds: float) -> None:
        (url,) = re.findall(r"the page stays at (\S+)", caplog.text)
        with urllib.request.urlopen(f"{url}api/state", timeout=10) as answer:
            seen.append(json.load(answer)["counters"]["frames"])
        signal.raise_signal(signal.SIGINT)

    caplog.set_level("INFO")
    monkeypatch.setattr(run, "time", SimpleNamespace(sleep=sleep))
    cv2.imwrite(str(tmp_path / "0.png"), Garden([]).picture(0))
    config = Config((Camera("garden", str(tmp_path)),), store=Store("kept"), page=Page(port=0))
    run.run(config, tmp_path, once=True, stay=stay)
    assert seen == [1] * stay


def test_without_the_page_its_port_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = tmp_path / "sentinel.toml"
        store = f'[store]\nfolder = "kept"\n[page]\nport = {taken.getsockname()[1]}\n'
        path.write_text(A_CAMERA + store)
        assert main(["sentinel", "--check", "--config", str(path)]) == 1
        assert "Address already in use" in capsys.readouterr().out
        assert main(["sentinel", "--check", "--no-page", "--config", str(path)]) == 0
        assert "page: " not in capsys.readouterr().out


@pytest.mark.parametrize(("source", "message"), [("", "empty source"), ("rtps://x/1", "rtsp")])
def test_another_source_is_checked_like_the_files_own(source: str, message: str) -> None:
    config = Config(camera=(Camera("garden", "0"), Camera("gate", "1")))
    with pytest.raises(LotorError, match=message):
        with_source(config, source, None)
    assert with_source(config, "2", None).camera == (Camera("garden", "2"),)
    assert with_source(config, None, "person").model == (Model("person"),)


def test_what_a_source_alone_sets_off_is_a_dry_run() -> None:
    config, _ = run.configuration(None, "garden:", None)
    assert [action.dry_run for action in config.action] == [True]


def test_a_configuration_here_comes_before_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    users = run.USERS.expanduser()
    users.parent.mkdir(parents=True)
    users.write_text(f'name = "users"\n{A_CAMERA}[store]\nfolder = "kept"\n')
    config, folder = run.configuration(None, None, None)
    assert (config.name, config.store.folder) == ("users", str(users.parent / "kept"))
    assert folder == users.parent
    Path("sentinel.toml").write_text(f'name = "here"\n{A_CAMERA}')
    assert run.configuration(None, None, None)[0].name == "here"
    assert run.configuration(users, None, None)[0].name == "users"


def test_a_signal_waits_for_nothing_that_it_may_have_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted: list[bool] = []

    class Interrupted(Sentinel):
        def wait(self, seconds: float | None = None) -> bool:
            interrupted.append(True)
            signal.raise_signal(signal.SIGTERM)
            interrupted.clear()
            return super().wait(seconds)

        def end(self) -> None:
            assert not interrupted  # its lock may be held by what the signal came upon
            super().end()

    monkeypatch.setattr(run, "Sentinel", Interrupted)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    config = Config(
        camera=(Camera("garden", str(pictures)),),
        store=Store(folder="kept"),
        page=Page(on=False),
    )
    data, text = run.run(config, tmp_path)
    assert data["counters"]["frames"] == 0
    assert text.startswith("0 frames: no camera gave a picture\n")


def test_the_summary_says_what_could_not_be_seen(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        cv2.imwrite(str(pictures / f"{number}.png"), Garden([]).picture(number))
    (pictures / "1.png").write_bytes(b"no picture")
    config = Config((Camera("garden", "pictures"),), store=Store("kept"), page=Page(on=False))
    data, text = run.run(config, tmp_path, once=True)
    left_out = "1 of 3 images cannot be read: left out"
    assert data["counters"]["frames"] == 2 and data["lacks"] == {"garden": left_out}
    assert text.startswith(f"2 frames: nobody came\n  not seen on garden: {left_out}\n")


def test_what_was_refused_was_not_set_off() -> None:
    event = Event("e", "garden", 1, "raccoon", 0.9, 10.0, 12.0, Light.NIGHT)
    decision = Decision(
        *("d", "e", "garden", 1, 10.0, 10.0, 0, 0, 1, "raccoon", "m", {"raccoon": 0.9}),
        *((0, 0, 1, 1), Light.NIGHT, (), ("lamp", "bark")),
    )
    refused = Act("d", "lamp", 10.0, 10.0, "refused", "disarmed")
    done = Act("d", "bark", 11.0, 12.0, "done")
    seen = run.Seen({"e": event}, {("d", "lamp", 10.0): refused}, [decision])
    counters = {"frames": 9}
    told = run.as_text(seen, counters, {}, Path("kept"))
    assert "    nothing set off: lamp refused (disarmed)\n" in told
    seen.acts["d", "bark", 11.0] = done
    told = run.as_text(seen, counters, {}, Path("kept"))
    assert "    set off: lamp refused (disarmed), bark done\n" in told


def test_what_stood_against_it_is_counted() -> None:
    checks = (Check("votes", True, "3 of 3"), Check("armed", False, "disarmed"))
    decision = Decision(
        *("d", "e", "garden", 1, 10.0, 10.0, 0, 0, 1, "raccoon", "m", {"raccoon": 0.9}),
        *((0, 0, 1, 1), Light.NIGHT, checks),
    )
    seen = run.Seen()
    seen.take(Decided(decision))
    assert (seen.decisions, seen.acted, seen.against) == (1, [], {"armed": 1})
    seen.take(Decided(replace(decision, checks=checks[:1], actions=("bark",))))
    assert len(seen.acted) == 1 and seen.against == {"armed": 1}
    told = run.as_text(seen, {"frames": 9}, {}, Path("kept"))
    assert told.endswith(
        "2 decisions on record, 1 to act\n"
        "  what stood against it, and how often: armed 1\nkept in kept"
    )


def test_a_camera_that_never_opens_is_named_at_the_start(tmp_path: Path) -> None:
    cameras = (Camera("pond", "0"), Camera("gate", "board:pikko"))
    with pytest.raises(LotorError, match="camera gate: there is no board 'pikko'"):
        run.run(Config(cameras, store=Store("kept"), page=Page(on=False)), tmp_path)
    assert not (tmp_path / "kept").exists()  # before anything is begun


def test_a_name_that_there_is_not_is_told_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Guard", None)
    store = Store(str(tmp_path / "kept"))
    config = Config((Camera("a", "0"),), action=(Action("bark", "sound"),), store=store)
    with pytest.raises(LotorError, match=r"no action 'brk' \(did you mean 'bark'\?\); .*: bark"):
        run.try_action(config, tmp_path, "brk")
    assert not (tmp_path / "kept").exists()


def test_beside_a_sentinel_nothing_is_tried_nor_another_store_advised(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "kept"))
    config = Config((Camera("a", "0"),), action=(Action("bark", "sound"),), store=store)
    held = Log(Path(store.folder), SystemClock())
    try:
        with pytest.raises(
            LotorError, match=r"runs \(process \d+\); try 'bark' on its page"
        ) as told:
            run.try_action(config, tmp_path, "bark")
    finally:
        held.close()
    assert "store.folder" not in str(told.value)
    assert run.try_action(config, tmp_path, "bark").result == "dry run"


def test_what_is_not_there_is_doubtful_and_holds_up_no_test(tmp_path: Path) -> None:
    (tmp_path / "sentinel.toml").write_text(
        '[[camera]]\nname = "a"\nsource = "stick/film.mp4"\n'
        '[store]\nfolder = "kept"\n'
        '[mqtt]\nhost = "127.0.0.1"\nuser = "me"\npassword_file = "secret"\n'
        '[[action]]\nname = "bark"\nkind = "sound"\n'
        '[[action]]\nname = "ill"\nkind = "http"\ndry_run = false\n'
        'options = { url_on = "http://127.0.0.1:9/", url_off = "http://127.0.0.1:9/" }\n'
    )
    told = lotor(tmp_path, "--check")
    assert told.returncode == 1, told.stderr
    assert "warning: camera a: there is no file or folder 'stick/film.mp4' now" in told.stdout
    assert "error: 'mqtt.password_file' secret: cannot be read: No such file" in told.stdout
    assert told.stdout.endswith("the sentinel does not start like that\n")
    tried = lotor(tmp_path, "test", "bark")
    assert tried.returncode == 0 and "ill" not in tried.stderr


def test_it_watches_until_it_is_told_to_end(film: Path, tmp_path: Path) -> None:
    """As a service: a folder is watched, the page is there, SIGTERM ends it in order."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    garden = Garden([])
    (tmp_path / "sentinel.toml").write_text(
        '[[camera]]\nname = "folder"\nsource = "pictures"\n[store]\nfolder = "kept"\n'
        '[page]\nport = 0\n[[action]]\nname = "bark"\nkind = "sound"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "lotor", "sentinel"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        assert process.stderr
        page = next(
            match[0] for line in process.stderr if (match := re.search(r"http://\S+/", line))
        )
        until, number = time.monotonic() + 60, 0
        while True:
            number += 1
            cv2.imwrite(str(folder / f"{number}.png"), garden.picture(number))
            with urllib.request.urlopen(f"{page}api/state", timeout=10) as answer:
                if json.load(answer)["counters"]["frames"]:
                    break
            assert time.monotonic() < until
            time.sleep(0.3)
        busy = lotor(tmp_path, "test", "bark")
        assert busy.returncode == 2 and f"process {process.pid}" in busy.stderr
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0 and "nobody came" in out
    finally:
        process.kill()
        process.communicate()


def test_a_device_that_cannot_be_switched_off_holds_up_nobody(tmp_path: Path) -> None:
    """Its helper tries on for an hour, but whoever reads what was said is not to wait for that."""
    (tmp_path / "sentinel.toml").write_text(
        '[[camera]]\nname = "a"\nsource = "0"\n[store]\nfolder = "kept"\n'
        '[[action]]\nname = "plug"\nkind = "http"\ndry_run = false\n'
        'options = { url_on = "http://127.0.0.1:9/", url_off = "http://127.0.0.1:9/" }\n'
    )
    try:
        done = lotor(tmp_path, "test", "plug")
        assert done.returncode == 1 and "plug: refused" in done.stdout
        log = Log(tmp_path / "kept", SystemClock(), alone=False)
        assert [act.result for act in log.acts(0)] == ["refused"]  # as everything, on record
        log.close()
    finally:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink() == tmp_path:
                    os.kill(int(process.name), signal.SIGKILL)


def test_what_cannot_be_put_on_record_is_not_even_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: Log, act: Act) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Log, "note", full)
    config = Config(
        camera=(Camera("a", "0"),),
        action=(Action("bark", "sound"),),
        store=Store(folder=str(tmp_path / "kept")),
    )
    act = run.try_action(config, tmp_path, "bark")
    assert act.result == "failed" and "the disk is full" in act.why
