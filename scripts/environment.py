#!/usr/bin/env python3
"""Build the course's environment in .venv from the pinned versions, or leave it if it is right.

    python3 scripts/environment.py [lab|test|dev]

`lab` is what a learner needs, `test` adds what the proofs need, `dev` what authors use. Runs on
the standard library alone. requirements.lock is applied as constraints, to build tools too, so a
platform's own companions of a package (torch's CUDA wheels, say) still resolve.
"""

# Nothing above the version check in main() may need a Python newer than 3.6: an old one must get
# as far as the message.
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
STAGES = ("lab", "test", "dev")  # each includes the ones before it
EXTRAS = {"lab": (), "test": ("test", "postgres", "cluster"), "dev": ("dev",)}
LOCK = "requirements.lock"
STAMP = ".syslab-environment.json"


class SetupError(Exception):
    """Something the person at the keyboard can mend."""


def main(argv):
    stage = argv[0] if argv else "lab"
    if stage not in STAGES:
        raise SetupError(f"stage is {stage!r}; it must be one of {', '.join(STAGES)}")
    if sys.version_info < OLDEST:
        raise SetupError(
            f"this is Python {dotted(sys.version_info)} ({sys.executable}); the course needs"
            f" {dotted(OLDEST)} or newer.\n"
            "  Install one (Debian 12 and Ubuntu 24.04 have it as python3, else see python.org)\n"
            "  and name it: make lab PYTHON=python3.11"
        )
    venv = os.path.join(ROOT, ".venv")
    stamp = read_stamp(venv)
    wanted = max(stage, stamp.get("stage", "lab"), key=STAGES.index)
    why = out_of_date(ROOT, venv, wanted, stamp)
    if not why:
        return 0
    print(f"==> environment: {why}", flush=True)
    fault = broken(venv, stamp)
    if fault:
        print(f"==> .venv {fault}: building it again", flush=True)
        shutil.rmtree(venv)
    if not os.path.isdir(venv):
        create(venv)
    install(venv, wanted)
    diff_notebooks_with_nbdime(venv)
    write_stamp(venv, wanted)
    print(f"==> environment ready: .venv ({wanted})", flush=True)
    return 0


# ---------------------------------------------------------------- is there anything to do?


def out_of_date(root, venv, stage, stamp):
    """Return why the environment must be (re)installed, or an empty string."""
    if not os.path.isdir(venv):
        return "building .venv (about 2 GB; some minutes the first time)"
    if broken(venv, stamp):
        return ".venv " + broken(venv, stamp)
    if not stamp:
        return ".venv was never finished"
    if STAGES.index(stamp["stage"]) < STAGES.index(stage):
        return "adding what `make test` needs"
    if stamp.get("digest") != digest(root):
        return f"pyproject.toml or {LOCK} has changed"
    now = installed(venv)
    lost = sorted(n for n, v in stamp.get("installed", {}).items() if now.get(n) != v)
    if lost:
        return "packages changed by hand: " + ", ".join(lost[:5]) + (", …" if lost[5:] else "")
    return ""


def broken(venv, stamp):
    """Return what is wrong with the venv itself, or an empty string."""
    if not os.path.isdir(venv):
        return ""
    if not os.path.isfile(os.path.join(venv, "pyvenv.cfg")):
        raise SetupError(
            f"{venv} is in the way: it is not a virtual environment.\n  Move it elsewhere."
        )
    if stamp and stamp.get("root") != os.path.dirname(os.path.realpath(venv)):
        return f"was built in another folder ({stamp.get('root')})"
    if not os.path.exists(python_of(venv)):
        return "is only half there (its Python is missing)"
    if not pip_works(venv):
        return "is only half there or too old (its Python or pip does not work)"
    return ""


def pip_works(venv):
    """Return whether the venv's Python starts, is new enough and has pip."""
    probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.run([python_of(venv), "-c", probe], stderr=subprocess.PIPE).returncode == 0


def digest(root):
    """Return a fingerprint of what an environment is made from."""
    sha = hashlib.sha256()
    for name in ("pyproject.toml", LOCK):
        with open(os.path.join(root, name), "rb") as file:
            sha.update(file.read() + b"\0")
    return sha.hexdigest()


