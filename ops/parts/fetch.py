#!/usr/bin/env python3
"""Fetches the pinned parts that Docstream runs on: inference library, models, embedded ClickHouse, test brokers.

    python3 ops/parts/fetch.py [--cache DIR] [--only NAME...] [--with kafka|moto|apicurio] [--check]

Promises:
  * every file in the cache has the SHA-256 that parts.json (or kafka-jars.sha256) names; a file that has another
    one is refused, named and fetched again once, and if that does not help the run ends with status 1;
  * a good file is never fetched again: a run with nothing to do opens no connection and hashes nothing;
  * a file appears under its name only when it is whole and verified, and two runs at once do the work once.

Packages come through the package clients (pip, npm, mvn) with the user's own configuration of them, so that mirrors
and proxies work as they do elsewhere; this program knows no address.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAMPS = ".verified.json"


class PartError(Exception):
    """One line for the user: what is wrong and, where it is known, what to do about it."""


class WrongHash(PartError):
    """Bytes that are not the pinned ones. They never reach their final name."""

    def __init__(self, name, expected, found):
        super().__init__(f"{name}: expected sha256 {expected}, found {found}")


def default_cache(env=os.environ):
    """The cache lives outside the source tree: $DOCSTREAM_CACHE, else docstream under the user's cache folder."""
    if env.get("DOCSTREAM_CACHE"):
        return Path(env["DOCSTREAM_CACHE"])
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "~")).expanduser() / ".cache"
    return Path(base) / "docstream"


def this_platform():
    """The platform in the words of parts.json, for example linux-x86_64."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{platform.system().lower()}-{machine}"


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def megabytes(n):
    return f"{max(1, round(n / 1e6))} MB"


def say(line):
    print(line, flush=True)


# ---- what was verified -------------------------------------------------------------------------------------------


class Verified:
    """Remembers size and modification time of each file whose full hash was once checked, so that the next run can
    trust it without reading it. A file touched since then is hashed again; --check hashes everything."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / STAMPS
        try:
            self.stamps = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.stamps = {}

    def holds(self, name, sha256):
        """True when the file of that name is unchanged since its hash was found to be this one."""
        try:
            st = (self.folder / name).stat()
        except OSError:
            return False
        return self.stamps.get(name) == [sha256, st.st_size, st.st_mtime_ns]

    def record(self, name, sha256):
        st = (self.folder / name).stat()
        self.stamps[name] = [sha256, st.st_size, st.st_mtime_ns]
        tmp = self.path.with_suffix(".new")
        tmp.write_text(json.dumps(self.stamps, indent=1, sort_keys=True))
        tmp.replace(self.path)


# ---- package clients ---------------------------------------------------------------------------------------------


def need(tool, how):
    """The program's full path, or one line that says what is missing and how to get it."""
    found = shutil.which(tool)
    if not found:
        raise PartError(f"{tool} is missing: {how}")
    return found


def run_client(argv, cwd):
    """Runs a package client; its own words reach the user only when it fails."""
    env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", NO_COLOR="1")
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode != 0:
        tail = "\n    ".join(done.stdout.strip().splitlines()[-12:])
        raise PartError(f"{' '.join(Path(a).name if i == 0 else a for i, a in enumerate(argv[:4]))} … failed "
                        f"(status {done.returncode}):\n    {tail}")


def pip_download(package, folder):
    """Downloads one wheel with pip, which checks the archive's hash itself before it keeps it."""
    if importlib.util.find_spec("pip") is None:
        raise PartError(f"pip is missing for {sys.executable}: install your system's python3-pip package, "
                        f"or run {sys.executable} -m ensurepip")
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package['package']}=={package['version']} --hash=sha256:{package['sha256']}\n")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary=:all:", *package.get("pip", []), "--dest", str(folder), "-r", str(wanted)]
    try:
        run_client(argv, folder)
    except PartError as err:
        got = re.search(r"Got\s+([0-9a-f]{64})", str(err))
        if got:
            raise WrongHash(label(package), package["sha256"], got.group(1)) from None
        raise
    return one_of(folder.glob("*.whl"), package)


