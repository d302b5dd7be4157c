# shellcheck shell=bash
# Sourced by every scenario. Environment: KUBECONFIG (the file that `rynxs up` wrote, or a real API server's), TARGET (rynxs or kubernetes), EXAMPLES (the
# repository's examples). kubectl and helm are those on PATH, unmodified. A scenario stops at the first check that fails, and says which.
set -euo pipefail

scenario=$(basename "$0" .sh)
work=$(mktemp -d)
ns="t-$scenario-$RANDOM"
children=()

finish() {
  local code=$?
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  kubectl delete namespace "$ns" --ignore-not-found --wait=false >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT

k() { kubectl -n "$ns" "$@"; }

fail() {
  printf 'FAILED %s: %s\n' "$scenario" "$1"
  [[ -n ${2:-} ]] && printf '%s\n' "$2"
  exit 1
}

# says PATTERN COMMAND...: it succeeds, and what it prints has the pattern (bash regular expression).
says() {
  local pattern=$1 output
  shift
  output=$("$@" 2>&1) || fail "exit code $? of: $*" "$output"
  [[ $output =~ $pattern ]] || fail "/$pattern/ is not in the output of: $*" "$output"
  printf 'ok %s\n' "$*"
}

# silent PATTERN COMMAND...: it succeeds, and what it prints lacks the pattern.
lacks() {
  local pattern=$1 output
  shift
  output=$("$@" 2>&1) || fail "exit code $? of: $*" "$output"
  [[ ! $output =~ $pattern ]] || fail "/$pattern/ is in the output of: $*" "$output"
  printf 'ok %s\n' "$*"
}

# refuses CODE PATTERN COMMAND...: it ends with that code and says why.
refuses() {
  local code=$1 pattern=$2 output got=0
  shift 2
  output=$("$@" 2>&1) || got=$?
  [[ $got -eq $code ]] || fail "exit code $got instead of $code of: $*" "$output"
  [[ $output =~ $pattern ]] || fail "/$pattern/ is not in the output of: $*" "$output"
  printf 'ok (refused) %s\n' "$*"
}

# eventually PATTERN FILE: a background command has written it.
eventually() {
  local pattern=$1 file=$2 i
  for ((i = 0; i < 150; i++)); do
    grep -qE "$pattern" "$file" && return 0
    sleep 0.1
  done
  fail "/$pattern/ never came" "$(cat "$file")"
}

on_rynxs() { [[ $TARGET == rynxs ]]; }
