#!/bin/sh
# Makes the certificates of the fake hops anew: a CA and what it signs, all for one key. Valid from 2020 to 2119, but
# one. Wants Debian's openssl and faketime.
set -e
openssl() { faketime "2020-01-01 00:00:00" /usr/bin/openssl "$@"; }
cd "$(dirname "$0")"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key
openssl req -x509 -new -key ca.key -subj '/CN=Test CA of the fake hops' -days 36500 -out ca.crt
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out hop.key

# sign NAME COMMON_NAME DAYS SUBJECT_ALT_NAME
sign() {
  openssl req -new -key hop.key -subj "/CN=$2" -out "$1.csr"
  if [ -n "$4" ]; then echo "subjectAltName=$4"; fi >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days "$3" -extfile "$1.ext" -out "$1.crt"
  rm "$1.csr" "$1.ext"
}
sign good localhost 36500 'DNS:localhost,IP:127.0.0.1'
sign other localhost 36500 'DNS:mx.other.test'
sign common-name localhost 36500 ''
sign partial localhost 36500 'DNS:local*'
sign expired localhost 30 'DNS:localhost,IP:127.0.0.1'
rm -f ca.key ca.srl
