"""No power cut bricks a board: the boards' own code of updates on flash in RAM (power_cuts.py)."""

import random
from typing import Any

import pytest

from lotor.update_key import Key
from played import needs_libsodium
from power_cuts import (
    CONFIRMED,
    CRASHES,
    FAILS_SELF_TEST,
    FELL_BACK,
    GOOD,
    NO_TRIAL,
    POWER,
    ROLLED_BACK,
    Count,
    Flash,
    cut_everywhere,
    flash_of,
    records,
)

pytestmark = needs_libsodium

FAULT, SELF_TEST, DAMAGED = 1, 6, 7
OK, OLDER, UNSIGNED, BAD_SIGNATURE, REPEATED, OUT_OF_ORDER = 0, 5, 6, 7, 11, 12
TRUNCATED, NOT_THE_IMAGE = 13, 14


def total(flash: Flash, behaviour: int, nested: bool = True, last: int | None = None) -> Count:
    count = sum(cut_everywhere(flash, behaviour, nested, last), Count())
    assert flash.lib.model_bad_writes() == 0  # only erased flash was written, in whole units
    return count


@pytest.mark.parametrize("behaviour", [GOOD, FAILS_SELF_TEST, CRASHES])
def test_power_is_cut_at_every_operation_and_in_the_recovery(behaviour: int) -> None:
    flash = flash_of()
    assert flash.start() == 1
    count = total(flash, behaviour)
    print(count)
    assert count.good and count.cuts > 4000 and count.nested > 3000


