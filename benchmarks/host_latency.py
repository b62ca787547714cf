"""Lotor's generated C against LiteRT on this machine, side by side in one process."""

from dataclasses import asdict

from lotor.bench import as_text, bench
from models import measured_models

if __name__ == "__main__":
    print(as_text([asdict(row) for row in bench(measured_models())]))
