"""Gives every case to `kiln inspect` and, when it is to be taken, to `kiln convert`. Prints what did not come out as
said, and exits with 1 then.

    run.py KILN [PART-OF-A-NAME]
"""

import ctypes
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import case  # noqa: E402
import foreign, ova, qcow2, raw, vdi, vhd, vhdx, vmdk  # noqa: E402,F401,E401

TIME, MEMORY = 10, 200 << 20
IN_ACCESS, IN_OPEN = 1, 32


class Canary:
    """A file on the host; the kernel tells when somebody opens it."""

    def __init__(self, path):
        self.path = path
        path.write_text("the host's secret\n" * 1000)
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, os.fsencode(path), IN_ACCESS | IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def was_touched(self):
        try:
            return len(os.read(self.fd, 4096)) > 0
        except BlockingIOError:
            return False


def resident(pid):
    """The most that it has had in memory until now; what wait4() tells counts the parent's before exec()."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except (OSError, ProcessLookupError):
        pass
    return 0


def adopt_orphans():
    """Whatever a program leaves behind becomes a child of ours, in whatever group or session it is."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def has_left_processes():
    """What is about to end may do so for two seconds; the rest is killed."""
    until = time.monotonic() + 2
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return False
        if time.monotonic() > until:
            for child in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), 9)
                os.waitpid(int(child), 0)
            return True
        time.sleep(0.01)


def run(command, folder):
    """(exit code, standard output, seconds, bytes that it had in memory, whether a process is left of it)"""
    out = folder / ".out"
    begin = time.monotonic()
    with open(out, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                   start_new_session=True)
        memory, code = 0, None
        while code is None and time.monotonic() - begin < TIME:
            memory = max(memory, resident(process.pid))
            time.sleep(0.005)
            code = process.poll()
        if code is None:
            os.killpg(process.pid, 9)
            code = process.wait()
    seconds = time.monotonic() - begin
    left = has_left_processes()
    text = out.read_bytes()
    out.unlink()
    return code, text, seconds, memory, left


def state(folder):
    """All that lies in a folder, with its content, or when it was written where that is large."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            found[str(path.relative_to(folder))] = os.lstat(path).st_mode
        elif path.stat().st_size > 1 << 28:
            found[str(path.relative_to(folder))] = (path.stat().st_size, path.stat().st_blocks, path.stat().st_mtime_ns)
        else:
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check(kiln, one, place):
    given = one.make(place)
    before = state(place.folder)
    wrong = []
    target = place.shared / "read.raw"
    words = [kiln, one.verb, "--json", *one.args, "--", str(given), *([str(target)] if one.verb == "convert" else [])]
    code, text, seconds, memory, left = run(words, place.shared)
    if seconds >= TIME:
        wrong.append(f"it took longer than {TIME} s")
    if memory > MEMORY:
        wrong.append(f"it took {memory >> 20} MiB")
    if left:
        wrong.append("a process was left")
    if code < 0 or code > 3:
        wrong.append(f"it ended with {code}")
    if target.exists():
        if code == 0 and place.content is not None and target.read_bytes() != place.content:
            wrong.append("it reads as something else")
        if code != 0:
            wrong.append("something was written")
        target.unlink()
    try:
        lines = text.splitlines() if one.verb == "convert" else [text]  # events come before
        answer = json.loads(lines[-1])
    except (ValueError, IndexError):
        return wrong + [f"no JSON: {text[:200]!r}"]
    found = answer.get("error", {}).get("code")
    codes = [found] if found else [f["code"] for f in answer.get("findings", []) if f["severity"] == "security"]
    if one.codes and code == 0:
        wrong.append(f"it was taken; expected {' or '.join(one.codes)}")
    elif one.codes and not set(codes) & set(one.codes):
        wrong.append(f"found {codes} ({answer['error']['what']} {answer['error']['evidence']}); expected {one.codes}")
    elif not one.codes and code != 0:
        wrong.append(f"it was refused: {answer['error']}")
    elif not one.codes and place.content is not None and one.verb == "inspect":
        wrong += compare(kiln, one, given, place)
    if state(place.folder) != before:
        wrong.append("its folder was changed")
    return wrong


def compare(kiln, one, given, place):
    """Whether kiln reads the case as what it holds."""
    target = place.shared / "read.raw"
    options = [word.replace("--format", "--from") for word in one.args]
    code, text, *_ = run([kiln, "convert", "--json", *options, "--", str(given), str(target)], place.shared)
    if code != 0:
        return [f"it was not converted: {text[-500:]!r}"]
    same = target.read_bytes() == place.content
    target.unlink()
    return [] if same else ["it reads as something else"]


def main():
    kiln, part = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    wrong = 0
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="kiln-hostile-") as name:
        root = pathlib.Path(name)
        canary = Canary(root / "canary")
        shared = root / "shared"
        shared.mkdir()
        os.environ["KILN_HOME"] = str(root / "home")
        chosen = [c for c in case.CASES if part in c.name]
        for one in chosen:
            folder = root / "case" / one.name
            folder.mkdir(parents=True)
            said = check(kiln, one, case.Place(folder, canary.path, shared, kiln))
            if canary.was_touched():
                said.append("the canary was opened")
            shutil.rmtree(folder)
            if said:
                wrong += 1
                print(f"{one.test} {one.name}: " + "; ".join(said), flush=True)
    print(f"{len(chosen)} cases, {wrong} wrong")
    sys.exit(1 if wrong or not chosen else 0)


if __name__ == "__main__":
    main()
