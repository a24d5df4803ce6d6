#!/usr/bin/env python3
"""Everything a newcomer types; needs Python 3.11 to 3.14 and nothing else.

    python3 dev.py demo     real traffic becomes proven invoices   (--help: its options)
    python3 dev.py up       the product, until Ctrl-C              (--help: its options)
    python3 dev.py test     the tests                              (options: pytest's)
    python3 dev.py check    format, lint, types, layers, migrations, documents
    python3 dev.py fmt      format and repair what can be repaired
    python3 dev.py docs     write docs/openapi.yaml anew
    python3 dev.py lock     choose the versions of all packages anew
    python3 dev.py setup    only make .venv, which all others do first

Standard library only, since it runs before anything is installed; readable by older Pythons, so
that they can say what is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

try:
    import fcntl
except ImportError:
    sys.exit("dev.py: Windows is served through WSL: run this there")

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
OPENAPI = ROOT / "docs" / "openapi.yaml"
OLDEST, NEWEST = (3, 11), (3, 14)
APPS = ["tenancy", "outbox", "api", "catalog", "metering", "billing", "webhooks"]
IS_SUPPORTED = f"import sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
MOST_AT_ONCE = 4  # processes that run tests: each has a database of its own
MOST_CHECKS_AT_ONCE = 2  # mypy takes as long as all others together
SKIPPED = 77  # the exit code of what could not be looked at
EXTRAS = [f"--extra={one}" for one in ("dev", "peers", "gateway")]  # beside the product
FOR_UV = {"UV_PYTHON_DOWNLOADS": "never"}  # it shall use the Python that is there


def main() -> None:
    name, *arguments = sys.argv[1:] or ["help"]
    if name not in COMMANDS:
        sys.exit(__doc__)
    use_supported_python()
    os.chdir(ROOT)
    with Path(__file__).open() as us:
        fcntl.flock(us, fcntl.LOCK_EX)  # two at once would make one environment between them
        make_environment()
    COMMANDS[name](arguments)


# --- the environment -----------------------------------------------------------------------


def use_supported_python() -> None:
    """Start again under a Python that will do, if this one will not and there is another."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other and succeeds(other, "-c", IS_SUPPORTED):
            say(f"using {other}")
            replace_us([other, __file__, *sys.argv[1:]])
    fail(
        f"Python 3.{OLDEST[1]} to 3.{NEWEST[1]} is needed, this is {sys.version.split()[0]}: "
        "install one of them and start this with it, like `python3.12 dev.py up`"
    )


def make_environment() -> None:
    """Make `.venv` hold exactly what the lock file says, if it does not yet."""
    stamp = VENV / "installed"
    if stamp.exists() and stamp.read_text() == fingerprint():
        return
    began_at = time.monotonic()
    if not succeeds(str(PYTHON), "-c", IS_SUPPORTED):
        say("making .venv")
        make_venv()
    count = LOCK.read_text().count("==")
    say(f"installing up to {count} packages into .venv (the first time takes about a minute)")
    install()
    stamp.write_text(fingerprint())
    say(f"installed in {time.monotonic() - began_at:.0f} s")


def fingerprint() -> str:
    """Changes with whatever decides what has to be installed."""
    parts = [ROOT / "pyproject.toml", LOCK, VENV / "pyvenv.cfg"]
    return hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()


def make_venv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    if uv() and succeeds(uv(), "venv", "--quiet", "--python", sys.executable, str(VENV)):
        return
    with_pip = find_spec("ensurepip") is not None  # Debian and Ubuntu keep it in a package apart
    options = [] if with_pip else ["--without-pip"]
    run(
        [sys.executable, "-m", "venv", *options, str(VENV)],
        "the environment could not be made: install your system's package python3-venv",
    )


def install() -> None:
    """Install the locked packages and ourselves, by uv if there is one and it can, else by pip."""
    what = ["install", "--quiet", "--no-deps", "-r", str(LOCK), "-e", str(ROOT)]
    if uv():
        if succeeds(uv(), "pip", *what, "--python", str(PYTHON), stderr=None):
            return
        say("uv could not install the packages, now trying pip")
    # Most modules are never imported; Python itself compiles the others once, if it may.
    compiled = [] if sys.dont_write_bytecode else ["--no-compile"]
    run(
        [*pip(), *what, *compiled, "--quiet", "--disable-pip-version-check", "--no-input"],
        "pip could not install the packages (its own words are above). No network? Behind a proxy "
        "set HTTPS_PROXY, with an index of your own set PIP_INDEX_URL; then run this again",
    )


def pip() -> list[str]:
    """The environment's own pip, or the one that started us, working on the environment."""
    has_pip = succeeds(str(PYTHON), "-m", "pip", "--version")
    if has_pip or succeeds(str(PYTHON), "-m", "ensurepip"):
        return [str(PYTHON), "-m", "pip"]
    if find_spec("pip") is None:
        fail("there is no pip: install your system's package python3-venv or python3-pip, or uv")
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def uv() -> str:
    """Where uv is; empty if nowhere."""
    return shutil.which("uv") or ""


# --- commands ------------------------------------------------------------------------------


def program(*words: str) -> Callable[[list[str]], None]:
    """The command that becomes a program of the environment."""

    def become(arguments: list[str]) -> None:
        replace_us([*tool(words[0]), *words[1:], *arguments])

    return become


