#!/bin/sh
# Install a Debian package when it is missing and we may; else print the command and fail.
set -eu
missing=""
for package in "$@"; do
    case "$package" in
        python3-venv) python3.11 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3.11-venv" ;;
        python3-dev) [ -e "$(python3.11 -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] ||
            missing="$missing python3.11-dev" ;;
        nodejs) command -v node >/dev/null 2>&1 || missing="$missing nodejs" ;;
        mariadb-server) command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || missing="$missing mariadb-server" ;;
        redis-server) command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server" ;;
        nginx) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx" ;;
        haproxy) command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy" ;;
        promtool) command -v promtool >/dev/null 2>&1 || missing="$missing prometheus" ;;
        galera-4) [ -e /usr/lib/galera/libgalera_smm.so ] || missing="$missing galera-4" ;;
        systemd) command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd" ;;
        collectd) [ -x /usr/sbin/collectd ] || missing="$missing collectd-core" ;;
        netdata) [ -x /usr/sbin/netdata ] || missing="$missing netdata-core" ;;
        nc) command -v nc >/dev/null 2>&1 || missing="$missing netcat-openbsd" ;;
        php) command -v php >/dev/null 2>&1 || missing="$missing php-cli" ;;
        go) command -v go >/dev/null 2>&1 || missing="$missing golang-go" ;;
        datadog-go) [ -d /usr/share/gocode/src/github.com/DataDog/datadog-go ] ||
            missing="$missing golang-github-datadog-datadog-go-dev" ;;
        java) command -v java >/dev/null 2>&1 || missing="$missing default-jdk-headless" ;;
        graphite-web) command -v graphite-manage >/dev/null 2>&1 || missing="$missing graphite-web" ;;
        npm) command -v npm >/dev/null 2>&1 || missing="$missing npm" ;;
        *) command -v "$package" >/dev/null 2>&1 || missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing, by their names in Debian:$missing. Install them with this system's own package manager" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo"
else
    echo "Missing:$missing. Install with:  sudo apt-get update && sudo apt-get install --yes$missing" >&2
    exit 1
fi
echo "Installing$missing with apt-get" >&2
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq $missing >/dev/null
