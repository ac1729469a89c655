#!/bin/sh
# soak.sh plays to an Icecast of its own for SOAK (2h; 30m, 90s), which is ended and started again every five minutes,
# while icepush is told by ctl to skip, to read its list again, to show titles and to queue tracks, at random. Every ten
# seconds it writes down memory, goroutines and descriptors. At the end it prints a table, and fails when the second half
# has more of them than the first (of memory 5 %), or the frames of the as-run log are not those that left the clock.
#
# SOAK_DIR keeps what there was (it is removed else), ICEPUSH is the program (./icepush), PORT Icecast's (8767).
# Needs icecast2, sox, lame, python3.
set -eu
cd "$(dirname "$0")/.."
icepush=${ICEPUSH:-$PWD/icepush}
port=${PORT:-8767}
soak=${SOAK:-2h}
case $soak in
*h) seconds=$((${soak%h} * 3600)) ;;
*m) seconds=$((${soak%m} * 60)) ;;
*) seconds=${soak%s} ;;
esac
if [ -n "${SOAK_DIR:-}" ]; then
	dir=$SOAK_DIR
	mkdir -p "$dir"
else
	dir=$(mktemp -d)
fi
server= show=

cleanup() {
	[ -z "$show" ] || kill "$show" 2>/dev/null || true
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait 2>/dev/null || true
	[ -n "${SOAK_DIR:-}" ] || rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

start_server() {
	sh testdata/icecast.sh "$port" >> "$dir/icecast.log" 2>&1 &
	server=$!
}

# random N prints a number from 0 to N-1.
random() {
	od -An -N2 -tu2 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}

ctl() {
	"$icepush" ctl --control "$dir/socket.sock" "$@"
}

# tell has icepush do something.
tell() {
	case $(random 10) in
	0 | 1 | 2) ctl skip ;;
	3) ctl reload ;;
	4) ctl reload --now ;;
	5) ctl title "Title number $(random 1000): Ünï" ;;
	6) ctl title "" ;;
	7) ctl queue "$dir/list/track0$((1 + $(random 8))).mp3" ;;
	8) for _ in 1 2 3 4 5; do ctl skip; done ;;
	9)
		sort -R "$dir/list/tracks" > "$dir/list/new"
		mv "$dir/list/new" "$dir/list/list.m3u"
		;;
	esac >> "$dir/ctl.log" 2>&1 || echo "ctl: exit code $?" >> "$dir/ctl.log"
}

echo "icepush plays for $soak; $dir has the log, samples and the as-run log meanwhile"
sh bench/list.sh "$dir/list" 8 45
grep -v '^#' "$dir/list/list.m3u" > "$dir/list/tracks"
start_server
sleep 2
rm -f "$dir/as-run.jsonl" "$dir/samples" "$dir/ctl.log"
ICEPUSH_PASSWORD=hackme "$icepush" "$dir/list/list.m3u" --loop --to "icecast://127.0.0.1:$port/soak" \
	--control "$dir/socket.sock" --as-run "$dir/as-run.jsonl" 2> "$dir/log" &
show=$!
began=$(date +%s) restarts=0 due=$((began + 300))
while now=$(date +%s) && [ $((now - began)) -lt "$seconds" ]; do
	sleep 10
	kill -0 "$show" 2>/dev/null || break
	if ! kill -0 "$server" 2>/dev/null; then # Icecast 2.4.4 may crash when somebody connects at once
		start_server
	elif [ "$now" -ge "$due" ]; then
		due=$((now + 300)) restarts=$((restarts + 1))
		if [ "$(random 2)" = 0 ]; then
			kill -9 $(pgrep -P "$server") 2>/dev/null || true
		else
			kill "$server"
		fi
		wait "$server" 2>/dev/null || true
		sleep "$(random 6)"
		start_server
	fi
	status=$(ctl status --json 2>> "$dir/ctl.log") || continue
	rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$show/status")
	descriptors=$(ls "/proc/$show/fd" | wc -l)
	echo "$((now - began)) $rss $(echo "$status" | sed 's/.*"goroutines":\([0-9]*\).*/\1/') $descriptors" >> "$dir/samples"
	[ "$(random 3)" = 0 ] || tell
done
ctl status > "$dir/status" || true
ctl stop || true
code=0
wait "$show" || code=$?
show=
echo "icepush: exit code $code; the server was started again $restarts times"
cat "$dir/status"
grep -c 'back on the air' "$dir/log" | sed 's/$/ times back on the air/'
grep -E 'warning|error' "$dir/log" | sed 's/^[^ ]* //; s/[0-9]/N/g' | cut -c 1-60 | sort | uniq -c | sort -rn | head -n 10

python3 - "$dir" "$code" <<'PY'
import json, re, statistics, sys
dir, code = sys.argv[1], int(sys.argv[2])
rows = [list(map(int, line.split())) for line in open(dir + '/samples')]
begun = min(120, rows[-1][0] / 10)
rows = [r for r in rows if r[0] >= begun]
half = (begun + rows[-1][0]) / 2
bad = ['exit code %d' % code] if code else []
print('\n| median | first half | second half | most |\n|---|--:|--:|--:|')
for i, (name, unit, more) in enumerate([('memory, MB', 1024, 1.05), ('goroutines', 1, 1), ('descriptors', 1, 1)], 1):
    a, b = (statistics.median([r[i] for r in rows if (r[0] > half) == late]) / unit for late in (False, True))
    print('| %s | %.1f | %.1f | %.1f |' % (name, a, b, max(r[i] for r in rows) / unit))
    if b > a * more:
        bad.append('%s: %.1f, then %.1f' % (name, a, b))
lines = [json.loads(line) for line in open(dir + '/as-run.jsonl')]
clock = int(re.findall(r'off the air.*frames (\d+)', open(dir + '/log').read())[-1])
sums = [sum(line[k] for line in lines) for k in ('frames', 'sent', 'acknowledged')]
print('\nframes: %d left the clock; the as-run log has %d in %d lines, %d sent, %d acknowledged' % (clock, sums[0], len(lines), sums[1], sums[2]))
for fate in sorted({line['fate'] for line in lines}):
    print('%s: %d' % (fate, sum(line['fate'] == fate for line in lines)))
if sums != [clock] * 3:
    bad.append('frames are not accounted for')
ends = [(line['end'], after['start']) for line, after in zip(lines, lines[1:])]
print('tracks that begin before the one before has ended: %d' % sum(b < a for a, b in ends))
print('soak: ' + ('FAILED: ' + '; '.join(bad) if bad else 'ok'))
sys.exit(bool(bad))
PY
