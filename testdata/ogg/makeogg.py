"""Builds the Ogg fixtures no encoder makes, page by page (RFC 3533).

    makeogg.py files PARTS OUT
    makeogg.py picture           prints the text of a METADATA_BLOCK_PICTURE comment

../make.sh calls it; PARTS is the folder with the encoder output. Tags and junk
are those of ../maketags.py.
"""

import base64
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from maketags import id3v24, junk  # noqa: E402

CONTINUED, FIRST, LAST = 1, 2, 4


def crc32(data):
    """RFC 3533: polynomial 0x04C11DB7, begins as 0, nothing reflected."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if crc >> 31 else 0)
    return crc


class Page:
    def __init__(self, flags, granule, serial, number, lacing, body):
        self.flags, self.granule, self.serial, self.number = flags, granule, serial, number
        self.lacing, self.body = lacing, body

    def bytes(self):
        head = b"OggS\0" + struct.pack("<BqII", self.flags, self.granule, self.serial, self.number)
        tail = bytes([len(self.lacing)]) + self.lacing + self.body
        return head + struct.pack("<I", crc32(head + bytes(4) + tail)) + tail


def split(data):
    """The pages of an encoder's output, which holds nothing else."""
    pages = []
    while data:
        assert data[:5] == b"OggS\0"
        lacing = data[27 : 27 + data[26]]
        size = 27 + len(lacing) + sum(lacing)
        page = Page(*struct.unpack("<BqII", data[5:22]), lacing, data[27 + len(lacing) : size])
        assert page.bytes() == data[:size]
        pages.append(page)
        data = data[size:]
    return pages


def join(pages):
    return b"".join(p.bytes() for p in pages)


def repage(page, most):
    """The pages that hold the packets of a page, at most so many segments each. A
    page on which no packet ends has the granule position -1."""
    lacing, body = page.lacing, page.body
    flags, out = page.flags, []
    while lacing:
        here, lacing = lacing[:most], lacing[most:]
        ends = min(here) < 255
        out.append(Page(flags, page.granule if ends else -1, page.serial, 0, here, body[: sum(here)]))
        body = body[sum(here) :]
        flags = page.flags | (CONTINUED if here[-1] == 255 else 0)
    return out


def picture():
    data = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + junk(4400, "ogg cover")
    mime = b"image/jpeg"
    block = struct.pack(">II", 3, len(mime)) + mime + struct.pack(">IIIIII", 0, 16, 16, 24, 0, len(data)) + data
    return base64.b64encode(block).decode()


def main():
    if sys.argv[1:] == ["picture"]:
        print(picture())
        return
    parts, out = sys.argv[2:]

    def get(name):
        with open(os.path.join(parts, name), "rb") as f:
            return f.read()

    files = {
        "vorbis-chained.ogg": get("one.ogg") + get("two.ogg"),
        "vorbis-chained-rates.ogg": get("rate.ogg") + get("two.ogg"),
        "vorbis-same-serial.ogg": get("one.ogg") + get("again.ogg"),
        "id3-in-front.ogg": id3v24("Not Vorbis", "This is the ID3 tag") + get("id3.ogg"),
    }

    # ffmpeg's small pages: two with headers, then six with sound
    small = get("pages.ogg")
    pages = split(small)
    assert len(pages) == 8 and pages[7].flags & LAST
    files["vorbis-no-eos.ogg"] = small[: -len(pages[7].body) // 2]

    middle = sum(len(p.bytes()) for p in pages[:4])
    at = middle + 27 + len(pages[4].lacing) + len(pages[4].body) // 2
    files["damaged-page.ogg"] = small[:at] + bytes([small[at] ^ 0x10]) + small[at + 1 :]

    for p in pages[2:]:
        p.granule += 1000000
    files["vorbis-offset.ogg"] = join(pages)

    pages = split(get("cover.ogg"))
    pages[1:2] = repage(pages[1], 7)
    for i, p in enumerate(pages):
        p.number = i
    # the comment ends on page 4, and there the setup begins
    assert all(min(p.lacing) == 255 for p in pages[1:4]) and pages[4].lacing[-1] == 255 > min(pages[4].lacing)
    files["vorbis-cover.ogg"] = join(pages)

    # speexenc draws the serial from the clock
    pages = split(get("speex.spx"))
    for p in pages:
        p.serial = 0x0000001E
    files["speex-16000.spx"] = join(pages)

    for name, data in files.items():
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
