#!/usr/bin/env bash
# Runs the commands of "From a bare clone" in docs/operations.md, in a clone of its own, and checks what they lead to.
# The bridge listens on its default ports, so nothing else may.
set -euo pipefail
cd "$(dirname "$0")/.."

# refused wants a command to fail, and to say this code.
refused() {
	local code=$1
	shift
	! "$@" > refused 2>&1 || { echo "not refused: $*"; exit 1; }
	grep -q "$code" refused || { echo "failed without $code: $*"; cat refused; exit 1; }
}

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
refused unauthenticated ../bin/deskctl info --addr localhost:9090 --tls-ca ca.pem
SSL_CERT_FILE=ca.pem refused 40101 ../bin/deskctl send --url https://localhost:8080/v1/callbacks/desk \
	../server/internal/callback/testdata/documented.json
echo "a newcomer's run: $read events read in Python, over TLS and with a token"
