#!/usr/bin/env bash
# Makes clients/ and names/ anew. clients/: an authority, certificates of clients that it vouches for (joe; expired), one
# that it made for a server, and one of joe's name that a stranger made. names/: other.test and *.other.test; RSA keys
# beside those of other.crt and of localhost.crt. Valid for a hundred years but for `expired`.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p clients names
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# signed NAME SUBJECT EXTENSIONS: by the authority; $clock runs before openssl, $days is its life
signed() {
  new_key "clients/$1.key"
  openssl req -new -key "clients/$1.key" -subj "$2" -out "$work/request"
  printf "$3\n" >"$work/extensions"
  ${clock-} openssl x509 -req -in "$work/request" -CA clients/authority.crt -CAkey "$work/authority.key" \
    -days "${days-36500}" -extfile "$work/extensions" -out "clients/$1.crt"
}

# self_signed FILE SUBJECT NAMES KEY-OPTIONS…
self_signed() {
  openssl req -x509 -nodes -keyout "$1.key" -out "$1.crt" -subj "$2" -addext "subjectAltName=$3" -days 36500 \
    -newkey "${@:4}"
}

new_key "$work/authority.key"
openssl req -x509 -new -key "$work/authority.key" -subj '/O=Example/CN=Example client authority' -days 36500 \
  -out clients/authority.crt
signed joe /O=Example/CN=joe \
  'extendedKeyUsage=clientAuth\nsubjectAltName=email:joe@example.test,email:joe.b@example.test,DNS:joe.example.test'
signed server /O=Example/CN=mx.example.test 'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:mx.example.test'
clock='faketime 2020-01-01' days=1 signed expired /O=Example/CN=late \
  'extendedKeyUsage=clientAuth\nsubjectAltName=email:late@example.test'
self_signed clients/stranger /O=Elsewhere/CN=joe email:joe@example.test ec -pkeyopt ec_paramgen_curve:P-256
self_signed names/other /CN=other.test 'DNS:other.test,DNS:*.other.test' ec -pkeyopt ec_paramgen_curve:P-256
self_signed names/other-rsa /CN=other.test 'DNS:other.test,DNS:*.other.test' rsa:2048
self_signed names/localhost-rsa /CN=localhost DNS:localhost,DNS:mx.example.test,IP:127.0.0.1 rsa:2048
