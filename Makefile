# make          builds ./icepush
# make test     runs every test; it installs Icecast when it is missing and may
# make smoke    runs icepush in a container, and takes its network away
# make players  has other programs and a browser play what icepush serves
# make demo     puts the demo on the air on an Icecast on this machine
# make bench    measures icepush beside its peers
# make soak     plays for SOAK (2h) with everything happening, and looks for leaks
# make dist     builds archives and packages for all platforms into dist/
# make dist-test  installs, uses and removes the packages, in a clean Debian
# make fuzz     looks for trouble for FUZZTIME per target
.PHONY: build test unit lint corpus fuzz smoke bench soak players demo dist dist-test
.DEFAULT_GOAL := build

FUZZTIME ?= 20s
FUZZ = frame:FuzzReader frame:FuzzChain id3strip:FuzzReader track:FuzzTags push:FuzzICY icy:FuzzReader icy:FuzzBlock probe:FuzzListen \
	nowplaying:FuzzReadStatus playlist:FuzzReadM3U playlist:FuzzReadPLS playlist:FuzzReadXSPF playlist:FuzzReadCUE

build:
	go build -o icepush .

# With CI=true nothing is left out: the fuzz targets run as well, and what is missing fails.
test: lint unit corpus
	@if [ "$(CI)" = true ]; then $(MAKE) --no-print-directory fuzz; fi

unit:
	@sh .ci/install icecast2=icecast2 nginx=nginx-light ffmpeg=ffmpeg ezstream=ezstream chromium=chromium nats-server=nats-server cron=cron promtool=prometheus zsh=zsh fish=fish groff=groff-base
	go test -race -parallel 6 ./...

lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	@test -z "$$(go tool gofumpt -l . | tee /dev/stderr)"
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff

# A corpus of nasty files with known answers lies beside the project where icepush is developed.
corpus: build
	@if [ -d ../shared/corpus ]; then \
		../shared/tools/check-corpus ./icepush; \
	else echo "../shared/corpus is not there: left out"; fi

fuzz:
	@sh .ci/fuzz $(FUZZTIME) $(FUZZ)

smoke:
	@sh deploy/smoke.sh

bench: build
	@sh .ci/install icecast2=icecast2 ezstream=ezstream mp3val=mp3val sox=sox lame=lame time=time curl=curl python3=python3 ffmpeg=ffmpeg
	sh bench/bench.sh
	sh bench/check.sh
	sh bench/nowplaying.sh

soak: build
	@sh .ci/install icecast2=icecast2 sox=sox lame=lame python3=python3
	sh bench/soak.sh

players:
	@sh .ci/install ffmpeg=ffmpeg mpv=mpv mpg123=mpg123 curl=curl chromium=chromium
	go test -count=1 -v -run 'TestPlayers|TestBrowser' .

demo: build
	@sh .ci/install icecast2=icecast2 nginx=nginx-light
	@sh testdata/demo/play.sh

dist:
	@sh .ci/install zip=zip
	sh deploy/dist.sh

dist-test:
	@sh deploy/dist-test.sh
