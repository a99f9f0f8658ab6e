#!/usr/bin/env bash
# Installs the peers of the comparison benchmark, each in an environment of its own under benchmarks/comparison/.peers.
# One that does not install is named and left out; the table then says "not installed".
set -uo pipefail
cd "$(dirname "$0")"
python="${PYTHON:-python3}"
while read -r folder packages; do
  [ -x ".peers/$folder/bin/python" ] || "$python" -m venv ".peers/$folder"
  # shellcheck disable=SC2086
  ".peers/$folder/bin/pip" install --quiet $packages || { echo "$folder: not installed" >&2; rm -rf ".peers/$folder"; }
done <<'PEERS'
statsmodels statsmodels==0.15.0 pyarrow
balance balance==0.23.0 pyarrow<20
doubleml doubleml==0.11.4 pyarrow
econml econml==0.17.0 pyarrow
pymatchit pymatchit-causal==0.6.1 pyarrow
marginaleffects marginaleffects==0.6.0 polars<2 statsmodels==0.15.0 pyarrow pandas
PEERS