def npm_pack(package, folder):
    """Downloads one package with npm; nothing of it is run."""
    npm = need("npm", "install Node.js, which brings npm")
    run_client([npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder),
                f"{package['package']}@{package['version']}"], folder)
    return one_of(folder.glob("*.tgz"), package)


def maven_copy(pom, folder):
    """Lets Maven copy the jars that the pom asks for, with what they depend on, into folder/jars."""
    need("java", "install a Java 17 runtime (package openjdk-17-jre-headless on Debian)")
    mvn = need("mvn", "install Apache Maven (package maven on Debian)")
    work = folder / "pom.xml"
    shutil.copyfile(pom, work)
    run_client([mvn, "-q", "-B", "-f", str(work),
                "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
                "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}"], folder)
    return folder / "jars"


def maven_archive(package, folder):
    """Lets Maven fetch one archive, without what it depends on."""
    need("java", "install a Java 17 runtime (package openjdk-17-jre-headless on Debian)")
    mvn = need("mvn", "install Apache Maven (package maven on Debian)")
    run_client([mvn, "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
                f"-Dartifact={package['package']}:{package['version']}:tar.gz:all", f"-DoutputDirectory={folder}"], folder)
    return one_of(folder.glob("*.tar.gz"), package)


CLIENTS = {"pypi": pip_download, "npm": npm_pack}

# What is fetched only where it is asked for.
APART = ("kafka", "moto", "apicurio")


def label(package):
    return f"{package['package']} {package['version']}"


def one_of(paths, package):
    found = sorted(paths)
    if len(found) != 1:
        raise PartError(f"{label(package)}: the package client left {len(found)} archives, not one")
    return found[0]


# ---- parts out of packages ---------------------------------------------------------------------------------------


def open_member(archive, member):
    """A readable stream over one member of a wheel (zip) or an npm package (tar). Nothing else is unpacked."""
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive).open(member)
    return tarfile.open(archive).extractfile(member)


def install(archive, part, folder):
    """Unpacks one part beside its final name, verifies it, makes it durable and renames it into place."""
    handle, tmp = tempfile.mkstemp(prefix=f".{part['name']}.", dir=folder)
    try:
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb") as out, open_member(archive, part["member"]) as source:
            while block := source.read(1 << 20):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != part["sha256"]:
            raise WrongHash(part["name"], part["sha256"], digest.hexdigest())
        os.chmod(tmp, 0o644)
        os.replace(tmp, folder / part["name"])
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(tmp)


def fetch_package(package, parts, cache, verified, clients):
    """Downloads one package and installs the parts that are asked for."""
    names = ", ".join(p["name"] for p in parts)
    say(f"fetch {label(package)} ({megabytes(package['bytes'])}): {names} …")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="download.", dir=cache) as tmp:
        archive = clients[package["source"]](package, Path(tmp))
        found = sha256_of(archive)
        if found != package["sha256"]:
            raise WrongHash(label(package), package["sha256"], found)
        for part in parts:
            install(archive, part, verified.folder)
            verified.record(part["name"], part["sha256"])
    say(f"  done in {time.monotonic() - began:.1f} s")


def is_good(part, verified, check):
    """Whether the cached file is the pinned one; one with a wrong hash is named and removed."""
    path = verified.folder / part["name"]
    if not check and verified.holds(part["name"], part["sha256"]):
        return True
    if not path.is_file():
        return False
    found = sha256_of(path)
    if found == part["sha256"]:
        verified.record(part["name"], part["sha256"])
        return True
    say(f"refused {WrongHash(part['name'], part['sha256'], found)}; fetching it again")
    path.unlink()
    return False


