"""Builds the fixtures no encoder makes: odd streams and tags, byte by byte.

    maketags.py mp3  PARTS OUT   streams put together from whole frames
    maketags.py tags PARTS OUT   tags round one small MP3

make.sh calls it; PARTS is the folder with the encoder output. Standard library
only. Random bytes come from fixed seeds, so every run gives the same files.

Where the layouts come from:
    frames       ISO/IEC 11172-3 2.4.2.3, 13818-3 (MPEG-2), Layer I 2.4.1.5
    ID3v1, v2    id3.org: ID3v1, id3v2-00 (2.2), id3v2.3.0, id3v2.4.0-structure
    TAG+         227 bytes in front of ID3v1, "Enhanced TAG"
    APE          wiki.hydrogenaud.io: APEv1, APEv2 specification
    Lyrics3      id3.org: Lyrics3, Lyrics3v2
    VBRI         Fraunhofer VBRI header, 32 bytes behind the frame header
"""

import os
import random
import struct
import sys
import zlib

KBPS = {  # by (MPEG-1?, layer), index 1 to 14
    (True, 1): range(32, 449, 32),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def frame_size(b):
    """Size of the Layer III frame (MPEG-1 or MPEG-2) whose header b begins with."""
    h = struct.unpack(">I", b[:4])[0]
    mpeg1, layer = bool(h >> 19 & 1), 4 - (h >> 17 & 3)
    assert h >> 20 == 0xFFF and layer == 3, b[:4].hex()
    rate = (44100, 48000, 32000)[h >> 10 & 3] >> (not mpeg1)
    kbps = KBPS[mpeg1, layer][(h >> 12 & 15) - 1]
    return (144 if mpeg1 else 72) * kbps * 1000 // rate + (h >> 9 & 1)


def split(path):
    """The frames of an encoder's output, which holds nothing else."""
    with open(path, "rb") as f:
        data = f.read()
    frames = []
    while data:
        n = frame_size(data)
        assert len(data) >= n, path
        frames.append(data[:n])
        data = data[n:]
    return frames


def junk(n, seed):
    """n bytes without 0xFF, so without any sync."""
    r = random.Random(seed)
    return bytes(r.randrange(0xFF) for _ in range(n))


def picture(n, header, seed):
    """n bytes that begin like a JPEG and then hold frame after frame: each has
    the header of the real audio and stands where the one before it ends. Only
    the length of the tag tells that they are not music."""
    size = frame_size(header)
    out = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    k = 0
    while len(out) < n:
        out += header[:4] + junk(size - 4, "%s %d" % (seed, k))
        k += 1
    return out[:n]


# --- streams ----------------------------------------------------------------


class Bits:
    def __init__(self):
        self.value = self.count = 0

    def put(self, value, width):
        self.value = self.value << width | value
        self.count += width

    def bytes(self, size):
        return (self.value << size * 8 - self.count).to_bytes(size, "big")


def layer1(count, seed):
    """Layer I, 44100 Hz, stereo, 224 kbit/s. A slot is 4 bytes, and 12*224000/44100
    is 60.95 slots, so most frames carry a padding slot (11172-3, 2.4.2.3)."""
    r = random.Random(seed)
    out, rest = [], 0
    for _ in range(count):
        slots, padding = 12 * 224000 // 44100, 0
        if out:
            rest -= 12 * 224000 % 44100
            if rest < 0:
                rest += 44100
                slots, padding = slots + 1, 1
        b = Bits()
        b.put(0xFFF, 12)  # sync
        b.put(0b1_11_1, 4)  # MPEG-1, Layer I, no CRC
        b.put(7, 4)  # 224 kbit/s
        b.put(0, 2)  # 44100 Hz
        b.put(padding, 1)
        b.put(0, 9)  # private, stereo, no extension, no copyright, copy, no emphasis
        # bit allocation: 4-bit samples in the lowest 15 of 32 subbands
        for sb in range(32):
            for _ in range(2):
                b.put(3 if sb < 15 else 0, 4)
        for sb in range(15):  # scale factors, quieter upwards
            for _ in range(2):
                b.put(9 + 2 * sb + r.randrange(3), 6)
        for _ in range(12 * 15 * 2):  # samples; all ones is forbidden
            b.put(r.randrange(15), 4)
        out.append(b.bytes(slots * 4))
    return b"".join(out)


def vbri(frames):
    """A VBRI header frame for frames: 'VBRI' 32 bytes behind the frame header,
    whatever the channel mode."""
    head = frames[0][:2] + bytes([frames[0][2] & 0x0D | 9 << 4]) + frames[0][3:4]
    per = 4  # frames in one entry of the table of contents
    toc = [sum(map(len, frames[i : i + per])) for i in range(0, len(frames), per)]
    body = b"VBRI" + struct.pack(
        ">HHHIIHHHH", 1, 1105, 75, sum(map(len, frames)), len(frames), len(toc), 1, 2, per
    )
    body += struct.pack(">%dH" % len(toc), *toc)
    return (head + bytes(32) + body).ljust(frame_size(head), b"\0")


def make_streams(parts):
    def get(name):
        return split(os.path.join(parts, name + ".mp3"))

    def cat(*pieces):
        return b"".join(pieces)

    info, *mono = get("parts")
    xing = get("parts-xing")[0]
    assert info[21:25] == b"Info" and xing[21:25] == b"Xing"
    vbr = get("parts-vbr")
    a, b = get("parts-44"), get("parts-22")

    yield "layer1-44100-stereo.mp1", layer1(30, "layer1")
    yield "single-frame.mp3", mono[0]
    last = mono[-1]
    yield "truncated.mp3", cat(info, *mono[:-1], last[: len(last) // 2])
    yield "garbage-between.mp3", cat(info, *mono[:7], junk(300, "garbage"), *mono[7:])
    # The false header differs from the real ones in the bit rate alone: 320 kbit/s,
    # 1044 bytes. Who trusts it loses the five real frames which that covers.
    header = mono[0][:2] + bytes([mono[0][2] & 0x0F | 14 << 4]) + mono[0][3:4]
    false = cat(junk(150, "before"), header, junk(40, "behind"))
    yield "false-sync.mp3", cat(info, *mono[:7], false, *mono[7:])
    yield "info-twice.mp3", cat(xing, info, *mono)
    yield "vbri.mp3", cat(vbri(vbr), *vbr)
    yield "other-rate-concat.mp3", cat(*a, *b)


# --- tags -------------------------------------------------------------------


def syncsafe(n):
    return bytes(n >> s & 0x7F for s in (21, 14, 7, 0))


def text(s, enc):
    """An encoding byte and the text in it. UTF-16 goes with a mark in front."""
    codec = ("latin-1", "utf-16-le", "utf-16-be", "utf-8")[enc]
    return bytes([enc]) + (b"\xff\xfe" if enc == 1 else b"") + s.encode(codec)


def frame22(name, body):
    return name.encode() + struct.pack(">I", len(body))[1:] + body


def frame23(name, body):
    return name.encode() + struct.pack(">IH", len(body), 0) + body


def frame24(name, body):
    return name.encode() + syncsafe(len(body)) + b"\0\0" + body


def apic(data, enc=0, kind=3):
    return bytes([enc]) + b"image/jpeg\0" + bytes([kind]) + (b"\0\0" if enc == 1 else b"\0") + data


def id3v2(version, frames, flags=0, size=None):
    body = b"".join(frames)
    return b"ID3" + bytes([version, 0, flags]) + syncsafe(len(body) if size is None else size) + body


def id3v23(artist, title, enc=0, more=()):
    return id3v2(3, [frame23("TPE1", text(artist, enc)), frame23("TIT2", text(title, enc)), *more])


def id3v24(artist, title, enc=3, more=()):
    return id3v2(4, [frame24("TPE1", text(artist, enc)), frame24("TIT2", text(title, enc)), *more])


def unsynchronise(b):
    out = bytearray()
    for i, c in enumerate(b):
        out.append(c)
        if c == 0xFF and (i + 1 == len(b) or b[i + 1] >= 0xE0 or b[i + 1] == 0):
            out.append(0)
    return bytes(out)


def footer24(frames):
    """A 2.4 tag with a footer, to be found from the end of the file."""
    tag = id3v2(4, frames, flags=0x10)
    return tag + b"3DI" + tag[3:10]


def id3v1(artist, title, track=None):
    def field(s, n):
        return s.encode("latin-1")[:n].ljust(n, b"\0")

    comment = field("made for icepush", 30)
    if track is not None:
        comment = comment[:28] + bytes([0, track])
    out = b"TAG" + field(title, 30) + field(artist, 30) + field("Fixtures", 30) + b"2024" + comment + b"\x0c"
    assert len(out) == 128
    return out


def enhanced(artist, title):
    """TAG+ carries 60 characters more of each text: ID3v1 has the first 30."""

    def more(s):
        return s.encode("latin-1")[30:90].ljust(60, b"\0")

    out = b"TAG+" + more(title) + more(artist) + more("Fixtures") + b"\x02"
    out += b"Field recording".ljust(30, b"\0") + b"000:00" + b"000:01"
    assert len(out) == 227
    return out


APE_HEADER, APE_IS_HEADER, APE_BINARY = 1 << 31, 1 << 29, 1 << 1


def ape(items, version=2000):
    """items: key -> text, or bytes for a binary item. Version 1000 has no header."""
    body = b""
    for key, value in items.items():
        flags = APE_BINARY if isinstance(value, bytes) else 0
        value = value if isinstance(value, bytes) else value.encode("utf-8")
        body += struct.pack("<II", len(value), flags) + key.encode() + b"\0" + value

    def end(flags):
        return b"APETAGEX" + struct.pack("<IIII", version, len(body) + 32, len(items), flags) + bytes(8)

    if version == 1000:
        return body + end(0)
    return end(APE_HEADER | APE_IS_HEADER) + body + end(APE_HEADER)


LYRICS = "[00:00]Salt on the window,\r\n[00:01]salt in the air\r\n"


def lyrics3v1():
    return b"LYRICSBEGIN" + LYRICS.encode("latin-1") + b"LYRICSEND"


def lyrics3v2(artist, title):
    out = b"LYRICSBEGIN"
    for name, value in (("IND", "110"), ("EAR", artist), ("ETT", title), ("LYR", LYRICS)):
        out += ("%s%05d%s" % (name, len(value), value)).encode("latin-1")
    return out + b"%06dLYRICS200" % len(out)


def make_tags(parts):
    song = split(os.path.join(parts, "song.mp3"))
    assert song[0][36:40] == b"Info"
    audio = b"".join(song)
    half = len(song) // 2
    head = song[1]  # its header for the false frames

    yield "id3v1.mp3", audio + id3v1("The Quiet Harbour", "Low Tide")
    yield "id3v11-latin1.mp3", audio + id3v1("Café Müller", "Señor Ærø übt", track=7)
    long = ("The Quiet Harbour Light Orchestra and Friends", "Low Tide, Second Movement, with a Very Long Name")
    yield "id3v1-enhanced.mp3", audio + enhanced(*long) + id3v1(*long)

    pic = b"\0JPG\x03\0" + picture(900, head, "22")
    yield "id3v22-pic.mp3", id3v2(2, [
        frame22("TP1", text("Duo Farol", 0)),
        frame22("TT2", text("Três Ondas", 0)),
        frame22("PIC", pic),
    ]) + audio

    big = frame23("APIC", apic(picture(20480, head, "23"), enc=1))
    yield "id3v23-utf16-apic.mp3", id3v23("Ольга Вєтрова", "Тиха вода ☕", enc=1, more=[big]) + audio

    frames = [
        frame23("TPE1", text("Louÿs ÿÿ", 0)),
        frame23("TIT2", text("Ça ÿ est", 1)),
        frame23("PRIV", b"icepush\0" + head[:4] * 3 + b"\xff\x00\xff\xe0\xff"),
    ]
    yield "id3v23-unsync.mp3", id3v2(3, [unsynchronise(b"".join(frames))], flags=0x80) + audio

    frames = frame23("TPE1", text("Nordlys", 0)) + frame23("TIT2", text("Extended", 0))
    padding = 16
    ext = struct.pack(">IHII", 10, 0x8000, padding, zlib.crc32(frames))
    yield "id3v23-exthdr.mp3", id3v2(3, [ext, frames, bytes(padding)], flags=0x40) + audio

    yield "id3v24-utf8-multi.mp3", id3v24("Anna Å.\0Bertil Ö.\0Çelik", "Three of Us ❄") + audio
    yield "id3v24-footer-end.mp3", audio + footer24([
        frame24("TPE1", text("Nordlys", 3)),
        frame24("TIT2", text("At the End – with a Footer", 3)),
    ])

    yield "id3v2-twice.mp3", id3v23("First Tag", "First Title") + id3v24("Second Tag", "Second Title") + audio

    a, b = b"".join(song[:half]), b"".join(song[:1] + song[half:])
    yield "concat-tags-between.mp3", (
        id3v23("Part One", "Left") + a + id3v1("Part One", "Left")
        + id3v24("Part Two", "Right", more=[frame24("APIC", apic(picture(700, head, "between")))])
        + b + id3v1("Part Two", "Right")
    )

    frames = [frame23("TPE1", text("Nordlys", 0)), frame23("TIT2", text("Past the End", 0))]
    yield "id3v2-size-past-eof.mp3", id3v2(3, frames, size=4 << 20) + audio
    yield "id3v2-size-too-small.mp3", id3v2(3, [
        frame23("TPE1", text("Nordlys", 0)),
        frame23("TIT2", text("Too Small, so this title spills out of the tag", 0)),
        frame23("TALB", text("Fixtures, and this one stands outside altogether", 0)),
    ], size=34) + audio

    yield "apev1-end.mp3", audio + ape({"Artist": "Duo Farol", "Title": "APE One"}, version=1000)
    yield "apev2-start.mp3", ape({
        "Artist": "Duo Farol",
        "Title": "APE am Anfang ☀",
        "Cover Art (Front)": b"cover.jpg\0" + picture(700, head, "ape start"),
    }) + audio
    yield "apev2-cover-id3v1.mp3", audio + ape({
        "Artist": "Duo Farol",
        "Title": "Zwei Küsten",
        "Cover Art (Front)": b"cover.jpg\0" + picture(6000, head, "ape end"),
    }) + id3v1("Duo Farol", "Zwei Küsten")

    yield "lyrics3v1-id3v1.mp3", audio + lyrics3v1() + id3v1("The Quiet Harbour", "Salt")
    yield "lyrics3v2-id3v1.mp3", (
        audio + lyrics3v2("The Quiet Harbour", "Salt, the longer title that ID3v1 cuts")
        + id3v1("The Quiet Harbour", "Salt, the longer title that ID3v1 cuts")
    )

    who = ("Kitchen Ensemble of the Quiet Harbour", "Everything and the Sink, in Full")
    yield "kitchen-sink.mp3", (
        id3v24(*who, more=[frame24("APIC", apic(picture(900, head, "sink")))])
        + id3v23("Second Tag", "Second Title")
        + ape({"Artist": who[0], "Title": who[1]})
        + audio
        + footer24([frame24("TPE1", text(who[0], 3)), frame24("TIT2", text(who[1], 3))])
        + ape({"Artist": who[0], "Title": who[1], "Cover Art (Front)": b"c.jpg\0" + picture(900, head, "sink ape")})
        + lyrics3v2(*who)
        + enhanced(*who)
        + id3v1(*who, track=3)
    )

    yield "control-chars.mp3", id3v23("Evil\r\nArtist: not a header", "Tab\there & 100% = \"x\"\nand a line") + audio
    yield "empty-texts.mp3", id3v23("", "") + audio + id3v1("", "")
    yield "only-tags.mp3", (
        id3v23("Nobody", "No Music") + ape({"Artist": "Nobody", "Title": "No Music"}) + id3v1("Nobody", "No Music")
    )

    # Both lengths are lies: the frame claims 2 GiB - 1 and the tag 256 MiB - 1
    # (the most its four bytes can say). The file is over after 64 bytes.
    lie = b"APIC" + struct.pack(">IH", 0x7FFFFFFF, 0) + apic(b"")
    yield "lying-picture.mp3", id3v2(3, [lie], size=(1 << 28) - 1).ljust(64, b"\xd8")
    # The same as a FLAC picture block, which carries a length of its own.
    block = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 1, 1, 24, 0, 0x7FFFFFFF)
    yield "lying-picture.flac", b"fLaC" + b"\x86" + struct.pack(">I", len(block))[1:] + block


def main():
    what, parts, out = sys.argv[1:]
    for name, data in {"mp3": make_streams, "tags": make_tags}[what](parts):
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
