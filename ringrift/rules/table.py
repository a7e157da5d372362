"""Offsets in the table of a geometry: one flat int32 array, passed to all compiled code."""

from typing import Final

T_SEATS, T_STRIDE_LOG2, T_WIDTH, T_HEX = range(4)
T_RINGS: Final = 4  # R
T_RINGS_TO_WIN: Final = 5  # V
T_TERRITORY_TO_WIN: Final = 6
T_LINE: Final = 7  # L
T_LINE_NOTICED: Final = 8
T_RECOVERY_NOTICED: Final = 9  # 13.4, E12
T_GROWTH: Final = 10  # 1 where a claimed border grows over the 8 array neighbours (2.4)
T_DIRECTIONS, T_AXES = 11, 12  # how many
T_ROW_SLOTS: Final = 13  # words of one row mask
T_ROWS_AT: Final = 14  # offset of the first row mask in a state
T_RING_LINKS_AT, T_SCRATCH_AT, T_STATE_SIZE = 15, 16, 17
T_DIRECTION: Final = 24  # 8 core id deltas, order of 2.2
T_AXIS: Final = 32  # 4 core id deltas, all positive
T_RECOVERY_AXIS: Final = 36  # the same in recovery order
T_VALID: Final = 40  # row mask of the cells on the board
ROW_SLOTS_MAX: Final = 32
T_NEIGHBOURHOOD: Final = T_VALID + ROW_SLOTS_MAX  # 512 entries, see `geometry`
T_SIZE: Final = T_NEIGHBOURHOOD + 512

# Sizes in a state.
CELLS_AT: Final = 64  # length of the header; cells follow
ROW_MARGIN: Final = 3  # empty rows on either side of a row mask, so that three steps never leave it
SCRATCH_MASKS: Final = 4
WRITE_AHEAD: Final = 2  # words that listing moves may write past the end of the list

# Flags of T_NEIGHBOURHOOD.
TOUCHES, MAY_SPLIT = 1, 2