def twice(what, action):
    """A download with a wrong hash gets one more try; a second one is the user's to know."""
    try:
        action()
    except WrongHash as err:
        say(f"refused {err}; fetching it again")
        try:
            action()
        except WrongHash as again:
            raise PartError(f"{what} is refused twice: {again}. Nothing was installed; the package index or a "
                            f"proxy serves other bytes than the pinned ones") from None


def wanted_parts(plan, only):
    """(package, parts) pairs for this platform, narrowed to the names asked for (a part's or a package's)."""
    known = set(APART) | {n for p in plan["packages"] for n in [p["package"], *(x["name"] for x in p["parts"])]}
    for name in only:
        if name not in known:
            raise PartError(f"no part is called {name}; there are: {', '.join(sorted(known))}")
    for package in plan["packages"]:
        parts = [x for x in package["parts"] if not only or x["name"] in only or package["package"] in only]
        if not parts:
            continue
        if package.get("platform", this_platform()) != this_platform():
            say(f"warning: {', '.join(x['name'] for x in parts)} skipped: pinned for {package['platform']} only, "
                f"and this is {this_platform()}")
            continue
        yield package, parts


def fetch_parts(plan, cache, only, check, clients):
    folder = cache / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(wanted_parts(plan, only))
    verified = Verified(folder)
    if not check and all(verified.holds(x["name"], x["sha256"]) for _, parts in wanted for x in parts):
        return
    with locked(cache):
        verified = Verified(folder)  # another run may have fetched while this one waited
        for package, parts in wanted:
            missing = [x for x in parts if not is_good(x, verified, check)]
            if missing:
                twice(label(package), lambda p=package, m=missing: fetch_package(p, m, cache, verified, clients))


# ---- Apache Kafka, for tests against the real broker -------------------------------------------------------------


def jar_list(path):
    """name → sha256 from a file in the format of sha256sum."""
    return {name: digest for digest, name in (line.split() for line in path.read_text().splitlines())}


def compare_jars(folder, pinned):
    """Raises WrongHash for the first jar that is missing, unknown or has other bytes."""
    found = {p.name: sha256_of(p) for p in folder.glob("*.jar")}
    for name in sorted(pinned.keys() | found.keys()):
        if pinned.get(name) != found.get(name):
            raise WrongHash(name, pinned.get(name, "no such jar"), found.get(name, "no such jar"))


def fetch_kafka(plan, cache, check, here=HERE, copy=maven_copy):
    """Installs the jars of Apache Kafka as one folder: all of them verified, or none."""
    version, pinned = plan["kafka"]["version"], jar_list(here / "kafka-jars.sha256")
    root = cache / "kafka"
    root.mkdir(parents=True, exist_ok=True)
    final, mark = root / f"libs-{version}", hashlib.sha256(repr(sorted(pinned.items())).encode()).hexdigest()
    if not check and (final / ".verified").is_file() and (final / ".verified").read_text() == mark:
        return
    with locked(cache):
        shutil.copyfile(here / "log4j2.properties", root / "log4j2.properties")
        if final.is_dir():
            try:
                compare_jars(final, pinned)
                (final / ".verified").write_text(mark)
                return
            except WrongHash as err:
                say(f"refused {err}; fetching Apache Kafka again")
                shutil.rmtree(final)

        def action():
            say(f"fetch Apache Kafka {version} ({megabytes(plan['kafka']['bytes'])}): {len(pinned)} jars …")
            with tempfile.TemporaryDirectory(prefix="download.", dir=cache) as tmp:
                jars = copy(here / "kafka-pom.xml", Path(tmp))
                compare_jars(jars, pinned)
                (jars / ".verified").write_text(mark)
                os.replace(jars, final)

        twice(f"Apache Kafka {version}", action)


# ---- moto, for tests against a real implementation of SQS ---------------------------------------------------------


def pip_install(requirements, folder):
    """Lets pip install the pinned packages into folder; it checks the hash of every archive before it unpacks one."""
    if importlib.util.find_spec("pip") is None:
        raise PartError(f"pip is missing for {sys.executable}: install your system's python3-pip package, "
                        f"or run {sys.executable} -m ensurepip")
    run_client([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:",
                "--no-compile", "--target", str(folder), "-r", str(requirements)], folder.parent)


