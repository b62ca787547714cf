"""A frozen benchmark of a classifier: figures by subset with intervals, beside what it must beat.

`frozen` says on what, `subsets` which parts, `metrics` the figures, `baselines` what must be
beaten, `results` what earlier versions got, `compare` whether a difference is one, `run` does it
all; `text`, `page`, `pictures` and `gallery` show it.
"""
