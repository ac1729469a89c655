"""Builds the ADTS fixtures no encoder at hand makes.

    makeaac.py PARTS OUT

../make.sh calls it; PARTS is the folder with the encoder output. Tags and junk
are those of ../maketags.py.

The ADTS header is in ISO/IEC 13818-7 6.2 and 14496-3 1.A.2.2: seven bytes, of
which [3] to [5] hold the frame's length (13 bits), and the lowest two bits of
[6] the number of raw data blocks less one. The lowest bit of [1] is set when
there is no CRC.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from maketags import id3v1, id3v24, junk  # noqa: E402


def frame_size(b):
    assert b[0] == 0xFF and b[1] & 0xF6 == 0xF0, b[:7].hex()
    return (b[3] & 3) << 11 | b[4] << 3 | b[5] >> 5


def sized(header, n, blocks=1):
    """The header for a frame of n bytes that holds so many raw data blocks."""
    h = bytearray(header[:7])
    h[3] = h[3] & 0xFC | n >> 11
    h[4] = n >> 3 & 0xFF
    h[5] = n << 5 & 0xE0 | h[5] & 0x1F
    h[6] = h[6] & 0xFC | blocks - 1
    return bytes(h)


def split(path):
    """The frames of an encoder's output, which holds nothing else."""
    with open(path, "rb") as f:
        data = f.read()
    frames = []
    while data:
        n = frame_size(data)
        assert len(data) >= n and data[1] & 1 and data[6] & 3 == 0, path
        frames.append(data[:n])
        data = data[n:]
    return frames


def pair(a, b):
    """One frame with the raw data blocks of both. Without CRC nothing stands
    between them."""
    return sized(a, len(a) + len(b) - 7, blocks=2) + a[7:] + b[7:]


def crc16(bits):
    """ISO/IEC 11172-3 2.4.3.1: polynomial 0x8005, begins as all ones."""
    crc = 0xFFFF
    for bit in bits:
        crc = (crc << 1 & 0xFFFF) ^ (0x8005 if (crc >> 15) ^ bit else 0)
    return crc


def with_crc(frame):
    """The frame of one single_channel_element, with a CRC over the header and
    the first 192 bits of the element; the three bits that name the element are
    left out."""

    def bits(b):
        return [byte >> i & 1 for byte in b for i in range(7, -1, -1)]

    h = bytearray(sized(frame, len(frame) + 2))
    h[1] &= 0xFE
    block = bits(frame[7:])
    assert block[:3] == [0, 0, 0] and len(block) > 3 + 192 + 8
    return bytes(h) + crc16(bits(h) + block[3 : 3 + 192]).to_bytes(2, "big") + frame[7:]


def main():
    parts, out = sys.argv[1:]

    def get(name):
        return split(os.path.join(parts, name + ".aac"))

    song = get("parts-44")
    audio, cut = b"".join(song), song[-2]
    two, crc = get("parts-48"), get("parts-32")

    # Only the length of the false header is wrong: no frame follows where it ends.
    head, rest = b"".join(song[:7]), b"".join(song[7:])
    false = junk(150, "aac before") + sized(song[0], 900) + junk(143, "aac behind")
    assert len(false) == 300 and false[150:152] == b"\xff\xf1"
    assert (head + false + rest)[len(head) + 150 + 900] != 0xFF

    files = {
        "two-blocks-48000.aac": b"".join(map(pair, two[0::2], two[1::2])),
        "crc-32000.aac": b"".join(map(with_crc, crc)),
        "tagged.aac": id3v24("Ольга Вєтрова", "Тиха вода ☕") + audio + id3v1("Olga", "Quiet Water"),
        "garbage-between.aac": head + false + rest,
        "truncated.aac": b"".join(song[:-2]) + cut[: len(cut) // 2],
    }
    for name, data in files.items():
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
