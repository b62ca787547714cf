"""The end of the sentinel's process: in order if it can be, at once if it must."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, threading, time
from pathlib import Path
from lotor.sentinel import ending, run
from lotor.sentinel.config import Camera, Config

how, ending.END_S = sys.argv[1], float(sys.argv[2])

class Guard:
    def close(self, wait_s):
        print("off", flush=True)
        if how == "hangs all over":
            threading.Event().wait()

    def settle(self, wait_s):
        print("settled", flush=True)
        return True

class Bus:
    def subscribe(self, taker):
        pass

class Sentinel:
    def __init__(self, config, folder, once):
        self.guard, self.bus, self.url, self.store = Guard(), Bus(), "", type("S", (), {})
        self.store.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *error):
        print("closing", flush=True)
        if how == "threads":  # as of a page that keeps a request waiting
            threading.Thread(target=threading.Event().wait).start()
        elif how != "in order":
            threading.Event().wait()

    def start_parts(self):
        pass

    def start_cameras(self):
        print("ready", flush=True)

    def check_parts(self):
        pass

    def lacks(self):
        return {}

    def health(self):
        return ()

    def wait(self, seconds):
        time.sleep(0.01)
        return False

    def end(self):
        pass

    def counters(self):
        return {"frames": 0}

ending.OFF_S, run.Sentinel = 0.2, Sentinel
print(run.run(Config((Camera("garden", "0"),)), Path())[1], flush=True)
"""


NOBODY = "0 frames: no camera gave a picture"


@pytest.mark.parametrize(
    ("how", "patience", "signals", "code", "said"),
    [
        (
            "in order",
            60,
            [signal.SIGTERM],
            0,
            ["ready", "closing", NOBODY],
        ),
        ("hangs", 60, [signal.SIGTERM] * 2, 143, ["ready", "closing", "off", "settled"]),
        ("hangs", 60, [signal.SIGINT] * 2, 130, ["ready", "closing", "off", "settled"]),
        ("hangs", 0.2, [signal.SIGTERM], 143, ["ready", "off", "settled"]),
        ("hangs all over", 0.2, [signal.SIGTERM], 143, ["ready", "off"]),
        (
            "threads",
            60,
            [signal.SIGTERM] * 2,
            143,
            [NOBODY, "off", "settled"],
        ),
    ],
)
def test_however_it_hangs_it_ends_switched_off(
    how: str, patience: float, signals: list[int], code: int, said: list[str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how, str(patience)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        seen = [process.stdout.readline().strip()]
        process.send_signal(signals[0])
        while seen[-1] != "" and seen[-1] != ("kept in ." if how == "threads" else "closing"):
            seen.append(process.stdout.readline().strip())
        for each in signals[1:]:
            process.send_signal(each)
        seen += process.stdout.read().splitlines()
        assert process.wait(60) == code, process.stderr and process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert [line for line in said if line not in seen] == []
    assert ("off" in seen) == (code != 0)
