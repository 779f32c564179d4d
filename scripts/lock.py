#!/usr/bin/env python3
"""Write requirements.lock: name==version of everything the course installs, on any stage.

Also writes the versions into environment.yml, the same environment for conda.

    .venv/bin/python scripts/lock.py            # newest versions that fit pyproject.toml
    .venv/bin/python scripts/lock.py --keep     # keep locked versions, add what is missing

Resolves in a throw-away environment, so nothing that was installed by hand slips in. No hashes,
no hosts, no markers: the lines are constraints, and a platform may need packages beside them.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
CONDA = ROOT / "environment.yml"
HEADER = """\
# Versions of everything the course installs, applied as constraints by scripts/environment.py.
# Written by `make lock`; change pyproject.toml, not this file.
"""
NOT_LOCKED = {"pip", "syslab"}
PROVEN = ("test", "postgres", "cluster")  # the extras that `make test` installs


def main(keep: bool) -> int:
    """Resolve, freeze and write the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = ",".join(project["project"]["optional-dependencies"])
    settings = project["tool"]["syslab"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        under = ["--constraint", str(LOCK)] if keep and LOCK.is_file() else []
        also = [*project["build-system"]["requires"], *settings["lock-also"]]
        subprocess.run([*pip, "install", *under, "-e", f".[{extras}]", *also], cwd=ROOT, check=True)
        subprocess.run([*pip, "install", *under, "--no-deps", *settings["no-deps"]], check=True)
        frozen = subprocess.run(
            [*pip, "freeze", "--all"], check=True, capture_output=True, text=True
        )
    pins = pins_of(frozen.stdout)
    LOCK.write_text(HEADER + "".join(f"{name}=={version}\n" for name, version in pins.items()))
    CONDA.write_text(conda_environment(CONDA.read_text(), project, pins))
    print(f"{LOCK.name}: {len(pins)} packages")
    return 0


def pins_of(frozen: str) -> dict[str, str]:
    """Return {name: version} of `pip freeze` output, sorted, without local version labels.

    A label such as ``+cpu`` says how a wheel was built, which is for the platform to decide.
    """
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s+]+)", frozen, re.MULTILINE)
    names = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lines}
    return {name: names[name] for name in sorted(names) if name not in NOT_LOCKED}


def direct_names(project: dict) -> list[str]:
    """Return the packages that lessons, benches and proofs name themselves, sorted."""
    extras = project["project"]["optional-dependencies"]
    listed = [
        *project["project"]["dependencies"],
        *(line for extra in PROVEN for line in extras[extra]),
        *project["tool"]["syslab"]["no-deps"],
    ]
    return sorted({re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in listed})


def conda_environment(text: str, project: dict, pins: dict[str, str]) -> str:
    """Return environment.yml with the lines after ``--editable .`` written anew."""
    head, mark, _ = text.partition("      - --editable .\n")
    if not mark:
        raise SystemExit(f"{CONDA.name} has no line '- --editable .' in its pip section")
    return head + mark + "".join(f"      - {n}=={pins[n]}\n" for n in direct_names(project))


if __name__ == "__main__":
    sys.exit(main(keep="--keep" in sys.argv[1:]))
