"""What the containers of the contract tests do.

Real engines run the shell scripts in Debian; the fake engine, which has no shell, runs the Python function below each.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from fake_process import Process, Program

_Steps = Generator[None, str, int]

SECRETS_TARGET = "/run/secrets"
HELD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Script:
    """One behaviour, written twice.

    Args:
        shell: For ``sh -c`` in Debian.
        fake: For the fake engine.
    """

    shell: str
    fake: Program


def _script(shell: str) -> Callable[[Program], Script]:
    """Combine a shell script and the function below it."""
    return lambda fake: Script(shell.strip(), fake)


def exits(exit_code: int) -> Script:
    """Return a script that exits at once."""
    return Script(f"exit {exit_code}", lambda _: exit_code)


@_script("""
trap 'echo told' USR1
trap 'exit 3' TERM
echo ready
sleep 600 & while :; do wait $!; done
""")
def obeys_signals(process: Process) -> _Steps:
    process.handle("SIGUSR1", "SIGTERM")
    process.emit("stdout", b"ready\n")
    while (yield) != "SIGTERM":
        process.emit("stdout", b"told\n")
    return 3


@_script("""
trap 'printf " a line\\n"; exit 0' USR1
printf half
sleep 600 & while :; do wait $!; done
""")
def prints_half_a_line(process: Process) -> _Steps:
    process.handle("SIGUSR1")
    process.emit("stdout", b"half")
    yield
    process.emit("stdout", b" a line\n")
    return 0


@_script("echo ready; exec sleep 600")
def handles_no_signal(process: Process) -> _Steps:
    process.emit("stdout", b"ready\n")
    while True:
        yield


@_script(r"""
printf "$(printf '\\%03o' $(seq 0 255))"
echo a warning >&2
""")
def prints_every_byte(process: Process) -> int:
    process.emit("stdout", bytes(range(256)))
    process.emit("stderr", b"a warning\n")
    return 0


@_script("seq --format %01000.0f 3000; seq --format %01000.0f 300 >&2")
def prints_much(process: Process) -> int:
    process.emit("stdout", long_lines(3000))
    process.emit("stderr", long_lines(300))
    return 0


def long_lines(count: int) -> bytes:
    """Return what ``seq --format %01000.0f COUNT`` prints: numbers of a thousand digits."""
    return b"".join(b"%01000d\n" % number for number in range(1, count + 1))


@_script("""printf '<%s>' "$PLAIN" "$ODD" "${EMPTY-unset}" "${MISSING-unset}" """)
def prints_environment(process: Process) -> int:
    for name, default in (("PLAIN", ""), ("ODD", ""), ("EMPTY", "unset"), ("MISSING", "unset")):
        process.emit("stdout", f"<{process.environment.get(name, default)}>".encode())
    return 0


@_script("id -u; id -g")
def prints_user(process: Process) -> int:
    user, _, group = (process.spec.user or "0").partition(":")
    process.emit("stdout", f"{user}\n{group or 0}\n".encode())
    return 0


@_script("""
touch /written 2> /dev/null && echo writable_root
grep -q '^NoNewPrivs:.*1' /proc/self/status || echo new_privileges
grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && echo capabilities
[ $$ = 1 ] && echo no_init
:
""")
def prints_freedoms(process: Process) -> int:
    try:
        process.write("/written", b"")
        process.emit("stdout", b"writable_root\n")
    except OSError:
        pass
    spec = process.spec
    for is_free, name in (
        (not spec.no_new_privileges, b"new_privileges\n"),
        ("ALL" not in spec.cap_drop, b"capabilities\n"),
        (process.pid == 1, b"no_init\n"),
    ):
        if is_free:
            process.emit("stdout", name)
    return 0


@_script("""
cd /sys/fs/cgroup
if [ -e cpu.max ]; then cat cpu.max memory.max
else echo "$(cat cpu/cpu.cfs_quota_us) $(cat cpu/cpu.cfs_period_us)"; cat memory/memory.limit_in_bytes; fi
df --block-size=1 --output=size /dev/shm | tail -n 1
""")
def prints_limits(process: Process) -> int:
    spec = process.spec
    process.emit("stdout", f"{int((spec.cpus or 0) * 100000)} 100000 {spec.memory_bytes} {spec.shm_bytes}\n".encode())
    return 0


@_script("ls /sys/class/net")
def prints_network_interfaces(process: Process) -> int:
    cards = [f"eth{number}" for number, name in enumerate(process.spec.networks or ["bridge"]) if name != "none"]
    process.emit("stdout", "\n".join([*cards, "lo", ""]).encode())
    return 0


@_script("""
cat /in/file > /out/file
{ echo changed > /in/file; } 2> /dev/null || echo refused
""")
def copies_a_file(process: Process) -> int:
    process.write("/out/file", process.read("/in/file"))
    try:
        process.write("/in/file", b"changed\n")
    except OSError:
        process.emit("stdout", b"refused\n")
    return 0


@_script("""
echo kept > /scratch/small
head -c 2097152 /dev/zero 2> /dev/null > /scratch/large || echo refused
cat /scratch/small
""")
def fills_scratch(process: Process) -> int:
    process.write("/scratch/small", b"kept\n")
    try:
        process.write("/scratch/large", bytes(2 * 2**20))
    except OSError:
        process.emit("stdout", b"refused\n")
    process.emit("stdout", process.read("/scratch/small"))
    return 0


@_script(f"""
trap 'cat {SECRETS_TARGET}/*; exit 0' USR1
cat {SECRETS_TARGET}/*
stat --file-system --format %T {SECRETS_TARGET} >&2
sleep 600 & while :; do wait $!; done
""")
def reads_secrets_twice(process: Process) -> _Steps:
    process.handle("SIGUSR1")
    for path in process.list(SECRETS_TARGET):
        process.emit("stdout", process.read(path))
    process.emit("stderr", b"tmpfs\n")
    yield
    for path in process.list(SECRETS_TARGET):
        process.emit("stdout", process.read(path))
    return 0


@_script(f"touch {SECRETS_TARGET}/other 2> /dev/null || echo refused")
def writes_among_secrets(process: Process) -> int:
    try:
        process.write(f"{SECRETS_TARGET}/other", b"")
    except OSError:
        process.emit("stdout", b"refused\n")
    return 0


@_script(f"cat {SECRETS_TARGET}/* | wc -c")
def sizes_of_secrets(process: Process) -> int:
    size_bytes = sum(len(process.read(path)) for path in process.list(SECRETS_TARGET))
    process.emit("stdout", f"{size_bytes}\n".encode())
    return 0


@_script(f"""
trap 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo worked' USR1
held=$(head -c {HELD_BYTES} /dev/zero | tr '\\0' x)
echo ready
sleep 600 & while :; do wait $!; done
""")
def works(process: Process) -> _Steps:
    process.handle("SIGUSR1")
    process.use(memory_bytes=HELD_BYTES + 2**20, cpu_s=0.1)
    process.emit("stdout", b"ready\n")
    while True:
        yield
        process.use(cpu_s=0.2)
        process.emit("stdout", b"worked\n")


@_script("sleep 0.5; tail /dev/zero; code=$?; sleep 0.5; exit $code")
def takes_all_memory(process: Process) -> int:
    process.use(memory_bytes=2**40)
    return 0
