#!/usr/bin/env bash
# A real S3 server for tests: Debian's Ceph (one monitor, one OSD in memory, radosgw), loopback only, without authentication between its parts.
#   eng/s3-test-server.sh start DIR PORT [OWNER]   prints "ready" when an S3 client can use it: http://127.0.0.1:PORT, keys in DIR/credentials;
#                                                  stops by itself when the process with the id OWNER is gone
#   eng/s3-test-server.sh stop DIR
# DIR is emptied. Its path must be short: sockets lie in it (at most 80 characters). Nothing outside DIR is touched.
set -euo pipefail

fail() { printf 's3-test-server: %s\n' "$*" >&2; exit 1; }

stop() {
  local dir=$1 pid_file pid
  for pid_file in "$dir"/*.pid; do
    [[ -f $pid_file ]] || continue
    pid=$(<"$pid_file")
    # The process must be the one that we started: its command line names this directory or runs with its configuration.
    if [[ -n $pid ]] && tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "CEPH_CONF=$dir/ceph.conf"; then
      kill -KILL "$pid" 2>/dev/null || true # Its store is memory: there is nothing to save.
    fi
    rm -f "$pid_file"
  done
}

configure() {
  local dir=$1 port=$2 monitor_port=$3 fsid=$4
  cat >"$dir/ceph.conf" <<EOF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$monitor_port/0
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir
admin socket = $dir/\$name.asok
log file = $dir/log/\$name.log
pid file = $dir/\$name.pid
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
# Without this a proposal waits for two seconds, which makes the start three seconds longer.
paxos propose interval = 0.05
paxos min wait = 0.01
[mon.a]
host = localhost
mon data = $dir/mon
[osd]
osd objectstore = memstore
osd data = $dir/osd
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
[client.rgw.a]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw rados pool pg num min = 4
# radosgw asks for the "secure" mode of the protocol, which does not exist without cephx.
ms mon client mode = crc
ms cluster mode = crc
rgw run sync thread = false
rgw enable quota threads = false
rgw thread pool size = 64
rgw dns name = localhost
rgw crypt require ssl = false
EOF
}

free_port() {
  local port
  for port in $(shuf -i 30000-39999 -n 50); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then printf '%s\n' "$port" && return 0; fi
  done
  fail 'no free port'
}

# wait_for SECONDS COMMAND...
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || return 1
    sleep 0.1
  done
}

osd_is_up() { ceph osd stat -f json 2>/dev/null | grep -q '"num_up_osds":1'; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

start() {
  local dir=$1 port=$2 fsid osd_id access secret program
  for program in ceph-mon ceph-osd radosgw radosgw-admin ceph monmaptool; do
    command -v "$program" >/dev/null || fail "$program is missing (Debian packages: ceph-mon ceph-osd radosgw ceph-common)"
  done
  ((${#dir} <= 80)) || fail "the path $dir is too long for sockets in it"
  stop "$dir"
  rm -rf "$dir"
  mkdir -p "$dir"/{mon,osd,log,rgw}
  fsid=$(</proc/sys/kernel/random/uuid) osd_id=$(</proc/sys/kernel/random/uuid)
  local monitor_port
  monitor_port=$(free_port)
  configure "$dir" "$port" "$monitor_port" "$fsid"
  export CEPH_CONF="$dir/ceph.conf"

  {
    monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor_port/0]" "$dir/monmap"
    ceph-mon -i a --mkfs --monmap "$dir/monmap"
    ceph-mon -i a
    ceph --connect-timeout 20 osd new "$osd_id" 0
    ceph --connect-timeout 20 osd crush add-bucket localhost host
    ceph --connect-timeout 20 osd crush move localhost root=default
    ceph --connect-timeout 20 osd crush add osd.0 1.0 host=localhost
    ceph-osd -i 0 --mkfs --osd-uuid "$osd_id"
    ceph-osd -i 0
  } >"$dir/log/start.log" 2>&1 || fail "Ceph did not start; see $dir/log/start.log"
  wait_for 30 osd_is_up || fail "the OSD did not come up; see $dir/log"
  radosgw -n client.rgw.a >>"$dir/log/start.log" 2>&1 || fail "radosgw did not start; see $dir/log"
  wait_for 60 answers "$port" || fail "radosgw does not answer on port $port; see $dir/log"

  access=$(head -c 10 /dev/urandom | od -An -tx1 | tr -d ' \n') secret=$(head -c 20 /dev/urandom | od -An -tx1 | tr -d ' \n')
  radosgw-admin -n client.rgw.a user create --uid=test --display-name=test --access-key="$access" --secret-key="$secret" \
    >>"$dir/log/start.log" 2>&1 || fail "no user could be made; see $dir/log/start.log"
  printf '%s\n%s\n' "$access" "$secret" >"$dir/credentials"
  chmod 600 "$dir/credentials"
  echo ready
}

case ${1:-} in
  start)
    start "${2:?DIR}" "${3:?PORT}"
    # A test run that is killed cleans nothing up.
    if [[ -n ${4:-} ]]; then setsid "${BASH_SOURCE[0]}" watch "$2" "$4" </dev/null >/dev/null 2>&1 & fi
    ;;
  watch)
    while kill -0 "${3:?OWNER}" 2>/dev/null && [[ -d ${2:?DIR} ]]; do sleep 2; done
    stop "$2"
    rm -rf "$2"
    ;;
  stop) stop "${2:?DIR}" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 64 ;;
esac
