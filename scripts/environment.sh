# Makes the environment that the two commands of the README run in: `.venv` in the project's
# folder, with the project installed in it. Source it with the extras to install, for example
# `. scripts/environment.sh test`. Needs Python 3.11 or newer ($PYTHON, or python3) and nothing
# else; $INV_JAX_EXTRAS adds extras, such as cuda12 or cuda13 on a machine with a GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "inv_jax needs Python 3.11 or newer; '$python' is not. Set PYTHON to one that is." >&2
    exit 2
fi
extras=$(IFS=,; echo "${*:-}${INV_JAX_EXTRAS:+,$INV_JAX_EXTRAS}")
extras=${extras#,}
# What is installed is noted, so that a second run starts at once.
wanted="$extras $(cat pyproject.toml | cksum)"
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv
fi
if [ "$(cat ".venv/installed-${extras:-base}" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the project into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${extras:+[$extras]}"
    echo "$wanted" > ".venv/installed-${extras:-base}"
fi
export PATH="$PWD/.venv/bin:$PATH"
