#!/bin/sh
# Has systemd read icepush@.service, or that it is gone. Nothing is started.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
