"""Updates over the line: send a package, let the board try it, say what became of it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotor.board import Board
from lotor.build import Image
from lotor.device import emulator
from lotor.device.link import ErrorCode
from lotor.device.messages import Hello, UpdateOutcome, UpdateState
from lotor.device.session import DeviceError, NoAnswer, Session
from lotor.errors import LotorError
from lotor.progress import Progress
from lotor.update_key import Key
from lotor.update_package import Package, make_package

# What a refusal asks the user to do.
_MENDS = {
    ErrorCode.UPDATE_OLDER: "`--image-version N` with a higher number, or `--allow-older`",
    ErrorCode.UPDATE_UNSIGNED: "`--key FILE` signs it",
    ErrorCode.UPDATE_BAD_SIGNATURE: "sign it with the key that the board was flashed with",
}


@dataclass(frozen=True)
class UpdateResult:
    """What became of an update.

    Attributes:
        board: the board.
        version: of the image that was sent.
        bytes: of the image.
        confirmed: whether the board runs it from now on.
        reason: why not; empty where it does.
        hello: how the board greeted at last.
        seconds: what sending and the trial took.
    """

    board: str
    version: int
    bytes: int
    confirmed: bool
    reason: str
    hello: Hello
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return what `lotor update --json` prints."""
        state = _state(self.hello, self.board)
        return {
            "board": self.board,
            "version": self.version,
            "bytes": self.bytes,
            "outcome": "confirmed" if self.confirmed else "rolled back",
            "reason": self.reason or None,
            "running_version": state.version,
            "running_slot": state.slot,
            "build_id": self.hello.build_id,
            "seconds": round(self.seconds, 2),
        }

    def __str__(self) -> str:
        state = _state(self.hello, self.board)
        if self.confirmed:
            return (
                f"{self.board} runs version {self.version} from slot {state.slot}: confirmed "
                f"({self.bytes:,} bytes in {self.seconds:.1f} s)"
            )
        return (
            f"{self.board} gave version {self.version} up: {self.reason}; it runs version "
            f"{state.version} from slot {state.slot}"
        )


def package_of(
    board: Board,
    image: Image,
    version: int,
    allow_older: bool = False,
    key: Key | None = None,
) -> Package:
    """Make the package of an image; see `make_package`.

    Raises:
        LotorError: the board takes no updates, or only signed ones.
    """
    if image.second is None or board.update is None:
        raise LotorError(f"board {board.name} takes no updates: its file has no table [update]")
    if key is None and not board.update.development:
        raise LotorError(f"board {board.name} takes signed updates only: `--key FILE`")
    images = [image.bin.read_bytes(), image.second.read_bytes()]
    return make_package(board, images, image.build_id, image.models, version, allow_older, key)


def next_version(board: str) -> int:
    """Return one more than the version that a board runs."""
    with Session.open(board) as session:
        return _state(session.greeting, board).version + 1


def send(session: Session, package: Package) -> None:
    """Send a package's image for the free slot, up to its end; nothing of it runs yet.

    Raises:
        DeviceError: the board refused it.
        LotorError: the board takes no updates.
    """
    state = _state(session.hello(), session.where)
    slot = package.slots[1 - state.slot]
    try:
        at = session.update_begin(slot.header)
    except DeviceError as error:
        if error.code != ErrorCode.UPDATE_BUSY:
            raise
        session.reset()  # what an earlier program began is dropped
        at = session.update_begin(slot.header)
    piece = max(state.unit, session.data_bytes // state.unit * state.unit)
    with Progress(f"update {package.board}", len(slot.image), "bytes") as progress:
        progress.advance(at)
        while at < len(slot.image):
            following = session.update_data(at, slot.image[at : at + piece])
            progress.advance(following - at)
            at = following
    session.update_finish()


def update(board: str, package: Package, image: Image | None = None) -> UpdateResult:
    """Send an update, let the board try it, and wait for what becomes of it.

    Args:
        board: the board's name.
        package: for this board.
        image: what the package was made of, where it is known.

    Raises:
        LotorError: the board refused it (the running image is untouched) or does not answer.
    """
    with Session.open(board) as session:
        done = try_out(session, package)
    if done.confirmed:
        _note(board, package, image, _state(done.hello, board).slot)
    return done


def try_out(session: Session, package: Package) -> UpdateResult:
    """Do what `update` does, in a session."""
    begun, board = time.monotonic(), package.board
    slot = 1 - _state(session.greeting, session.where).slot
    try:
        send(session, package)
    except DeviceError as error:
        mend = _MENDS.get(ErrorCode(error.code)) if error.code in set(ErrorCode) else None
        raise LotorError(f"{error}" + (f": {mend}" if mend else "")) from error
    try:
        hello = session.reset()
    except NoAnswer as error:
        raise LotorError(
            f"{session.where} does not answer with version {package.version}: reset it or cut "
            "its power, and it goes back to the version before"
        ) from error
    state = _state(hello, session.where)
    confirmed = (
        state.slot == slot
        and state.outcome == UpdateOutcome.CONFIRMED
        and hello.build_id == package.build_id.hex()
    )
    reason = "" if confirmed else state.why([model["name"] for model in package.models])
    size = len(package.slots[slot].image)
    seconds = time.monotonic() - begun
    return UpdateResult(board, package.version, size, confirmed, reason, hello, seconds)


def _state(hello: Hello, where: str) -> UpdateState:
    if hello.update is None:
        raise LotorError(
            f"{where} takes no updates: its image was built without [update]; `lotor flash` it"
        )
    return hello.update


def _note(board: str, package: Package, image: Image | None, slot: int) -> None:
    """Note what an emulated board runs now."""
    elf = Path()
    if image and image.second:
        elf = image.second.with_suffix(".elf") if slot else image.elf
    emulator.now_runs(board, elf, package.models, package.build_id.hex())
