"""What outputs over used-up inputs save in RAM, and cost in instructions, layer by layer."""

import tempfile
from pathlib import Path

from lotor.board import load_board
from lotor.build import build_firmware
from lotor.compiler import Compiled, compile_model
from lotor.device import emulator
from lotor.device.flash import flash_image
from lotor.device.session import Session
from lotor.verify import random_inputs
from lotor.zoo import find_model
from models import measured_models

BOARD = "netduinoplus2"


def instructions(compiled: Compiled) -> list[int]:
    """Return the instructions of every layer for one random input on the board."""
    board = load_board(BOARD)
    with tempfile.TemporaryDirectory() as folder:
        url, _ = flash_image(board, build_firmware(board, [compiled], Path(folder)))
        with Session.open(url) as session:
            session.select(0)
            (inputs,) = random_inputs(compiled.graph, 1, 0)
            for index, array in enumerate(inputs):
                session.load(index, array)
            session.run()
            return [layer.ticks for layer in session.profile()]


def main() -> None:
    """Print one line for each model: with and without, and the layer that pays most."""
    print(f"{'model':<24} {'RAM':>8} {'without':>8} {'instructions':>12} {'cost':>8}  most")
    for model in measured_models():
        path = find_model(model).path
        target = load_board(BOARD).target
        over = compile_model(path, target, "over")
        apart = compile_model(path, target, "apart", skip=["overlap", "order"])
        with_, without = instructions(over), instructions(apart)
        before = {layer.name: count for layer, count in zip(apart.layers, without, strict=True)}
        cost, kind, name = max(
            (count / before[layer.name] - 1, layer.kind, layer.name)
            for layer, count in zip(over.layers, with_, strict=True)
        )
        print(
            f"{path.stem:<24} {over.plan.arena_bytes:8,} {apart.plan.arena_bytes:8,} "
            f"{sum(with_):12,} {sum(with_) / sum(without) - 1:+8.2%}  "
            f"{cost:+.2%} {kind} {name.split(';')[0]}"
        )
    emulator.stop(BOARD)


if __name__ == "__main__":
    main()
