"""Fuzz one of the readers of files with atheris (pip install atheris).

    python tests/fuzz/run.py --reader npz --seconds 60

It starts from tests/fuzz/corpus/READER and ends at the first fault with the input in the working directory, or after
the time with a count of runs. Inputs that reach what the corpus does not are kept, each as small as it could be made,
in --found FOLDER, which may be the corpus itself.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
READERS = ("pkl", "npz", "npy", "safetensors", "safetensors_header", "pth", "pth_pickle", "idx", "image")
CORPUS = Path(__file__).parent / "corpus"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", required=True, choices=READERS)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long (default: 60)")
    parser.add_argument("--found", metavar="FOLDER", help="where what it finds goes (default: a new folder of /tmp)")
    parser.add_argument("--timeout", type=int, default=60, metavar="N", help="seconds for one input (default: 60)")
    parser.add_argument("--memory", type=int, default=2048, metavar="MB", help="of the process (default: 2048)")
    parser.add_argument("--longest", type=int, default=4096, metavar="N", help="bytes of an input (default: 4096)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the mutations (default: 1)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    import atheris
    with atheris.instrument_imports(include=["fastconv"]):
        from fuzz.readers import READERS as functions
    limits = [f"-timeout={args.timeout}", f"-rss_limit_mb={args.memory}", f"-max_len={args.longest}",
              f"-seed={args.seed}"]
    corpus = str(CORPUS / args.reader)
    found = args.found or tempfile.mkdtemp(prefix=f"fuzz-{args.reader}-")
    Path(found).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={args.seconds}", "-print_final_stats=1", *limits, found, corpus]
    atheris.Setup([sys.argv[0], *options], functions[args.reader])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
