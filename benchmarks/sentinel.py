"""How fast the sentinel looks at frames, on one core of this machine, and what it takes.

Frames a second with decoding, motion, model and veto on every frame of a 640x480 video; the time
from the start of the program to the first decision, with the models' C built before and not; the
memory of the process; and what an idle scene takes of a core. Every figure is of a process of its
own that is bound to one core. Time is the processor's unless said otherwise, so that what else runs
on this machine changes little.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FRAMES = 300
SIZE = (640, 480)
IDLE_RATE = 10.0  # frames a second
TARGETS = {
    "frames a second": (">=", 120.0),
    "start to first decision, s": ("<", 1.5),
    "largest memory, MB": ("<", 160.0),
    "idle scene at 10 frames a second, % of a core": ("<", 10.0),
}
SEQUENCE = Path(__file__).parents[1].parent / "shared/data/sequences/synthetic_raccoon_day"


def write_video(path: Path, idle: bool) -> str:
    """Write a Motion JPEG video; return where its frames come from."""
    import cv2
    import numpy as np

    files = sorted(SEQUENCE.glob("*.jpg"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, SIZE)
    if not writer.isOpened():
        sys.exit(f"OpenCV cannot write {path} as Motion JPEG")
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(60, 200, (30, 40, 3), dtype=np.uint8), SIZE)
    loaded = [cv2.resize(cv2.imread(str(file)), SIZE) for file in files]
    for number in range(FRAMES):
        if idle:
            frame = (loaded[0] if loaded else ground).astype(np.int16)
            frame = np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)
        elif loaded:  # there and back, so that nothing jumps
            turn = number % (2 * len(loaded) - 2)
            frame = loaded[min(turn, 2 * len(loaded) - 2 - turn)]
        else:
            frame = ground.copy()
            x = 40 + number * 3 % 480
            cv2.ellipse(frame, (x, 300), (60, 35), 0, 0, 360, (40, 45, 50), -1)
        writer.write(frame)
    writer.release()
    return str(SEQUENCE.name) if loaded else "made-up blobs"


def look_at(video: str, rate: float, limit: int) -> dict[str, float]:
    """Look at a video's frames, as if they came at a rate; in this process."""
    begun = float(os.environ["BENCH_BEGUN"])
    import cv2

    from lotor.sentinel.config import Camera, Config
    from lotor.sentinel.models import Models
    from lotor.sentinel.pipeline import Pipeline
    from lotor.sentinel.scene import Frame

    cv2.setNumThreads(1)
    camera = Camera("bench", video)
    config = Config(camera=(camera,))
    models = Models(config)
    pipeline = Pipeline(camera, config, models)
    capture = cv2.VideoCapture(video)
    first = started = 0.0
    asked = moving = number = 0
    used = time.process_time()
    while number < limit:
        there, image = capture.read()
        if not there:
            break
        now = number / rate
        scene = pipeline.look(Frame(camera.name, number, 1.7e9 + now, now, image))
        if scene.errors:
            sys.exit(scene.errors[0])
        if not number:
            first, started = time.time() - begun, time.process_time()
        number += 1
        moving += bool(scene.moving)
        asked += scene.person is not None
    used = time.process_time() - used
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1000
    return {
        "frames": number,
        "moving": moving,
        "asked": asked,
        "first_s": first,
        "started_s": started,
        "seconds": used,
        "peak_mb": peak,
    }


def in_process(video: Path, rate: float, limit: int = FRAMES, **environ: str) -> dict[str, float]:
    """Run `look_at` in a process of its own, bound to one core."""
    own = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | environ
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    own["PYTHONPYCACHEPREFIX"] = str(video.parent / "bytecode")
    own["BENCH_BEGUN"] = repr(time.time())
    command = [sys.executable, __file__, "--look", str(video), str(rate), str(limit)]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def whole(video: Path) -> tuple[float, float]:
    """Let `lotor sentinel` watch a video to its end; return seconds of the processor, and MB."""
    file = video.with_suffix(".toml")
    file.write_text(
        f'[[camera]]\nname = "bench"\nsource = "{video}"\nrate = 30\n'
        f'[store]\nfolder = "{video.parent / video.stem}"\n[page]\nport = 0\n'
    )
    command = [sys.executable, "-m", "lotor", "sentinel", "--config", str(file), "--once"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        if status != 0:
            said.seek(0)
            sys.exit(said.read().decode())
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def lines(repeats: int) -> Iterator[str]:
    """Measure all and yield what is to be printed."""
    with tempfile.TemporaryDirectory() as folder:
        busy, idle = Path(folder, "busy.avi"), Path(folder, "idle.avi")
        source = write_video(busy, idle=False)
        write_video(idle, idle=True)
        cold = in_process(busy, 30.0, 1, LOTOR_CACHE=str(Path(folder, "cache")))
        in_process(busy, 30.0, 1)  # builds the models' C where it was not yet
        starts = [in_process(busy, 30.0, 1) for _ in range(repeats)]
        runs = [in_process(busy, 30.0) for _ in range(repeats)]
        still = [in_process(idle, IDLE_RATE) for _ in range(repeats)]
        yield (
            f"{runs[0]['frames']} frames of {SIZE[0]}x{SIZE[1]} from {source}; something moves on "
            f"{runs[0]['moving']}, the veto model is asked on {runs[0]['asked']}; best of {repeats}"
        )
        found = {
            "frames a second": max(run["frames"] / run["seconds"] for run in runs),
            "start to first decision, s": min(run["first_s"] for run in starts),
            "largest memory, MB": max(run["peak_mb"] for run in [*runs, *still]),
            "idle scene at 10 frames a second, % of a core": min(
                100 * run["seconds"] / (run["frames"] / IDLE_RATE) for run in still
            ),
        }
        for name, value in found.items():
            sign, target = TARGETS[name]
            met = value >= target if sign == ">=" else value < target
            yield f"{name:<46} {value:8.2f}   {sign} {target:g}: {'met' if met else 'NOT met'}"
        seconds, peak = whole(busy)
        yield f"{'lotor sentinel, with its start: frames a second':<46} {FRAMES / seconds:8.2f}"
        yield f"{'lotor sentinel: largest memory, MB':<46} {peak:8.2f}"
        used = min(run["started_s"] for run in starts)
        yield f"{'the start, in seconds of the processor':<46} {used:8.2f}"
        yield f"{'the start where the C is built first (gcc), s':<46} {cold['first_s']:8.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="processes; the best counts")
    parser.add_argument("--look", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if given.look:
        video, rate, limit = given.look
        print(json.dumps(look_at(video, float(rate), int(limit))))
    else:
        for line in lines(given.repeats):
            print(line)
