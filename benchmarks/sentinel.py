"""How fast the sentinel looks at frames, on one core of this machine, and what it takes.

Frames a second with decoding, motion, model and veto on every frame of a 640x480 video; the time
from the start of the program to the first decision, with the models' C built before and not; the
memory of the process; and what an idle scene takes of a core. Every figure is of a process of its
own that is bound to one core. Time is the processor's unless said otherwise, so that what else runs
on this machine changes little. Last comes `lotor sentinel` as a whole, with page, store, pictures
and clips, on films of cameras that give 5 and 30 frames a second, in which somebody is in view all
the time: looking, deciding and encoding share that core. At 5 every frame is also one of the clip.
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
from typing import Any

FRAMES = 300
WHOLE_S = 30  # of the films that the whole of it watches
WHOLE_RATES = (5, 30)
SIZE = (640, 480)
IDLE_RATE = 10.0  # frames a second
TARGETS = {
    "frames a second": (">=", 120.0),
    "start to first decision, s": ("<", 1.5),
    "largest memory, MB": ("<", 160.0),
    "idle scene at 10 frames a second, % of a core": ("<", 10.0),
    "all of it at 30: frames a second": (">=", 120.0),
    "all of it at 5: largest memory, MB": ("<", 160.0),
    "all of it at 30: largest memory, MB": ("<", 160.0),
}
SEQUENCE = Path(__file__).parents[1].parent / "shared/data/sequences/synthetic_raccoon_day"


def write_video(path: Path, idle: bool, frames: int = FRAMES, rate: float = 30.0) -> str:
    """Write a Motion JPEG video; return where its frames come from."""
    import cv2
    import numpy as np

    files = sorted(SEQUENCE.glob("*.jpg"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, SIZE)
    if not writer.isOpened():
        sys.exit(f"OpenCV cannot write {path} as Motion JPEG")
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(60, 200, (30, 40, 3), dtype=np.uint8), SIZE)
    loaded = [cv2.resize(cv2.imread(str(file)), SIZE) for file in files]
    for number in range(frames):
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
    return {
        "frames": number,
        "moving": moving,
        "asked": asked,
        "first_s": first,
        "started_s": started,
        "seconds": used,
        "peak_mb": peak_mb(),
    }


def watch(config: str) -> dict[str, float]:
    """Run `lotor sentinel --once` in this process: its frames, and what they took from then on."""
    from lotor.sentinel import run
    from lotor.sentinel.daemon import Sentinel

    looked: list[float] = []

    class Timed(Sentinel):
        def see(self, frame: Any) -> Any:
            scene = super().see(frame)
            looked.append(time.process_time())
            return scene

    setattr(run, "Sentinel", Timed)  # noqa: B010 (for type checkers)
    told, _ = run.run(*run.configuration(Path(config), None, None), once=True)
    used = time.process_time() - looked[0]  # with the end, at which the last clips are encoded
    clips = len(list(Path(told["store"]).rglob("*.webm")))
    if told["counters"]["errors"] or not 0 < clips == len(told["events"]):
        sys.exit(f"{clips} clips of {len(told['events'])} visits; {told['counters']}")
    return {"frames": len(looked) - 1, "seconds": used, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the largest resident memory of this process, in MB."""
    # Not of getrusage(2), which counts the memory of whoever forked it, too.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def in_process(video: Path, rate: float, limit: int = FRAMES, **environ: str) -> dict[str, float]:
    """Run `look_at` in a process of its own, bound to one core."""
    return alone(video.parent, ["--look", str(video), str(rate), str(limit)], environ)


def whole(video: Path, rate: float) -> dict[str, float]:
    """Let `lotor sentinel` watch a video to its end, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=video.parent) as folder:
        file = Path(folder, "sentinel.toml")
        file.write_text(
            f'[[camera]]\nname = "bench"\nsource = "{video}"\nrate = {rate}\n'
            f'[store]\nfolder = "{folder}"\n[page]\nport = 0\n'
        )
        return alone(video.parent, ["--watch", str(file)], {})


def alone(folder: Path, arguments: list[str], environ: dict[str, str]) -> dict[str, float]:
    """Run this program in a process of its own; return what it found."""
    own = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | environ
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    own["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    own["BENCH_BEGUN"] = repr(time.time())
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def line(name: str, value: float) -> str:
    """Return a figure, beside its target if it has one."""
    if name not in TARGETS:
        return f"{name:<46} {value:8.2f}"
    sign, target = TARGETS[name]
    met = value >= target if sign == ">=" else value < target
    return f"{name:<46} {value:8.2f}   {sign} {target:g}: {'met' if met else 'NOT met'}"


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
            yield line(name, value)
        for rate in WHOLE_RATES:
            film = Path(folder, f"{rate}.avi")
            write_video(film, idle=False, frames=rate * WHOLE_S, rate=rate)
            every = [whole(film, rate) for _ in range(repeats)]
            speed = max(run["frames"] / run["seconds"] for run in every)
            yield line(f"all of it at {rate}: frames a second", speed)
            yield line(f"all of it at {rate}: % of a core", 100 * rate / speed)
            peak = max(run["peak_mb"] for run in every)
            yield line(f"all of it at {rate}: largest memory, MB", peak)
        used = min(run["started_s"] for run in starts)
        yield f"{'the start, in seconds of the processor':<46} {used:8.2f}"
        yield f"{'the start where the C is built first (gcc), s':<46} {cold['first_s']:8.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="processes; the best counts")
    parser.add_argument("--look", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if given.look:
        video, rate, limit = given.look
        print(json.dumps(look_at(video, float(rate), int(limit))))
    elif given.watch:
        print(json.dumps(watch(given.watch)))
    else:
        for text in lines(given.repeats):
            print(text, flush=True)