def test(arguments: list[str]) -> None:
    """Run pytest: all fast tests on as many processors as there are, what is named on one."""
    at_once = min(os.cpu_count() or 1, MOST_AT_ONCE)
    spread = ["-n", str(at_once)] if at_once > 1 and not arguments else []
    replace_us([*tool("pytest"), *spread, *arguments])


def setup(arguments: list[str]) -> None:
    """Do nothing more: the environment is made before every command."""
    say(f"the environment is {VENV}")


def check(arguments: list[str]) -> None:
    """Make all checks, among throw-away servers for those that ask a database."""
    replace_us([*AMONG_SERVERS, *tool("python"), __file__, "check-among-servers"])


def check_among_servers(arguments: list[str]) -> None:
    with ThreadPoolExecutor(MOST_CHECKS_AT_ONCE) as pool:
        made = {name: pool.submit(passes, name, command) for name, command in CHECKS.items()}
    failed = [name for name, check in made.items() if not check.result()]
    if failed:
        fail(f"failed: {', '.join(failed)}")


def passes(name: str, command: list[str]) -> bool:
    """Make one check, print its time, and what it says only when it fails."""
    began_at = time.monotonic()
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    verdicts = {0: "ok", SKIPPED: "skipped: " + result.stdout.strip()}
    verdict = verdicts.get(result.returncode, "FAILED\n" + result.stdout)
    print(f"{time.monotonic() - began_at:6.1f} s  {name:17} {verdict}", flush=True)
    return result.returncode in verdicts


def fmt(arguments: list[str]) -> None:
    subprocess.run([*tool("ruff"), "check", "--fix", "--quiet", "."], check=False)
    run([*tool("ruff"), "format", "."], "ruff could not format everything")


def docs(arguments: list[str]) -> None:
    """Write docs/openapi.yaml anew, or with --check say whether it is what it would become."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "openapi.yaml"
        command = [*AMONG_SERVERS, *DJANGO, "spectacular", "--validate", "--fail-on-warn"]
        run([*command, "--file", str(fresh)], "the OpenAPI document could not be made")
        replace(OPENAPI, fresh, "docs", arguments)


def lock(arguments: list[str]) -> None:
    """Resolve anew, for every platform, keeping what fits; --upgrade takes the newest versions."""
    if not uv():
        skip("uv, which resolves, is not on the PATH; tests compare the lock with pyproject.toml")
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(shutil.copy(LOCK, folder))
        more = [argument for argument in arguments if argument != "--check"]
        how = ["--universal", "--python-version", "3.11", "--no-header", *EXTRAS, *more]
        command = [uv(), "pip", "compile", "--quiet", *how, "pyproject.toml", "-o", str(fresh)]
        if not succeeds(*command, stderr=None):
            skip("uv could not resolve pyproject.toml")
        replace(LOCK, fresh, "lock", arguments)


def replace(path: Path, fresh: Path, command: str, arguments: list[str]) -> None:
    is_current = path.exists() and path.read_bytes() == fresh.read_bytes()
    if not is_current and "--check" in arguments:
        fail(f"{path.name} is old: run `python3 dev.py {command}`")
    if not is_current:
        shutil.copyfile(fresh, path)


def tool(name: str) -> list[str]:
    return [str(VENV / "bin" / name)]


AMONG_SERVERS = [*tool("python"), "-m", "aforo.embedded.throwaway"]
DJANGO = [*tool("python"), "manage.py"]
# Seen and meant: what they tighten came with the same version, so no running release writes it.
TIGHTENED = [
    "0006_late_usage",
    "0003_adjustments",
    "0003_sources_and_keys",
    "0004_terms_of_every_kind",
    "0004_every_invoice",
    "0015_invoices_on_demand",
    "0008_cooldowns_of_a_year",
]
LINTER = ["--settings", "tests.settings", "--quiet", "ok", "ignore", "--ignore-name", *TIGHTENED]
CHECKS = {
    "ruff format": [*tool("ruff"), "format", "--check", "."],
    "ruff check": [*tool("ruff"), "check", "."],
    "mypy": tool("mypy"),
    "lint-imports": [*tool("lint-imports"), "--no-logo"],
    "migrations": [*DJANGO, "makemigrations", "--check", "--dry-run"],
    "migration linter": [*DJANGO, "lintmigrations", *LINTER, "--include-apps", *APPS],
    "OpenAPI document": [*tool("python"), __file__, "docs", "--check"],
    "lock file": [*tool("python"), __file__, "lock", "--check"],
}
COMMANDS = {
    "demo": program("aforo", "demo"),
    "up": program("aforo", "up"),
    "test": test,
    "check": check,
    "check-among-servers": check_among_servers,
    "fmt": fmt,
    "docs": docs,
    "lock": lock,
    "setup": setup,
}


# --- running programs ----------------------------------------------------------------------


def run(command: list[str], otherwise: str) -> None:
    if subprocess.run(command, env={**os.environ, **FOR_UV}, check=False).returncode:
        fail(otherwise)


def succeeds(*command: str, stderr: int | None = subprocess.DEVNULL) -> bool:
    try:
        result = subprocess.run(
            command,
            env={**os.environ, **FOR_UV},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            check=False,
        )
    except OSError:
        return False
    return result.returncode == 0


def replace_us(command: list[str]) -> None:
    os.execv(command[0], command)  # noqa: S606  no shell is wanted


def say(what: str) -> None:
    print(f"dev.py: {what}", file=sys.stderr, flush=True)


def fail(why: str) -> None:
    sys.exit(f"dev.py: {why}")


def skip(why: str) -> None:
    print(why)
    sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
