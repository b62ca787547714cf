"""Boards behind ssh: the program is copied, started and spoken to; what goes wrong is named."""

import dataclasses
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lotor.board import load_board
from lotor.build import Image, build_firmware
from lotor.device import ssh
from lotor.device.flash import flash_image
from lotor.device.session import Session
from lotor.errors import LotorError
from tiny_model import INPUT_BYTES, TinyModel

DATA = bytes(i * 31 % 256 for i in range(INPUT_BYTES))
SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
BOARD = load_board("pi-4")
# What OpenSSH 9.2 says when it fails, by the host's name in these tests.
SAYS = {
    "refuses": "pi@refuses: Permission denied (publickey,password).",
    "changed": "Host key verification failed.",
    "unknown": "ssh: Could not resolve hostname unknown: Name or service not known",
    "closed": "ssh: connect to host closed port 22: Connection refused",
    "silent": "ssh: connect to host silent port 22: Connection timed out",
    "odd": "something else",
}


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """The home of a user on a Raspberry Pi; `remote` runs a command there."""
    home = tmp_path / "pi"
    tools = home / "bin"
    tools.mkdir(parents=True)
    script(tools / "uname", "echo aarch64")
    script(tools / "systemctl", 'echo "$@" >>"$HOME/systemctl"')
    script(tools / "loginctl", "exit 1")
    path = f"{tools}:{os.environ['PATH']}"
    script(home / "remote", f'export HOME={home} PATH={path}; cd; exec sh -c "$1"')
    return home


