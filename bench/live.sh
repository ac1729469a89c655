#!/bin/sh
# live.sh EXT PIECE STALL ARGUMENTS... has ffmpeg make three pieces of a tone in real time, of PIECE seconds each, with
# stalls of STALL seconds between, and pipes them through icepush to an Icecast of its own. A listener hears it; what
# icepush said, how long the recording is and where it is silent are printed. ARGUMENTS are ffmpeg's for the output:
#   sh bench/live.sh mp3 90 15 -b:a 128k -f mp3
set -eu
cd "$(dirname "$0")/.."
ext=$1 piece=$2 stall=$3
shift 3
port=${PORT:-8766}
dir=$(mktemp -d)
sh testdata/icecast.sh "$port" & server=$!
trap 'cp "$dir/heard" /tmp/o/heard.last; kill $server 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
sleep 1.5
(
	for i in 1 2 3; do
		ffmpeg -v error -re -f lavfi -i "sine=frequency=${i}40:sample_rate=44100" -t "$piece" "$@" -
		[ $i = 3 ] || sleep "$stall"
	done
) | ICEPUSH_PASSWORD=hackme ./icepush - --title Live --to "icecast://127.0.0.1:$port/live.$ext" 2> "$dir/log" & show=$!
(
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		sleep 0.2
		curl -sf "http://127.0.0.1:$port/live.$ext" -o "$dir/heard" && break
	done
) & listener=$!
wait $show && echo "icepush: exit code 0" || echo "icepush: exit code $?"
wait $listener
cat "$dir/log"
ffmpeg -hide_banner -nostats -i - -af silencedetect=n=-60dB:d=0.2 -f null - < "$dir/heard" 2> "$dir/said" || true
ffmpeg -v error -i - -ac 1 -ar 44100 -f s16le - < "$dir/heard" 2>/dev/null | wc -c | awk '{ printf "heard: %.2f s\n", $1 / 88200 }'
grep -o 'silence_.*' "$dir/said"
