# For `run` and `long`: a copy of this tree to work in, gone afterwards, and steps that are timed.
set -euo pipefail
unset PYTHONDONTWRITEBYTECODE # thousands of processes import the same modules
exec </dev/null
cd "$(dirname "${BASH_SOURCE[0]}")/.."

commit="$(git describe --always --dirty)"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$place"
cd "$place"

lines=()
failed=0

# step NAME COMMAND…: runs the command, and goes on if it fails.
step() {
    local name="$1" began="$SECONDS" end=passed
    shift
    printf '\n== %s\n' "$name"
    "$@" || { end=FAILED; failed=1; }
    lines+=("$(printf '%7d s  %s  %s' "$((SECONDS - began))" "$end" "$name")")
    printf '== %d s, %s\n' "$((SECONDS - began))" "$end"
}

# table: what each step took, and the exit code of all.
table() {
    printf '\n== %s, %s, %s processors\n' "$commit" "$(date -u +%Y-%m-%d)" "$(nproc)"
    printf '%s\n' "${lines[@]}"
    printf '%7d s  in all\n' "$SECONDS"
    exit "$failed"
}
