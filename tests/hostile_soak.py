"""Run seeded random attacks on real hosts, half of them root and half another user, and say what got through.

    tests/soak hostile --seed 1 --containers 200

Each attack is one container (`tests/contract/hostile_attacks.py`). It ends with 1 if any got through.
"""

import argparse
import collections
import os
import random
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "contract"))

from hostile_attacks import ATTACKS
from hostile_bench import NOBODY, Ended, hostile_bench


def main() -> int:
    """Run the attacks, print each and a summary, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="1", help="the same attacks for the same seed")
    parser.add_argument("--containers", type=int, default=200, help="how many attacks, each in a container")
    parser.add_argument("--only", choices=[attack.name for attack in ATTACKS], help="this attack alone")
    asked = parser.parse_args()
    users = [os.geteuid(), NOBODY] if os.geteuid() == 0 else [os.geteuid()]
    started = time.monotonic()
    with ThreadPoolExecutor(len(users)) as pool:
        halves = [pool.submit(attack_as, uid, n, len(users), asked) for n, uid in enumerate(users)]
        ended = [one for half in halves for one in half.result()]
    violations = [violation for _, one in ended for violation in one.violations]
    counts = collections.Counter(f"{name} {'green' if one.green else 'red'}" for name, one in ended)
    slowest_name, slowest = max(ended, key=lambda pair: pair[1].seconds)
    print(
        f"\n{len(ended)} attacks with seed {asked.seed} in {(time.monotonic() - started) / 60:.0f} min on hosts of the "
        f"users {users}: {len(violations)} violations.\n"
        f"The most memory of a host: {max(one.memory_mib for _, one in ended)} MiB. "
        f"The longest step: {slowest.seconds:.0f} s ({slowest_name}).\n"
        + ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    )
    return 1 if violations else 0


def attack_as(uid: int, half: int, of: int, asked: argparse.Namespace) -> list[tuple[str, Ended]]:
    """Run a user's share of the attacks; return the name of each and how it ended."""
    deployment = f"hostile-{uuid.uuid4().hex[:8]}"
    ended = []
    log = Path(tempfile.gettempdir()) / f"{deployment}.log"
    with hostile_bench(deployment, uid, log=log) as bench:
        for number in range(half, asked.containers, of):
            seed = f"{asked.seed}/{number}"
            attacks = [attack for attack in ATTACKS if asked.only in {None, attack.name}]
            attack = random.Random(seed).choice(attacks)  # noqa: S311 - no cryptography
            # A seed of its own: the same one would choose the same variant of an attack each time.
            one = bench.run(attack, f"{seed}/{attack.name}")
            ended.append((attack.name, one))
            state = "; ".join(["VIOLATION", *one.violations]) if one.violations else "harmless"
            print(
                f"{number:4} user {uid:5} {attack.name:13} {'green' if one.green else 'red':5} "
                f"{one.seconds:5.1f} s {one.memory_mib:4} MiB  {state}",
                flush=True,
            )
    if not any(one.violations for _, one in ended):
        log.unlink()
    return ended


if __name__ == "__main__":
    sys.exit(main())
