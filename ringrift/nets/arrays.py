"""Types of the arrays that networks and their encoders exchange."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Int16s = NDArray[np.int16]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

States = Int32s  # [B, S]
Codes = Int64s  # of moves
