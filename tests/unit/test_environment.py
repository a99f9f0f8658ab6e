"""environment.yml, pyproject.toml and requirements.lock say the same."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
#: Conda's name for what PyPI calls otherwise.
CONDA_NAMES = {"matplotlib-base": "matplotlib"}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = YAML(typ="safe").load((ROOT / "environment.yml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def conda_specs():
    return [MatchSpec(text) for text in ENVIRONMENT["dependencies"] if isinstance(text, str)]


def conda_packages():
    named = {}
    for spec in conda_specs():
        name = str(getattr(spec.name, "normalized", spec.name))
        if name not in ("python", "pip"):
            named[canonicalize_name(CONDA_NAMES.get(name, name))] = str(spec.version)
    for text in ENVIRONMENT["dependencies"][-1]["pip"]:
        if not text.startswith("-"):
            requirement = Requirement(text)
            named[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return named


def project_packages():
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"]]
    return {canonicalize_name(r.name): str(r.specifier) for r in map(Requirement, requirements)}


def locked_versions():
    found = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ \\;]+)", LOCK, flags=re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


def test_conda_names_the_same_packages_with_the_same_bounds():
    assert conda_packages() == project_packages()


def test_python_bounds_agree():
    python = next(spec for spec in conda_specs() if str(getattr(spec.name, "normalized", spec.name)) == "python")
    assert str(python.version) == PROJECT["requires-python"]


EXTRAS = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *EXTRAS])
def test_every_requirement_is_locked_within_its_bounds(requirement):
    wanted = Requirement(requirement)
    versions = locked_versions().get(canonicalize_name(wanted.name), [])
    assert versions, f"{wanted.name} is not in requirements.lock"
    assert all(wanted.specifier.contains(version) for version in versions)


def test_the_build_backend_is_locked():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    for wanted in map(Requirement, build):
        assert all(wanted.specifier.contains(v) for v in locked_versions()[canonicalize_name(wanted.name)])


def test_every_locked_package_has_hashes_and_no_address():
    blocks = re.split(r"^(?=[A-Za-z0-9._-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in LOCK
