#!/bin/bash -eu
# build: the fuzz targets for ClusterFuzzLite, which looks for it here; fuzz/oss-fuzz/build.sh --help tells more.
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
exec "$SRC/lightning/fuzz/oss-fuzz/build.sh"
