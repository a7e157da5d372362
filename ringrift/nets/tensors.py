"""Arrays and text as bytes: the safetensors format, written so that equal content has equal bytes
on every machine.

    8 bytes     length of the header, little-endian
    header      JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets"}}, keys
                sorted;
                padded with blanks to a multiple of 8 bytes
    data        the arrays one after another in order of their names, little-endian, C order

The safetensors library reads these files; its own writer orders metadata at random, so digests of
its output would differ.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

METADATA: Final = "__metadata__"
HEADER_BYTES_MAX: Final = 4 << 20  # a thousand arrays need a tenth of a megabyte
PICKLES: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""First bytes of files of torch.save and of pickles. Reading one can execute code, so they are
never read."""
DIMENSIONS_MAX: Final = 8
AXIS_MAX: Final = 1 << 32  # length of an axis, which only an array without elements can reach
_NAMES: Final = {
    **{"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1"},
    **{"U16": "<u2", "U8": "|u1"},
}
_CODES: Final = {text: code for code, text in _NAMES.items()}


class TensorError(ValueError):
    """The bytes are not of the format described above; the message says where."""


def pack(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Return `arrays` and `metadata` as bytes. Raises TensorError for an unsupported dtype."""
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))}
    parts: list[bytes] = []
    end = 0
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        text = array.dtype.newbyteorder("<").str
        if text not in _CODES:
            raise TensorError(f"array {name!r}: dtype {array.dtype} cannot be stored")
        parts.append(array.astype(text, copy=False).tobytes())
        header[name] = {
            "dtype": _CODES[text],
            "shape": list(array.shape),
            "data_offsets": [end, end + len(parts[-1])],
        }
        end += len(parts[-1])
    text_bytes = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text_bytes += b" " * (-len(text_bytes) % 8)
    return len(text_bytes).to_bytes(8, "little") + text_bytes + b"".join(parts)


def unpack(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays (read-only views) and the metadata of `data`. Raises TensorError."""
    if len(data) < 8:
        raise TensorError(f"{len(data)} bytes are too short for a header")
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8 and data.startswith(PICKLES):
        raise TensorError("a pickle of torch.save could execute code; give a safetensors file")
    if length > len(data) - 8:
        raise TensorError(f"truncated: a header of {length} bytes in a file of {len(data)}")
    if length > HEADER_BYTES_MAX:
        raise TensorError(f"header of {length} bytes; at most {HEADER_BYTES_MAX} are allowed")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop(METADATA, {})
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()):
            raise TensorError("metadata is not a table of texts")
        body = memoryview(data)[8 + length :]
        arrays: Arrays = {}
        end = 0
        ordered = sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0]))
        for name, entry in ordered:
            arrays[name], end = _array(name, entry, body, end)
    except TensorError:
        raise
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise TensorError(f"header is not that of a tensor file: {error}") from error
    if end != len(body):
        raise TensorError(f"{len(body) - end} bytes follow the last array")
    return arrays, metadata


def _array(
    name: str, entry: Mapping[str, Any], body: memoryview, start: int
) -> tuple[NDArray[Any], int]:
    code, shape, (first, last) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if code not in _NAMES:
        raise TensorError(f"array {name!r}: unknown dtype {code!r}")
    dtype = np.dtype(_NAMES[code])
    if not all(isinstance(n, int) and 0 <= n <= AXIS_MAX for n in shape):
        raise TensorError(f"array {name!r}: invalid shape {shape}")
    size = dtype.itemsize * math.prod(shape)
    if len(shape) > DIMENSIONS_MAX:
        raise TensorError(f"array {name!r}: {len(shape)} dimensions exceed {DIMENSIONS_MAX}")
    if first != start or last - first != size or last > len(body):
        place = f"bytes {first} to {last}"
        raise TensorError(f"array {name!r}: {place} do not hold shape {shape} of {code}")
    return np.frombuffer(body[first:last], dtype).reshape(shape), last
