"""What of a run is published: the part of its manifest that lasts, and whether its files are still those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Folders of a run that are published, beside its notebooks.
PUBLISHED = ("estimates", "tables", "figures")


def is_published(file: str) -> bool:
    """Tell whether a file of a run, by its path in the run folder, is published."""
    return file.split("/")[0] in PUBLISHED


def is_kept(step: Mapping[str, Any]) -> bool:
    """Tell whether the notebook of a step is published: of a step with many instances, only some are."""
    return bool(step.get("published", True))


def outputs_of(step: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is published of what a step left: of an instance that is not kept, no figures."""
    return [
        record
        for record in step["outputs"]
        if is_published(record["file"]) and (is_kept(step) or not record["file"].startswith("figures/"))
    ]


def published_outputs(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of all files of a run that are published, step by step."""
    return [record for step in manifest["steps"].values() for record in outputs_of(step)]


def lasting(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest as it is published: without files that are not, and without durations."""
    steps = {
        name: {key: value for key, value in step.items() if key != "duration_seconds"} | {"outputs": outputs_of(step)}
        for name, step in manifest["steps"].items()
    }
    return {**manifest, "steps": steps, "unattributed": []}


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a run's manifest and that of the same run, once published, have in common.

    Examples
    --------
    >>> step = {"state": "ok", "outputs": [{"file": "restricted/a.csv", "sha256": "0"}]}
    >>> run = {"study": "s", "steps": {"a": step | {"duration_seconds": 1.5}}, "unattributed": ["tables/x.csv"]}
    >>> published = {"study": "s", "steps": {"a": {"state": "ok", "outputs": []}}, "unattributed": []}
    >>> manifest_hash(run) == manifest_hash(published)
    True
    """
    return _hash(lasting(manifest))


def outputs_hash(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the published files alone: equal where another run gave the same files."""
    return _hash(sorted((str(record["file"]), str(record["sha256"])) for record in published_outputs(manifest)))


def _hash(content: object) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def altered_file(run: Path, manifest: Mapping[str, Any]) -> str:
    """Return the first published file that is no longer as the run left it, and its fate; empty where all are.

    Parameters
    ----------
    run : Path
        Folder of the run.
    manifest : mapping
        Its manifest.
    """
    for record in published_outputs(manifest):
        file = run / record["file"]
        if not file.is_file():
            return f"{record['file']} is missing"
        if hashlib.sha256(file.read_bytes()).hexdigest() != record["sha256"]:
            return f"{record['file']} was changed after the run"
    return ""