@pytest.mark.parametrize(("unit", "page"), [(4, 256), (8, 2048), (256, 4096)])
def test_wherever_the_journal_changes_its_area(unit: int, page: int) -> None:
    """A record more before the update moves the erasure through all that the update writes.

    The good image lies in slot 1, so that a journal that is lost starts the other one.
    """
    tried = Count()
    for before in range(max(512, page) // max(unit, 32) + 1):
        for behaviour in (GOOD, CRASHES):
            flash = flash_of(unit, page)
            flash.start()
            assert flash.send(flash.image(1, 1)) == OK and flash.start() == 1
            assert flash.lib.trial_running() == 1
            records(flash, before)
            # Its records, the end of its header: what comes before does not touch the journal.
            count = total(flash, behaviour, nested=before % 15 == 0, last=140 // unit)
            assert count.good, (before, behaviour, count)
            tried += count
    print(tried)


def test_from_the_second_slot_to_the_first() -> None:
    flash = flash_of()
    flash.start()
    assert flash.send(flash.image(1, 1)) == OK and flash.start() == 1
    assert flash.lib.trial_running() == 1
    assert total(flash, GOOD, nested=False).good


def test_a_record_cut_while_it_is_written_does_not_count() -> None:
    """Whatever some of its bits say: of 2,000 records, none is read half."""
    flash = flash_of()
    flash.start()
    records(flash, 3)
    draw = random.Random(4)
    for seed in range(2000):
        before = flash.lib.model_state()
        kept = flash.content
        flash.lib.model_cut(draw.randrange(8), 1, seed)
        state: Any = flash.ffi.new("update_state *", before)
        state.confirmed, state.trial, state.version = draw.randrange(2), draw.randrange(3), seed
        done = flash.lib.model_append(state)
        after = flash.lib.model_state()
        assert done == -2 and after.sequence in (before.sequence, before.sequence + 1)
        if after.sequence == before.sequence:
            assert (
                flash.ffi.buffer(flash.ffi.addressof(after))[:]
                == (flash.ffi.buffer(flash.ffi.addressof(before))[:])
            )
        else:  # the last word was written whole
            assert (after.version, after.trial) == (seed, state.trial)
        flash.content = kept


def test_states_of_an_update() -> None:
    flash = flash_of()
    assert flash.start() == 1
    assert flash.send(flash.image(2, 1)) == OK
    assert flash.lib.model_state().trial == 1
    assert flash.start() == 2
    state = flash.lib.model_state()
    assert (state.confirmed, state.trial, state.result) == (1, NO_TRIAL, CONFIRMED)
    assert flash.send(flash.image(3, 0, FAILS_SELF_TEST)) == OK and flash.start() == 2
    state = flash.lib.model_state()
    assert (state.result, state.reason, state.version) == (ROLLED_BACK, SELF_TEST, 3)
    assert flash.send(flash.image(4, 0, CRASHES)) == OK and flash.start() == 2
    state = flash.lib.model_state()
    assert (state.result, state.reason, state.layer, state.version) == (ROLLED_BACK, FAULT, 3, 4)
    assert flash.send(flash.image(1, 0)) == OLDER
    assert flash.send(flash.image(1, 0, older=True)) == OK and flash.start() == 1


def test_a_damaged_slot_gives_way_to_the_other() -> None:
    flash = flash_of()
    flash.start()
    assert flash.send(flash.image(2, 1)) == OK and flash.start() == 2
    at = flash.board.image_address(1) - flash.board.flash_origin + 100
    damaged = bytearray(flash.content)
    damaged[at] ^= 1
    flash.content = bytes(damaged)
    assert flash.start() == 1
    state = flash.lib.model_state()
    assert (state.result, state.reason, state.version) == (FELL_BACK, DAMAGED, 2)
    assert flash.send(flash.image(3, 1)) == OK and flash.start() == 3


def test_what_was_damaged_after_it_was_sent_is_not_tried() -> None:
    flash = flash_of()
    flash.start()
    assert flash.send(flash.image(2, 1)) == OK
    damaged = bytearray(flash.content)
    damaged[flash.board.image_address(1) - flash.board.flash_origin + 100] ^= 1
    flash.content = bytes(damaged)
    assert flash.start() == 1
    state = flash.lib.model_state()
    assert (state.result, state.reason, state.version) == (ROLLED_BACK, DAMAGED, 2)


def test_a_header_that_was_cut_is_none() -> None:
    """Its image is whole, only bits of the version are missing, and nothing else could start."""
    flash = flash_of()
    flash.start()
    slot = flash.image(0x7F, 1)
    at, first = (flash.board.slot_address(n) - flash.board.flash_origin for n in (1, 0))
    for version, expected in ((0x7F, 0x7F), (0x3F, 0)):
        content = bytearray(flash.content)
        content[first : first + 512] = bytes(512)
        content[at : at + len(slot.header + slot.image)] = slot.header + slot.image
        content[at + 40] = version
        flash.content = bytes(content)
        assert flash.start() == expected


def test_both_damaged_start_nothing() -> None:
    """What a brick looks like to these tests: without this they could not fail."""
    flash = flash_of()
    flash.start()
    flash.content = flash.content[:1200] + bytes(len(flash.content) - 1200)
    assert flash.start() == 0


def test_signatures() -> None:
    key, other = Key(bytes(32)), Key(bytes(31) + b"1")
    flash = flash_of(key=key)
    assert flash.start() == 1
    good = flash.image(2, 1)
    flash.key = None
    assert flash.send(flash.image(2, 1)) == UNSIGNED
    flash.key = other
    assert flash.send(flash.image(2, 1)) == BAD_SIGNATURE
    assert flash.send(good) == OK and flash.start() == 2


def test_pieces_in_order() -> None:
    flash = flash_of()
    flash.start()
    slot = flash.image(2, 1)
    assert flash.lib.model_begin_update(slot.header) == OK
    piece = flash.lib.model_piece
    assert piece(4, slot.image[4:8], 4) == OUT_OF_ORDER
    assert piece(0, slot.image, 8) == OK
    assert piece(0, slot.image, 8) == REPEATED and piece(4, slot.image[4:12], 8) == REPEATED
    assert piece(8, slot.image[8:], 3) == TRUNCATED and flash.lib.model_finish() == TRUNCATED
    assert piece(8, bytes(len(slot.image) - 8), len(slot.image) - 8) == OK
    assert flash.lib.model_finish() == NOT_THE_IMAGE
    assert flash.lib.model_power_on(POWER) == 1
