#!/bin/sh
# What dist-test.sh runs in a clean Debian, as root and under systemd: installs the package, uses it, removes it. It
# writes what it does on standard error, and /dist-test/good at the end.
set -eux
cd /dist-test

trap '[ -e good ] || journalctl --no-pager -u "icepush*"' EXIT

# until_ok SECONDS COMMAND... waits until a command is well.
until_ok() {
	timeout "$1" sh -c 'shift; until "$@"; do sleep 0.2; done' sh "$@"
}

# files lists all there are, but what Debian keeps to itself.
files() {
	find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp -o -path /dist-test -o -path /var/cache \
		-o -path /var/log -o -path '/var/lib/dpkg/*-old' -o -path /var/lib/systemd \) -prune -o -print | sort
}

# Nothing is started by installing it.
files >before
dpkg --install ./*.deb
[ "$(systemctl list-units --all --no-legend 'icepush*')" = "" ]
[ "$(icepush --version)" = "$(cat version)" ]
man icepush >page
grep -q 'icepush - put audio on the air' page
grep -q 'EXIT STATUS' page
systemctl cat icepush@example >/dev/null

# The demo plays, as any user.
setpriv --reuid 12345 --regid 12345 --clear-groups icepush demo --listen 127.0.0.1:8900 >demo 2>demo.log &
demo=$!
until_ok 10 grep -q http://127.0.0.1:8900/ demo
until_ok 10 icepush probe http://127.0.0.1:8900/live --for 1s >probe
kill $demo
wait $demo

# It leaves nothing.
dpkg --remove icepush
[ -e /etc/icepush/example.env ]
dpkg --purge icepush
files >after
diff before after

# The units, as docs/packages.md says they are used.
dpkg --install ./*.deb
cp /usr/share/doc/icepush/examples/icepush-show@.timer /etc/systemd/system
systemd-analyze verify icepush@x.service icepush-show@x.timer 2>verify
cat verify
[ ! -s verify ]
systemd-analyze security --offline=true --threshold=20 icepush@x.service >security
tail -n 1 security | sed 's/^[^A-Z]*/dist-test: /; s/ [^ ]*$//'

# A station, to which a show of another service plays: with its password, and music that is somebody's.
mkdir -p /srv/music /home/me/Music
chmod 700 /home/me
cp ./*.mp3 /srv/music
cp ./*.mp3 /home/me/Music
cat >/etc/icepush/icepush.toml <<'END'
[show.station]
command = "serve"
mount = ["/live=/srv/music", "/studio="]
listen = "127.0.0.1:8900"
loop = true
END
mkdir -p /etc/systemd/system/icepush@station.service.d
cat >/etc/systemd/system/icepush@station.service.d/sources.conf <<'END'
[Service]
LoadCredential=sources:/etc/icepush/sources.password
Environment=ICEPUSH_SOURCE_PASSWORD_FILE=%d/sources
END
cat >/etc/icepush/show.env <<'END'
ICEPUSH_ARGS="/home/me/Music --title 'two words'"
ICEPUSH_TO=icecast://127.0.0.1:8900/studio
ICEPUSH_AS_RUN=/var/lib/icepush/show.jsonl
END
sed 's/show.jsonl/wrong.jsonl/' /etc/icepush/show.env >/etc/icepush/wrong.env
echo swordfish | tee /etc/icepush/sources.password >/etc/icepush/show.password
echo trout >/etc/icepush/wrong.password
chmod 600 /etc/icepush/*.env /etc/icepush/*.password
for show in show wrong; do
	mkdir -p /etc/systemd/system/icepush@$show.service.d
	printf '[Service]\nBindReadOnlyPaths=/home/me/Music\n' >/etc/systemd/system/icepush@$show.service.d/music.conf
done
mkdir /etc/systemd/system/icepush-show@show.timer.d
printf '[Timer]\nOnCalendar=\nOnActiveSec=0\n' >/etc/systemd/system/icepush-show@show.timer.d/when.conf
systemctl daemon-reload
timeout 20 systemctl enable --now icepush@station
icepush probe http://127.0.0.1:8900/live --for 1s

# A wrong password is not tried again and again; a folder that cannot be seen is told of.
if timeout 20 systemctl start icepush@wrong; then false; fi
systemctl show --property=NRestarts,ExecMainStatus icepush@wrong | tr '\n' ' ' | grep 'NRestarts=0' | grep 'ExecMainStatus=77'
systemctl stop icepush@wrong

systemctl start icepush-show@show.timer
until_ok 10 systemctl is-active icepush@show
until_ok 10 icepush probe http://127.0.0.1:8900/studio --for 1s >probe
grep -q 'two words' probe
pid=$(systemctl show --property=MainPID --value icepush@show)
[ "$(stat -c %U "/proc/$pid")" != root ]
systemctl show --property=StatusText icepush@show | grep 'two words, http://127.0.0.1:8900/studio on the air'
icepush ctl status --control /run/icepush/show.sock | grep 'two words'
systemctl reload icepush@show
until_ok 10 sh -c 'journalctl -u icepush@show | grep "the list is read again"'

# Two shows for one mount: the second is told who has it.
cp /etc/icepush/show.password /etc/icepush/wrong.password
timeout 20 systemctl start --no-block icepush@wrong
until_ok 10 sh -c "journalctl -u icepush@wrong | grep 'is taken on this machine by process $pid'"
systemctl stop icepush@wrong

# What is killed is started again. Who takes a new version in is not interrupted.
systemctl kill --kill-whom=main --signal=KILL icepush@show
until_ok 20 sh -c "systemctl is-active icepush@show && [ \"\$(systemctl show --property=MainPID --value icepush@show)\" != $pid ]"
pid=$(systemctl show --property=MainPID --value icepush@show)
dpkg --install ./*.deb
[ "$(systemctl show --property=MainPID --value icepush@show)" = "$pid" ]

# It ends in order, and with the package.
systemctl stop icepush@show
[ "$(systemctl show --property=Result --value icepush@show)" = success ]
grep -q '"title":"Pebbles on the Quay"' /var/lib/icepush/show.jsonl
dpkg --remove icepush
[ "$(systemctl show --property=ActiveState --value icepush@station)" = inactive ]
echo "dist-test: installed, used and removed" >&2
touch good
