"""The models that benchmarks measure: Lotor's own, and MLPerf Tiny's when they are here."""

from pathlib import Path

from lotor.zoo import model_names

_MLPERF = Path(__file__).resolve().parents[2] / "shared/models/mlcommons+tiny"
_NAMES = ("vww_96_int8", "pretrainedResnet_quant", "kws_ref_model", "ad01_int8")


def measured_models() -> list[str]:
    """Return names and paths of models."""
    found = sorted(p for p in _MLPERF.rglob("*.tflite") if p.stem in _NAMES)
    return [*model_names(), *map(str, found)]
