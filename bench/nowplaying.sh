#!/bin/sh
# nowplaying.sh [PAGES [SECONDS]] connects pages to icepush serve over WebSocket, whose title changes every two seconds,
# and says how late they hear of it; then again with a fifth of them reading nothing. Beside it, in the same run, nginx
# with nchan, a publisher of messages, tells as many pages messages of the same size. Needs nginx with nchan, curl, go.
set -eu
cd "$(dirname "$0")/.."
pages=${1:-5000} seconds=${2:-20} port=${PORT:-8410}
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null || true; done; rm -rf "$dir"' EXIT
ulimit -n "$(ulimit -Hn)"
go build -o "$dir/pages" ./bench/pages

# One file, in parts of two seconds.
cp testdata/demo/01-*.mp3 "$dir/clock.mp3"
{
	echo 'FILE "clock.mp3" MP3'
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do
		printf '  TRACK %02d AUDIO\n    TITLE "Tick %d"\n    PERFORMER "The Clock"\n    INDEX 01 00:%02d:00\n' "$i" "$i" $((i * 2))
	done
} > "$dir/clock.cue"
./icepush serve "$dir/clock.cue" --loop --listen "127.0.0.1:$port" --quiet > /dev/null &
icepush=$!
pids="$pids $icepush"
sleep 3
echo 'icepush:'
"$dir/pages" -n "$pages" -for "${seconds}s" -pid "$icepush" "ws://127.0.0.1:$port/nowplaying"
sleep 2
"$dir/pages" -n $((pages * 4 / 5)) -deaf $((pages / 5)) -for "${seconds}s" "ws://127.0.0.1:$port/nowplaying"
curl -s "http://127.0.0.1:$port/nowplaying.json" > "$dir/message"
kill "$icepush"
wait "$icepush" || true

module=$(find /usr/lib/nginx -name 'ngx_nchan_module.so' 2>/dev/null | head -n 1)
if [ -z "$module" ]; then
	echo 'nchan is not installed: left out'
	exit 0
fi
cat > "$dir/nginx.conf" <<EOF
load_module $module;
pid $dir/nginx.pid;
error_log $dir/error.log;
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
events { worker_connections 15000; }
http {
	access_log off;
	client_body_temp_path $dir/body;
	server {
		listen 127.0.0.1:$((port + 1));
		location /pub { nchan_publisher; nchan_channel_id live; }
		location /nowplaying { nchan_subscriber websocket; nchan_channel_id live; nchan_subscriber_first_message newest; }
	}
}
EOF
nginx -c "$dir/nginx.conf" 2> /dev/null &
pids="$pids $!"
sleep 1
worker=$(pgrep -P "$(cat "$dir/nginx.pid")" | head -n 1)
(
	while :; do
		sed -e 's/"snapshot"/"change"/' -e "s/\"started_at\":\"[^\"]*\"/\"started_at\":\"$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)\"/" "$dir/message" |
			curl -s -o /dev/null --data-binary @- "http://127.0.0.1:$((port + 1))/pub"
		sleep 2
	done
) &
pids="$pids $!"
echo 'nginx with nchan:'
"$dir/pages" -n "$pages" -for "${seconds}s" -pid "$worker" "ws://127.0.0.1:$((port + 1))/nowplaying"
