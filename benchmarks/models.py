"""The models that benchmarks measure: Lotor's own, and MLPerf Tiny's when they are here."""

from pathlib import Path

from lotor.zoo import model_names

_MLPERF = Path(__file__).resolve().parents[2] / "shared/models/mlcommons+tiny"
_NAMES = ("vww_96_int8", "pretrainedResnet_quant", "kws_ref_model", "ad01_int8")


def measured_models() -> list[str]:
    """Return names and paths of models."""
    found = [p for name in _NAMES for p in sorted(_MLPERF.rglob(f"{name}.tflite"))]
    return [*model_names(), *map(str, found)]
