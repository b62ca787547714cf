"""Sequences of frames: what is read, what is refused, and what a label says of a target."""

from pathlib import Path

import pytest

from camera import COLUMNS, write_csv, write_frames
from lotor.data.sequences import Truth, read_sequences, sequences_folder, truth_of
from lotor.errors import LotorError


@pytest.mark.parametrize(
    ("label", "truth"),
    [
        ("raccoon", Truth.THERE),
        ("Raccoon (burnt-in boxes)", Truth.THERE),
        ("raccoon and cat", Truth.THERE),
        ("cat/raccoon or raccoon", Truth.THERE),
        ("none", Truth.ABSENT),
        ("kangaroo", Truth.ABSENT),
        ("cat or empty (not labelled per frame)", Truth.ABSENT),
        ("orraccoonor", Truth.ABSENT),
        ("raccoon or empty", Truth.UNCLEAR),
        ("entering/leaving", Truth.UNCLEAR),
        ("cat or unknown", Truth.UNCLEAR),
        ("animal", Truth.UNCLEAR),
        ("", Truth.UNCLEAR),
        ("(raccoon)", Truth.UNCLEAR),
    ],
)
def test_what_a_label_says(label: str, truth: Truth) -> None:
    assert truth_of(label, {"raccoon", "raccoon_face"}) is truth


def test_reads_frames_in_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_frames(
        tmp_path, {"a": [("none", ""), ("raccoon", "raccoon")], "b/c": [("x", "")]}
    )
    lines = (folder / "frames.csv").read_text().splitlines()
    (folder / "frames.csv").write_text("\ufeff" + "\n".join([lines[0], *reversed(lines[1:])]))
    first, second = read_sequences(folder)
    assert (first.name, second.name, second.synthetic) == ("b/c", "a", True)
    assert [frame.label for frame in second.frames] == ["none", "raccoon"]
    assert second.times(4.0) == [0.0, 0.25]
    assert second.source == "made up"


def test_frames_beside_the_list_are_called_by_their_folder(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "yard", {".": [("none", "")]})
    assert [sequence.name for sequence in read_sequences(folder)] == ["yard"]


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        (("3", "5.5"), [3.0, 5.5]),
        (("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:07+00:00"), [1767323045.0, 1767323047.0]),
        (("3", ""), [0.0, 0.5]),  # one lacks: all are counted
    ],
)
def test_times(tmp_path: Path, stamps: tuple[str, str], times: list[float]) -> None:
    write_frames(tmp_path, {"a": [("none", "")] * 2})
    write_csv(
        tmp_path,
        [[f"a/000{i}.png", str(i), "none", "", stamp, "0", ""] for i, stamp in enumerate(stamps)],
    )
    (found,) = read_sequences(tmp_path)
    assert found.times(2.0) == times
    assert not found.synthetic


GOOD = ["a/0000.png", "0", "none", "", "", "0", ""]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "lists no frame"),
        ([["../0000.png", *GOOD[1:]]], "line 2: file '../0000.png' must lie below"),
        ([["/etc/passwd", *GOOD[1:]]], "line 2: file '/etc/passwd' must lie below"),
        ([["", *GOOD[1:]]], "line 2: file '' must lie below"),
        ([GOOD, ["a/9.png", *GOOD[1:]]], "line 3: there is no file"),
        ([[GOOD[0], "one", *GOOD[2:]]], "line 2: frame 'one' is no whole number"),
        ([GOOD[:2]], "line 2: there are fewer values than columns"),
        ([[*GOOD[:4], "noon", "0", ""]], "line 2: Invalid isoformat"),
        ([[*GOOD[:4], "nan", "0", ""]], "line 2: timestamp nan must be finite"),
        ([GOOD, ["a/0001.png", *GOOD[1:]]], "a has two frames with the number 0"),
        (
            [[*GOOD[:4], "5", "0", ""], ["a/0001.png", "1", "none", "", "4", "0", ""]],
            "in a, frame 1 is earlier than the last",
        ),
    ],
)
def test_what_is_refused_in_one_line(tmp_path: Path, rows: list[list[str]], says: str) -> None:
    write_frames(tmp_path, {"a": [("none", "")] * 2})
    write_csv(tmp_path, rows)
    with pytest.raises(LotorError) as caught:
        read_sequences(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_list(tmp_path: Path) -> None:
    with pytest.raises(LotorError, match=r"no frames.csv in .*give a folder that holds one"):
        sequences_folder(tmp_path)
    with pytest.raises(LotorError, match="cannot read"):
        read_sequences(tmp_path)
    (tmp_path / "frames.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LotorError, match="no CSV file in UTF-8"):
        read_sequences(tmp_path)
    write_csv(tmp_path, [GOOD[:2]], COLUMNS[:2])
    with pytest.raises(LotorError, match=r"lacks the column\(s\) label"):
        read_sequences(tmp_path)


def test_the_shared_sequences(shared: Path) -> None:
    found = {s.name: s for s in read_sequences(shared / "data/sequences")}
    assert len(found) == 6
    truths = [truth_of(f.label, {"raccoon"}) for f in found["synthetic_raccoon_day"].frames]
    assert [truths.count(truth) for truth in Truth] == [49, 40, 11]
    for name in ("real_badger", "real_catdoor", "real_catdoor_1", "real_menchikcs_mp4"):
        assert {truth_of(f.label, {"raccoon"}) for f in found[name].frames} == {Truth.ABSENT}
