#!/bin/bash -eu
# build: the fuzz targets by the conventions of OSS-Fuzz and ClusterFuzzLite.
#
# These come from outside: CC, CXX, CFLAGS, CXXFLAGS, LIB_FUZZING_ENGINE; SRC, where lightning/ lies; OUT, where the
# programs go, with their seed corpora, dictionaries and options. WORK is optional. ci/oss-fuzz-check tries it without a
# container.
#
# Example: SRC=$PWD/.. OUT=/tmp/out CC=clang CXX=clang++ CXXFLAGS='-O1 -fsanitize=address,fuzzer-no-link' \
#            LIB_FUZZING_ENGINE=-fsanitize=fuzzer fuzz/oss-fuzz/build.sh
case ${1:-} in -h | --help) sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
source=${LIGHTNING_SOURCE:-$SRC/lightning}
work=${WORK:-$(mktemp -d)}/lightning-fuzz
mkdir -p "$work" "$OUT"

# What is under test and what drives it are compiled alike here: the engine's flags come from outside.
cmake -S "$source" -B "$work" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" \
  -DCMAKE_C_FLAGS="${CFLAGS:-}" -DCMAKE_CXX_FLAGS="${CXXFLAGS:-}" -DLIGHTNING_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" \
  -DLIGHTNING_FUZZ_STATIC="${LIGHTNING_FUZZ_STATIC:-ON}" -DLIGHTNING_BUILD_FUZZ=ON -DLIGHTNING_BUILD_TESTS=OFF \
  -DLIGHTNING_BUILD_HARNESS=OFF -DLIGHTNING_BUILD_BENCH=OFF ${LIGHTNING_FUZZ_CMAKE:+"$LIGHTNING_FUZZ_CMAKE"}
read -ra targets <<<"${LIGHTNING_FUZZ_TARGETS:-ops image log plan history cli capi}"
cmake --build "$work" -j "${JOBS:-$(nproc)}" --target "${targets[@]/#/fuzz-}"

# As ci/fuzz runs them (fuzz/tasks.py).
declare -A max_len=([ops]=108 [image]=339972 [log]=724 [plan]=4096 [history]=2048 [cli]=1024 [capi]=200)
for target in "${targets[@]}"; do
  cp "$work/bin/fuzz-$target" "$OUT/"
  zip -q -j -r "$OUT/fuzz-${target}_seed_corpus.zip" "$source/fuzz/corpus/$target" "$source/fuzz/regressions/$target" 2>/dev/null ||
    [ $? -eq 18 ] || echo "no seeds of $target" >&2
  dictionary=$source/fuzz/dictionaries/$target.dict
  if [ -e "$dictionary" ]; then cp "$dictionary" "$OUT/fuzz-$target.dict"; fi
  {
    printf '[libfuzzer]\nmax_len = %s\ntimeout = 10\nmalloc_limit_mb = 256\n' "${max_len[$target]}"
    if [ "$target" = cli ]; then echo 'close_fd_mask = 2'; fi # what a command says of wrong usage is no news
    if [ "$target" = ops ]; then echo 'detect_leaks = 0'; fi # after each execution; at the end it looks all the same
  } >"$OUT/fuzz-$target.options"
done
