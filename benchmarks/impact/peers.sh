#!/usr/bin/env bash
# Installs the peers of the impact benchmark, each in an environment of its own under benchmarks/impact/.peers, or under
# the folder named by PEERS. moderndid 0.4 needs Python 3.12: PYTHON312 names one. One that does not install is named
# and left out; the table then says "not installed".
set -uo pipefail
cd "$(dirname "$0")"
peers="${PEERS:-.peers}"
while read -r folder python packages; do
  "$python" --version > /dev/null 2>&1 || { echo "$folder: no $python here, not installed" >&2; continue; }
  [ -x "$peers/$folder/bin/python" ] || "$python" -m venv "$peers/$folder"
  # shellcheck disable=SC2086
  "$peers/$folder/bin/pip" install --quiet $packages || { echo "$folder: not installed" >&2; rm -rf "${peers:?}/$folder"; }
done <<PEERS
pyfixest ${PYTHON:-python3} pyfixest==0.60.0 wildboottest==0.3.2
diff_diff ${PYTHON:-python3} diff-diff==3.13.0
csdid ${PYTHON:-python3} csdid==0.4.3
linearmodels ${PYTHON:-python3} linearmodels==7.0
moderndid ${PYTHON312:-python3.12} moderndid[didhonest]==0.4.1
statsmodels ${PYTHON:-python3} statsmodels==0.15.0
differences ${PYTHON:-python3} differences==0.3.0
PEERS
