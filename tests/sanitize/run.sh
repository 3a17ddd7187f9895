#!/bin/sh
# Builds edge/_fast under AddressSanitizer and UndefinedBehaviorSanitizer in a copy of the tree (build/sanitize), and
# runs there all tests but those of sources and packages, and those of memory and pace, which sanitizers change; then a
# short run of the fuzzer, which has a copy of its own. Takes ten minutes.
#
#   tests/sanitize/run.sh [pytest's arguments]        FUZZ=inputs (200000)  PYTHON=interpreter (.venv/bin/python)
#
# A report counts wherever it was made: in a process that a test started, too.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
copy=$root/build/sanitize

# The copy keeps times, and what was compiled before: only changed modules are compiled again.
mkdir -p "$copy"
find "$copy" -type f ! -name '*.c' ! -name '*.so' ! -name '*.o' -delete
cd "$root"
tar -cf - --exclude='*.so' --exclude='edge/_fast/*.c' --exclude=__pycache__ \
    $(ls -d edge tests bench deploy docs Makefile LICENSE *.py *.toml *.md 2>/dev/null) | tar -xf - -C "$copy"
cd "$copy"
EDGE_SANITIZE=1 "$python" setup.py --quiet build_ext --inplace

# CPython's own allocator would hide overruns of its objects, and it leaks on purpose at exit. libstdc++ is named for
# the extensions in C++ among the dependencies: the sanitizer looks for __cxa_throw when it is loaded.
preload=
for library in asan ubsan stdc++; do
    preload="$preload $(gcc -print-file-name=lib$library.so)"
done
report=$copy/report
sanitized() {
    env LD_PRELOAD="${preload# }" PYTHONMALLOC=malloc PYTHONPATH="$copy" \
        ASAN_OPTIONS="detect_leaks=0:log_path=$report" \
        UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:log_path=$report" \
        "$python" "$@"
}

status=0
sanitized -m pytest -n 2 --dist loadfile -m "not unsanitized" -o timeout=600 \
    --ignore tests/laws --ignore tests/deploy --ignore tests/sanitize "$@" || status=$?
"$python" "$root/tests/sanitize/fuzz.py" --inputs "${FUZZ:-200000}" || status=$?
for each in "$report".*; do
    if [ -e "$each" ]; then
        cat "$each"
        status=1
    fi
done
exit $status
