#!/bin/sh
# smoke.sh puts icepush and an Icecast on the air in containers, listens from outside, takes icepush's network away
# in the middle, and looks whether a frame is missing (TestSmoke). It leaves nothing behind but images. One at a time.
#
# Without a Docker engine, root on Debian gets one: Debian's, with a folder of its own in /var/cache, for as long as
# this runs. Where no registry answers, the base images are made from what this machine has.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
run=/run/icepush-smoke # of our engine: the path of a socket has to be short
engine=                # its process, while it is ours to stop
host=                  # what a build there needs to have a network
up=                    # set while there may be containers

die() {
	echo "smoke: $1" >&2
	exit 1
}

# down takes away the containers and their network, those of a run that was killed as well.
down() {
	docker rm --force icepush-smoke-other >/dev/null 2>&1 || true # of TestSmoke
	compose down --timeout 3 >/dev/null 2>&1 || true
}

cleanup() {
	trap '' INT TERM
	[ -z "$up" ] || down
	if [ -n "$engine" ]; then
		docker image prune --force --filter until=24h >/dev/null 2>&1 || true # what earlier runs have built
		kill "$engine" 2>/dev/null || true
		wait "$engine" 2>/dev/null || true
		while kill -0 "$engine" 2>/dev/null; do sleep 0.2; done # no child of ours, when another run has left it
		umount "$run/exec/netns/default" 2>/dev/null || true
		rm -rf "$run"
	fi
	rm -rf --one-file-system "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# may_install says whether this is root on Debian.
may_install() {
	[ "$(id -u)" = 0 ] && grep -qs '^ID=debian$' /etc/os-release
}

# answers says whether there is a Docker engine.
answers() {
	timeout 20 docker version >/dev/null 2>&1
}

# start_engine starts one that keeps off the machine's routes, and its firewall unless that has something to say
# between containers.
start_engine() {
	export DOCKER_HOST="unix://$run/docker.sock"
	host='--network host'
	if answers; then # a run that was killed has left it
		engine=$(cat "$run/pid")
		return
	fi
	echo "smoke: starting a Docker engine"
	mkdir -p "$run"
	case $(iptables -S FORWARD 2>/dev/null) in
	'' | '-P FORWARD ACCEPT') firewall=false ;;
	*) firewall=true ;;
	esac
	# In a session of its own, for Ctrl-C is not to end it before its containers.
	setsid dockerd --host "$DOCKER_HOST" --data-root /var/cache/icepush-smoke --exec-root "$run/exec" --pidfile "$run/pid" \
		--bridge none --iptables="$firewall" --ip-forward=false >"$dir/dockerd.log" 2>&1 </dev/null &
	engine=$!
	tries=0
	until answers; do
		tries=$((tries + 1))
		if [ $tries = 60 ] || ! kill -0 "$engine" 2>/dev/null; then
			tail -n 40 "$dir/dockerd.log" >&2
			die "the Docker engine does not start"
		fi
		sleep 0.5
	done
}

have() {
	docker image inspect "$1" >/dev/null 2>&1
}

# build makes an image. What Docker says is shown only when it fails.
build() {
	echo "smoke: building $1"
	# shellcheck disable=SC2086
	timeout --foreground 900 docker build $host -t "$@" >"$dir/build.log" 2>&1 || {
		tail -n 40 "$dir/build.log" >&2
		die "$1 cannot be built"
	}
}

# own_debian makes a base image of the Debian that this machine is, from where it has its packages. This machine's
# certificates go with it: there may be a proxy that they are for.
own_debian() {
	may_install || die "no registry answers, and only root on Debian can make base images"
	echo "smoke: no registry answers: making $1 with debootstrap"
	sh .ci/install debootstrap=debootstrap
	apt-get update -qq
	suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' "Release: $suite" | head -n 1)
	timeout --foreground 600 debootstrap --variant=minbase "$suite" "$dir/root" "$mirror" >"$dir/build.log" 2>&1 || {
		tail -n 40 "$dir/build.log" >&2
		die "debootstrap fails"
	}
	mkdir -p "$dir/root/etc/ssl/certs"
	cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$dir/root/etc/ssl/certs/ca-certificates.crt"
	tar -C "$dir/root" -c . | docker import - "$1" >/dev/null
	rm -rf "$dir/root"
}

# own_go makes a base image with this machine's Go.
own_go() {
	printf '%s\n' "FROM $2" "COPY . /usr/local/go" "ENV PATH=/usr/local/go/bin:\$PATH" >"$dir/Dockerfile"
	build "$1" -f "$dir/Dockerfile" "$(go env GOROOT)"
}

if ! answers; then
	may_install || die "there is no Docker engine that answers; only as root on Debian would this install one"
	sh .ci/install docker=docker.io dockerd=docker.io docker-compose=docker-compose
	answers || start_engine
fi
if docker compose version >/dev/null 2>&1; then
	compose() { docker compose --project-name icepush-smoke --file deploy/compose.yaml "$@"; }
else
	sh .ci/install docker-compose=docker-compose
	compose() { docker-compose --project-name icepush-smoke --file deploy/compose.yaml "$@"; }
	compose version >/dev/null || die "docker compose is missing"
fi

debian=$(sed -n 's/^ARG DEBIAN=//p' deploy/icecast/Dockerfile)
go=$(sed -n 's/^ARG GO=//p' deploy/Dockerfile)
ours=icepush-smoke/go:$(go env GOVERSION)
# The small image first: it shows soon enough that no registry answers.
if have "$ours" || ! { timeout --foreground 60 docker pull -q "$debian" && timeout --foreground 600 docker pull -q "$go"; } >/dev/null 2>&1; then
	debian=icepush-smoke/debian go=$ours
	have "$debian" || own_debian "$debian"
	have "$go" || own_go "$go" "$debian"
fi
build icepush-icecast --build-arg DEBIAN="$debian" deploy/icecast
build icepush --build-arg GO="$go" --build-arg GOPROXY="$(go env GOPROXY)" --build-arg GOSUMDB="$(go env GOSUMDB)" \
	--build-arg GONOSUMDB="$(go env GONOSUMDB)" -f deploy/Dockerfile .

# The show is the first seconds of the demo's pieces, so that it comes round a few times.
mkdir "$dir/music"
for piece in testdata/demo/*.mp3; do
	head -c 90000 "$piece" >"$dir/music/${piece##*/}"
done
chmod -R a+rX "$dir/music"
docker run --rm --network none --user 12345 --read-only --volume "$dir/music:/music:ro" icepush check /music >/dev/null ||
	die "icepush does not run as any user with a read-only root"

export PORT=0 MUSIC="$dir/music" ICEPUSH_PASSWORD=smoke
up=yes
down
compose up -d --no-build
# Ctrl-C has to reach the test, so it is go that limits its time.
ICEPUSH_SMOKE="http://$(compose port icecast 8000)/live" ICEPUSH_SMOKE_MUSIC="$dir/music" \
	ICEPUSH_SMOKE_CONTAINER="$(compose ps -q icepush)" ICEPUSH_SMOKE_NETWORK=icepush-smoke_default \
	go test -count=1 -timeout 5m -v -run '^TestSmoke$' .
