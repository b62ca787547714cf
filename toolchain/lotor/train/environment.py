"""What a training's bytes depend on beside recipe, data and seed: code, packages, machine."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2

from lotor import __version__
from lotor.resources import resource

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python-headless",
             "ai-edge-litert", "tflite")  # fmt: skip
_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS")


def environment() -> dict[str, Any]:
    """Return what a lineage says of code and machine; TensorFlow is loaded by then."""
    import tensorflow as tf

    return {
        "lotor": __version__,
        "commit": _commit(),
        "code_sha256": _code_hash(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "threads": {
            "tensorflow": tf.config.threading.get_intra_op_parallelism_threads(),
            "tensorflow_between": tf.config.threading.get_inter_op_parallelism_threads(),
            "opencv": cv2.getNumThreads(),
        },
        "settings": {name: os.environ[name] for name in _SETTINGS if name in os.environ},
        "packages": _versions(),
    }


def _code_hash() -> str:
    """Return the SHA-256 of all modules: any of them may decide what a training computes."""
    modules = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in modules)).hexdigest()


def _cpu() -> str:
    """Return the processor's model, which chooses among TensorFlow's kernels."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Return the checkout's commit, "+changes" behind it where the package differs; else None."""
    root = resource("models").parent
    try:
        head, status = (
            subprocess.run(
                ["git", "-C", str(root), *command],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for command in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--", "toolchain/lotor/train", "toolchain/lotor/data",
                 "toolchain/lotor/preprocess.py", "models"],
            )
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if status else "")