def fetch_moto(cache, check, here=HERE, install_into=pip_install):
    """The packages of moto-requirements.txt, importable from one folder by this Python; all of them or none."""
    pinned = here / "moto-requirements.txt"
    mark = sha256_of(pinned)
    folder = cache / "moto" / f"py{sys.version_info.major}{sys.version_info.minor}"
    done = folder / ".verified"
    if not check and done.is_file() and done.read_text() == mark:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache):
        if not check and done.is_file() and done.read_text() == mark:
            return  # another run was first
        say("fetch moto (20 MB): an implementation of SQS for the tests …")
        with tempfile.TemporaryDirectory(prefix="download.", dir=cache) as tmp:
            new = Path(tmp) / "packages"
            new.mkdir()
            install_into(pinned, new)
            (new / ".verified").write_text(mark)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(new, folder)


# ---- Apicurio Registry, for tests against a real registry ----------------------------------------------------------


def fetch_apicurio(plan, cache, check, copy=maven_archive):
    """The program of the registry with its libraries in one folder, out of one verified archive: all of it, or nothing."""
    package = plan["apicurio"]
    folder = cache / "apicurio" / package["version"]
    done = folder / ".verified"
    if not check and done.is_file() and done.read_text() == package["sha256"]:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache):
        if not check and done.is_file() and done.read_text() == package["sha256"]:
            return  # another run was first

        def action():
            say(f"fetch {label(package)} ({megabytes(package['bytes'])}) …")
            with tempfile.TemporaryDirectory(prefix="download.", dir=cache) as tmp:
                archive = copy(package, Path(tmp))
                found = sha256_of(archive)
                if found != package["sha256"]:
                    raise WrongHash(label(package), package["sha256"], found)
                new = Path(tmp) / "registry"
                with tarfile.open(archive) as tar:
                    tar.extractall(new)  # its bytes are the pinned ones
                (new / ".verified").write_text(package["sha256"])
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(new, folder)

        twice(label(package), action)


# ---- the command -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(cache):
    """One fetching run per cache: a second one waits, then finds the work done."""
    with open(cache / ".lock", "w", encoding="utf-8") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is fetching into this cache; waiting for it")
            fcntl.flock(f, fcntl.LOCK_EX)
        for stale in cache.glob("download.*"):  # of a run that was killed: nobody else can hold one now
            shutil.rmtree(stale, ignore_errors=True)
        yield


def main(argv=None, here=HERE, clients=None):
    flags = argparse.ArgumentParser(prog="fetch.py", description="Fetches Docstream's pinned parts into a cache.")
    flags.add_argument("--cache", type=Path, default=None, help="default: $DOCSTREAM_CACHE, else ~/.cache/docstream")
    flags.add_argument("--only", nargs="+", default=[], metavar="NAME", help=f"only these files or packages, or {', '.join(APART)}")
    flags.add_argument("--with", dest="extra", action="append", choices=APART, default=[],
                       help="also Apache Kafka or Apicurio Registry (both need Java 17 and Maven) or moto, for tests against real parts")
    flags.add_argument("--check", action="store_true", help="hash every file again, whatever was verified before")
    args = flags.parse_args(argv)
    cache = (args.cache or default_cache()).expanduser().absolute()
    try:
        plan = json.loads((here / "parts.json").read_text())
        only = [name for name in args.only if name not in APART]
        if only or not args.only:
            fetch_parts(plan, cache, only, args.check, clients or CLIENTS)
        if "kafka" in args.extra + args.only:
            fetch_kafka(plan, cache, args.check, here)
        if "moto" in args.extra + args.only:
            fetch_moto(cache, args.check, here)
        if "apicurio" in args.extra + args.only:
            fetch_apicurio(plan, cache, args.check)
    except (PartError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    say(f"parts are ready in {cache}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
