"""``python -m tests.native [--seconds N] [--seed N]``: the tests of the cores, then the fuzzer, under sanitizers."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.native.build import compile_sanitized
from tests.native.run import FUZZER, TESTS, run_sanitized


def main() -> int:
    """Build the cores, test and fuzz them; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="sanitize", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long the fuzzer goes on (60)")
    parser.add_argument("--seed", type=int, default=None, help="the same rounds again")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="fiesta-cores-") as folder:
        compile_sanitized(Path(folder))
        for arguments in (TESTS, [*FUZZER, "--seconds", str(given.seconds), "--seed", str(seed)]):
            print(f"Under sanitizers: python -m {' '.join(arguments)}", flush=True)
            code, said = run_sanitized(Path(folder), *arguments)
            print("".join(said.splitlines(keepends=True)[-1 if code == 0 else -200 :]), end="", flush=True)
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
