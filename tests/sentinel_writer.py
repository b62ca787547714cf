"""A sentinel that remembers as fast as it can, until it is killed.

For every line on its standard input, a folder, it becomes one anew (a fork: nothing needs to be
imported again) and says `born PID`, then `kept ID` for every decision that it got a receipt of,
`written` when all pictures and clips are, and `dead` when somebody killed it.
"""

import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from lotor.sentinel import config
from lotor.sentinel.clock import SystemClock
from lotor.sentinel.event import Act, Check, Decision, Event, new_id
from lotor.sentinel.media import Media
from lotor.sentinel.retention import Retention
from lotor.sentinel.scene import Frame, Light
from lotor.sentinel.store import Store

SETTINGS = config.Store(free_mb=0, before_s=0.0, after_s=0.0, clip_s=1.0)


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def live(folder: Path) -> None:
    clock = SystemClock()
    store = Store(folder, clock)
    media = Media(store, SETTINGS, clock)
    Retention(store, SETTINGS, clock).start()
    rng = np.random.default_rng()
    for number in range(1_000_000):
        now = clock.now()
        event = Event(new_id(now), "gate", number, "raccoon", 0.9, now, None, Light.DAY)
        store.save_event(event)
        media.begin(event)
        frame = Frame("gate", number, now, clock.monotonic(),
                      rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))  # fmt: skip
        media.see(frame, True)
        media.picture(event.id, frame)
        for _ in range(random.randrange(4)):
            checks = (Check("votes", True, "x" * random.randrange(3000)),)
            made = Decision(
                new_id(now), event.id, "gate", number, now, now, 0, 0, 1, "raccoon", "raccoon",
                {"raccoon": 0.9}, (0, 0, 9, 9), Light.DAY, checks, ("siren",),
            )  # fmt: skip
            receipt = store.record(made)
            assert receipt
            say(f"kept {receipt.decision.id}")
            store.note(Act(made.id, "siren", now, None, "running"))
            store.extend(replace(made, until=now + 1, last=9, frames=10))
        ended = replace(event, end=clock.now())
        store.save_event(ended)
        media.end(ended)
        if number % 3 == 0 and media.idle(60):
            say("written")


def main() -> None:
    for line in sys.stdin:
        if child := os.fork():
            os.waitpid(child, 0)
            say("dead")
        else:
            say(f"born {os.getpid()}")
            try:
                live(Path(line.rstrip()))
            finally:
                os._exit(1)  # it ended by itself, which is a mistake


if __name__ == "__main__":
    main()
