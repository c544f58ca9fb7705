#!/usr/bin/env bash
# Runs the commands of "From a bare clone" in docs/operations.md, in a clone of its own, and checks what they lead to.
# The bridge listens on its default ports, so nothing else may.
set -euo pipefail
cd "$(dirname "$0")/.."

clone=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$clone"' EXIT
git clone -q . "$clone"
cd "$clone"

commands=$(awk '/^<!-- run: newcomer -->/ {wanted = 1} /^```$/ {inside = 0} inside {print} /^```shell$/ && wanted {inside = 1; wanted = 0}' \
	docs/operations.md)
eval "$commands" > "$clone/output"

grep -q '^ok$' "$clone/output" || { echo "the bridge was not ready"; exit 1; }
stored=$(../bin/deskctl info --addr localhost:9090 --tls-ca ca.pem --token-file crm.token | awk '$1 == "events" {print $2}')
read=$(grep -cE '^[0-9]+ [A-Za-z.]+ ' <(python/bin/python consumer.py))
[[ $read -gt 0 && $read == "$stored" ]] || { echo "Python read $read of $stored events"; exit 1; }
if ../bin/deskctl info --addr localhost:9090 --tls-ca ca.pem 2> refused; then
	echo "a reader without a token was let in"
	exit 1
fi
if SSL_CERT_FILE=ca.pem ../bin/deskctl send --url https://localhost:8080/v1/callbacks/desk \
	../server/internal/callback/testdata/documented.json > refused 2>&1; then
	echo "an unsigned callback was taken"
	exit 1
fi
echo "a newcomer's run: $read events read in Python, over TLS and with a token"
