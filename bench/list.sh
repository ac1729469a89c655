#!/bin/sh
# list.sh FOLDER [TRACKS [SECONDS]] makes what the benchmarks play: tracks of noise and tones (so that no
# two frames are alike), CBR and VBR in turn, with 300 kB of cover art each, and list.m3u. Needs sox, lame, python3.
set -eu
dir=$1 tracks=${2:-12} seconds=${3:-28}
mkdir -p "$dir"
cd "$dir"
echo '#EXTM3U' > list.m3u
i=1
while [ "$i" -le "$tracks" ]; do
	name=$(printf 'track%02d.mp3' "$i")
	if [ $((i % 2)) = 1 ]; then mode='-b 128'; else mode='-V 4'; fi
	sox -R -n -r 44100 -c 2 -b 16 track.wav synth "$seconds" brownnoise synth "$seconds" sine mix "$((150 + 40 * i))" tremolo "0.$i" 60 gain -n -6
	# shellcheck disable=SC2086
	lame --quiet $mode -m j --add-id3v2 --ta 'Bench Ensemble' --tt "Number $i" track.wav audio.mp3
	# A picture of 300 kB in an ID3v2.3 tag of its own in front: it is random, so it is full of false frame syncs.
	python3 - "$i" audio.mp3 "$name" <<'PY'
import random, struct, sys
seed, audio, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
random.seed(seed)
def text(id, s): return id + struct.pack('>IH', len(s) + 1, 0) + b'\0' + s
art = b'\0image/jpeg\0\3\0' + random.randbytes(300_000)
frames = text(b'TPE1', b'Bench Ensemble') + text(b'TIT2', b'Number %d' % seed) + b'APIC' + struct.pack('>IH', len(art), 0) + art
n = len(frames)
tag = b'ID3\3\0\0' + bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127]) + frames
open(out, 'wb').write(tag + open(audio, 'rb').read())
PY
	printf '%s\n' "$name" >> list.m3u
	i=$((i + 1))
done
rm -f track.wav audio.mp3
