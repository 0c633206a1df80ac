# Sourced by run and story: what is under way, what was checked, and what couldn't be.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # dir and doing are run's and story's

heading() {
    doing=$*
    printf '\n== [%d s] %s\n' "$SECONDS" "$*"
}

fail() {
    doing=$*
    exit 1
}

ok() {
    echo "ok      $*"
    echo "$*" >>"$dir/passed"
}

# not_checked WHAT: said at the end, with its reason.
not_checked() { echo "$*" >>"$dir/not-checked"; }

summary() {
    printf '\nNot checked here:\n'
    sed 's/^/  /' "$dir/not-checked"
    printf '\n%d passed, 0 failed, %d not checked (%d s)\n' "$(wc -l <"$dir/passed")" "$(wc -l <"$dir/not-checked")" "$SECONDS"
}