@pytest.fixture
def fake(pi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ssh` that runs commands in the home of `pi`, or fails as its host's name says."""
    tools = tmp_path / "tools"
    tools.mkdir()
    cases = "\n".join(f"*@{host}) echo '{text}' >&2; exit 255;;" for host, text in SAYS.items())
    body = 'while test "$1" != --; do shift; done'
    script(tools / "ssh", f'{body}\ncase "$2" in\n{cases}\nesac\nexec {pi}/remote "$3"')
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("LOTOR_SSH", "pi@garden")
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    return pi


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if not (shutil.which("qemu-aarch64") and shutil.which("aarch64-linux-gnu-gcc")):
        pytest.skip("needs qemu-user and gcc-aarch64-linux-gnu")
    return build_firmware(BOARD, [TinyModel("tiny")], tmp_path_factory.mktemp("images"))


@pytest.fixture
def image(built: Image, tmp_path: Path) -> Image:
    """The image with a file that this machine, too, can execute: it starts the emulator."""
    path, own = tmp_path / "lotor.sh", f"{shutil.which('qemu-aarch64')} {built.elf}"
    script(path, f'exec {own} "$@" -- {own}')
    return dataclasses.replace(built, bin=path)


def check(image: Image) -> None:
    """Flash the board, and let it compute what this machine does."""
    url, hello = flash_image(BOARD, image)
    assert hello.board == "pi-4" and hello.tick_unit == "nanoseconds"
    assert url == ssh.url_of(BOARD)
    with Session.open("pi-4", timeout=5.0) as session:
        session.load(0, DATA)
        session.run()
        assert bytes(session.read(0)) == TinyModel("tiny").expected(DATA)
        assert session.reset().resets == 1
        assert session.echo(bytes(range(256))) == bytes(range(256))


def test_flashed_and_spoken_to(fake: Path, image: Image) -> None:
    check(image)
    copied = fake / ".local/lib/lotor/pi-4"
    assert copied.read_bytes() == image.bin.read_bytes()
    assert not (fake / "systemctl").exists()


def test_with_a_cable_systemd_runs_it(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_PORT", "/dev/ttyACM7")
    program = tmp_path / "program"
    program.write_bytes(bytes(range(256)) * 99)
    assert ssh.install(BOARD, some_image(program)) == "/dev/ttyACM7"
    assert (fake / ".local/lib/lotor/pi-4").read_bytes() == program.read_bytes()
    unit = (fake / ".config/systemd/user/lotor.service").read_text()
    assert unit == ssh.unit_file(BOARD)
    assert "\nExecStart=%h/.local/lib/lotor/pi-4 /dev/ttyGS0\n" in unit
    assert (fake / "systemctl").read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --quiet lotor",
        "--user restart lotor",
    ]


def some_image(path: Path) -> Image:
    return Image("pi-4", path, path, 1, 1, 1, bytes(20), [], {})


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("pi@refuses", "pi@refuses refuses our key: `ssh-copy-id pi@refuses`"),
        ("pi@changed", "is not known to ssh, or has changed: `ssh pi@changed` once"),
        ("pi@unknown", "is no host that is known here: check LOTOR_SSH"),
        ("pi@closed", "runs no ssh server: enable it with `sudo raspi-config`"),
        ("pi@silent", "does not answer: check its power and network"),
        ("pi@odd", "ended with status 255; it said: something else"),
        ("-oProxyCommand=x", "is no host for ssh"),
        ("a b", "is no host for ssh"),
        ("", "has no host: name it in LOTOR_SSH"),
    ],
)
@pytest.mark.usefixtures("fake")
def test_hosts_that_fail(
    host: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOTOR_SSH", host)
    program = tmp_path / "program"
    program.write_bytes(b"x")
    with pytest.raises(LotorError) as caught:
        ssh.install(BOARD, some_image(program))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(LotorError) as caught:
        Session.open("pi-4")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_boards_that_are_not_right(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"new")
    old = fake / ".local/lib/lotor/pi-4"
    with pytest.raises(LotorError, match="has no program of Lotor yet: `lotor flash` copies it"):
        Session.open("pi-4")
    ssh.install(BOARD, some_image(program))
    program.write_bytes(b"newer")
    script(fake / "bin/uname", "echo armv7l")
    with pytest.raises(LotorError, match="is a machine of kind armv7l: the board needs a 64-bit"):
        ssh.install(BOARD, some_image(program))
    script(fake / "bin/uname", "echo aarch64")
    script(fake / "bin/cat", "head -c 2")  # a connection that is lost half-way
    with pytest.raises(LotorError, match="sha256sum: WARNING"):
        ssh.install(BOARD, some_image(program))
    (fake / "bin/cat").unlink()
    assert old.read_bytes() == b"new"
    script(fake / "bin/systemctl", "exit 1")
    monkeypatch.setenv("LOTOR_PORT", "/dev/ttyACM7")
    with pytest.raises(LotorError, match="has no systemd, which starts the program: unset"):
        ssh.install(BOARD, some_image(program))


def test_no_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LOTOR_SSH", "pi@garden")
    program = tmp_path / "program"
    program.write_bytes(b"x")
    with pytest.raises(LotorError, match="ssh is missing: `sudo apt-get install openssh-client`"):
        ssh.install(BOARD, some_image(program))


@pytest.fixture
def server(pi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real OpenSSH server on this machine, with keys of its own; yields its folder."""
    if not SSHD or not shutil.which("ssh-keygen"):
        pytest.skip("needs openssh-server")
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "user", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    script(folder / "force", f'exec {pi}/remote "$SSH_ORIGINAL_COMMAND"')
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPermitRootLogin yes\n"
        f"PasswordAuthentication no\nForceCommand {folder}/force\n"
    )
    known = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {known[0]} {known[1]}\n")
    for name in ("user", "stranger"):
        (folder / f"ssh_{name}").write_text(
            f"Host garden\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\n"
            f"IdentityFile {folder}/{name}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {folder}/known\nStrictHostKeyChecking yes\n"
        )
    tools = tmp_path / "tools"
    tools.mkdir()
    script(tools / "ssh", f'exec {shutil.which("ssh")} -F {folder}/ssh_"${{KEY:-user}}" "$@"')
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("LOTOR_SSH", "garden")
    monkeypatch.setenv("LOTOR_RUN_DIR", str(tmp_path / "run"))
    log = folder / "log"
    process = subprocess.Popen([SSHD, "-D", "-f", str(folder / "config"), "-E", str(log)])
    try:
        until = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < until:
            if process.poll() is not None:
                pytest.skip(f"sshd does not start here: {log.read_text().strip()}")
            time.sleep(0.05)
        yield folder
    finally:
        process.kill()
        process.wait()


def test_a_real_ssh_server(
    server: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(image)
    monkeypatch.setenv("KEY", "stranger")
    with pytest.raises(LotorError, match="garden refuses our key: `ssh-copy-id garden`"):
        ssh.install(BOARD, image)
    monkeypatch.delenv("KEY")
    (server / "known").write_text("")
    with pytest.raises(LotorError, match="garden is not known to ssh, or has changed"):
        Session.open("pi-4")
    settings = server / "ssh_user"
    settings.write_text(settings.read_text().replace("Port ", "Port 1 #"))
    with pytest.raises(LotorError, match="garden runs no ssh server"):
        ssh.install(BOARD, image)
    settings.write_text(settings.read_text().replace("127.0.0.1", "no-such-host.invalid"))
    with pytest.raises(LotorError, match="garden is no host that is known here"):
        ssh.install(BOARD, image)