def installed(venv):
    """Return {name: version} of the packages in the venv, read from its folder names."""
    found = {}
    for top, folders, _ in os.walk(os.path.join(venv, "lib")):
        if os.path.basename(top) == "site-packages":
            for folder in folders:
                if folder.endswith(".dist-info"):
                    name, _, version = folder[: -len(".dist-info")].rpartition("-")
                    found[normal(name)] = version
            del folders[:]
    found.pop("pip", None)
    return found


def normal(name):
    """Return a package name as the index spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_stamp(venv):
    """Return what the last finished install wrote down; empty if it never finished."""
    try:
        with open(os.path.join(venv, STAMP)) as file:
            stamp = json.load(file)
        return stamp if stamp.get("stage") in STAGES else {}
    except (OSError, ValueError):
        return {}


def write_stamp(venv, stage):
    stamp = {
        "stage": stage,
        "root": os.path.realpath(ROOT),
        "digest": digest(ROOT),
        "installed": installed(venv),
    }
    with open(os.path.join(venv, STAMP), "w") as file:
        json.dump(stamp, file, indent=1, sort_keys=True)


# ---------------------------------------------------------------- do it


def create(venv):
    """Create an empty virtual environment with pip in it."""
    # Run from inside an environment (perhaps the very one being replaced), use what it stands on.
    base = getattr(sys, "_base_executable", sys.executable)
    command = [base, "-m", "venv", venv]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode and install_venv_module():
        shutil.rmtree(venv, ignore_errors=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        raise SetupError(
            "Python cannot create a virtual environment:\n"
            f"{indent(done.stdout.decode(errors='replace').strip())}\n"
            "  On Debian and Ubuntu the module comes apart from Python:\n"
            "    sudo apt-get install python3-venv\n"
            "  then run the same command again."
        )


def install_venv_module():
    """Install Debian's python3-venv where ensurepip is missing and apt asks nothing."""
    sys.path.insert(0, os.path.join(ROOT, "src"))
    from syslab.course.programs import install_packages

    probe = [sys.executable, "-c", "import ensurepip"]
    lacking = subprocess.run(probe, stderr=subprocess.PIPE).returncode != 0
    return lacking and install_packages([f"python{dotted(sys.version_info)}-venv"])


def install(venv, stage):
    """Install the course and what `stage` needs, in the locked versions."""
    import tomllib

    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)
    extras = [extra for part in STAGES[: STAGES.index(stage) + 1] for extra in EXTRAS[part]]
    target = "." + (f"[{','.join(extras)}]" if extras else "")
    pip_install(venv, "--editable", target)
    alone = project["tool"]["syslab"]["no-deps"]
    if alone:
        pip_install(venv, "--no-deps", *alone)


def pip_install(venv, *what):
    """Run pip in the venv, from the course folder, under the lock."""
    environment = dict(os.environ)
    # As relative names: pip splits these two at spaces, and the course folder may have one.
    environment["PIP_CONSTRAINT"] = environment["PIP_BUILD_CONSTRAINT"] = LOCK
    environment["PIP_USER"] = "0"
    for name in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX"):
        environment.pop(name, None)
    command = [python_of(venv), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    done = subprocess.run(command + list(what), cwd=ROOT, env=environment)
    if done.returncode:
        free_gb = shutil.disk_usage(ROOT).free / 1e9
        raise SetupError(
            f"pip could not install {' '.join(what)} (its own message is above).\n"
            f"  No connection, a full disk ({free_gb:.1f} GB free here) or an unsupported Python\n"
            "  are the usual reasons. What was downloaded is kept: run the same command again."
        )


def diff_notebooks_with_nbdime(venv):
    """Let `git diff` and `git merge` read notebooks, in this clone only.

    .gitattributes names the drivers; a clone without these settings uses git's own diff.
    """
    drivers = {
        "diff.jupyternotebook.command": f'"{venv}/bin/git-nbdiffdriver" diff',
        "merge.jupyternotebook.driver": f'"{venv}/bin/git-nbmergedriver" merge %O %A %B %L %P',
        "merge.jupyternotebook.name": "notebook merge driver of nbdime",
    }
    if shutil.which("git") is None or not os.path.exists(os.path.join(ROOT, ".git")):
        return
    for key, value in drivers.items():
        subprocess.run(["git", "config", "--local", key, value], cwd=ROOT)


def python_of(venv):
    return os.path.join(venv, "bin", "python")


def dotted(version):
    return f"{version[0]}.{version[1]}"


def indent(text):
    return "\n".join("    " + line for line in text.splitlines())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        sys.exit(f"error: {error}")
