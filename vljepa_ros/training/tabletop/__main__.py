"""`python -m vljepa_ros.training.tabletop`: make episodes, or one clip, without the rest."""

import argparse
import sys
from pathlib import Path

from rich.progress import Progress

from vljepa_ros.errors import VljepaError
from vljepa_ros.training.shards import SPLITS
from vljepa_ros.training.tabletop.clip import render_clip
from vljepa_ros.training.tabletop.generation import generate


def main() -> int:
    """Run a subcommand; an error that the user can mend is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_ros.training.tabletop")
    commands = parser.add_subparsers(dest="command", required=True)
    episodes = commands.add_parser("episodes", help="write shards of episodes")
    episodes.add_argument("--data", type=Path, default=Path("data"), help="default: data")
    episodes.add_argument("--split", choices=SPLITS, default="train")
    episodes.add_argument("--episodes", type=int, default=600)
    episodes.add_argument("--seed", type=int, default=0)
    episodes.add_argument("--workers", type=int, default=2, help="processes")
    clip = commands.add_parser("clip", help="write one scene as a video, and its facts as JSON")
    clip.add_argument("--seed", type=int, required=True)
    clip.add_argument("--out", type=Path, required=True, help="an .mp4 file")
    options = parser.parse_args()
    try:
        if options.command == "clip":
            render_clip(options.out, options.seed)
            return 0
        with Progress() as progress:
            bar = progress.add_task(f"{options.split} episodes", total=options.episodes)
            generate(
                options.data,
                options.split,
                options.episodes,
                options.seed,
                options.workers,
                lambda done, _: progress.update(bar, completed=done),
            )
    except VljepaError as error:
        print(f"tabletop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
