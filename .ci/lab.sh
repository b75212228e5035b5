#!/bin/bash
# The lab in .ci/run: the guest built from nothing the first time, then the checks named below. What they say is in build/lab.log.
# Exit 1 where a check failed, or the gate could not be installed. A machine that cannot build or run the guest (no root, no network,
# no QEMU, no Debian, too slow) says so in one line and fails nothing: that is not what a change is judged by.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
mkdir -p build

# Of all checks those that need a real kernel most, so that .ci/run stays under 40 minutes where tests take 22 of them.
# Each word picks tests by name. The rest: make lab.
checks="opens_the_arm or opens_the_other_line or verifies or refused_moves or pulled or swapped or killed_in or hangs or power_cut
or link or dead_spot or sandbox or without_any_power or is_watched"
lab_s=${LAB_S:-900}

if ! .ci/setup.sh lab >build/lab.log 2>&1; then
    echo "The lab was not run: what it needs is not here and could not be installed: $(tail -n 1 build/lab.log)"
    exit 0
fi
ended=0
# In the foreground: only the lab is told that the time is up. It ends the guest itself, and says what had failed.
PYTHONUNBUFFERED=1 timeout --foreground --kill-after=60 "$lab_s" "${VENV:-.venv}/bin/python" -m tests.lab -v -k "${checks//$'\n'/ }" \
    >build/lab.log 2>&1 </dev/null || ended=$?

passed=$(grep -cE '^tests/lab/.* PASSED' build/lab.log)
case $ended in
0)
    echo "make lab: a selection of its checks, the rest by hand: $(grep -E '^=+ .* in [0-9.]+s.* =+$' build/lab.log | tail -n 1)"
    exit 0
    ;;
69)
    grep '^The lab was not run' build/lab.log
    exit 0
    ;;
esac
# 124 and 137: the time is up, and nothing is known of the check that was under way.
if { [ $ended = 124 ] || [ $ended = 137 ]; } && ! grep -qE '^tests/lab/.* (FAILED|ERROR)' build/lab.log; then
    if [ "$passed" = 0 ]; then
        echo "The lab was not run: no check was done within $lab_s s; it had come to: $(grep '^lab:' build/lab.log | tail -n 1)"
    else
        echo "The lab was not run to its end: $passed checks passed within $lab_s s, none failed, the others were not reached"
    fi
    exit 0
fi
cat build/lab.log
exit 1
