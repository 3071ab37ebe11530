#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lifeboat's main job, shown on this machine in one go: a scratch PostgreSQL with sample orders, the agent and the
# collector beside it, a backup by the agent's schedule and what its metrics say, a table dropped, the restore, the row
# counts compared. Everything runs in a temporary folder and is gone afterwards, unless --keep leaves it running.
# Nothing that runs on this machine already is touched.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./quickstart.sh [--no-install] [--keep] [--rows N]
--no-install  install nothing; stop and say so when something is missing
--keep        leave it running at the end, and say how to look at it and how to stop it
--rows N      how many sample orders (200000)
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")"
install=yes
keep=no
rows=200000
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=no ;;
    --keep) keep=yes ;;
    --rows)
        rows=${2:?--rows needs a number}
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift
done

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() {
    printf '$ %s\n' "$*"
    "$@"
}

# --- what is needed ---

mapfile -t missing < <(tests/parts/install.sh --lists build,run --missing)
if [ ${#missing[@]} -gt 0 ]; then
    say "These Debian packages are needed and missing: ${missing[*]}"
    if [ "$install" = no ]; then
        echo "quickstart.sh: not installed because of --no-install" >&2
        exit 1
    fi
    tests/parts/install.sh --packages-only --lists build,run
fi

say "Building lifeboat (build/release)"
cmake --preset release >/dev/null
cmake --build build/release -j "$(nproc)" | tail -n 1
bin=$PWD/build/release/bin
PATH=$bin:$PATH

# --- a folder for all of it, and its end ---

pg_bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    as_postgres=(runuser -u postgres --)
fi
folder=$(mktemp -d /tmp/lifeboat-quickstart.XXXXXX)
cat >"$folder/stop.sh" <<SH
#!/bin/bash
# Stops what quickstart.sh started, and removes its folder.
cd "$folder" || exit 1
mine() { grep -qs "$folder" "/proc/\$1/cmdline"; }
for name in agent collector; do
    pid=\$(cat \$name.pid 2>/dev/null) || continue
    ! mine "\$pid" || kill "\$pid"
    for ((tries = 0; tries < 50; tries++)); do
        mine "\$pid" || break
        sleep 0.1
    done
done
${as_postgres[*]} "$pg_bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
cd / && rm -rf "$folder"
SH
chmod 755 "$folder/stop.sh"
trap '"$folder/stop.sh"' EXIT
trap 'exit 130' INT TERM
chmod 711 "$folder"
mkdir -m 700 "$folder"/{data,store,disk,state,collector,tls}
[ ${#as_postgres[@]} = 0 ] || chown postgres "$folder/data"

ports=()
for ((port = 20000 + RANDOM % 10000; ${#ports[@]} < 4; port++)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || ports+=("$port")
done
port_postgres=${ports[0]} port_agent=${ports[1]} port_collector=${ports[2]} port_collector_http=${ports[3]}

# wait_for WHAT COMMAND...: until the command succeeds, at most 30 seconds.
wait_for() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            echo "quickstart.sh: waited in vain for $what; the logs end so:" >&2
            tail -n 20 "$folder"/*.log >&2
            exit 1
        fi
        sleep 0.1
    done
}
# start NAME PROGRAM...: in a session of its own, so that Ctrl-C reaches it through stop.sh alone.
start() {
    setsid "${@:2}" </dev/null >"$folder/$1.log" 2>&1 &
    echo $! >"$folder/$1.pid"
}
metrics() { # PORT PATTERN: the samples that begin with it; fails when there is none
    curl -fs "http://127.0.0.1:$1/metrics" | grep -E "^($2)"
}
quietly() { "$@" >/dev/null 2>&1; }
show_metrics() { # PORT PATTERN
    printf "\$ curl -s http://127.0.0.1:%s/metrics | grep -E '^(%s)'\n" "$1" "$2"
    metrics "$1" "$2"
}

# --- a scratch PostgreSQL ---

sql() { "$pg_bin/psql" -X -q -A -t -h 127.0.0.1 -p "$port_postgres" -U postgres -d "$1" -c "$2"; }

say "Starting a scratch PostgreSQL on 127.0.0.1:$port_postgres, with $rows sample orders"
(
    cd "$folder"
    "${as_postgres[@]}" "$pg_bin/initdb" -D data -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
    "${as_postgres[@]}" "$pg_bin/pg_ctl" -D data -w -l data/log -o \
        "-p $port_postgres -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off" start >/dev/null
)
sql postgres "CREATE DATABASE aipx"
sql aipx "CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, symbol text NOT NULL, side text CHECK (side IN ('buy', 'sell')),
    quantity numeric(18, 8) NOT NULL, price numeric(18, 8) NOT NULL, placed timestamptz NOT NULL)"
sql aipx "INSERT INTO orders (symbol, side, quantity, price, placed)
    SELECT (ARRAY['BTC-USD', 'ETH-USD', 'SOL-USD'])[1 + n % 3], CASE n % 2 WHEN 0 THEN 'buy' ELSE 'sell' END,
        (n % 997) / 100.0, 100 + (n * 7919::bigint % 10007) / 13.0, now() - n * interval '1 second'
    FROM generate_series(1, $rows) n"
sql aipx "CREATE VIEW volume AS SELECT symbol, sum(quantity * price) AS traded FROM orders GROUP BY symbol"

# --- certificates: an authority, and one each for collector and agent ---

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=quickstart authority" \
        -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt
}
certificate() { # NAME EXTENSION
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
        -extfile <(printf '%s\n' basicConstraints=CA:FALSE "$2")
}
cd "$folder/tls"
{ authority && certificate collector subjectAltName=IP:127.0.0.1 && certificate agent extendedKeyUsage=clientAuth; } \
    >openssl.log 2>&1 || { cat openssl.log >&2 && exit 1; }
cd "$folder"

cat >collector.yaml <<YAML
listen: "127.0.0.1:$port_collector"
tls: { ca_file: $folder/tls/ca.crt, cert_file: $folder/tls/collector.crt, key_file: $folder/tls/collector.key }
http: { listen: "127.0.0.1:$port_collector_http" }
state: { path: $folder/collector }
YAML
cat >agent.yaml <<YAML
identity: { cluster: quickstart, namespace: aipx, workload: postgresql, pod: postgresql-0 }
state: { path: $folder/state }
components:
  - name: orders-db
    system: postgres
    postgres:
      conninfo: "host=127.0.0.1 port=$port_postgres user=postgres dbname=aipx"
      restore_conninfo: "host=127.0.0.1 port=$port_postgres user=postgres dbname=postgres"
    assert: ["SELECT count(*) > 0 FROM orders"]
    schedule: "@every 1h"     # one that never ran is due at once
    jitter: 0s
    stores: [backups]
    retention: { keep_within: 30d, keep_last: 4 }
stores:
  - { name: backups, type: local, path: $folder/store }
  - { name: disk, type: local, path: $folder/disk }
fallback: { store: disk, max_bytes: 1GiB }
collector:
  address: "127.0.0.1:$port_collector"
  ca_file: $folder/tls/ca.crt
  cert_file: $folder/tls/agent.crt
  key_file: $folder/tls/agent.key
http: { listen: "127.0.0.1:$port_agent" }
YAML

# --- the main job ---

say "Checking configuration, connections, rights, tools and store"
show lifeboat-agent check -c agent.yaml

before=$(sql aipx "SELECT count(*) FROM orders")
say "Starting lifeboat-collector, and lifeboat-agent run: the schedule takes the first backup ($before orders)"
start collector lifeboat-collector -c "$folder/collector.yaml"
wait_for "the collector" quietly curl -fs "http://127.0.0.1:$port_collector_http/healthz"
start agent lifeboat-agent run -c "$folder/agent.yaml"
wait_for "the scheduled backup" quietly metrics "$port_agent" 'lifeboat_agent_jobs_total.*kind="backup",outcome="done"} 1'
wait_for "its report" quietly metrics "$port_collector_http" 'backup_last_result.* 1'
cat agent.log
echo
show_metrics "$port_agent" 'lifeboat_agent_(link_up|memory_bytes|job_next|job_last_duration)'
show_metrics "$port_collector_http" 'backup_last_|backup_recovery_point'

say "Proving that it can be read back: every byte, every row"
show lifeboat-agent verify -c agent.yaml

say "Disaster: DROP TABLE orders CASCADE"
sql aipx "DROP TABLE orders CASCADE" 2>/dev/null

say "Restoring: beside, proven, then swapped by a rename; the damaged database is kept"
show lifeboat-agent restore -c agent.yaml --yes orders-db

after=$(sql aipx "SELECT count(*) FROM orders")
say "Orders before: $before, after: $after"
if [ "$before" != "$after" ]; then
    echo "quickstart.sh: the counts differ" >&2
    exit 1
fi
show lifeboat-agent list -c agent.yaml
echo
echo "databases now:" "$(sql postgres "SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate")"


if [ "$keep" = yes ]; then
    trap - EXIT
    say "Done, and left running:"
    cat <<TEXT
  the agent       curl http://127.0.0.1:$port_agent/metrics
                  $folder/agent.yaml (a change is noticed), agent.log
  the collector   curl http://127.0.0.1:$port_collector_http/metrics
                  $folder/collector.yaml, collector.log
  the database    $pg_bin/psql -h 127.0.0.1 -p $port_postgres -U postgres aipx
  the backups     $bin/lifeboat-agent list -c $folder/agent.yaml
  stop all of it, and remove the folder:
                  $folder/stop.sh
TEXT
    exit 0
fi

say "Done, and everything is removed again. What to try next:"
cat <<'TEXT'
  ./quickstart.sh --keep                            the same, left running
  build/release/bin/lifeboat-agent --help           the commands
  docs/agent.example.yaml                           a configuration to begin with
  docs/OPERATIONS.md                                what to do at three in the morning
  docs/FORMAT.md                                    what lies in the store, and opening it without lifeboat
  ./tests/run.sh                                    the tests, against real servers
TEXT
