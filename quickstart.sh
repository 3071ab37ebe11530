#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lifeboat's main job, shown on this machine in one go: a scratch PostgreSQL with sample orders, a backup into a local
# folder, a table dropped, the restore, the row counts compared. Everything runs in a temporary folder and is gone
# afterwards. Nothing that runs on this machine already is touched.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./quickstart.sh [--no-install] [--rows N]
--no-install  install nothing; stop and say so when something is missing
--rows N      how many sample orders (200000)
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")"
install=yes
rows=200000
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=no ;;
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
PATH=$PWD/build/release/bin:$PATH

# --- a scratch PostgreSQL ---

pg_bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
folder=$(mktemp -d /tmp/lifeboat-quickstart.XXXXXX)
chmod 711 "$folder"
mkdir -m 700 "$folder/data" "$folder/store" "$folder/state"
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder/data"
    as_postgres=(runuser -u postgres --)
fi

clean_up() {
    "${as_postgres[@]}" "$pg_bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean_up EXIT

port=$((20000 + RANDOM % 20000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((port + 1))
done
sql() { "$pg_bin/psql" -X -q -A -t -h 127.0.0.1 -p "$port" -U postgres -d "$1" -c "$2"; }

say "Starting a scratch PostgreSQL on 127.0.0.1:$port, with $rows sample orders"
(
    cd "$folder"
    "${as_postgres[@]}" "$pg_bin/initdb" -D data -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
    "${as_postgres[@]}" "$pg_bin/pg_ctl" -D data -w -l data/log -o \
        "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off" start >/dev/null
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

cat >"$folder/agent.yaml" <<YAML
identity: { cluster: quickstart, namespace: aipx, workload: postgresql, pod: postgresql-0 }
state: { path: $folder/state }
components:
  - name: orders-db
    system: postgres
    postgres:
      conninfo: "host=127.0.0.1 port=$port user=postgres dbname=aipx"
      restore_conninfo: "host=127.0.0.1 port=$port user=postgres dbname=postgres"
    assert: ["SELECT count(*) > 0 FROM orders"]
    stores: [disk]
    retention: { keep_within: 30d, keep_last: 4 }
stores:
  - { name: disk, type: local, path: $folder/store }
YAML
cd "$folder"

# --- the main job ---

say "Checking configuration, connections, rights, tools and store"
show lifeboat-agent check -c agent.yaml

before=$(sql aipx "SELECT count(*) FROM orders")
say "Backing up ($before orders)"
show lifeboat-agent backup -c agent.yaml
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

say "Done, and everything was removed again. What to try next:"
cat <<'TEXT'
  build/release/bin/lifeboat-agent --help           the commands
  docs/agent.example.yaml                           a configuration to begin with
  docs/OPERATIONS.md                                what to do at three in the morning
  docs/FORMAT.md                                    what lies in the store, and opening it without lifeboat
  ./tests/run.sh                                    the tests, against real servers
TEXT
