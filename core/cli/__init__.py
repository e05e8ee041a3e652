"""The command line: every command parses, calls one library function and prints.

Nothing heavy is imported here; a command imports what it needs when it runs.
"""

import sys
from collections.abc import Sequence

from core.cli.errors import run_guarded
from core.cli.left import exit_with, left_command, left_option
from core.cli.parser import build_parser
from core.common.processes import takes_part
from core.common.topics import topics
from core.encoders.trusted_code import allowing

SHARED = (  # commands whose work several processes share
    *("embed", "heatmaps", "overlap", "concepts", "search", "basis"),
    *("analyze", "resume", "demo", "train", "finetune"),
)
MAY_NAME_CODE = (  # options whose value may name code to run
    *("encoder", "captioner", "arch", "export_arch"),
    *(name for topic in topics() for name in topic.code_options),
)
# the owner's words
MAY_NAME_ADDRESSES = ("images", "val", "masks", "captions", "encoder")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the command line.

    Returns:
        the exit code (see `core.cli.errors`).
    """
    parser = build_parser()
    words = sys.argv[1:] if argv is None else list(argv)
    if line := left_command(words):
        exit_with(parser, line)
    args, unknown = parser.parse_known_args(words)
    if unknown and (line := left_option(args.command, unknown)):
        exit_with(parser, line)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None:
        parser.print_help()
        return 0
    alone = any(option in args for option in ("dry_run", "background", "answer"))
    shared = args.command in SHARED and not alone
    if not takes_part(shared):
        return 0
    named = [getattr(args, name, None) for name in MAY_NAME_CODE]
    addresses = [getattr(args, name, None) for name in MAY_NAME_ADDRESSES]
    with allowing(*named, *getattr(args, "trust", ())):
        return run_guarded(args, addresses)
