"""Files that other programs made, read by kiln and compared with what QEMU reads.

Hyper-V, Virtual PC, Disk2vhd, VMware, Parallels, Bochs, Knoppix and macOS have made those of QEMU's own test suite. They are in the
source package of Debian's QEMU, which is fetched from the archive that apt uses. Bochs' bximage makes a few more here.

    run.py KILN

Exits with 77 when there is no archive to fetch from, and with 1 when a file is read wrongly.
"""

import bz2
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

PACKAGE = "pool/main/q/qemu/qemu_7.2+dfsg.orig.tar.xz"
DIGEST = "91aca71520040edc40b8d437aa3004dae614f58e286cf653ee8996c07af2962f"
FOLDER = "qemu-7.2.0/tests/qemu-iotests/sample_images/"

# What qemu-img calls the format of each, and why it reads none where it does not.
SAMPLES = {
    "empty.bochs": "bochs",
    "simple-dmg.dmg": "dmg",
    "simple-pattern.cloop": "cloop",
    "parallels-v1": "parallels",
    "parallels-v2": "parallels",
    "parallels-with-bitmap": "parallels",
    "test-disk2vhd.vhdx": "vhdx",
    "iotest-dynamic-1G.vhdx": "vhdx",
    "iotest-dirtylog-10G-4M.vhdx": "vhdx",
    "iotest-version3.vmdk": "vmdk",
    "hyperv2012r2-dynamic.vhd": "vpc",
    "virtualpc-dynamic.vhd": "vpc",
    "d2v-zerofilled.vhd": "vpc",
}
REPLAYED_FIRST = {"iotest-dirtylog-10G-4M.vhdx"}  # QEMU wants to write the log into the file
REFUSED = {"afl9.vmdk": "Damaged"}
OF_BXIMAGE = {"growing": "bochs", "vpc": "vpc", "vmware4": "vmdk"}


def run(*command, **more):
    return subprocess.run([os.fspath(word) for word in command], capture_output=True, text=True, **more)


def archives():
    """Where apt gets its packages from."""
    answer = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    return sorted({line for line in answer.stdout.split() if line.startswith("http") and "security" not in line})


def fetch(folder):
    file = folder / "qemu.tar.xz"
    for archive in archives():
        try:
            with urllib.request.urlopen(archive.rstrip("/") + "/" + PACKAGE, timeout=60) as answer, open(file, "wb") as out:
                shutil.copyfileobj(answer, out)
        except OSError as error:
            print(f"{archive}: {error}")
            continue
        if hashlib.sha256(file.read_bytes()).hexdigest() == DIGEST:
            return file
        print(f"{archive}: another file than expected")
    print("there is no source package of QEMU 7.2 to get samples from")
    sys.exit(1 if os.environ.get("CI") else 77)


def unpack(package, folder):
    wanted = {*SAMPLES, *REFUSED}
    with tarfile.open(package) as tar:
        for member in tar:
            name = member.name.removeprefix(FOLDER).removesuffix(".bz2")
            if member.name.startswith(FOLDER) and member.isfile() and name in wanted:
                with bz2.open(tar.extractfile(member)) as packed, open(folder / name, "wb") as out:
                    write_sparsely(packed, out)


def write_sparsely(source, out):
    while block := source.read(1 << 20):
        if block.count(0) == len(block):
            out.seek(len(block), os.SEEK_CUR)
        else:
            out.write(block)
    out.truncate()


def make_with_bximage(folder):
    """A disk with something here and there, as it is written by Bochs' own tool."""
    size, chosen = 20 * 16 * 63 * 512, random.Random(3)
    disk = bytearray(size)
    for at in range(0, size - 5000, 70_000):
        disk[at : at + 5000] = chosen.randbytes(5000)
    disk[446:462] = bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 0, 64, 0, 0])
    disk[510:512] = b"\x55\xaa"
    (folder / "disk").write_bytes(disk)
    for mode in OF_BXIMAGE:
        made = run("bximage", "-func=convert", "-imgmode=" + mode, "-q", folder / "disk", folder / f"bximage.{mode}")
        if made.returncode != 0:
            raise SystemExit("bximage: " + made.stderr)


class Check:
    def __init__(self, kiln, folder):
        self.kiln, self.folder, self.wrong = kiln, folder, 0

    def say(self, name, what):
        print(f"{name}: {what}")
        self.wrong += 1

    def convert(self, name):
        out = self.folder / "out.qcow2"
        environment = {**os.environ, "KILN_HOME": str(self.folder / "home")}
        answer = run(self.kiln, "convert", self.folder / name, out, env=environment, timeout=120)
        return out, answer

    def reads(self, name, driver):
        file = self.folder / name
        before = hashlib.sha256(file.read_bytes()).digest()
        out, answer = self.convert(name)
        if answer.returncode != 0:
            return self.say(name, answer.stderr)
        if hashlib.sha256(file.read_bytes()).digest() != before:
            self.say(name, "the file was changed")
        if name in REPLAYED_FIRST:
            run("qemu-img", "check", "-r", "all", "-f", driver, file)
        same = run("qemu-img", "compare", "-f", driver, "-F", "qcow2", file, out)
        if same.returncode != 0:
            self.say(name, same.stdout + same.stderr)
        out.unlink()

    def refuses(self, name, code):
        out, answer = self.convert(name)
        if answer.returncode == 0 or f"[{code}]" not in answer.stderr or out.exists():
            self.say(name, f"not refused as {code}: {answer.stderr}")


def main():
    with tempfile.TemporaryDirectory(prefix="kiln-samples-") as name:
        folder = pathlib.Path(name)
        unpack(fetch(folder), folder)
        make_with_bximage(folder)
        check = Check(sys.argv[1], folder)
        files = {**SAMPLES, **{f"bximage.{mode}": driver for mode, driver in OF_BXIMAGE.items()}}
        for file, driver in files.items():
            check.reads(file, driver)
        for file, code in REFUSED.items():
            check.refuses(file, code)
        print(f"{len(files) + len(REFUSED)} files, {check.wrong} wrong")
        return 1 if check.wrong else 0


sys.exit(main())
