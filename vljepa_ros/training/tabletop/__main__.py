"""`python -m vljepa_ros.training.tabletop clip`: one scene as a video, beside its facts."""

import argparse
import sys
from pathlib import Path

from vljepa_ros.errors import VljepaError
from vljepa_ros.training.tabletop.clip import render_clip


def main() -> int:
    """Run a subcommand; an error that the user can mend is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_ros.training.tabletop")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    clip = commands.add_parser("clip", help="write one scene as a video, and its facts as JSON")
    clip.add_argument("--seed", type=int, required=True)
    clip.add_argument("--out", type=Path, required=True, help="an .mp4 file")
    options = parser.parse_args()
    try:
        render_clip(options.out, options.seed)
    except VljepaError as error:
        print(f"tabletop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
