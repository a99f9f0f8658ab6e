#!/usr/bin/env bash
# Installs the peers of the survey benchmark: R survey from Debian packages, svy and samplics each in its own
# environment under benchmarks/survey/.peers. Needs root for the Debian packages.
set -euo pipefail
cd "$(dirname "$0")"
command -v Rscript >/dev/null || { apt-get update; apt-get install -y r-base-core r-cran-survey; }
for peer in svy==0.35.0 samplics==0.6.1; do
  folder=".peers/${peer%%==*}"
  [ -x "$folder/bin/python" ] || python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet "$peer"
done
