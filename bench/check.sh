#!/bin/sh
# check.sh measures icepush check beside mp3val and ffprobe on the same MP3 files, in one run: each reads all of them,
# three rounds, in turn. CHECK_FILES is how many there are (1000). mp3val, like icepush, says what is in a file and where
# it is broken; ffprobe -count_packets counts frames. Needs python3, mp3val, ffprobe.
set -eu
cd "$(dirname "$0")/.."
icepush=$PWD/icepush
files=${CHECK_FILES:-1000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# The music of the demo, cut at another frame and with another tag in each file.
python3 - "$dir/music" "$files" <<'PY'
import os, sys
out, count = sys.argv[1], int(sys.argv[2])
os.makedirs(out)
kbps = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
rates = [44100, 48000, 32000]
def syncsafe(n): return bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])
def frames(b):
    p = 10 + (b[6] << 21 | b[7] << 14 | b[8] << 7 | b[9])
    at = []
    while p + 4 <= len(b) and b[p] == 255:
        at.append(p)
        p += 144000 * kbps[b[p + 2] >> 4] // rates[b[p + 2] >> 2 & 3] + (b[p + 2] >> 1 & 1)
    return b, at
demo = 'testdata/demo'
pieces = [frames(open(os.path.join(demo, f), 'rb').read()) for f in sorted(os.listdir(demo)) if f.endswith('.mp3')]
for i in range(count):
    b, at = pieces[i % len(pieces)]
    def text(id, s): s = b'\3' + s.encode(); return id + syncsafe(len(s)) + b'\0\0' + s
    body = text(b'TPE1', f'Artist {i // 10}') + text(b'TIT2', f'Song {i}') + text(b'TALB', f'Album {i // 12}') + bytes(1024)
    tag = b'ID3\4\0\0' + syncsafe(len(body)) + body
    open(os.path.join(out, f'{i + 1:05}.mp3'), 'wb').write(tag + b[at[10 + i // len(pieces) % (len(at) - 100)]:])
PY
mb=$(cat "$dir"/music/* | wc -c | awk '{ printf "%d", $1 / 1000000 }') # all find them in memory

# ffprobe takes one file at a time; xargs runs as many of it as there are processors.
check() { "$icepush" check "$dir/music"; }
mp3val() { command mp3val "$dir"/music/*.mp3; }
ffprobe() {
	find "$dir/music" -name '*.mp3' -print0 |
		xargs -0 -n 1 -P "$(nproc)" ffprobe -v error -count_packets -show_entries stream=nb_read_packets -of csv=p=0
}

echo "## Checking $files MP3 files, $mb MB, on $(nproc) processors"
for round in 1 2 3; do
	case $round in
	1) order='check mp3val ffprobe' ;;
	2) order='ffprobe check mp3val' ;;
	3) order='mp3val ffprobe check' ;;
	esac
	for tool in $order; do
		begin=$(date +%s%N)
		"$tool" > "$dir/$tool.out" 2>&1
		end=$(date +%s%N)
		echo "$tool $((end - begin))" >> "$dir/times"
	done
done
tail -n 1 "$dir/check.out"
awk '
	{ s = $2 / 1e9; if (!($1 in best) || s < best[$1]) best[$1] = s; all[$1] = all[$1] sprintf(" %.2f", s) }
	END {
		print "| program | s, three rounds | best | times as long as icepush check |"
		print "|---|--:|--:|--:|"
		split("check mp3val ffprobe", tools)
		for (i = 1; i <= 3; i++) { t = tools[i]; printf "| %s |%s | %.2f | %.2f |\n", t == "check" ? "icepush check" : t == "ffprobe" ? "ffprobe -count_packets" : t, all[t], best[t], best[t] / best["check"] }
	}' "$dir/times"
