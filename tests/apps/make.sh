#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gcc and make: a project of many files with a static and a shared library is built, run and rebuilt.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs gcc make ar

start_mount
mkdir "$session/project"
cd "$session/project"
for i in $(seq 24); do
    echo "int part_$i(void);" >"part_$i.h"
    printf '#include "part_%d.h"\n#include "common.h"\nint part_%d(void) { return %d * SCALE; }\n' "$i" "$i" "$i" >"part_$i.c"
done
echo '#define SCALE 1' >common.h
{
    echo '#include <stdio.h>'
    for i in $(seq 24); do echo "#include \"part_$i.h\""; done
    echo 'int main(void) { int sum = 0;'
    for i in $(seq 24); do echo "sum += part_$i();"; done
    echo 'printf("%d\n", sum); return 0; }'
} >main.c
cat >Makefile <<'END'
CFLAGS = -O1 -g -fPIC -MMD -Wall -Werror
ODD := $(addsuffix .o,$(addprefix part_,1 3 5 7 9 11 13 15 17 19 21 23))
EVEN := $(addsuffix .o,$(addprefix part_,2 4 6 8 10 12 14 16 18 20 22 24))
program: main.o libodd.a libeven.so
	$(CC) -o $@ $^ -Wl,-rpath,'$$ORIGIN'
libodd.a: $(ODD)
	$(AR) rcs $@ $^
libeven.so: $(EVEN)
	$(CC) -shared -o $@ $^
-include $(wildcard *.d)
END

compiled() {
    make -j4 >"$scratch/make" 2>&1 || fail "make: $(cat "$scratch/make")"
    grep -c -- ' -c ' "$scratch/make" || true
}

same 'files compiled at first' 25 "$(compiled)"
same 'what the program prints' 300 "$(./program)"
same 'files compiled again' 0 "$(compiled)"
grep -q 'up to date' "$scratch/make" || fail "make does not see that nothing changed: $(cat "$scratch/make")"
echo '#define SCALE 3' >common.h
same 'files compiled after a header changed' 24 "$(compiled)"
same 'what the rebuilt program prints' 900 "$(./program)"
touch part_6.h
same 'files compiled after another header changed' 2 "$(compiled)"

# The same compiler makes the same code elsewhere.
cp -a "$session/project" "$scratch/project"
objcopy -O binary part_6.o "$scratch/here.bin"
(cd "$scratch/project" && gcc -O1 -g -fPIC -Wall -c part_6.c && objcopy -O binary part_6.o "$scratch/there.bin")
cmp "$scratch/here.bin" "$scratch/there.bin"
cd "$scratch"
finish
start_mount
cd "$session/project"
same 'files compiled after remounts' 0 "$(compiled)"
same 'what the program prints after remounts' 900 "$(./program)"
cd "$scratch"
stop_mount
