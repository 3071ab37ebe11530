#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What can be said of the sources without building them. Prints every finding, and a line per check.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
export LC_ALL=C

# In a checkout that belongs to somebody else git refuses to read without this.
tracked() {
    git -c safe.directory='*' ls-files -- "$@" | while IFS= read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
}

mapfile -t c_files < <(tracked '*.c' '*.h')
mapfile -t scripts < <(tracked '*.sh' .ci/run)
mapfile -t licensed < <(tracked '*.c' '*.h' '*.def' '*.sh' '*.py' '*.java' '*.txt' '*.yaml' .ci/run .clang-format .clang-tidy)
if [ ${#c_files[@]} -eq 0 ]; then
    echo "lint: git lists no sources here" >&2
    exit 2
fi

# Standard input is the list of findings.
failed=0
report() {
    local found
    found=$(cat)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        echo "lint: $1: WRONG"
        failed=1
    else
        echo "lint: $1: good"
    fi
}

report "clang-format (${#c_files[@]} files; .ci/format.sh corrects)" \
    < <(printf '%s\n' "${c_files[@]}" | xargs -P 2 -n 20 clang-format --dry-run -Werror 2>&1)

report "shellcheck (${#scripts[@]} scripts)" < <(shellcheck -x "${scripts[@]}" 2>&1)

report "banned functions" \
    < <(grep -nHE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gmtime|localtime|ev_default_loop)[[:space:]]*\(' "${c_files[@]}")

report "allocation outside common/mem.c" \
    < <(grep -nHE '\b(malloc|calloc|realloc|strdup|strndup|asprintf)[[:space:]]*\(' "${c_files[@]}" | grep -v '^common/mem\.c:')

report "SPDX line at the head" < <(
    for file in "${licensed[@]}"; do
        head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0$' || echo "$file"
    done
)

report "white space at line ends, tabs in C" < <(
    grep -nHE '[[:space:]]$' "${c_files[@]}" "${scripts[@]}"
    grep -nHP '\t' "${c_files[@]}"
)

exit "$failed"
