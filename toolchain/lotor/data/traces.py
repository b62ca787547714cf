"""What is left of a photograph outside of its data set: scores, galleries, masks, downloads."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lotor.benchmark import gallery, results
from lotor.resources import cache_dir, resource
from lotor.train.augment import composite


def remove_traces(ids: Sequence[str], roots: Iterable[Path]) -> list[Path]:
    """Remove what can be told to be of these photographs; done again, it finds nothing.

    Args:
        ids: of the photographs.
        roots: folders in which models lie, whose results have a score for each photograph.

    Returns:
        the files and folders that something was removed from.

    Raises:
        LotorError: one of them cannot be written.
    """
    changed = []
    for folder in (path for root in roots for path in sorted(root.glob(f"*/{results.FOLDER}"))):
        changed += results.forget(folder, ids)
    here = {root.resolve(): root for root in (Path(), resource("models").parent)}
    for root in here.values():
        changed += gallery.forget(root, ids)
    return [*changed, *composite.forget_masks()]


def pulled() -> list[str]:
    """Return what `lotor data pull` has left in the cache, in words: archives are not opened."""
    folder = cache_dir() / "data"
    found = sorted(path for path in folder.glob("*") if path.is_dir())
    return [f"{path}, which `lotor data pull` keeps: remove it if they came from there"
            for path in found]  # fmt: skip
